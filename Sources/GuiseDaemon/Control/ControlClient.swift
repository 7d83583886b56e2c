import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// One connection of the control socket: the process that made it, and what it holds by it. Used on the
/// control thread alone.
final class ControlClient {
    /// The most captures a process may hold at once.
    static let largestCaptureCount = Attachment.largestHandleCount

    let socket: Int32
    let pid: Int32
    /// The process for good, whatever becomes of its pid.
    let identity: UInt64
    let credentials: UnixCredentials
    let peer: guise_peer
    var attachment: Attachment?
    /// What `guise run` asked for, until it hands over its listener.
    var launch: Logon?
    var captures: [UInt64: Captured] = [:]
    /// Of captures that came by a pipe: the server whose instance the client has.
    var instances: [UInt64: PipeServer] = [:]
    /// What a security package has under way, in one conversation at a time.
    var exchange: GSSContext?
    /// Whether an answer is being worked on elsewhere.
    var isBusy = false
    private var lastCapture: UInt64 = 0

    /// A client that was captured from a connection, or a token that the process holds a handle to.
    struct Captured {
        private var captured: PeerCapture.Client
        /// The token; nil of a connection.
        let object: TokenObject?
        /// What the process may do with the token.
        let granted: AccessMask<TokenKind>
        /// The session that ends when this is closed, if it is a logon that the process asked for.
        let logon: LogonSession?
        /// In milliseconds since 1970.
        let time = WallClock.milliseconds
        var handles: [ImpersonationLevel: ImpersonationHandle] = [:]
        /// Handles that threads may still act by, to what the token was before it was adjusted.
        var outdated: [ImpersonationHandle] = []
        /// Whose handles they are.
        weak var attachment: Attachment?

        /// A connection's, or with a session that of a client whom a security package found out.
        init(client: PeerCapture.Client, logon: LogonSession? = nil) {
            (captured, object, granted, self.logon) = (client, nil, [], logon)
        }

        init(_ object: TokenObject, _ granted: AccessMask<TokenKind>, logon: LogonSession? = nil) {
            (captured, self.object, self.granted, self.logon) = (object.asClient, object, granted, logon)
        }

        /// As it is now.
        var client: PeerCapture.Client {
            get { object?.asClient ?? captured }
            set { captured = newValue }
        }

        /// The numbers of all its handles.
        var handleNumbers: [UInt64] { (handles.values + outdated).map(\.number) }
    }

    /// - Parameters:
    ///   - socket: an accepted one, which outlives this and is closed by whoever accepted it.
    ///   - mayBeOwn: whether the authority's own process may be the client.
    init(_ socket: Int32, mayBeOwn: Bool) throws(Refused) {
        var peer = guise_peer()
        let error = guise_peer_of(socket, &peer)
        let identity = error == 0 && peer.pidfd >= 0 ? guise_pidfd_identity(peer.pidfd) : 0
        if error == 0, peer.pidfd >= 0 { close(peer.pidfd) }
        guard error == 0, peer.pid > 0, identity != 0, guise_socket_pass_credentials(socket) == 0 else {
            throw Refused(
                .wrongNamespace, "the caller is gone, or in a pid namespace the authority does not see")
        }
        // What asks the authority is a process, as itself; who acts as a client was connected by the authority's hand.
        guard mayBeOwn || identity != ProcessDirectory.own else {
            throw Refused(
                .accessDenied, "a thread that impersonates tried to reach the authority as its client")
        }
        peer.pidfd = -1
        self.socket = socket
        pid = peer.pid
        self.identity = identity
        self.peer = peer
        credentials = UnixCredentials(peer)
    }

    /// Whether another capture has room.
    var mayCapture: Bool { captures.count < Self.largestCaptureCount }

    func add(_ captured: Captured) throws(Refused) -> UInt64 {
        guard mayCapture else {
            throw Refused(
                .limit,
                "process \(pid) holds \(captures.count) captured connections and tokens, and may no more")
        }
        lastCapture += 1
        captures[lastCapture] = captured
        return lastCapture
    }

    /// Sends a response; false when the process does not read what it asked for.
    func answer(_ response: WireResponse, descriptor: Int32? = nil) -> Bool {
        Self.answer(response, descriptor: descriptor, on: socket)
    }

    /// As ``answer(_:descriptor:)``, elsewhere than on the connection.
    static func answer(_ response: WireResponse, descriptor: Int32? = nil, on socket: Int32) -> Bool {
        do throws(ControlPacket.Failure) {
            try ControlPacket.send(response, descriptor: descriptor, on: socket, waiting: false)
            return true
        } catch .malformed {
            var refusal = WireResponse()
            refusal.id = response.id
            refusal.body = .refusal(Refused(.limit, "the answer does not fit in one message").wire)
            return (try? ControlPacket.send(refusal, on: socket, waiting: false)) != nil
        } catch {
            return false
        }
    }
}
