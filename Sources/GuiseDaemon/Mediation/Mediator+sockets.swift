import AccessControl
import CGuise
import Glibc

/// Whom a connection is made as, and who is presented at its other end.
struct Bearer {
    /// Decides under managed roots.
    let token: Token
    /// Decides elsewhere, and what a server that knows nothing of Guise sees; nil: nothing may be connected.
    let credentials: UnixCredentials?
    /// What another service captures.
    let presented: Token
    /// What it may do with that unless the process announced something else.
    let level: ImpersonationLevel
    /// The most that it may do with that whatever was announced.
    let limit: ImpersonationLevel

    /// A thread that acts as a client passes on what it has: the client, and at Anonymous nobody. At Identification
    /// it has nothing to pass on, and is itself.
    static func of(_ handle: ImpersonationHandle, in service: MediatedService) -> Bearer {
        guard handle.token.level != .identification else { return of(service) }
        return Bearer(
            token: handle.deciding, credentials: handle.credentials, presented: handle.token.token,
            level: handle.token.level, limit: handle.token.level)
    }

    /// A thread that does not impersonate.
    static func of(_ service: MediatedService) -> Bearer {
        let token = service.logon.token.token
        return Bearer(
            token: token, credentials: service.logon.credentials, presented: token, level: .impersonation,
            limit: .delegation)
    }
}

/// Where a socket is to be connected to.
enum Target {
    /// The socket's file.
    case file(Located)
    /// A name that the kernel alone knows, or none.
    case address
}

/// Connecting and naming Unix sockets as a client. The call is made here, on the caller's own socket, with an address
/// that was read once: whatever the caller's other threads do to its memory and descriptors meanwhile, what was judged
/// is what is connected.
extension Mediator {
    /// How long, in milliseconds, a connection may take before it is waited for elsewhere.
    private static let patience: Int32 = 2

    // MARK: While impersonating

    /// connect(2) and bind(2) while impersonating.
    func address(_ trap: Trap, _ handle: ImpersonationHandle, _ mayWait: Bool) -> Verdict {
        let borrowed = borrow(trap.int(0), of: trap)
        guard borrowed >= 0 else {
            trap.fail(-borrowed)
            return .answered
        }
        let socket = OwnedDescriptor(borrowed)
        let domain = guise_socket_domain(borrowed)
        guard domain == AF_UNIX else {
            // A socket of another family names no place in the file system and shows no Unix identity.
            if domain < 0 { trap.fail(ENOTSOCK) } else if trap.isPending { trap.proceed() }
            return .answered
        }
        let bearer = Bearer.of(handle, in: trap.service)
        guard handle.token.level != .identification || context.sessions.isAlive(bearer.token.logonSession)
        else { return deny(trap, bearer.token.user, "the service's logon session has ended") }
        return carryOut(trap, socket, bearer, mayWait)
    }

    // MARK: While not impersonating

    /// The kernel does it, except where the address leads under a managed root.
    func addressForProcess(_ trap: Trap, _ mayWait: Bool) -> Verdict {
        guard leadsUnderManagedRoot(trap) else {
            trap.proceed()
            return .answered
        }
        let borrowed = borrow(trap.int(0), of: trap)
        guard borrowed >= 0 else {
            trap.fail(-borrowed)
            return .answered
        }
        let socket = OwnedDescriptor(borrowed)
        guard guise_socket_domain(borrowed) == AF_UNIX else {
            trap.proceed()
            return .answered
        }
        let bearer = Bearer.of(trap.service)
        guard context.sessions.isAlive(bearer.token.logonSession) else {
            return deny(trap, bearer.token.user, "the service's logon session has ended")
        }
        return carryOut(trap, socket, bearer, mayWait)
    }

    private func leadsUnderManagedRoot(_ trap: Trap) -> Bool {
        guard !context.roots.list().isEmpty,
            let bytes = try? addressBytes(trap, at: trap.argument(1), trap.int(2)),
            case .path(let spelled)? = try? UnixAddress(bytes)
        else { return false }
        for (index, byte) in spelled.enumerated() { path[index] = byte }
        path[spelled.count] = 0
        return leadsUnderManagedRoot(trap, AT_FDCWD, spelled.count)
    }

    // MARK: Both

    /// An address of the caller.
    func addressBytes(
        _ trap: Trap, at address: UInt64, _ length: Int32
    ) throws(FileError) -> [UInt8] {
        let length = Int(length)
        guard (0...UnixAddress.largest).contains(length) else { throw FileError(EINVAL) }
        var bytes = [UInt8](repeating: 0, count: length)
        guard length == 0 || guise_memory_read(trap.tid, address, &bytes, length) == length else {
            throw FileError(EFAULT)
        }
        return bytes
    }

