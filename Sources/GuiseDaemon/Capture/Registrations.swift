import AccessControl
import CGuise
import Glibc
import Synchronization

/// What is known about sockets that are about to be connected: what clients announced of theirs, and whom those
/// stand for that the authority connects for a thread that impersonates.
///
/// An announcement lives as long as its socket does, whoever holds it by then: if it died with the process
/// that made it, a socket passed on would be taken for one that allows everything.
final class Registrations: Sendable {
    /// The most live announcements of one user.
    static let largestCountPerUser = 4096
    /// The most live sockets that were connected for one user's services.
    static let largestCarriedCountPerUser = 65_536

    struct Registration: Sendable {
        let inode: UInt32
        /// The process whose socket it is.
        var process: UInt64
        var logon: Logon
        /// The most that the process allows.
        let quality: SecurityQualityOfService
        let isAnnounced: Bool
        /// Whether it stands for an account that the process logged on, whoever connects it.
        var isLogon = false
        /// The user for whom it counts.
        let user: UInt32
        /// Whom the connection stands for if it is the authority that made it.
        var carried: PeerCapture.Client?
        /// Whether the authority is connecting it right now.
        var isConnecting = false

        var share: Share { Share(user: user, isAnnounced: isAnnounced) }
    }

    /// What is counted together: a user's announcements, and what was connected for its services.
    struct Share: Hashable {
        let user: UInt32
        let isAnnounced: Bool
    }

    private struct State {
        var byCookie: [UInt64: Registration] = [:]
        var counts: [Share: Int] = [:]
        /// When a share was full and looked through last, in milliseconds.
        var sweeps: [Share: UInt64] = [:]

        /// False when its user has as many as allowed.
        mutating func insert(_ registration: Registration, _ cookie: UInt64, limit: Int) -> Bool {
            guard counts[registration.share, default: 0] < limit else { return false }
            byCookie[cookie] = registration
            counts[registration.share, default: 0] += 1
            return true
        }
    }
    private let state = Mutex(State())

    // MARK: Announced by clients

    /// Announces the level of a socket that is not connected yet, and marks the socket.
    ///
    /// - Parameters:
    ///   - logon: whom the connection stands for: the process, or an account that it logged on.
    ///   - user: for whom it counts.
    func add(
        _ socket: Int32, process: UInt64, logon: Logon, quality: SecurityQualityOfService,
        user: UInt32, isLogon: Bool = false
    ) throws(Refused) {
        guard guise_socket_domain(socket) == AF_UNIX else {
            throw Refused(.notLocal, "the descriptor is not a Unix socket")
        }
        var name = [CChar](repeating: 0, count: 128)
        guard guise_unix_peer_name(socket, &name, name.count) == -ENOTCONN else {
            throw Refused(.badRequest, "the socket is connected already: a level is chosen before connecting")
        }
        let registration = Registration(
            inode: guise_socket_inode(socket), process: process, logon: logon, quality: quality,
            isAnnounced: true, isLogon: isLogon, user: user)
        let cookie = guise_socket_cookie(socket)
        guard cookie != 0, registration.inode != 0 else {
            throw Refused(.internal, "the kernel gives the socket no cookie")
        }
        sweepIfFull(Share(user: user, isAnnounced: true), Self.largestCountPerUser)
        let refusal = state.withLock { state -> Refused? in
            guard state.byCookie[cookie] == nil else {
                return Refused(.alreadyExists, "the socket's level was announced already; it cannot change")
            }
            guard state.insert(registration, cookie, limit: Self.largestCountPerUser) else {
                return Refused(
                    .limit,
                    "user \(user) has \(Self.largestCountPerUser) announced connections open"
                        + " already")
            }
            return nil
        }
        if let refusal { throw refusal }
        let error = Self.mark(socket, cookie)
        guard error == 0 else {
            forget([cookie])
            throw Refused(
                .badRequest, "the socket cannot be marked (\(errnoText(-error))): is it bound already?")
        }
    }

    /// A name that nobody else can have taken before: the cookie could be guessed.
    private static func mark(_ socket: Int32, _ cookie: UInt64) -> Int32 {
        let marker =
            PeerCapture.marker + String(cookie, radix: 16) + "-"
            + String(UInt64.random(in: .min ... .max), radix: 16)
        return guise_unix_bind_abstract(socket, marker, marker.utf8.count)
    }

    // MARK: Connected by the authority

