import AccessControl
import CGuise
import Glibc

/// What is done with files besides opening them.
extension Mediator {
    /// While not impersonating the kernel does it, except where a path leads under a managed root.
    func handleForProcess(
        _ trap: Trap, _ call: FileCall, _ intent: AccessIntent, _ mayWait: Bool
    ) -> Verdict {
        // Without root the service could change descriptors as its user can: here it cannot.
        let leads =
            !AuthorityUser.isRoot && call.changesAttributes
            || call.isAboutWorkingDirectory && concernsNoted(trap, call)
            || (!context.roots.isEmpty || trap.service.workingDirectories.isUsed)
                && call.paths.contains { index, directory in
                    // Without a path some calls are about the directory itself.
                    let length =
                        trap.argument(index) == 0 ? 0 : trap.readPath(trap.argument(index), path)
                    return length >= 0
                        && leadsUnderManagedRoot(trap, directory.map { trap.int($0) } ?? AT_FDCWD, length)
                }
        guard leads else {
            trap.proceed()
            return .answered
        }
        let logon = trap.service.logon
        guard context.sessions.isAlive(logon.session.id) else {
            return deny(trap, logon.token.token.user, "the service's logon session has ended")
        }
        guard takesPlaceForProcess(trap, mayWait) else { return .answered }
        return carryOut(trap, call, token: logon.token.token, credentials: logon.credentials, intent)
    }

    /// Carries a call out as a caller.
    func carryOut(
        _ trap: Trap, _ call: FileCall, token: Token, credentials: UnixCredentials?, _ intent: AccessIntent
    ) -> Verdict {
        var umask: UInt32 = 0
        if call.creates {
            guard let status = ThreadStatus(trap.tid) else { return .answered }
            umask = status.umask
        }
        let caller = Caller(
            token: token, credentials: credentials, tid: trap.tid, umask: umask, intent: intent,
            workingDirectories: trap.service.workingDirectories)
        let work = FileCallWork(
            mediator: self, trap: trap, calls: FileCalls(opener: opener, caller: caller))
        do throws(FileError) {
            if let result = try work.perform(call) { trap.succeed(result) } else { trap.proceed() }
        } catch {
            let rule = rule(error.errno, error.rule)
            let paths = rule == nil ? [] : work.spelledPaths(call)
            let isPending = rule == nil || trap.isPending
            trap.fail(error.errno)
            if let rule, isPending {
                audit(trap, token.user, rule, path: paths.first, target: paths.count > 1 ? paths[1] : nil)
            }
        }
        return .answered
    }
}

/// One call: its arguments, read from the thread, and what they ask for.
struct FileCallWork {
    let mediator: Mediator
    let trap: Trap
    let calls: FileCalls

    private enum At {
        static let removeDirectory: Int32 = 0x200
    }

    /// The paths of a call, read once more, from where they start; a descriptor by the kernel's name for it.
    func spelledPaths(_ call: FileCall) -> [[UInt8]] {
        guard !call.paths.isEmpty else {
            return [mediator.path(ofDescriptor: trap.int(0), of: trap)].compactMap(\.self)
        }
        return call.paths.compactMap { index, directoryIndex in
            guard let spelled = try? text(index) else { return nil }
            let start = try? mediator.start(of: spelled, in: directory(directoryIndex), of: trap)
            return mediator.absolute(spelled, from: start ?? .top)
        }
    }

    // MARK: Reading arguments

    /// A path, without its terminator, which follows in memory; until the next one is read.
    private func text(_ index: Int) throws(FileError) -> UnsafeBufferPointer<CChar> {
        let length = trap.readPath(trap.argument(index), mediator.path)
        guard length >= 0 else { throw FileError(Int32(-length)) }
        return UnsafeBufferPointer(rebasing: mediator.path[..<length])
    }

    func memory(_ address: UInt64, _ size: Int) throws(FileError) -> [UInt8] {
        let bytes = try trap.memory(address, size)
        try trap.checkPending()
        return bytes
    }

    /// Where a symbolic link is to lead.
    private func target(_ index: Int) throws(FileError) -> [CChar] {
        let target = Array(try text(index)) + [0]
        try trap.checkPending()
        return target
    }

    func put(_ bytes: UnsafeRawBufferPointer, _ address: UInt64) throws(FileError) {
        try trap.checkPending()
        guard
            bytes.isEmpty
                || guise_memory_write(trap.tid, address, bytes.baseAddress, bytes.count) == bytes.count
        else { throw FileError(EFAULT) }
    }

