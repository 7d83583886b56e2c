import AccessControl
import CGuise
import Glibc

/// A message, as its sender handed it over.
private struct Message {
    let payload: [UInt8]
    /// Empty: it goes where the socket was connected to.
    let address: [UInt8]
    let flags: Int32
    var control = MessageControl()
}

/// Datagrams to Unix sockets that are named with the message. They are sent here, from the caller's own socket.
extension Mediator {
    /// More than any Unix socket takes at once unless somebody raised its buffer.
    private static let largestDatagram = 1 << 20
    /// As many as the kernel takes at once (UIO_MAXIOV).
    static let largestBatch = 1024
    /// struct mmsghdr: a msghdr of 56 bytes, and how much of it was sent.
    static let batchStride = 64

    /// Who sends, from where.
    private struct Sender {
        let socket: OwnedDescriptor
        let bearer: Bearer
        let caller: Caller
        let credentials: UnixCredentials
        let pid: Int32
    }

    /// sendto(2) with an address, and sendmsg(2) with one, while impersonating.
    func send(_ trap: Trap, _ handle: ImpersonationHandle, _ mayWait: Bool) -> Verdict {
        sending(trap, handle) { (sender, address) throws(FileError) in
            let message =
                try CallTable.row(trap.call) == .message
                ? message(trap, at: trap.argument(1), flags: trap.int(2), sender) : datagram(trap)
            let sent = try send(message, trap, sender, &address, mayWait)
            if sent == -Int64(EAGAIN), !mayWait, waits(message, sender.socket) { return nil }
            guard sent >= 0 else { throw FileError(Int32(-sent)) }
            return sent
        }
    }

    /// sendmmsg(2) on a Unix socket while impersonating: one message after the other. Whatever stops it after the first
    /// is told by the number of those that were sent, as by the kernel.
    func sendMany(_ trap: Trap, _ handle: ImpersonationHandle, _ mayWait: Bool) -> Verdict {
        let count = min(Int(UInt32(truncatingIfNeeded: trap.argument(2))), Self.largestBatch)
        return sending(trap, handle) { (sender, address) throws(FileError) in
            var done = 0
            while done < count {
                let at = trap.argument(1) &+ UInt64(done * Self.batchStride)
                do throws(FileError) {
                    let message = try message(trap, at: at, flags: trap.int(3), sender)
                    let sent = try send(message, trap, sender, &address, mayWait)
                    if sent == -Int64(EAGAIN), done == 0, !mayWait, waits(message, sender.socket) {
                        return nil
                    }
                    guard sent >= 0 else { throw FileError(Int32(-sent)) }
                    try trap.checkPending()
                    var length = UInt32(sent)
                    guard guise_memory_write(trap.tid, at &+ 56, &length, 4) == 4 else {
                        throw FileError(EFAULT)
                    }
                } catch {
                    guard done > 0 else { throw error }
                    if let rule = error.rule {
                        audit(trap, sender.bearer.token.user, rule, path: address?.spelled)
                    }
                    break
                }
                done += 1
            }
            return Int64(done)
        }
    }

    /// Whether none of the messages of a sendmmsg has an address.
    func haveNoAddress(_ trap: Trap) -> Bool {
        let count = min(Int(UInt32(truncatingIfNeeded: trap.argument(2))), Self.largestBatch)
        return (0..<count).allSatisfy {
            messageHasNoAddress(trap, at: trap.argument(1) &+ UInt64($0 * Self.batchStride))
        }
    }

    /// Runs `body` with who sends; its result is the call's, nil: it has to wait.
    private func sending(
        _ trap: Trap, _ handle: ImpersonationHandle,
        _ body: (Sender, inout UnixAddress?) throws(FileError) -> Int64?
    ) -> Verdict {
        guard let socket = unixSocket(of: trap), let bearer = bearer(trap, handle) else { return .answered }
        var address: UnixAddress?
        do throws(FileError) {
            try checkType(of: socket)
            guard let status = ThreadStatus(trap.tid) else { return .answered }
            guard let credentials = bearer.credentials else {
                throw FileError(EACCES, rule: "the client has no Unix user to send as")
            }
            let caller = Caller(
                token: bearer.token, credentials: credentials, tid: trap.tid, umask: status.umask,
                workingDirectories: trap.service.workingDirectories)
            let sender = Sender(
                socket: socket, bearer: bearer, caller: caller, credentials: credentials, pid: status.pid)
            guard let result = try body(sender, &address) else { return .waits }
            trap.succeed(result)
        } catch {
            fail(trap, error, to: address, as: bearer)
        }
        return .answered
    }

