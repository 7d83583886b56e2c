// What these functions promise is in guise.h.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import AccessControl
import CGuiseInterface
import Guise

@c @implementation
public func guise_pipe_create(
    _ name: UnsafePointer<CChar>?, _ flags: CUnsignedInt, _ instances: CUnsignedInt,
    _ descriptor: UnsafeRawPointer?, _ size: Int, _ pipe: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    handOut(Handles.pipes, to: pipe) {
        try check(
            flags, among: GUISE_PIPE_MESSAGES | GUISE_PIPE_INBOUND | GUISE_PIPE_OUTBOUND | GUISE_PIPE_FIRST)
        guard descriptor != nil || size == 0 else {
            throw Failure.invalid("NULL was given for descriptor, and a size that is not 0")
        }
        let direction: NamedPipe.Direction
        switch (flags & GUISE_PIPE_INBOUND != 0, flags & GUISE_PIPE_OUTBOUND != 0) {
        case (false, false): direction = .duplex
        case (true, false): direction = .inbound
        case (false, true): direction = .outbound
        case (true, true):
            throw Failure.invalid("flags: GUISE_PIPE_INBOUND or GUISE_PIPE_OUTBOUND, or neither for both")
        }
        return try NamedPipe.Server(
            name: try text(name, "name"), mode: flags & GUISE_PIPE_MESSAGES == 0 ? .byte : .message,
            direction: direction,
            maximumInstances: instances == 0 ? NamedPipe.unlimitedInstances : Int(instances),
            securityDescriptor: descriptor == nil ? nil : try readDescriptor(descriptor, size),
            isFirst: flags & GUISE_PIPE_FIRST != 0)
    }
}

@c @implementation
public func guise_pipe_accept(
    _ pipe: OpaquePointer?, _ connection: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    handOut(Handles.connections, to: connection) { try Handles.pipes.object(pipe).accept() }
}

@c @implementation
public func guise_pipe_fd(_ pipe: OpaquePointer?) -> CInt {
    outcome { try Handles.pipes.object(pipe).fileDescriptor.rawValue }
}

@c @implementation
public func guise_pipe_close(_ pipe: OpaquePointer?) -> CInt {
    outcome {
        // One that another thread waits on is told so.
        try Handles.pipes.remove(pipe).close()
        return 0
    }
}

@c @implementation
public func guise_pipe_connect(
    _ name: UnsafePointer<CChar>?, _ access: CInt, _ level: CInt, _ flags: CUnsignedInt, _ timeout: CInt,
    _ server: UnsafePointer<CChar>?, _ connection: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    handOut(Handles.connections, to: connection) {
        guard access != 0, access & ~(GUISE_PIPE_READ | GUISE_PIPE_WRITE) == 0 else {
            throw Failure.invalid("access: GUISE_PIPE_READ, GUISE_PIPE_WRITE, or both joined by |")
        }
        guard timeout >= -1 else { throw Failure.invalid("timeout: milliseconds, or -1 for ever") }
        return try NamedPipe.connect(
            to: try text(name, "name"), access: NamedPipe.Access(rawValue: UInt8(access)),
            quality: try quality(level, flags), timeout: timeout < 0 ? nil : .milliseconds(timeout),
            server: try server.map { try readSID($0, "server") })
    }
}