    private func carryOut(_ trap: Trap, _ socket: OwnedDescriptor, _ bearer: Bearer, _ mayWait: Bool)
        -> Verdict
    {
        var spelled: String?
        do throws(FileError) {
            let bytes = try addressBytes(trap, at: trap.argument(1), trap.int(2))
            let address = try UnixAddress(bytes)
            if case .path(let path) = address {
                spelled = String(decoding: path.map(UInt8.init(bitPattern:)), as: UTF8.self)
            }
            guard let status = ThreadStatus(trap.tid) else { return .answered }
            let caller = Caller(
                token: bearer.token, credentials: bearer.credentials, tid: trap.tid, umask: status.umask)
            let isConnect = CallTable.row(trap.call) == .connect
            if isConnect {
                let target = try target(of: address, trap, caller)
                // What was read and opened so far was this thread's only if it still waits.
                let process = ProcessDirectory.identity(of: status.pid)
                guard trap.isPending else { return .answered }
                let error = try connect(
                    socket, to: target, bytes, as: bearer, for: (status.pid, process, trap.service), mayWait)
                if error == -EINTR, !mayWait { return .waits }
                guard error == 0 else { throw FileError(-error) }
                context.audit.connected(
                    to: spelled, as: bearer.presented.user, level: bearer.level, service: trap.service.name,
                    pid: status.pid)
            } else {
                try bind(socket, to: address, bytes, trap, caller)
            }
            trap.succeed()
        } catch {
            trap.fail(error.errno)
            if let rule = error.rule {
                context.audit.denied(
                    CallTable.name(trap.call), path: spelled, user: bearer.token.user,
                    service: trap.service.name, pid: ThreadStatus(trap.tid)?.pid ?? 0, tid: trap.tid,
                    rule: rule)
            }
        }
        return .answered
    }

    // MARK: Connecting

    /// Finds what an address means to the caller, and asks for WRITE_DATA on it, as the kernel asks for the right to
    /// write.
    func target(of address: UnixAddress, _ trap: Trap, _ caller: Caller) throws(FileError) -> Target {
        guard case .path(let path) = address else { return .address }
        let located = try find(path, trap) { (path, start) throws(FileError) in
            try opener.locate(path, from: start, followsLast: true, as: caller)
        }
        try FileCalls(opener: opener, caller: caller).require(.writeData, on: located)
        return .file(located)
    }

    private func find<Found>(
        _ spelled: [CChar], _ trap: Trap,
        _ body: (UnsafeBufferPointer<CChar>, FileOpener.Start) throws(FileError) -> Found
    ) throws(FileError) -> Found {
        let terminated = spelled + [0]
        return try terminated.withUnsafeBufferPointer { whole throws(FileError) in
            let path = UnsafeBufferPointer(rebasing: whole.dropLast())
            let start = try self.start(of: path, in: AT_FDCWD, of: trap)
            guard trap.isPending else { throw FileError(EINTR) }
            return try body(path, start)
        }
    }

    /// Returns 0 or a negative errno; -EINTR: it would have to wait.
    private func connect(
        _ socket: OwnedDescriptor, to target: Target, _ bytes: [UInt8], as bearer: Bearer,
        for caller: (pid: Int32, process: UInt64, service: MediatedService), _ mayWait: Bool
    ) throws(FileError) -> Int32 {
        guard let credentials = bearer.credentials else {
            throw FileError(EACCES, rule: "the client has no Unix user to connect as")
        }
        let type = guise_socket_type(socket.number)
        let isConnection = type != Int32(SOCK_DGRAM.rawValue)
        // A datagram socket has no connection that anybody could capture: where it sends is all there is to it.
        let cookie: UInt64? =
            isConnection
            ? try context.registrations.carry(
                socket.number, process: caller.process, logon: caller.service.logon
            ) { announced in
                PeerCapture.Client(
                    pid: caller.pid, token: bearer.presented, credentials: credentials,
                    level: min(bearer.limit, announced ?? bearer.level))
            } : nil
        let once = { self.connectOnce(socket, target, bytes, credentials) }
        let error =
            mayWait || !guise_socket_waits(socket.number)
            ? once() : alarm.within(milliseconds: Self.patience, once)
        if let cookie { context.registrations.settle(cookie, isConnected: error == 0) }
        return error
    }

    /// The kernel stamps the connection with the credentials that the thread has for this one call.
    private func connectOnce(
        _ socket: OwnedDescriptor, _ target: Target, _ bytes: [UInt8], _ credentials: UnixCredentials
    ) -> Int32 {
        UnixFiles.assuming(credentials) {
            switch target {
            case .address:
                return guise_socket_connect(socket.number, bytes, UInt32(bytes.count))
            case .file(let located):
                if located.isManaged {
                    // The descriptor has decided; the file itself is the authority's alone.
                    let error = guise_credentials_pass_files()
                    guard error == 0 else { return error }
                }
                let path = "/proc/self/fd/\(located.number)"
                return guise_unix_connect(socket.number, path, path.utf8.count)
            }
        }
    }

    // MARK: Naming

    /// A name in the file system takes ADD_FILE on its directory; the file is the client's.
    private func bind(
        _ socket: OwnedDescriptor, to address: UnixAddress, _ bytes: [UInt8], _ trap: Trap, _ caller: Caller
    ) throws(FileError) {
        guard case .path(let path) = address else {
            guard trap.isPending else { throw FileError(EINTR) }
            let error = guise_socket_bind(socket.number, bytes, UInt32(bytes.count))
            guard error == 0 else { throw FileError(-error) }
            return
        }
        let entry = try find(path, trap) { (path, start) throws(FileError) in
            try opener.locateEntry(path, from: start, as: caller)
        }
        try FileCalls(opener: opener, caller: caller).bind(socket.number, to: entry)
    }
}
