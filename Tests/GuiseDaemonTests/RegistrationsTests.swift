import AccessControl
import CGuise
import CTestSupport
import Glibc
import GuiseProtocol
import Testing

@testable import GuiseDaemon

/// This process is the authority here: what it connects is what the authority connects.
@Suite("For whom the authority connects a socket")
struct RegistrationsTests {
    let state: ScratchState
    let capture: PeerCapture
    let registrations = Registrations()
    let logon: Logon
    let listener: Int32
    let path: String

    init() throws {
        state = try ScratchState()
        let tokens = TokenFactory(accounts: try state.open(), sessions: LogonSessions())
        capture = try PeerCapture(
            registrations: registrations, tokens: tokens, processes: ProcessDirectory())
        logon = try tokens.logon(UnixCredentials(uid: 4711, gid: 4711, groups: []))
        path = state.path + "/socket"
        listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_STREAM.rawValue), 8, 0o600)
        try #require(listener >= 0)
    }

    private func client(_ level: ImpersonationLevel) -> PeerCapture.Client {
        PeerCapture.Client(
            pid: 1, token: logon.token.token, credentials: logon.credentials, level: level)
    }

    /// Says for whom, with the process that has the socket.
    @discardableResult
    private func carry(
        _ socket: Int32, _ level: ImpersonationLevel = .impersonation, process: UInt64 = 1
    ) throws(FileError) -> UInt64 {
        try registrations.carry(socket, process: process, logon: logon) { client(min(level, $0 ?? level)) }
    }

    private func connect(_ socket: Int32) -> Int32 { guise_unix_connect(socket, path, path.utf8.count) }

    private func withSocket(_ body: (Int32) throws -> Void) throws {
        let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
        defer { close(socket) }
        try body(socket)
    }

    /// What the service at the other end gets.
    private func accepted() -> Result<PeerCapture.Client, Refused> {
        let socket = guise_unix_accept(listener, false)
        defer { close(socket) }
        return Result { () throws(Refused) in try capture.capture(socket) }
    }

    private func refusal() -> WireRefusal.Reason? {
        if case .failure(let refused) = accepted() { refused.reason } else { nil }
    }

    private func errno(_ body: () throws(FileError) -> Void) -> Int32? {
        do throws(FileError) {
            try body()
            return nil
        } catch { return error.errno }
    }

    @Test("without a word of it, the connection is nobody's")
    func unregistered() throws {
        try withSocket { socket in
            #expect(connect(socket) == 0)
            #expect(refusal() == .accessDenied)
        }
    }

    @Test("the connection is that client's, at that level")
    func registered() throws {
        try withSocket { socket in
            let cookie = try carry(socket, .identification)
            #expect(connect(socket) == 0)
            registrations.settle(cookie, isConnected: true)
            let client = try accepted().get()
            #expect(client.level == .identification && client.credentials.uid == 4711)
        }
    }

    @Test("a live one stays who it is, and only one attempt is made at a time")
    func live() throws {
        try withSocket { socket in
            let cookie = try carry(socket, .anonymous)
            #expect(errno { () throws(FileError) in try carry(socket, .delegation) } == EALREADY)
            #expect(connect(socket) == 0)
            registrations.settle(cookie, isConnected: true)
            #expect(errno { () throws(FileError) in try carry(socket, .delegation) } == EISCONN)
            #expect(try accepted().get().level == .anonymous)
        }
    }

    @Test("an attempt that failed leaves nothing behind")
    func failed() throws {
        try withSocket { socket in
            registrations.settle(try carry(socket), isConnected: false)
            #expect(connect(socket) == 0)
            #expect(refusal() == .accessDenied)
        }
    }

    @Test("an announcement limits the level, and stands for the process that made it")
    func announced() throws {
        try withSocket { socket in
            try registrations.add(
                socket, process: 1, logon: logon, quality: .init(level: .identification), user: 1)
            #expect(errno { () throws(FileError) in try carry(socket, process: 2) } == EACCES)
            let cookie = try carry(socket, .delegation)
            #expect(connect(socket) == 0)
            registrations.settle(cookie, isConnected: true)
            #expect(try accepted().get().level == .identification)
        }
    }

    @Test("another socket with the same inode, or a made-up cookie, finds nothing")
    func stolen() throws {
        try withSocket { socket in
            let cookie = try carry(socket)
            let inode = guise_socket_inode(socket)
            #expect(registrations.find(inode: inode, cookie: cookie) != nil)
            #expect(registrations.find(inode: inode + 1, cookie: cookie) == nil)
            #expect(registrations.find(inode: inode, cookie: cookie + 1) == nil)
        }
        // Once the socket is gone, so is what was known of it.
        let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
        let cookie = try carry(socket)
        let inode = guise_socket_inode(socket)
        close(socket)
        registrations.sweep()
        #expect(registrations.find(inode: inode, cookie: cookie) == nil)
    }

    @Test(
        "a socket of another network is connected for nobody",
        .enabled(if: geteuid() == 0, "needs root: it makes a network namespace"))
    func foreign() throws {
        let socket = test_foreign_socket()
        try #require(socket >= 0)
        defer { close(socket) }
        #expect(errno { () throws(FileError) in try carry(socket) } == EACCES)
    }
}
