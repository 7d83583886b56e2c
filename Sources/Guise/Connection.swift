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
        self.init(try Capture(of: socket.rawValue, authority: authority), socket: socket)
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
        self.init(
            try Capture(of: socket.rawValue, authority: authority), socket: FileDescriptor(rawValue: -1))
    }

    private init(_ capture: Capture, socket: FileDescriptor) {
        self.capture = capture
        logon = nil
        level = capture.level
        fileDescriptor = socket
    }

    private init(client socket: Int32, level: ImpersonationLevel, logon: Logon?) {
        self.logon = logon
        fileDescriptor = FileDescriptor(rawValue: socket)
        capture = nil
        self.level = level
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
        let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
        guard socket >= 0 else { throw .system(call: "socket", errno: -socket) }
        do throws(GuiseError) {
            if level != .impersonation || logon != nil {
                var request = WireRegister()
                request.level = level.wire
                let client: AuthorityClient
                if let logon {
                    request.logon = logon.number
                    client = logon.client
                } else if let current = Authority.current {
                    client = current.client
                } else {
                    client = try AuthorityClient(runtimeDirectory: runtimeDirectory)
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
        return Connection(client: socket, level: level, logon: logon)
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