    /// Says whom a socket stands for that the authority is about to connect on behalf of a process, and marks it.
    /// Until ``settle(_:isConnected:)`` nobody else says so of the same socket.
    ///
    /// - Parameter client: as whom it connects, given the most that the process announced it allows.
    /// - Returns: the socket's cookie.
    func carry(
        _ socket: Int32, process: UInt64, logon: Logon, _ client: (ImpersonationLevel?) -> PeerCapture.Client
    ) throws(FileError) -> UInt64 {
        let cookie = guise_socket_cookie(socket)
        let inode = guise_socket_inode(socket)
        guard cookie != 0, inode != 0, process != 0 else { throw FileError(EIO) }
        // Abstract names mean something else there, and nobody could ask for the connection's other end.
        guard guise_socket_is_of_this_network(socket) else {
            throw FileError(
                EACCES, rule: "the socket belongs to another network namespace than the authority's")
        }
        sweepIfFull(
            Share(user: logon.credentials.uid, isAnnounced: false), Self.largestCarriedCountPerUser)
        let refusal = state.withLock { state -> FileError? in
            if let known = state.byCookie[cookie] {
                guard !known.isConnecting else { return FileError(EALREADY) }
                guard !known.isAnnounced || known.process == process else {
                    return FileError(EACCES, rule: "another process announced the socket's level")
                }
                state.byCookie[cookie]?.isConnecting = true
                return nil
            }
            let registration = Registration(
                inode: inode, process: process, logon: logon, quality: SecurityQualityOfService(),
                isAnnounced: false,
                user: logon.credentials.uid, isConnecting: true)
            return state.insert(registration, cookie, limit: Self.largestCarriedCountPerUser)
                ? nil : FileError(EAGAIN, rule: "too many connections of the service's are open already")
        }
        if let refusal { throw refusal }
        do throws(FileError) {
            // Whom a live connection stands for does not change.
            guard guise_unix_peer_name(socket, nil, 0) == -ENOTCONN else { throw FileError(EISCONN) }
            if !guise_unix_has_name(socket) {
                let error = Self.mark(socket, cookie)
                guard error == 0 else { throw FileError(-error) }
            }
        } catch {
            end(cookie) { _ in }
            throw error
        }
        state.withLock { state in
            guard var registration = state.byCookie[cookie] else { return }
            let carried = client(registration.isAnnounced ? registration.quality.level : nil)
            registration.carried =
                registration.isLogon
                ? PeerCapture.Client(
                    pid: carried.pid, token: registration.logon.token.token,
                    credentials: registration.logon.credentials, level: registration.quality.level) : carried
            if !registration.isAnnounced { (registration.process, registration.logon) = (process, logon) }
            state.byCookie[cookie] = registration
        }
        return cookie
    }

    /// Ends what ``carry(_:process:logon:_:)`` began.
    func settle(_ cookie: UInt64, isConnected: Bool) {
        end(cookie) { if !isConnected { $0.carried = nil } }
    }

    private func end(_ cookie: UInt64, _ change: (inout Registration) -> Void) {
        state.withLock { state in
            guard var registration = state.byCookie[cookie] else { return }
            registration.isConnecting = false
            change(&registration)
            state.byCookie[cookie] = registration
        }
    }

    // MARK: Looking up, and forgetting

    func find(inode: UInt32, cookie: UInt64) -> Registration? {
        state.withLock { $0.byCookie[cookie] }.flatMap { $0.inode == inode ? $0 : nil }
    }

    /// Asks the kernel twice for each, so not more than once in a second.
    private func sweepIfFull(_ share: Share, _ limit: Int) {
        let now = WallClock.steadyMilliseconds
        let isDue = state.withLock { state in
            guard state.counts[share, default: 0] >= limit, now >= state.sweeps[share, default: 0] + 1000
            else { return false }
            state.sweeps[share] = now
            return true
        }
        if isDue { sweep(of: share) }
    }

    /// Drops what is known of sockets that are gone.
    ///
    /// - Parameter share: among what they count; nil: all.
    func sweep(of share: Share? = nil) {
        let known = state.withLock { state in
            if share == nil { state.sweeps = state.sweeps.filter { state.counts[$0.key] != nil } }
            return state.byCookie.filter { share == nil || $0.value.share == share }
        }
        guard !known.isEmpty else { return }
        let diag = guise_diag_open()
        guard diag >= 0 else { return }
        defer { close(diag) }
        forget(known.filter { !guise_diag_exists(diag, $0.value.inode, $0.key) }.map(\.key))
    }

    private func forget(_ cookies: [UInt64]) {
        state.withLock { state in
            for cookie in cookies {
                guard let gone = state.byCookie.removeValue(forKey: cookie) else { continue }
                state.counts[gone.share, default: 1] -= 1
                if state.counts[gone.share] == 0 { state.counts[gone.share] = nil }
            }
        }
    }
}
