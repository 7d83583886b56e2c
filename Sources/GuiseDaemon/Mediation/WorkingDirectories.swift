import CGuise
import Glibc
import Synchronization

/// Where the processes of a service are, as far as the kernel has them elsewhere.
///
/// Nobody but a process changes its working directory, and the kernel lets it go only where its own user may. A process
/// that goes where only a client may, or under a managed root, stays where it was for the kernel; the authority notes
/// where it went, and its relative paths start there. A process has its note by a mark, which the kernel hands on to its
/// children and to the programs that it executes, as it does with working directories.
///
/// A note counts for as long as the kernel has the process where it was then: one that went on by a call of its own is
/// where the kernel says.
final class WorkingDirectories: Sendable {
    /// The most directories that are noted for one service at once. Each keeps two descriptors.
    static let largestCount = 256
    /// Seconds between two looks at which notes are still in use.
    private static let interval: UInt32 = 5
    /// Microseconds between two looks where somebody waits for room: longer than it takes to make a process.
    private static let pause: UInt32 = 20_000

    /// The upper bits of a mark; the lower ones are the number of a note.
    private static let marked: UInt64 = 0x6775_0000_0000_0000
    private static let numbers: UInt64 = 0x0000_ffff_ffff_ffff
    /// For a process whose threads have working directories of their own, or that shares one with another process: a
    /// mark, which is a process's, cannot stand for it.
    private static let apart: UInt64 = 0

    enum Whereabouts {
        /// Where the kernel says.
        case kernels
        case elsewhere(OwnedDescriptor)
        /// It has a mark that stands for nothing (any more).
        case unknown

        /// Where a relative path starts, if that is not where the kernel has the process.
        var directory: OwnedDescriptor? {
            get throws(FileError) {
                switch self {
                case .kernels: return nil
                case .elsewhere(let directory): return directory
                case .unknown:
                    throw FileError(
                        EACCES,
                        rule: "the working directory is not known any more; go to one by an absolute path")
                }
            }
        }
    }

    private struct Directory {
        struct Identity: Equatable {
            let mount: UInt64
            let device: UInt64
            let inode: UInt64

            init(_ status: statx) {
                mount = withUnsafePointer(to: status, guise_stat_mount)
                device = status.device
                inode = status.stx_ino
            }

            /// Of where the kernel has a process.
            init(ofProcess tid: Int32) throws(FileError) {
                var status = statx()
                let error = guise_stat(
                    AT_FDCWD, "/proc/\(tid)/cwd", GUISE_AT_NO_AUTOMOUNT | GUISE_AT_STATX_DONT_SYNC, &status)
                guard error == 0 else { throw FileError(-error) }
                self.init(status)
            }
        }

        /// Open with O_PATH: nothing else gets its inode number meanwhile.
        let object: OwnedDescriptor
        let identity: Identity

        /// Where the kernel has a process.
        init(ofProcess tid: Int32) throws(FileError) {
            try self.init(opening: "/proc/\(tid)/cwd")
        }

        /// What is open, but not by the same open file, which may be the process's.
        init(_ located: Located) throws(FileError) {
            try self.init(opening: "/proc/self/fd/\(located.number)")
        }

        private init(opening path: String) throws(FileError) {
            var how = open_how(
                OpenRequest.Flag.path | OpenRequest.Flag.directory | OpenRequest.Flag.closeOnExec)
            let opened = guise_openat2(AT_FDCWD, path, &how)
            guard opened >= 0 else { throw FileError(-opened) }
            object = OwnedDescriptor(opened)
            var status = statx()
            let error = guise_stat(
                opened, "", GUISE_AT_EMPTY_PATH | GUISE_AT_STATX_DONT_SYNC, &status)
            guard error == 0 else { throw FileError(-error) }
            identity = Identity(status)
        }
    }

    private struct Note {
        let directory: Directory
        /// Where the kernel has the process meanwhile.
        let left: Directory
        /// When it was last given to a process, by ``State/clock``.
        var given: UInt64
        /// How many looks in a row found it with nobody.
        var unseen = 0
    }

    private struct State {
        var clock: UInt64 = 0
        /// Not the same for every service: whose mark it is cannot be told.
        var last = UInt64.random(in: 1..<1 << 40)
        var notes: [UInt64: Note] = [:]
        var isWatched = false
    }

    /// The real, effective and saved ids of the service's processes.
    private let user: (uid: UInt32, gid: UInt32)
    private let state = Mutex(State())
    private let used = Atomic(false)
    private let ended = Atomic(false)
    /// One look at a time, and when the next may be that nobody waited for.
    private let looks = Mutex(ContinuousClock.now)

    init(of user: UnixCredentials) { self.user = (user.uid, user.gid) }

    /// Whether any process of the service has, or had, a mark.
    var isUsed: Bool { used.load(ordering: .acquiring) }

    /// The service is gone: nothing is noted any more.
    func end() {
        ended.store(true, ordering: .releasing)
        state.withLock { $0.notes = [:] }
    }

    // MARK: Looking

    /// Where the process of a thread is.
    func whereabouts(of tid: Int32) throws(FileError) -> Whereabouts {
        guard isUsed, let number = try number(of: tid), number != Self.apart else { return .kernels }
        guard let note = state.withLock({ $0.notes[number] }) else { return .unknown }
        return try Directory.Identity(ofProcess: tid) == note.left.identity
            ? .elsewhere(note.directory.object) : .kernels
    }

    /// Where a relative path of a thread starts, if that is not where the kernel has it.
    func directory(of tid: Int32) throws(FileError) -> OwnedDescriptor? {
        try whereabouts(of: tid).directory
    }

