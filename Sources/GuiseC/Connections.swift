// What these functions promise is in guise.h.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import AccessControl
import CGuise
import CGuiseInterface
import Glibc
import Guise
import SystemPackage

@c @implementation
public func guise_listen(_ path: UnsafePointer<CChar>?, _ mode: CUnsignedInt, _ backlog: CInt) -> CInt {
    outcome {
        // As bytes: a path need not be UTF-8.
        guard let path else { throw Failure.invalid("NULL was given for path") }
        guard mode & ~0o777 == 0 else { throw Failure.invalid("mode: from 0 to 0777") }
        guard backlog >= 1 else { throw Failure.invalid("backlog: 1 or more") }
        let socket = guise_unix_listen(path, strlen(path), CInt(SOCK_STREAM.rawValue), backlog, mode)
        guard socket >= 0 else {
            throw GuiseError.system(call: "listening at \(String(cString: path))", errno: -socket)
        }
        return socket
    }
}

@c @implementation
public func guise_accept(_ listener: CInt, _ connection: UnsafeMutablePointer<OpaquePointer?>?) -> CInt {
    handOut(Handles.connections, to: connection) {
        let socket = guise_unix_accept(listener, false)
        guard socket >= 0 else { throw GuiseError.system(call: "accept", errno: -socket) }
        do { return try Connection(adopting: FileDescriptor(rawValue: socket)) } catch {
            close(socket)
            throw error
        }
    }
}

@c @implementation
public func guise_connection_open(
    _ socket: CInt, _ flags: CUnsignedInt, _ connection: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    handOut(Handles.connections, to: connection) {
        try check(flags, among: GUISE_BORROW)
        guard socket >= 0 else { throw Failure(EBADF, "socket: \(socket) is no descriptor") }
        let descriptor = FileDescriptor(rawValue: socket)
        return flags & GUISE_BORROW == 0
            ? try Connection(adopting: descriptor) : try Connection(clientOf: descriptor)
    }
}

@c @implementation
public func guise_connect(
    _ path: UnsafePointer<CChar>?, _ level: CInt, _ flags: CUnsignedInt,
    _ connection: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    handOut(Handles.connections, to: connection) {
        try Connection.connect(to: FilePath(try text(path, "path")), quality: try quality(level, flags))
    }
}

@c @implementation
public func guise_connection_fd(_ connection: OpaquePointer?) -> CInt {
    outcome {
        let descriptor = try Handles.connections.object(connection).fileDescriptor.rawValue
        guard descriptor >= 0 else {
            throw Failure.invalid("the socket of this connection was borrowed: whoever accepted it has it")
        }
        return descriptor
    }
}

@c @implementation
public func guise_connection_level(_ connection: OpaquePointer?) -> CInt {
    outcome { CInt(try Handles.connections.object(connection).level.rawValue) }
}

@c @implementation
public func guise_connection_peer(
    _ connection: OpaquePointer?, _ process: UnsafeMutablePointer<Int32>?,
    _ session: UnsafeMutablePointer<UInt64>?
) -> CInt {
    outcome {
        let peer = try Handles.connections.object(connection).peer
        process?.pointee = peer.process ?? 0
        session?.pointee = peer.session ?? 0
        return 0
    }
}

@c @implementation
public func guise_connection_close(_ connection: OpaquePointer?) -> CInt {
    outcome {
        try Handles.connections.remove(connection)
        return 0
    }
}

@c @implementation
public func guise_impersonate(_ connection: OpaquePointer?) -> CInt {
    outcome {
        try Handles.connections.object(connection).impersonate()
        return 0
    }
}

@c @implementation
public func guise_revert() -> CInt {
    revertToSelf()
    return 0
}

/// What a client allows.
func quality(_ level: CInt, _ flags: CUnsignedInt) throws(Failure) -> SecurityQualityOfService {
    try check(flags, among: GUISE_DYNAMIC | GUISE_EFFECTIVE_ONLY)
    guard let level = UInt8(exactly: level).flatMap(ImpersonationLevel.init) else {
        throw .invalid("level: from GUISE_ANONYMOUS to GUISE_DELEGATION")
    }
    return SecurityQualityOfService(
        level: level, tracking: flags & GUISE_DYNAMIC == 0 ? .static : .dynamic,
        isEffectiveOnly: flags & GUISE_EFFECTIVE_ONLY != 0)
}
