public import AccessControl
import CGuise
import Glibc
import GuiseProtocol
public import SystemPackage

/// A connected Unix socket. On the side that accepted it, it is a client whom the service can impersonate;
/// on the side that connected, the socket with the level the client allowed.
///
/// The descriptor is closed with the value.
public final class Connection: Sendable {
    /// The connected socket, for reading and writing. It belongs to this connection. -1 when it belongs to somebody
    /// else (``init(clientOf:authority:)``).
    public let fileDescriptor: FileDescriptor
    private let capture: Capture?
    /// Whom it was connected as; its session lasts as long as the connection.
    private let logon: Logon?
    /// The most that the service may do with the client's identity. The client chose it before it connected.
    public let level: ImpersonationLevel
    /// Who is at the other end: on the side that accepted, the client; on a named pipe's other side, its server.
    public let peer: Peer

    /// Who is at the other end of a connection, as the authority knew it when the connection was made.
    public struct Peer: Sendable, Hashable {
        /// The process, which may have ended since; nil when it is not known, as of a client at level Anonymous.
        /// Corresponds to `GetNamedPipeClientProcessId` and `GetNamedPipeServerProcessId`.
        public let process: Int32?
        /// The logon session; nil when it is not known. Corresponds to `GetNamedPipeClientSessionId`.
        public let session: UInt64?
        /// The user whom a named pipe's server runs as. A client's is in its token.
        public let user: SID?

        init(process: UInt32, session: UInt64, user: SID?) {
            self.process = process == 0 ? nil : Int32(bitPattern: process)
            self.session = session == 0 ? nil : session
            self.user = user
        }

        static let unknown = Peer(process: 0, session: 0, user: nil)
    }

    /// Takes over an accepted socket, whatever accepted it, and captures its client, once and for all.
    ///
    /// - Parameters:
    ///   - socket: the accepted end of a connected Unix stream or seqpacket socket. Closed with this
    ///     connection; left alone when this throws.
    ///   - authority: nil for ``Authority/current``.
    /// - Throws: ``GuiseError/peerGone(_:)`` when the client has closed already,
    ///   ``GuiseError/notAServerConnection(_:)``, ``GuiseError/notAttached(_:)``, and what the authority refused.
    public convenience init(adopting socket: FileDescriptor, authority: Authority? = nil) throws(GuiseError) {
        let authority = if let authority { authority } else { try Authority.required() }
        self.init(server: socket.rawValue, try Capture(of: socket.rawValue, authority: authority))
    }

    /// Captures the client of an accepted socket that stays with whoever accepted it, as an event loop's does. The
    /// socket may be closed before this connection ends, or after.
    ///
    /// - Parameters:
    ///   - socket: as for ``init(adopting:authority:)``; open until this returns.
    ///   - authority: nil for ``Authority/current``.
    /// - Throws: as ``init(adopting:authority:)``.
    public convenience init(clientOf socket: FileDescriptor, authority: Authority? = nil) throws(GuiseError) {
        let authority = if let authority { authority } else { try Authority.required() }
        self.init(server: -1, try Capture(of: socket.rawValue, authority: authority))
    }

    /// Takes over a socket and the capture of its client.
    init(server socket: Int32, _ capture: Capture) {
        fileDescriptor = FileDescriptor(rawValue: socket)
        self.capture = capture
        logon = nil
        level = capture.level
        peer = capture.peer
    }

    /// Takes over the connecting end.
    init(client socket: Int32, level: ImpersonationLevel, as logon: Logon? = nil, peer: Peer = .unknown) {
        self.logon = logon
        fileDescriptor = FileDescriptor(rawValue: socket)
        capture = nil
        self.level = level
        self.peer = peer
    }

    deinit { if fileDescriptor.rawValue >= 0 { close(fileDescriptor.rawValue) } }

    /// Connects to a service, allowing it no more than a level.
    ///
    /// At Impersonation, which is what any plain `connect` allows too, no authority is needed. Corresponds to
    /// `CreateFile` on a pipe with `SECURITY_SQOS_PRESENT`.
    ///
    /// On a thread that impersonates, the service sees the client, at the level captured or the one given here,
    /// whichever is lower; on one that acts at Identification, the process itself.
    ///
    /// - Parameters:
    ///   - path: of the service's stream socket, at most 107 bytes.
    ///   - level: what the service may do with the caller's identity; it cannot change later.
    ///   - logon: whom the service is to see instead of the caller, with the token as it is. A server that does not
    ///     know Guise sees the caller.
    ///   - runtimeDirectory: where `guised` runs, as for ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    /// - Throws: ``GuiseError/system(call:errno:)`` when there is no such service; what the authority refused.
    public static func connect(
        to path: FilePath, level: ImpersonationLevel = .impersonation, as logon: Logon? = nil,
        runtimeDirectory: String? = nil
    ) throws(GuiseError) -> Connection {
        try connect(
            to: path, quality: SecurityQualityOfService(level: level), as: logon,
            runtimeDirectory: runtimeDirectory)
    }

