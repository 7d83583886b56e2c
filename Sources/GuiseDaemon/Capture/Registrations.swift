import AccessControl
import CGuise
import Glibc
import Synchronization

/// What clients announced about sockets that they were about to connect.
///
/// An announcement lives as long as its socket does, whoever holds it by then: if it died with the process
/// that made it, a socket passed on would be taken for one that allows everything.
final class Registrations: Sendable {
    /// The most live announcements of one user.
    static let largestCountPerUser = 4096

    struct Registration: Sendable {
        let inode: UInt32
        /// The process that announced it.
        let process: UInt64
        let logon: Logon
        let level: ImpersonationLevel
    }

    private struct State {
        var byCookie: [UInt64: Registration] = [:]
        var perUser: [UInt32: Int] = [:]
    }
    private let state = Mutex(State())

    /// Announces the level of a socket that is not connected yet, and marks the socket.
    func add(_ socket: Int32, process: UInt64, logon: Logon, level: ImpersonationLevel) throws(Refused) {
        guard guise_socket_domain(socket) == AF_UNIX else {
            throw Refused(.notLocal, "the descriptor is not a Unix socket")
        }
        var name = [CChar](repeating: 0, count: 128)
        guard guise_unix_peer_name(socket, &name, name.count) == -ENOTCONN else {
            throw Refused(.badRequest, "the socket is connected already: a level is chosen before connecting")
        }
        let cookie = guise_socket_cookie(socket)
        let inode = guise_socket_inode(socket)
        guard cookie != 0, inode != 0 else {
            throw Refused(.internal, "the kernel gives the socket no cookie")
        }
        let user = logon.credentials.uid
        if state.withLock({ $0.perUser[user, default: 0] >= Self.largestCountPerUser }) { sweep() }
        let registration = Registration(inode: inode, process: process, logon: logon, level: level)
        let refusal = state.withLock { state -> Refused? in
            guard state.byCookie[cookie] == nil else {
                return Refused(.alreadyExists, "the socket's level was announced already; it cannot change")
            }
            guard state.perUser[user, default: 0] < Self.largestCountPerUser else {
                return Refused(
                    .limit, "user \(user) has \(Self.largestCountPerUser) announced connections open already")
            }
            state.byCookie[cookie] = registration
            state.perUser[user, default: 0] += 1
            return nil
        }
        if let refusal { throw refusal }
        let marker = PeerCapture.marker + String(cookie, radix: 16)
        let error = guise_unix_bind_abstract(socket, marker, marker.utf8.count)
        guard error == 0 else {
            forget([cookie])
            throw Refused(
                .badRequest, "the socket cannot be marked (\(errnoText(-error))): is it bound already?")
        }
    }

    func find(inode: UInt32, cookie: UInt64) -> Registration? {
        state.withLock { $0.byCookie[cookie] }.flatMap { $0.inode == inode ? $0 : nil }
    }

    /// Drops what was announced of sockets that are gone.
    func sweep() {
        let known = state.withLock { $0.byCookie }
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
                let user = gone.logon.credentials.uid
                state.perUser[user, default: 1] -= 1
                if state.perUser[user] == 0 { state.perUser[user] = nil }
            }
        }
    }
}