    func put<Value>(_ value: Value, _ address: UInt64) throws(FileError) {
        var value = value
        let result = withUnsafeBytes(of: &value) { bytes -> FileError? in
            do throws(FileError) { try put(bytes, address) } catch { return error }
            return nil
        }
        if let result { throw result }
    }

    /// A directory argument; AT_FDCWD where a call has none.
    private func directory(_ index: Int?) -> Int32 { index.map { trap.int($0) } ?? AT_FDCWD }

    func object(
        _ index: Int, in directoryIndex: Int? = nil, follows: Bool = true, mayBeEmpty: Bool = false
    ) throws(FileError) -> Located {
        try objectOrDescriptor(index, in: directoryIndex, follows: follows, mayBeEmpty: mayBeEmpty).located
    }

    /// An object, and whether the caller has it open already: by an empty path and a descriptor's number.
    func objectOrDescriptor(
        _ index: Int, in directoryIndex: Int?, follows: Bool, mayBeEmpty: Bool
    ) throws(FileError) -> (located: Located, isOpen: Bool) {
        let directory = directory(directoryIndex)
        if mayBeEmpty, trap.argument(index) == 0 { return (try descriptor(directory), directory >= 0) }
        let spelled = try text(index)
        if mayBeEmpty, spelled.isEmpty { return (try descriptor(directory), directory >= 0) }
        let located = try mediator.find(spelled, in: directory, of: trap) { (path, start) throws(FileError) in
            try calls.opener.locate(path, from: start, followsLast: follows, as: calls.caller)
        }
        return (located, false)
    }

    private func entry(_ index: Int, in directoryIndex: Int? = nil) throws(FileError) -> LocatedEntry {
        let spelled = try text(index)
        return try mediator.find(spelled, in: directory(directoryIndex), of: trap) {
            (path, start) throws(FileError) in
            try calls.opener.locateEntry(path, from: start, as: calls.caller)
        }
    }

    /// What a descriptor of the caller stands for.
    func descriptor(_ number: Int32) throws(FileError) -> Located {
        if number == AT_FDCWD { return try calls.opener.located(try mediator.directory(number, of: trap)) }
        let borrowed = mediator.borrow(number, of: trap)
        guard borrowed >= 0 else { throw FileError(-borrowed) }
        let owned = OwnedDescriptor(borrowed)
        try trap.checkPending()
        return try calls.opener.located(owned)
    }

    // MARK: The calls