    /// Whether the kernel has the process of a thread in a directory.
    func isKernels(_ located: Located, of tid: Int32) throws(FileError) -> Bool {
        try Directory.Identity(ofProcess: tid) == Directory.Identity(located.status)
    }

    /// The number in the mark of a thread's process.
    private func number(of tid: Int32) throws(FileError) -> UInt64? {
        var mark: UInt64 = 0
        let error = guise_mark_read(tid, &mark)
        guard error == 0 else { throw FileError(-error) }
        return mark & ~Self.numbers == Self.marked ? mark & Self.numbers : nil
    }

    // MARK: Going

    /// Takes the mark from a process that went on by a call of its own. Before it goes anywhere else: it could come back
    /// to where the kernel had it then.
    func settle(_ trap: Trap) throws(FileError) {
        guard isUsed else { return }
        let here = try Directory.Identity(ofProcess: trap.tid)
        try state.withLock { state throws(FileError) in
            guard let number = try number(of: trap.tid), number != Self.apart,
                let note = state.notes[number], here != note.left.identity
            else { return }
            // It was this thread's place, and the mark is its process's.
            try trap.checkPending()
            try write(GUISE_MARK_NONE, to: trap.tid)
        }
    }

    /// Notes that the process of a thread is in a directory from here on.
    func move(_ trap: Trap, to located: Located) throws(FileError) {
        guard try !place(trap, located) else { return }
        makeRoom()
        guard try place(trap, located) else {
            throw FileError(
                ENOMEM, rule: "the service is in \(Self.largestCount) directories already")
        }
    }

    /// - Returns: false when as much is noted as may be.
    private func place(_ trap: Trap, _ located: Located) throws(FileError) -> Bool {
        let (there, here) = (try Directory(located), try Directory(ofProcess: trap.tid))
        used.store(true, ordering: .releasing)
        return try state.withLock { state throws(FileError) in
            let before = try number(of: trap.tid)
            guard before != Self.apart else {
                throw FileError(
                    EACCES, rule: "the working directory is not the same for all threads of the process")
            }
            try trap.checkPending()
            if here.identity == there.identity {
                if before != nil { try write(GUISE_MARK_NONE, to: trap.tid) }
                return true
            }
            let known = state.notes.first {
                $0.value.directory.identity == there.identity && $0.value.left.identity == here.identity
            }
            let number: UInt64
            if let known {
                number = known.key
            } else {
                guard state.notes.count < Self.largestCount, state.last < Self.numbers else { return false }
                state.last += 1
                number = state.last
                state.notes[number] = Note(directory: there, left: here, given: 0)
            }
            state.clock += 1
            state.notes[number]?.given = state.clock
            state.notes[number]?.unseen = 0
            if number != before { try write(Self.marked | number, to: trap.tid) }
            if !state.isWatched { state.isWatched = SystemThread.start("guise-places") { self.watch() } }
            return true
        }
    }

    /// The process of a thread is about to share its working directory with only some of its threads, or with another
    /// process. Throws EPERM where that cannot be.
    func separate(_ trap: Trap) throws(FileError) {
        used.store(true, ordering: .releasing)
        let here = try Directory.Identity(ofProcess: trap.tid)
        try state.withLock { state throws(FileError) in
            if let number = try number(of: trap.tid) {
                guard number != Self.apart else { return }
                guard let note = state.notes[number], here != note.left.identity else {
                    throw FileError(EPERM)
                }
            }
            try trap.checkPending()
            try write(Self.marked | Self.apart, to: trap.tid)
        }
    }

    private func write(_ mark: UInt64, to tid: Int32) throws(FileError) {
        let error = guise_mark_write(tid, user.uid, user.gid, mark)
        guard error == 0 else {
            throw FileError(
                EACCES, rule: "the process cannot be marked (RLIMIT_LOCKS): \(errnoText(-error))")
        }
    }

    // MARK: Forgetting

    private func watch() {
        while true {
            sleep(Self.interval)
            if !ended.load(ordering: .acquiring) { looks.withLock { _ in look() } }
            let isOver = state.withLock { state in
                if state.notes.isEmpty { state.isWatched = false }
                return !state.isWatched
            }
            if isOver { return }
        }
    }

    /// Forgets what is in use no more, without waiting for the next look. Where that comes to little, because nearly all
    /// is in use, it is not tried again for a while: a look goes through all processes of the machine.
    private func makeRoom() {
        looks.withLock { nextAt in
            guard ContinuousClock.now >= nextAt else { return }
            // Somebody else may have made it.
            guard state.withLock({ $0.notes.count }) >= Self.largestCount else { return }
            look()
            usleep(Self.pause)
            look()
            let left = state.withLock { $0.notes.count }
            if left > Self.largestCount / 4 * 3 { nextAt = .now + .seconds(1) }
        }
    }

    /// Looks at which notes processes have, and forgets those that two looks in a row found with nobody. A process that
    /// is being made has its parent's, and is not to be seen yet: hence more than one.
    private func look() {
        let start = state.withLock { $0.clock }
        var how = open_how(
            OpenRequest.Flag.path | OpenRequest.Flag.directory | OpenRequest.Flag.closeOnExec)
        let processes = guise_openat2(AT_FDCWD, "/proc", &how)
        guard processes >= 0 else { return }
        defer { close(processes) }
        guard let names = directoryEntries(of: processes) else { return }
        let seen = Set(names.compactMap { Int32(text(ofName: $0)) }.compactMap { try? number(of: $0) })
        state.withLock { state in
            for (number, note) in state.notes where note.given <= start {
                let unseen = seen.contains(number) ? 0 : note.unseen + 1
                state.notes[number] = unseen < 2 ? note : nil
                state.notes[number]?.unseen = unseen
            }
        }
    }
}
