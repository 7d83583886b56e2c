import AccessControl
import CGuise
import Glibc

/// A message to an address, as its sender handed it over.
private struct AddressedMessage {
    let payload: [UInt8]
    let address: [UInt8]
    let flags: Int32
}

/// Datagrams to Unix sockets that are named with the message. They are sent here, from the caller's own socket.
extension Mediator {
    /// More than any Unix socket takes at once unless somebody raised its buffer.
    private static let largestDatagram = 1 << 20

    /// sendto(2) with an address, and sendmsg(2) with one, while impersonating.
    func send(_ trap: Trap, _ handle: ImpersonationHandle, _ mayWait: Bool) -> Verdict {
        guard let socket = unixSocket(of: trap), let bearer = bearer(trap, handle) else { return .answered }
        var address: UnixAddress?
        do throws(FileError) {
            try checkType(of: socket)
            let message = try CallTable.row(trap.call) == .message ? message(trap) : datagram(trap)
            let read = try UnixAddress(message.address)
            address = read
            guard let status = ThreadStatus(trap.tid) else { return .answered }
            let caller = Caller(
                token: bearer.token, credentials: bearer.credentials, tid: trap.tid, umask: status.umask)
            let target = try target(of: read, trap, caller)
            // What was read and opened so far was this thread's only if it still waits.
            guard trap.isPending else { return .answered }
            guard let credentials = bearer.credentials else {
                throw FileError(EACCES, rule: "the client has no Unix user to send as")
            }
            let sent = send(message, from: socket, to: target, as: credentials, pid: status.pid, mayWait)
            if sent == -Int64(EAGAIN), !mayWait, waits(message, socket) { return .waits }
            guard sent >= 0 else { throw FileError(Int32(-sent)) }
            trap.succeed(sent)
        } catch {
            fail(trap, error, to: address, as: bearer)
        }
        return .answered
    }

    /// Only a datagram may be addressed; the others go where their socket was connected to.
    private func checkType(of socket: OwnedDescriptor) throws(FileError) {
        switch guise_socket_type(socket.number) {
        case Int32(SOCK_DGRAM.rawValue): return
        case Int32(SOCK_STREAM.rawValue):
            let isConnected = guise_unix_peer_name(socket.number, nil, 0) != -ENOTCONN
            throw FileError(isConnected ? EISCONN : EOPNOTSUPP)
        default:
            throw FileError(EACCES, rule: "a connected socket's message needs no address: leave it out")
        }
    }

    // MARK: Reading

    /// The arguments of sendto: socket, bytes, their length, flags, address, its length.
    private func datagram(_ trap: Trap) throws(FileError) -> AddressedMessage {
        AddressedMessage(
            payload: try bytes(trap, [(trap.argument(1), trap.argument(2))]),
            address: try addressBytes(trap, at: trap.argument(4), trap.int(5)), flags: trap.int(3))
    }

    /// The arguments of sendmsg: socket, msghdr, flags. The header: name, its length, parts, their number, control
    /// data, its length.
    private func message(_ trap: Trap) throws(FileError) -> AddressedMessage {
        let header = try words(trap, trap.argument(1), 6)
        guard header[5] == 0 else {
            throw FileError(
                EACCES, rule: "descriptors and credentials with an addressed message are not mediated yet")
        }
        guard header[3] <= 1024 else { throw FileError(EMSGSIZE) }
        let parts = try words(trap, header[2], 2 * Int(header[3]))
        return AddressedMessage(
            payload: try bytes(
                trap, stride(from: 0, to: parts.count, by: 2).map { (parts[$0], parts[$0 + 1]) }),
            address: try addressBytes(trap, at: header[0], Int32(truncatingIfNeeded: header[1])),
            flags: trap.int(2))
    }

    private func words(_ trap: Trap, _ address: UInt64, _ count: Int) throws(FileError) -> [UInt64] {
        try trap.memory(address, 8 * count).withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) }
    }

    private func bytes(_ trap: Trap, _ parts: [(address: UInt64, length: UInt64)]) throws(FileError)
        -> [UInt8]
    {
        var whole: [UInt8] = []
        for part in parts {
            guard part.length <= UInt64(Self.largestDatagram - whole.count) else { throw FileError(EMSGSIZE) }
            var read = 0
            while read < Int(part.length) {
                // One call of ours reads a few pages.
                let size = min(Int(part.length) - read, 1 << 16)
                whole += try trap.memory(part.address &+ UInt64(read), size)
                read += size
            }
        }
        return whole
    }

    // MARK: Sending

    private func waits(_ message: AddressedMessage, _ socket: OwnedDescriptor) -> Bool {
        message.flags & Int32(MSG_DONTWAIT) == 0 && guise_socket_waits(socket.number)
    }

    /// Returns how much was sent or a negative errno; -EAGAIN: it would have to wait.
    private func send(
        _ message: AddressedMessage, from socket: OwnedDescriptor, to target: Target,
        as user: UnixCredentials, pid: Int32, _ mayWait: Bool
    ) -> Int64 {
        let flags = mayWait ? message.flags : message.flags | Int32(MSG_DONTWAIT)
        func send(_ address: [UInt8]) -> Int64 {
            // The credentials that go along are told, not taken on: the kernel would tell the thread's real ones.
            guise_socket_send_to(
                socket.number, message.payload, message.payload.count, flags, address, UInt32(address.count),
                pid, user.uid, user.gid)
        }
        switch target {
        case .address: return send(message.address)
        case .file(let located):
            let address = UnixAddress.bytes(ofPath: "/proc/self/fd/\(located.number)")
            return located.isManaged ? send(address) : UnixFiles.assumingFiles(user) { send(address) }
        }
    }
}