    /// Returns what the call returns; nil: the kernel is to carry it out, which decides nothing in a client's favour.
    func perform(_ call: FileCall) throws(FileError) -> Int64? {
        switch call {
        case .stat: try writeStatus(of: try object(0), 1)
        case .lstat: try writeStatus(of: try object(0, follows: false), 1)
        case .newfstatat:
            let (located, isOpen) = try lookedAtOrOpen(trap.int(3), 1, 0)
            try writeStatus(of: located, 2, isOpen: isOpen)
        case .statx:
            let (located, isOpen) = try lookedAtOrOpen(trap.int(2), 1, 0)
            try writeExtendedStatus(of: located, isOpen: isOpen)
        case .statfs: try writeFileSystem(of: try object(0))
        case .access: try calls.checkAccess(to: try object(0), mode: trap.int(1))
        case .faccessat: try calls.checkAccess(to: try object(1, in: 0), mode: trap.int(2))
        case .faccessat2: try calls.checkAccess(to: try lookedAt(trap.int(3), 1, 0), mode: trap.int(2))
        case .readlink: return try writeLink(try object(0, follows: false), 1, 2)
        case .readlinkat: return try writeLink(try object(1, in: 0, follows: false, mayBeEmpty: true), 2, 3)
        case .unlink: try calls.remove(try entry(0), isDirectory: false)
        case .rmdir: try calls.remove(try entry(0), isDirectory: true)
        case .unlinkat:
            guard trap.int(2) & ~At.removeDirectory == 0 else { throw FileError(EINVAL) }
            try calls.remove(try entry(1, in: 0), isDirectory: trap.int(2) != 0)
        case .mkdir: try calls.makeDirectory(try entry(0), mode: UInt32(trap.int(1) & 0o7777))
        case .mkdirat: try calls.makeDirectory(try entry(1, in: 0), mode: UInt32(trap.int(2) & 0o7777))
        case .mknod: try calls.makeNode(try entry(0), mode: mode(1), device: trap.argument(2))
        case .mknodat: try calls.makeNode(try entry(1, in: 0), mode: mode(2), device: trap.argument(3))
        case .symlink: try calls.makeLink(try entry(1), to: try target(0))
        case .symlinkat: try calls.makeLink(try entry(2, in: 1), to: try target(0))
        case .rename: try calls.rename(try entry(0), to: try entry(1), flags: 0)
        case .renameat: try calls.rename(try entry(1, in: 0), to: try entry(3, in: 2), flags: 0)
        case .renameat2:
            try calls.rename(
                try entry(1, in: 0), to: try entry(3, in: 2), flags: UInt32(bitPattern: trap.int(4)))
        case .link: try calls.link(try object(0, follows: false), to: try entry(1))
        case .linkat: try link(flags: trap.int(4))
        case .chmod: try calls.setMode(of: try object(0), mode(1) & 0o7777)
        case .fchmodat: try calls.setMode(of: try object(1, in: 0), mode(2) & 0o7777)
        case .fchmodat2: try calls.setMode(of: try lookedAt(trap.int(3), 1, 0), mode(2) & 0o7777)
        case .fchmod: try calls.setMode(of: try descriptor(trap.int(0)), mode(1) & 0o7777)
        case .chown: try setOwner(of: try object(0), 1)
        case .lchown: try setOwner(of: try object(0, follows: false), 1)
        case .fchownat: try setOwner(of: try lookedAt(trap.int(4), 1, 0), 2)
        case .fchown: try setOwner(of: try descriptor(trap.int(0)), 1)
        case .utime: try calls.setTimes(of: try object(0), try times(1, unit: .seconds))
        case .utimes: try calls.setTimes(of: try object(0), try times(1, unit: .microseconds))
        case .futimesat:
            try calls.setTimes(of: try object(1, in: 0, mayBeEmpty: true), try times(2, unit: .microseconds))
        case .utimensat: try setTimes(flags: trap.int(3))
        case .truncate: try calls.truncate(try object(0), length: Int64(bitPattern: trap.argument(1)))
        case .getxattr: return try writeAttribute(of: try object(0))
        case .lgetxattr: return try writeAttribute(of: try object(0, follows: false))
        case .fgetxattr: return try writeAttribute(of: try descriptor(trap.int(0)))
        case .setxattr: try setAttribute(of: try object(0))
        case .lsetxattr: try setAttribute(of: try object(0, follows: false))
        case .fsetxattr: try setAttribute(of: try descriptor(trap.int(0)))
        case .listxattr: return try writeAttributes(of: try object(0))
        case .llistxattr: return try writeAttributes(of: try object(0, follows: false))
        case .flistxattr: return try writeAttributes(of: try descriptor(trap.int(0)))
        case .removexattr: try calls.removeAttribute(try attributeName(), of: try object(0))
        case .lremovexattr: try calls.removeAttribute(try attributeName(), of: try object(0, follows: false))
        case .fremovexattr: try calls.removeAttribute(try attributeName(), of: try descriptor(trap.int(0)))
        case .inotifyAddWatch:
            let instance = mediator.borrow(trap.int(0), of: trap)
            guard instance >= 0 else { throw FileError(-instance) }
            defer { close(instance) }
            let events = UInt32(truncatingIfNeeded: trap.argument(2))
            let watched = try object(1, follows: events & GUISE_IN_DONT_FOLLOW == 0)
            return Int64(try calls.watch(watched, instance, events: events))
        case .getxattrat, .setxattrat, .listxattrat, .removexattrat: return try performAt(call)
        case .fanotifyMark: try mark()
        case .nameToHandle: try writeHandle()
        case .fileGetattr: try writeFileAttributes()
        case .fileSetattr: try setFileAttributes()
        case .chdir:
            let located = try object(0)
            return try go(to: located, isAnywhere: try text(0).first == 0x2F)
        case .fchdir:
            guard trap.int(0) >= 0 else { throw FileError(EBADF) }
            return try go(to: try descriptor(trap.int(0)), isAnywhere: true)
        case .getcwd: return try writeWorkingDirectory()
        }
        return 0
    }

