import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Who is at the other end of an accepted socket, by the kernel's word alone.
struct PeerCapture {
    /// Clients that announced a level before they connected carry this name, so that a later authority, which
    /// knows nothing of their announcement, cannot take them for clients that allow everything.
    static let marker = "guise-client-"

    /// A captured client.
    struct Client {
        let pid: Int32
        var token: Token
        let credentials: UnixCredentials
        let level: ImpersonationLevel
        /// Where the token as it is now comes from; nil: it stays as it was when the client connected.
        var source: TokenSource?
        /// Who pays for a token that nobody else holds.
        var charge: TokenCharge?

        /// As a service may see the client that allows no more than this.
        func under(_ quality: SecurityQualityOfService, from source: TokenSource?) -> Client {
            Client(
                pid: pid, token: quality.isEffectiveOnly ? token.effectiveOnly : token,
                credentials: credentials,
                level: level, source: quality.tracking == .dynamic ? source : nil)
        }
    }

    let registrations: Registrations
    let tokens: TokenFactory
    let processes: ProcessDirectory
    private let diag: Int32

    init(registrations: Registrations, tokens: TokenFactory, processes: ProcessDirectory) throws(Refused) {
        self.registrations = registrations
        self.tokens = tokens
        self.processes = processes
        diag = guise_diag_open()
        guard diag >= 0 else {
            throw Refused(
                .internal, "no sock_diag socket (\(errnoText(-diag))); the kernel needs CONFIG_UNIX_DIAG")
        }
    }

    /// Captures the peer of a connected Unix socket.
    ///
    /// - Throws: `notLocal`, `peerGone`; never a guess.
    func capture(_ socket: Int32) throws(Refused) -> Client {
        guard guise_socket_domain(socket) == AF_UNIX else {
            throw Refused(
                .notLocal, "the descriptor is not a Unix socket: only local clients can be captured")
        }
        let type = guise_socket_type(socket)
        guard type == Int32(SOCK_STREAM.rawValue) || type == Int32(SOCK_SEQPACKET.rawValue) else {
            throw Refused(.notLocal, "the socket is not of type stream or seqpacket: it has no one client")
        }
        guard guise_unix_has_name(socket) else {
            throw Refused(
                .notLocal,
                "this is the connecting end of the connection, where the other end is the service:"
                    + " only who accepted a connection captures its client")
        }
        var peerInode: UInt32 = 0
        var peerCookie: UInt64 = 0
        let found = guise_diag_peer(
            diag, guise_socket_inode(socket), guise_socket_cookie(socket), &peerInode, &peerCookie)
        guard found == 0 else {
            guard found == -ENOENT else {
                throw Refused(.internal, "asking the kernel for the peer failed: \(errnoText(-found))")
            }
            throw Refused(
                .peerGone,
                "the socket has no client (any more): it closed before it was captured, or it is in"
                    + " another network namespace")
        }
        var peer = guise_peer()
        let error = guise_peer_of(socket, &peer)
        guard error == 0 else {
            throw Refused(.internal, "the kernel does not say who connected: \(errnoText(-error))")
        }
        defer { if peer.pidfd >= 0 { close(peer.pidfd) } }
        guard peer.pid > 0 else {
            throw Refused(.notLocal, "the client is in a pid namespace that the authority does not see")
        }
        let connector = peer.pidfd >= 0 ? guise_pidfd_identity(peer.pidfd) : 0
        let registration = registrations.find(inode: peerInode, cookie: peerCookie)
        if connector == ProcessDirectory.own || ProcessDirectory.own == 0 {
            // The authority connects for others only, and says for whom before it does.
            guard let client = registration?.carried else {
                throw Refused(
                    .accessDenied, "the authority made the connection, and for nobody that it knows")
            }
            // Whom the authority connected has the token that its thread acted under, and no other.
            return client.under(registration?.quality ?? SecurityQualityOfService(), from: nil)
        }
        if let registration {
            // The one whose socket it is must be the one who connected it.
            guard connector != 0, connector == registration.process else {
                throw Refused(
                    .accessDenied, "the socket was announced by one process and connected by another")
            }
            return Client(
                pid: peer.pid, token: registration.logon.token.token,
                credentials: registration.logon.credentials, level: registration.quality.level
            ).under(
                registration.quality,
                from: TokenSource(
                    registration.process, registration.logon, registration.quality, in: processes))
        }
        guard !hasMarker(socket) else {
            throw Refused(
                .peerGone,
                "the client announced its level to an authority that is gone; it has to connect again")
        }
        // The accepted end always has its listener's name. With a name at both ends it could be either, and at
        // the connecting end the kernel tells whose the listener is, not who connected.
        var name: CChar = 0
        guard guise_unix_peer_name(socket, &name, 0) == 0 else {
            throw Refused(
                .notLocal,
                "the client bound its socket to a name, so that the two ends cannot be told apart; it"
                    + " has to connect from an unnamed socket, or announce its level")
        }
        let logon = try logon(of: peer)
        return Client(
            pid: peer.pid, token: logon.token.token, credentials: logon.credentials, level: .impersonation)
    }

    private func hasMarker(_ socket: Int32) -> Bool {
        var name = [CChar](repeating: 0, count: 128)
        let length = guise_unix_peer_name(socket, &name, name.count)
        guard length > 0x10000 else { return false }
        return name.prefix(Int(length) - 0x10000).map { UInt8(bitPattern: $0) }.starts(with: Self.marker.utf8)
    }

    /// The logon of a peer: a mediated service's own, what a process has become, else whom its Unix credentials stand for.
    func logon(of peer: guise_peer) throws(Refused) -> Logon {
        if peer.pidfd >= 0,
            let token = processes.token(of: guise_pidfd_identity(peer.pidfd), user: peer.uid)
        {
            return token.logon
        }
        do {
            return try tokens.logon(UnixCredentials(peer))
        } catch { throw Refused(error) }
    }
}

extension UnixCredentials {
    init(_ peer: guise_peer) {
        var peer = peer
        let groups = withUnsafeBytes(of: &peer.groups) {
            Array($0.bindMemory(to: UInt32.self).prefix(Int(peer.group_count)))
        }
        self.init(uid: peer.uid, gid: peer.gid, groups: groups)
    }
}