    /// Sends one message. Returns how much was sent or a negative errno; -EAGAIN: it would have to wait.
    private func send(
        _ message: Message, _ trap: Trap, _ sender: Sender, _ address: inout UnixAddress?, _ mayWait: Bool
    ) throws(FileError) -> Int64 {
        var target: Target?
        address = nil
        if !message.address.isEmpty {
            let read = try UnixAddress(message.address)
            address = read
            target = try self.target(of: read, trap, sender.caller)
        }
        // What was read and opened so far was this thread's only if it still waits.
        try trap.checkPending()
        return send(message, to: target, sender, trap.service, mayWait)
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
    private func datagram(_ trap: Trap) throws(FileError) -> Message {
        Message(
            payload: try bytes(trap, [(trap.argument(1), trap.argument(2))]),
            address: try addressBytes(trap, at: trap.argument(4), trap.int(5)), flags: trap.int(3))
    }

    /// A msghdr: name, its length, parts, their number, control data, its length.
    private func message(
        _ trap: Trap, at address: UInt64, flags: Int32, _ sender: Sender
    ) throws(FileError) -> Message {
        let header = try words(trap, address, 6)
        guard header[3] <= 1024 else { throw FileError(EMSGSIZE) }
        let parts = try words(trap, header[2], 2 * Int(header[3]))
        let length = Int32(truncatingIfNeeded: header[1])
        let name = header[0] == 0 || length == 0 ? [] : try addressBytes(trap, at: header[0], length)
        return Message(
            payload: try bytes(
                trap, stride(from: 0, to: parts.count, by: 2).map { (parts[$0], parts[$0 + 1]) }),
            address: name, flags: flags, control: try control(trap, at: header[4], header[5], sender))
    }

    /// What goes along: descriptors of the caller, taken from it, and credentials, which may be the client's own only.
    private func control(
        _ trap: Trap, at address: UInt64, _ length: UInt64, _ sender: Sender
    ) throws(FileError) -> MessageControl {
        guard length <= UInt64(MessageControl.largest) else { throw FileError(ENOBUFS) }
        let bytes = try trap.memory(address, Int(length))
        // Before anything is taken by the numbers that were read.
        try trap.checkPending()
        var control = MessageControl()
        for item in try MessageControl.items(of: bytes) {
            switch item {
            case .rights(let numbers):
                guard control.descriptors.count + numbers.count <= Int(GUISE_LARGEST_RIGHTS) else {
                    throw FileError(EINVAL)
                }
                for number in numbers {
                    let borrowed = borrow(number, of: trap)
                    guard borrowed >= 0 else { throw FileError(-borrowed) }
                    control.descriptors.append(OwnedDescriptor(borrowed))
                }
            case .credentials(let pid, let uid, let gid):
                guard pid == sender.pid, uid == sender.credentials.uid, gid == sender.credentials.gid else {
                    throw FileError(
                        EPERM, rule: "a message carries the credentials of the client that its thread acts as"
                    )
                }
            }
        }
        return control
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

    private func waits(_ message: Message, _ socket: OwnedDescriptor) -> Bool {
        message.flags & Int32(MSG_DONTWAIT) == 0 && guise_socket_waits(socket.number)
    }

    /// - Parameter target: nil for where the socket was connected to, as the service itself.
    private func send(
        _ message: Message, to target: Target?, _ sender: Sender, _ service: MediatedService, _ mayWait: Bool
    ) -> Int64 {
        let flags = mayWait ? message.flags : message.flags | Int32(MSG_DONTWAIT)
        let descriptors = message.control.descriptors.map(\.number)
        // What others keep in a queue counts against a user's limit (RLIMIT_NOFILE), but for who has capabilities. Without
        // them no other process can be told than the one that sends.
        let pid = descriptors.isEmpty ? sender.pid : getpid()
        let user = target == nil ? service.logon.credentials : sender.credentials
        func send(_ address: [UInt8]) -> Int64 {
            // The credentials that go along are told, not taken on: the kernel would tell the thread's real ones.
            guise_socket_send_to(
                sender.socket.number, message.payload, message.payload.count, flags, address,
                UInt32(address.count), descriptors, descriptors.count, pid, user.uid, user.gid)
        }
        func sendUncapable(_ address: [UInt8], passesFiles: Bool = false) -> Int64 {
            Int64(
                UnixFiles.assuming(user) {
                    let error = passesFiles ? guise_credentials_pass_files() : 0
                    return error == 0 ? Int32(clamping: send(address)) : error
                })
        }
        switch target {
        case .address, nil:
            return descriptors.isEmpty ? send(message.address) : sendUncapable(message.address)
        case .file(let located):
            let address = UnixAddress.bytes(ofPath: "/proc/self/fd/\(located.number)")
            guard descriptors.isEmpty else { return sendUncapable(address, passesFiles: located.isManaged) }
            return located.isManaged ? send(address) : UnixFiles.assumingFiles(user) { send(address) }
        }
    }
}