    private func mode(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: trap.argument(index)) }

    /// An object by directory, path and AT_* flags.
    func lookedAt(_ flags: Int32, _ path: Int, _ directory: Int) throws(FileError) -> Located {
        try lookedAtOrOpen(flags, path, directory).located
    }

    /// The same, and whether it is open already: looking at that asks nobody.
    func lookedAtOrOpen(_ flags: Int32, _ path: Int, _ directory: Int) throws(FileError)
        -> (located: Located, isOpen: Bool)
    {
        try objectOrDescriptor(
            path, in: directory, follows: flags & GUISE_AT_SYMLINK_NOFOLLOW == 0,
            mayBeEmpty: flags & GUISE_AT_EMPTY_PATH != 0)
    }

    private func writeStatus(of located: Located, _ index: Int, isOpen: Bool = false) throws(FileError) {
        if !isOpen { try calls.checkStatus(of: located) }
        var status = Glibc.stat()
        withUnsafePointer(to: located.status) { guise_stat_convert($0, &status) }
        try put(status, trap.argument(index))
    }

    private func writeExtendedStatus(of located: Located, isOpen: Bool) throws(FileError) {
        if !isOpen { try calls.checkStatus(of: located) }
        let flags = trap.int(2) & ~GUISE_AT_SYMLINK_NOFOLLOW | GUISE_AT_EMPTY_PATH
        let mask = UInt32(truncatingIfNeeded: trap.argument(3))
        var status = located.status
        // Asked for by the authority, for itself.
        guise_stat_forget_mount(&status)
        if mask & ~UInt32(STATX_BASIC_STATS) != 0
            || flags & ~(GUISE_AT_NO_AUTOMOUNT | GUISE_AT_EMPTY_PATH) != 0
        {
            guard guise_statx(located.number, "", flags, mask, &status) == 0 else {
                throw FileError(guise_errno())
            }
        }
        try put(status, trap.argument(4))
    }

    private func writeFileSystem(of located: Located) throws(FileError) {
        try calls.checkStatus(of: located)
        var status = CGuise.statfs()
        guard fstatfs(located.number, &status) == 0 else { throw FileError(guise_errno()) }
        try put(status, trap.argument(1))
    }

    private func writeLink(_ located: Located, _ index: Int, _ sizeIndex: Int) throws(FileError) -> Int64 {
        let size = trap.int(sizeIndex)
        guard size > 0 else { throw FileError(EINVAL) }
        let own = try ownWorkingDirectory(located)
        let content = if let own { own } else { try calls.content(ofLink: located) }
        try write(content.prefix(Int(size)).map(UInt8.init(bitPattern:)), at: trap.argument(index))
        return Int64(min(content.count, Int(size)))
    }

    // MARK: The working directory

    /// Where the caller's link `cwd` in /proc leads, if the kernel has it elsewhere.
    private func ownWorkingDirectory(_ link: Located) throws(FileError) -> [CChar]? {
        guard trap.service.workingDirectories.isUsed, isProcessFileSystem(link.number),
            let name = kernelPath(of: link.number),
            calls.caller.directories.contains(where: { Array(($0 + "/cwd").utf8) == name }),
            let directory = try mediator.whereabouts(of: trap).directory
        else { return nil }
        return kernelPath(of: directory.number)?.map(CChar.init(bitPattern:))
    }

    /// - Parameter isAnywhere: whether the kernel, too, finds the directory from where it has the process.
    private func go(to located: Located, isAnywhere: Bool) throws(FileError) -> Int64? {
        try calls.checkEntry(to: located)
        let noted = trap.service.workingDirectories
        // As itself the process is let in by the kernel, which then knows where it is. But for where it has the process
        // already: there it would not tell from a call that failed.
        if mediator.acting == nil, !located.isManaged {
            switch try mediator.whereabouts(of: trap) {
            case .kernels: return nil
            case .elsewhere:
                let isThere = try noted.isKernels(located, of: trap.tid)
                if isAnywhere, !isThere { return nil }
            case .unknown: break
            }
        }
        try noted.move(trap, to: located)
        return 0
    }

    /// getcwd(2): (buffer, size). Returns the length with the terminator.
    private func writeWorkingDirectory() throws(FileError) -> Int64? {
        guard let directory = try mediator.whereabouts(of: trap).directory else { return nil }
        var status = statx()
        guard guise_stat(directory.number, "", GUISE_AT_EMPTY_PATH | GUISE_AT_STATX_DONT_SYNC, &status) == 0,
            status.stx_nlink > 0,
            let path = kernelPath(of: directory.number)
        else { throw FileError(ENOENT) }
        guard path.count < trap.argument(1) else { throw FileError(ERANGE) }
        try write(path + [0], at: trap.argument(0))
        return Int64(path.count + 1)
    }

    func write(_ bytes: [UInt8], at address: UInt64) throws(FileError) {
        let result = bytes.withUnsafeBytes { bytes -> FileError? in
            do throws(FileError) { try put(bytes, address) } catch { return error }
            return nil
        }
        if let result { throw result }
    }

    private func link(flags: Int32) throws(FileError) {
        guard flags & ~(GUISE_AT_SYMLINK_FOLLOW | GUISE_AT_EMPTY_PATH) == 0 else { throw FileError(EINVAL) }
        let object = try object(
            1, in: 0, follows: flags & GUISE_AT_SYMLINK_FOLLOW != 0,
            mayBeEmpty: flags & GUISE_AT_EMPTY_PATH != 0)
        try calls.link(object, to: try entry(3, in: 2))
    }

    private func setOwner(of located: Located, _ index: Int) throws(FileError) {
        try calls.setOwner(
            of: located, uid: UInt32(truncatingIfNeeded: trap.argument(index)),
            gid: UInt32(truncatingIfNeeded: trap.argument(index + 1)), mediator.context.tokens.directory)
    }

    private enum TimeUnit { case seconds, microseconds, nanoseconds }

    /// Access and modification time; nil: now.
    private func times(_ index: Int, unit: TimeUnit) throws(FileError) -> [timespec]? {
        let address = trap.argument(index)
        guard address != 0 else { return nil }
        let count = unit == .seconds ? 2 : 4
        let words = try memory(address, 8 * count).withUnsafeBytes { Array($0.bindMemory(to: Int.self)) }
        switch unit {
        case .seconds: return words.map { timespec(tv_sec: $0, tv_nsec: 0) }
        case .microseconds:
            guard (0..<1_000_000).contains(words[1]), (0..<1_000_000).contains(words[3]) else {
                throw FileError(EINVAL)
            }
            return [
                timespec(tv_sec: words[0], tv_nsec: words[1] * 1000),
                timespec(tv_sec: words[2], tv_nsec: words[3] * 1000),
            ]
        case .nanoseconds:
            return [
                timespec(tv_sec: words[0], tv_nsec: words[1]), timespec(tv_sec: words[2], tv_nsec: words[3]),
            ]
        }
    }

    private func setTimes(flags: Int32) throws(FileError) {
        guard flags & ~(GUISE_AT_SYMLINK_NOFOLLOW | GUISE_AT_EMPTY_PATH) == 0 else { throw FileError(EINVAL) }
        // futimens is utimensat without a path.
        let isNull = trap.argument(1) == 0
        let located = try isNull ? descriptor(trap.int(0)) : lookedAt(flags, 1, 0)
        try calls.setTimes(of: located, try times(2, unit: .nanoseconds))
    }

    // MARK: Extended attributes: (object, name, value, size, flags)

    func attributeName(_ index: Int = 1) throws(FileError) -> String {
        var name = [CChar](repeating: 0, count: 256)
        let length = guise_memory_read_string(trap.tid, trap.argument(index), &name, name.count)
        guard length > 0 else {
            throw FileError(length == 0 || length == -Int(ENAMETOOLONG) ? ERANGE : EFAULT)
        }
        try trap.checkPending()
        guard let text = String(validating: name[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
        else {
            throw FileError(EOPNOTSUPP)
        }
        return text
    }

    func deliver(_ bytes: [UInt8], at address: UInt64, _ size: UInt64) throws(FileError) -> Int64 {
        guard size != 0 else { return Int64(bytes.count) }
        guard size >= bytes.count else { throw FileError(ERANGE) }
        try write(bytes, at: address)
        return Int64(bytes.count)
    }

    private func writeAttribute(of located: Located) throws(FileError) -> Int64 {
        try deliver(
            try calls.attribute(try attributeName(), of: located), at: trap.argument(2), trap.argument(3))
    }

    private func writeAttributes(of located: Located) throws(FileError) -> Int64 {
        try deliver(try calls.attributes(of: located), at: trap.argument(1), trap.argument(2))
    }

    private func setAttribute(of located: Located) throws(FileError) {
        let size = trap.argument(3)
        guard size <= StoredDescriptor.largest else { throw FileError(E2BIG) }
        try calls.setAttribute(
            try attributeName(), try memory(trap.argument(2), Int(size)), flags: trap.int(4), of: located)
    }
}
