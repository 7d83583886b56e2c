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
    /// Whether it is the process itself, and nobody that a thread acts as.
    let isProcess: Bool

    /// A thread that acts as a client passes on what it has: the client, and at Anonymous nobody. At Identification
    /// it has nothing to pass on, and is itself.
    static func of(_ handle: ImpersonationHandle, in logon: Logon) -> Bearer {
        guard handle.token.level != .identification else { return of(logon) }
        return Bearer(
            token: handle.deciding, credentials: handle.credentials?.assumable, presented: handle.token.token,
            level: handle.token.level, limit: handle.token.level, isProcess: false)
    }

    /// A thread that does not impersonate.
    static func of(_ logon: Logon) -> Bearer {
        let token = logon.token.token
        return Bearer(
            token: token, credentials: logon.credentials.assumable, presented: token, level: .impersonation,
            limit: .delegation, isProcess: true)
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

    /// connect(2) and bind(2) while impersonating.
    func address(_ trap: Trap, _ handle: ImpersonationHandle, _ mayWait: Bool) -> Verdict {
        guard let socket = unixSocket(of: trap), let bearer = bearer(trap, handle) else { return .answered }
        return carryOut(trap, socket, bearer, mayWait)
    }

    /// The same while not impersonating: the kernel does it, except where the address leads under a managed root.
    func addressForProcess(_ trap: Trap, _ mayWait: Bool) -> Verdict {
        guard leadsUnderManagedRoot(trap) || leadsToRegisteredName(trap) else {
            trap.proceed()
            return .answered
        }
        guard let socket = unixSocket(of: trap), let bearer = checked(.of(trap.service.logon), trap),
            takesPlaceForProcess(trap, mayWait)
        else { return .answered }
        return carryOut(trap, socket, bearer, mayWait)
    }

    // MARK: What both take

    /// The caller's own socket, if it is a Unix socket; nil: the trap is answered. One of another family names no
    /// place in the file system and shows no Unix identity, so it is the kernel's.
    func unixSocket(of trap: Trap) -> OwnedDescriptor? {
        let borrowed = borrow(trap.int(0), of: trap)
        guard borrowed >= 0 else {
            trap.fail(-borrowed)
            return nil
        }
        let socket = OwnedDescriptor(borrowed)
        let domain = guise_socket_domain(borrowed)
        if domain == AF_UNIX { return socket }
        if domain < 0 { trap.fail(ENOTSOCK) } else if trap.isPending { trap.proceed() }
        return nil
    }

    /// Whom a thread connects as; nil: the trap is answered. That the client's own session is alive was seen before.
    func bearer(_ trap: Trap, _ handle: ImpersonationHandle) -> Bearer? {
        let bearer = Bearer.of(handle, in: trap.service.logon)
        return handle.token.level == .identification ? checked(bearer, trap) : bearer
    }

    private func checked(_ bearer: Bearer, _ trap: Trap) -> Bearer? {
        guard !context.sessions.isAlive(bearer.token.logonSession) else { return bearer }
        _ = deny(trap, bearer.token.user, "the service's logon session has ended")
        return nil
    }

    /// Fails a call, and audits it when it was Guise that refused.
    func fail(_ trap: Trap, _ error: FileError, to address: UnixAddress?, as bearer: Bearer) {
        let rule = rule(error.errno, error.rule)
        trap.fail(error.errno)
        if let rule { audit(trap, bearer.token.user, rule, path: address?.spelled) }
    }

    private func leadsUnderManagedRoot(_ trap: Trap) -> Bool {
        guard !context.roots.isEmpty || trap.service.workingDirectories.isUsed,
            let bytes = try? addressBytes(trap, at: trap.argument(1), trap.int(2)),
            case .path(let spelled)? = try? UnixAddress(bytes)
        else { return false }
        for (index, byte) in spelled.enumerated() { path[index] = byte }
        path[spelled.count] = 0
        return leadsUnderManagedRoot(trap, AT_FDCWD, spelled.count)
    }

    /// An address of the caller.
    func addressBytes(
        _ trap: Trap, at address: UInt64, _ length: Int32
    ) throws(FileError) -> [UInt8] {
        let length = Int(length)
        guard (0...UnixAddress.largest).contains(length) else { throw FileError(EINVAL) }
        return try trap.memory(address, length)
    }

    private func carryOut(_ trap: Trap, _ socket: OwnedDescriptor, _ bearer: Bearer, _ mayWait: Bool)
        -> Verdict
    {
        var address: UnixAddress?
        do throws(FileError) {
            let bytes = try addressBytes(trap, at: trap.argument(1), trap.int(2))
            let read = try UnixAddress(bytes)
            address = read
            guard let status = ThreadStatus(trap.tid) else { return .answered }
            let caller = Caller(
                token: bearer.token, credentials: bearer.credentials, tid: trap.tid, umask: status.umask,
                workingDirectories: trap.service.workingDirectories)
            if CallTable.row(trap.call) == .bind {
                try bind(socket, to: read, bytes, trap, caller)
            } else {
                let target = try target(of: read, trap, caller)
                if case .abstract(let name) = read {
                    try context.names.checkServed(name, guise_socket_type(socket.number))
                }
                let process = ProcessDirectory.identity(of: status.pid)
                // What was read and opened so far was this thread's only if it still waits.
                guard trap.isPending else { return .answered }
                var level = bearer.level
                let error = try connect(
                    socket, to: target, bytes, as: bearer, for: (status.pid, process, trap.service), mayWait,
                    &level)
                if error == -EINTR, !mayWait { return .waits }
                guard error == 0 else { throw FileError(-error) }
                trap.succeed()
                var event = event(.connection, trap, bearer.presented.user)
                event.user = bearer.presented.user
                event.level = level
                event.path = read.spelled
                context.audit.record(event)
                return .answered
            }
            trap.succeed()
        } catch {
            fail(trap, error, to: address, as: bearer)
        }
        return .answered
    }

    // MARK: Connecting

    /// Finds what an address means to the caller, and asks for WRITE_DATA on it, as the kernel asks for the right to
    /// write.
    func target(of address: UnixAddress, _ trap: Trap, _ caller: Caller) throws(FileError) -> Target {
        if case .abstract(let name) = address {
            try require(RegisteredNames.connecting, onName: name, caller)
        }
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
            return try find(path, in: AT_FDCWD, of: trap, body)
        }
    }

    /// Returns 0 or a negative errno; -EINTR: it would have to wait. `level` becomes what the connection allows.
    private func connect(
        _ socket: OwnedDescriptor, to target: Target, _ bytes: [UInt8], as bearer: Bearer,
        for caller: (pid: Int32, process: UInt64, service: MediatedService), _ mayWait: Bool,
        _ level: inout ImpersonationLevel
    ) throws(FileError) -> Int32 {
        guard let credentials = bearer.credentials else {
            throw FileError(
                EACCES,
                rule: AuthorityUser.isRoot ? "the client has no Unix user to connect as" : AuthorityUser.rule)
        }
        let once = { self.connectOnce(socket, target, bytes, credentials) }
        func connect() -> Int32 { mayWait ? once() : alarm.within(milliseconds: Self.patience, once) }
        // A datagram socket has no connection that anybody could capture: where it sends is all there is to it.
        guard guise_socket_type(socket.number) != Int32(SOCK_DGRAM.rawValue) else { return connect() }
        let cookie = try context.registrations.carry(
            socket.number, process: caller.process, logon: caller.service.logon
        ) { announced in
            level = min(bearer.limit, announced ?? bearer.level)
            return PeerCapture.Client(
                pid: caller.pid, token: bearer.presented, credentials: credentials, level: level)
        }
        let error = connect()
        context.registrations.settle(cookie, isConnected: error == 0)
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
        if case .abstract(let name) = address, context.names.descriptor(of: name) != nil {
            return try bind(socket, toName: name, trap, caller)
        }
        guard case .path(let path) = address else {
            try trap.checkPending()
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
