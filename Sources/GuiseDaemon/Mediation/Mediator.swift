import AccessControl
import CGuise
import Glibc

/// Carries out what mediated threads ask for, one call at a time. Belongs to one thread.
///
/// While a thread impersonates, a call is carried out here as the client and its result returned; it is never
/// continued where the kernel would decide by the service's rights. While it does not, the kernel decides,
/// except under managed roots, where the service's own token does.
final class Mediator {
    let context: MediationContext
    private let crowd: Crowd
    /// A call that was put off and whose turn it is, once another one is handled.
    private(set) var next: Trap?
    /// In whose place among the crowd calls are handled here now; it goes along to the next call.
    private var place: SID?
    let opener: FileOpener
    let path = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 4097)
    let alarm = Alarm()
    /// As whom the thread acts whose trap is handled; nil: the process.
    private(set) var acting: ImpersonationHandle?
    /// Where the process is whose trap is handled, once that was asked.
    var whereabouts: WorkingDirectories.Whereabouts?

    /// Takes the calling thread for its own.
    init(_ context: MediationContext, _ crowd: Crowd) {
        self.context = context
        self.crowd = crowd
        opener = FileOpener(roots: context.roots)
    }

    deinit { path.deallocate() }

    /// What is to become of a trap.
    enum Verdict {
        case answered
        /// It has to wait for somebody else; to be handled again where waiting is allowed.
        case waits
    }

    /// Handles one trap.
    ///
    /// - Parameter mayWait: whether this thread may block in an open.
    func handle(_ trap: Trap, mayWait: Bool = false) -> Verdict {
        next = nil
        opener.trail.clear()
        acting = nil
        whereabouts = nil
        defer {
            if let place {
                next = crowd.leave(place)
                if next == nil { self.place = nil }
            }
        }
        let verdict = decide(trap, mayWait)
        // One that waits is decided once more.
        if case .answered = verdict, !opener.trail.isEmpty {
            context.audit.record(opener.trail, as: event(.accessAudited, trap, nil))
        }
        return verdict
    }

    private func decide(_ trap: Trap, _ mayWait: Bool) -> Verdict {
        let identity = trap.service.identity(ofThread: trap.tid)
        guard let row = CallTable.row(trap.call) else {
            trap.fail(ENOSYS)
            return .answered
        }
        switch identity {
        case .process(let intent):
            return handleForProcess(trap, row, intent, mayWait)
        case .client(let handle, let intent):
            acting = handle
            guard
                context.sessions.isAlive(handle.token.token.logonSession) || handle.token.level == .anonymous
            else { return deny(trap, handle.deciding.user, "the client's logon session has ended") }
            guard takesPlace(trap, of: handle.token.token.user, mayWait) else { return .answered }
            return handleForClient(trap, row, handle, intent, mayWait)
        case .unknown:
            return deny(
                trap, .anonymous, "the thread acts under an identity that is gone; call revertToSelf()")
        }
    }

    /// Takes a place among the crowd for a call; false: somebody else handles it.
    private func takesPlace(_ trap: Trap, of user: SID, _ mayWait: Bool) -> Bool {
        // What may wait does so on a thread of its own.
        guard !mayWait, place == nil else { return true }
        switch crowd.takePlace(for: trap, of: user) {
        case .uncounted: break
        case .none: return false
        case .taken: place = user
        }
        return true
    }

    /// The same for a call that is carried out as the process. Where it is elsewhere than the kernel has it, a client has
    /// led it there, to files that may not answer.
    func takesPlaceForProcess(_ trap: Trap, _ mayWait: Bool) -> Bool {
        guard case .elsewhere? = whereabouts else { return true }
        return takesPlace(trap, of: trap.service.logon.token.token.user, mayWait)
    }

    // MARK: Not impersonating

    private func handleForProcess(
        _ trap: Trap, _ row: CallTable.Row, _ intent: AccessIntent, _ mayWait: Bool
    ) -> Verdict {
        switch row {
        case .open, .creat, .openat, .openat2:
            // Reading the path is half of what there is to do.
            guard !context.roots.isEmpty || trap.service.workingDirectories.isUsed else {
                trap.proceed()
                return .answered
            }
            guard let request = openRequest(trap, row) else { return .answered }
            let length = trap.readPath(request.path, path)
            // The kernel says what is wrong with a path that cannot be read.
            guard length >= 0, leadsUnderManagedRoot(trap, request.call.directory, length) else {
                trap.proceed()
                return .answered
            }
            let logon = trap.service.logon
            guard context.sessions.isAlive(logon.session.id) else {
                return deny(trap, logon.token.token.user, "the service's logon session has ended")
            }
            guard takesPlaceForProcess(trap, mayWait) else { return .answered }
            return open(
                trap, request.call, length, token: logon.token.token, credentials: logon.credentials, intent,
                mayWait)
        case .connect:
            // Whoever attaches connects first: from here on the process is known to be this service's.
            // One that were not would pass for a process of its user's that nobody mediates.
            let pid = ThreadStatus(trap.tid)?.pid ?? 0
            let identity = pid == 0 ? 0 : ProcessDirectory.identity(of: pid)
            guard trap.isPending else { return .answered }
            guard identity != 0 else {
                trap.fail(EAGAIN)
                return .answered
            }
            context.processes.admit(pid, identity, to: trap.service)
            return addressForProcess(trap, mayWait)
        case .bind:
            return bindPrivilegedPort(trap, trap.service.logon.token.token)
                ?? addressForProcess(trap, mayWait)
        case .execute:
            if startsElsewhere(trap) { return denyElsewhere(trap) }
            if let status = ThreadStatus(trap.tid), trap.isPending {
                trap.service.attachment(of: status.pid)?.noteExecution()
            }
            trap.proceed()
        case .file(let call):
            return handleForProcess(trap, call, intent, mayWait)
        case .send, .sendMany, .message:
            if isAddressedElsewhere(trap, row) { return denyElsewhere(trap) }
            trap.proceed()
        case .separation:
            separate(trap)
        case .other:
            if startsElsewhere(trap) { return denyElsewhere(trap) }
            trap.proceed()
        case .signal, .signalByDescriptor, .signalWithValue:
            trap.proceed()
        }
        return .answered
    }

    /// Whether a path, as it is spelled, may lead under a managed root, or starts where the kernel does not have the
    /// process. What leads there by a link only is the kernel's to refuse: managed roots are closed to everybody but
    /// the authority.
    func leadsUnderManagedRoot(_ trap: Trap, _ directory: Int32, _ length: Int) -> Bool {
        if startsElsewhere(trap, directory, length) { return true }
        let roots = context.roots
        guard length > 0, !roots.isEmpty else { return false }
        let spelled = UnsafeBufferPointer(rebasing: path[..<length])
        if spelled[0] == 0x2F {
            // Doubled slashes and dots spell a root in other ways.
            return roots.root(spelledBy: spelled) != nil || hasDots(spelled)
        }
        if directory == AT_FDCWD { return hasDots(spelled) }
        guard let start = kernelPath(of: directory, process: "\(trap.tid)") else { return false }
        return start.withUnsafeBytes { roots.root(spelledBy: $0.bindMemory(to: CChar.self)) } != nil
            || hasDots(spelled)
    }

    /// Whether a path has a component that starts with a dot, or is empty.
    private func hasDots(_ path: UnsafeBufferPointer<CChar>) -> Bool {
        var before: CChar = 0x2F
        // A slash at the top is nothing special.
        for index in (path[0] == 0x2F ? 1 : 0)..<path.count {
            let byte = path[index]
            if before == 0x2F, byte == 0x2E || byte == 0x2F { return true }
            before = byte
        }
        return false
    }

    // MARK: Impersonating

    private func handleForClient(
        _ trap: Trap, _ row: CallTable.Row, _ handle: ImpersonationHandle, _ intent: AccessIntent,
        _ mayWait: Bool
    ) -> Verdict {
        switch row {
        case .open, .creat, .openat, .openat2:
            guard let request = openRequest(trap, row) else { return .answered }
            let length = trap.readPath(request.path, path)
            guard length >= 0 else {
                trap.fail(Int32(-length))
                return .answered
            }
            return open(
                trap, request.call, length, token: handle.deciding, credentials: handle.credentials, intent,
                mayWait)
        case .file(let call):
            return carryOut(
                trap, call, token: handle.deciding, credentials: handle.credentials, intent)
        case .execute:
            // As the process, and its impersonation ends: as on Windows.
            return handleForProcess(trap, row, intent, mayWait)
        case .connect:
            return address(trap, handle, mayWait)
        case .bind:
            return bindPrivilegedPort(trap, handle.deciding) ?? address(trap, handle, mayWait)
        case .send:
            return send(trap, handle, mayWait)
        case .sendMany:
            guard isNoUnixSocket(trap) || haveNoAddress(trap), trap.isPending else {
                return sendMany(trap, handle, mayWait)
            }
            trap.proceed()
            return .answered
        case .message:
            guard messageHasNoAddress(trap, at: trap.argument(1)), trap.isPending else {
                return send(trap, handle, mayWait)
            }
            trap.proceed()
            return .answered
        case .signal:
            return signal(trap, handle)
        case .signalByDescriptor:
            return signalByDescriptor(trap, handle)
        case .signalWithValue:
            if let status = ThreadStatus(trap.tid), trap.isPending, trap.int(0) == status.pid {
                trap.proceed()
                return .answered
            }
        case .separation:
            separate(trap)
            return .answered
        case .other:
            break
        }
        return deny(
            trap, handle.deciding.user,
            "the call is not mediated yet, so an impersonating thread may not make it")
    }

    func deny(_ trap: Trap, _ user: SID, _ rule: String, path: [UInt8]? = nil) -> Verdict {
        trap.fail(EACCES)
        audit(trap, user, rule, path: path)
        return .answered
    }

    // MARK: Opening

    private func openRequest(_ trap: Trap, _ row: CallTable.Row) -> (call: OpenRequest, path: UInt64)? {
        let flag = OpenRequest.Flag.self
        switch row {
        case .open:
            return (
                OpenRequest(
                    directory: AT_FDCWD, flags: UInt64(UInt32(bitPattern: trap.int(1))),
                    mode: trap.argument(2)),
                trap.argument(0)
            )
        case .creat:
            return (
                OpenRequest(
                    directory: AT_FDCWD, flags: flag.create | flag.writeOnly | flag.truncate,
                    mode: trap.argument(1)),
                trap.argument(0)
            )
        case .openat:
            return (
                OpenRequest(
                    directory: trap.int(0), flags: UInt64(UInt32(bitPattern: trap.int(2))),
                    mode: trap.argument(3)),
                trap.argument(1)
            )
        default:
            do throws(FileError) {
                let how = try trap.structure(
                    trap.argument(2), size: trap.argument(3), of: MemoryLayout<open_how>.size
                ).withUnsafeBytes { $0.loadUnaligned(as: open_how.self) }
                return (OpenRequest(directory: trap.int(0), how: how), trap.argument(1))
            } catch {
                trap.fail(error.errno)
                return nil
            }
        }
    }

    private func open(
        _ trap: Trap, _ request: OpenRequest, _ length: Int, token: Token, credentials: UnixCredentials?,
        _ intent: AccessIntent, _ mayWait: Bool
    ) -> Verdict {
        let spelled = UnsafeBufferPointer(rebasing: path[..<length])
        let start: FileOpener.Start
        do throws(FileError) {
            start = try self.start(of: spelled, in: request.directory, of: trap)
        } catch {
            trap.fail(error.errno)
            return .answered
        }
        // Only what creates depends on the umask, and only /proc/self and the audit on the pid.
        var umask: UInt32 = 0
        if request.has(OpenRequest.Flag.create | OpenRequest.Flag.temporary) {
            guard let status = ThreadStatus(trap.tid) else { return .answered }
            umask = status.umask
        }
        // What was read and opened so far was this thread's only if it still waits. Even to look a name up can be seen
        // by others.
        guard trap.isPending else { return .answered }
        let caller = Caller(
            token: token, credentials: credentials, tid: trap.tid, umask: umask, intent: intent,
            workingDirectories: trap.service.workingDirectories)
        switch opener.open(spelled, from: start, request, as: caller, mayWait: mayWait) {
        case .descriptor(let descriptor):
            trap.succeed(descriptor: descriptor, closeOnExec: request.has(OpenRequest.Flag.closeOnExec))
            return .answered
        case .failed(let error, let rule):
            let rule = self.rule(error, rule)
            let isPending = rule == nil || trap.isPending
            trap.fail(error)
            if let rule, isPending { audit(trap, token.user, rule, path: absolute(spelled, from: start)) }
            return .answered
        case .waits:
            return .waits
        }
    }

    /// Looks for what a path of the caller means. What was read and opened so far was this thread's only if it still
    /// waits: asked before the first name is looked up, because even that can be seen by others.
    func find<Found>(
        _ path: UnsafeBufferPointer<CChar>, in directory: Int32, of trap: Trap,
        _ body: (UnsafeBufferPointer<CChar>, FileOpener.Start) throws(FileError) -> Found
    ) throws(FileError) -> Found {
        let start = try start(of: path, in: directory, of: trap)
        try trap.checkPending()
        return try body(path, start)
    }

    /// Where a path of the caller starts.
    func start(
        of path: UnsafeBufferPointer<CChar>, in directory: Int32, of trap: Trap
    ) throws(FileError) -> FileOpener.Start {
        if path.first == 0x2F || path.isEmpty { return .top }
        return .directory(try self.directory(directory, of: trap))
    }

    /// A directory of the caller, or its working directory for AT_FDCWD, open with O_PATH.
    func directory(_ number: Int32, of trap: Trap) throws(FileError) -> OwnedDescriptor {
        if number == AT_FDCWD, let noted = try whereabouts(of: trap).directory { return noted }
        let name = number == AT_FDCWD ? "cwd" : "fd/\(number)"
        var how = open_how(OpenRequest.Flag.path | OpenRequest.Flag.closeOnExec)
        let opened = "/proc/\(trap.tid)/\(name)".withCString { guise_openat2(AT_FDCWD, $0, &how) }
        guard opened >= 0 else { throw FileError(opened == -ENOENT ? EBADF : -opened) }
        return OwnedDescriptor(opened)
    }

    // MARK: Descriptors and messages of the caller

    /// A duplicate of a descriptor of the caller.
    func borrow(_ number: Int32, of trap: Trap) -> Int32 {
        let thread = guise_pidfd_open(trap.tid, true)
        guard thread >= 0 else { return -ESRCH }
        defer { close(thread) }
        return guise_pidfd_getfd(thread, number)
    }

    /// A socket of another family names no place in the file system and shows no Unix identity.
    private func isNoUnixSocket(_ trap: Trap) -> Bool {
        let descriptor = borrow(trap.int(0), of: trap)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let domain = guise_socket_domain(descriptor)
        return domain >= 0 && domain != AF_UNIX
    }

    /// Of a struct msghdr of the caller.
    func messageHasNoAddress(_ trap: Trap, at address: UInt64) -> Bool {
        // msg_name and msg_namelen are the first fields of msghdr.
        var name: [UInt64] = [1, 1]
        return guise_memory_read(trap.tid, address, &name, 16) == 16
            && (name[0] == 0 || UInt32(truncatingIfNeeded: name[1]) == 0)
    }
}
