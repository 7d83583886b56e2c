import CGuise
import Glibc
public import SystemPackage

/// A listening Unix stream socket whose connections come captured. Any other listener does as well: adopt
/// what it accepts with ``Connection/init(adopting:authority:)``.
public final class Listener: Sendable {
    /// The listening socket, to poll it. It belongs to this listener.
    public let fileDescriptor: FileDescriptor
    private let authority: Authority
    private let path: FilePath

    /// Binds and listens. A socket that is there already is an error, not removed: it may be in use.
    ///
    /// - Parameters:
    ///   - path: where clients connect, at most 107 bytes. The socket file is removed with the listener.
    ///   - permissions: who may connect, as the mode of the socket file.
    ///   - backlog: how many connections may wait to be accepted.
    ///   - authority: nil for ``Authority/current``.
    /// - Throws: ``GuiseError/notAttached(_:)``, ``GuiseError/system(call:errno:)``.
    public init(
        path: FilePath, permissions: FilePermissions = [.ownerReadWrite, .groupReadWrite, .otherReadWrite],
        backlog: Int = 128, authority: Authority? = nil
    ) throws(GuiseError) {
        self.authority = if let authority { authority } else { try .required() }
        let text = path.string
        let socket = guise_unix_listen(
            text, text.utf8.count, Int32(SOCK_STREAM.rawValue), Int32(clamping: backlog),
            UInt32(permissions.rawValue))
        guard socket >= 0 else { throw .system(call: "listen at \(text)", errno: -socket) }
        fileDescriptor = FileDescriptor(rawValue: socket)
        self.path = path
    }

    deinit {
        close(fileDescriptor.rawValue)
        unlink(path.string)
    }

    /// Waits for a client and captures it.
    ///
    /// - Throws: ``GuiseError/peerGone(_:)`` when the client left before it was captured,
    ///   ``GuiseError/accessDenied(_:)`` when the descriptor of the socket's file does not let it connect,
    ///   ``GuiseError/notAServerConnection(_:)`` when it cannot be told who it is: go on with the next;
    ///   ``GuiseError/authorityLost(_:)``; ``GuiseError/system(call:errno:)``.
    public func accept() throws(GuiseError) -> Connection {
        while true {
            let socket = guise_unix_accept(fileDescriptor.rawValue, false)
            if socket == -EINTR || socket == -ECONNABORTED { continue }
            guard socket >= 0 else { throw .system(call: "accept", errno: -socket) }
            do throws(GuiseError) {
                return try Connection(adopting: FileDescriptor(rawValue: socket), authority: authority)
            } catch {
                close(socket)
                throw error
            }
        }
    }
}