    /// Connects to a service, allowing it no more than a quality of service says.
    ///
    /// As ``connect(to:level:as:runtimeDirectory:)``. On a thread that impersonates, the service gets the token that the
    /// thread acts under, whatever the tracking.
    ///
    /// - Parameter quality: what the service may do with the caller's identity; it cannot change later.
    public static func connect(
        to path: FilePath, quality: SecurityQualityOfService, as logon: Logon? = nil,
        runtimeDirectory: String? = nil
    ) throws(GuiseError) -> Connection {
        let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
        guard socket >= 0 else { throw .system(call: "socket", errno: -socket) }
        do throws(GuiseError) {
            if quality != SecurityQualityOfService() || logon != nil {
                var request = WireRegister()
                request.level = quality.level.wire
                request.dynamicTracking = quality.tracking == .dynamic
                request.effectiveOnly = quality.isEffectiveOnly
                request.logon = logon?.number ?? 0
                let client =
                    if let logon { logon.client } else {
                        try AuthorityClient.ofProcess(runtimeDirectory: runtimeDirectory)
                    }
                _ = try client.call(.register(request), descriptor: socket)
            }
            let text = path.string
            let error = guise_unix_connect(socket, text, text.utf8.count)
            guard error == 0 else { throw .system(call: "connect to \(text)", errno: -error) }
        } catch {
            close(socket)
            throw error
        }
        return Connection(client: socket, level: quality.level, as: logon)
    }

    /// Makes the calling thread act as the client, until ``revertToSelf()``: every access decision on it is
    /// made with the client's rights. No other thread notices. Impersonating while impersonating replaces the
    /// identity.
    ///
    /// After the first time a few nanoseconds and no system call. Corresponds to `ImpersonateNamedPipeClient`.
    ///
    /// - Parameter limit: act at no more than this level, whatever the client allowed.
    /// - Throws: ``GuiseError/privilegeNotHeld(_:)``, ``GuiseError/integrityTooHigh(_:)``,
    ///   ``GuiseError/restricted(_:)``, ``GuiseError/authorityLost(_:)``, ``GuiseError/tooManyThreads(_:)``.
    ///   The thread then is what it was before.
    @inline(__always)
    public func impersonate(atMost limit: ImpersonationLevel = .delegation) throws(GuiseError) {
        let capture = try captured()
        try ThreadIdentity.install(
            try capture.handle(atMost: limit), of: capture, in: try capture.authority.alive())
    }

    /// Runs `body` on the calling thread as the client, and puts back what the thread was before, however
    /// `body` ends.
    ///
    /// - Throws: as ``impersonate(atMost:)``, before `body` runs; else what `body` throws.
    public func impersonating<Result, Failure: Error>(
        atMost limit: ImpersonationLevel = .delegation,
        _ body: () throws(Failure) -> Result
    ) throws -> Result {
        let before = ThreadIdentity.save()
        try impersonate(atMost: limit)
        defer { ThreadIdentity.restore(before) }
        return try body()
    }

    /// The client's token, for inspection. Of a client that connected at Anonymous nothing is known: its token
    /// is the Anonymous one, user `S-1-5-7`.
    public func clientToken() throws(GuiseError) -> TokenDescription { try captured().token() }

    /// Ends the connection: neither side can send any more, the client reads what was sent and then the end, and of a
    /// named pipe the next client may have the instance. The client's token can still be used until this value is gone.
    ///
    /// Corresponds to `DisconnectNamedPipe`.
    public func disconnect() {
        shutdown(fileDescriptor.rawValue, Int32(SHUT_RDWR))
        capture?.release()
    }

    @inline(__always)
    func captured() throws(GuiseError) -> Capture {
        guard let capture else {
            throw .notAServerConnection(
                "this is the client's side of the connection: there is nobody to impersonate")
        }
        return capture
    }
}

extension Authority {
    static func required() throws(GuiseError) -> Authority {
        guard let current else {
            throw .notAttached("this process has not attached; call Authority.attach() first")
        }
        return current
    }

    @inline(__always)
    func alive() throws(GuiseError) -> Authority {
        guard !client.isLost else {
            throw .authorityLost(
                "the authority is gone, and this client's identity with it; restart the service")
        }
        return self
    }
}

/// Makes the calling thread act as the client of a connection, until ``revertToSelf()``.
///
/// The same as ``Connection/impersonate(atMost:)``.
@inline(__always)
public func impersonate(_ connection: Connection) throws(GuiseError) { try connection.impersonate() }

/// Ends the calling thread's impersonation: it is the service again. Never fails, and does nothing on a
/// thread that does not impersonate.
///
/// Corresponds to `RevertToSelf`.
@inline(__always)
public func revertToSelf() { ThreadIdentity.clear() }

/// Runs `body` on the calling thread as the service itself, and puts back what the thread was before, however `body`
/// ends.
package func withoutImpersonating<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
    let before = ThreadIdentity.save()
    ThreadIdentity.clear()
    defer { ThreadIdentity.restore(before) }
    return try body()
}
