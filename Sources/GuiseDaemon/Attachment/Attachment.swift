package import AccessControl
import CGuise
import Glibc
import GuiseProtocol
import Synchronization

/// A token in a process's handle table, with what the kernel takes its bearer for outside managed roots.
package final class ImpersonationHandle: Sendable {
    package let number: UInt64
    package let token: Token.Impersonation
    /// The token as an object: what others who hold it change changes for whoever acts by this handle.
    let object: TokenObject
    /// What decides: the client's token, or the Anonymous one below level Impersonation.
    package let deciding: Token
    /// nil when the client has no Unix user: every Unix place is closed to it.
    package let credentials: UnixCredentials?
    /// The process whose handle it is, and the client's.
    let process: Int32
    let client: Int32

    init(
        number: UInt64, token: Token.Impersonation, object: TokenObject, credentials: UnixCredentials?,
        process: Int32, client: Int32
    ) {
        self.number = number
        self.object = object
        self.token = token
        self.process = process
        self.client = client
        deciding = token.deciding
        self.credentials = token.level < .impersonation ? .nobody : credentials
    }
}

/// Whose rights decide for a thread, and what it says it is about to use them for.
package enum EffectiveIdentity {
    /// The process's: the thread does not impersonate.
    case process(AccessIntent)
    case client(ImpersonationHandle, AccessIntent)
    /// The slot names what was never given or is gone: nothing is decided in anybody's favour.
    case unknown
}

/// A process that attached: its identity page, and the handles that it may put there.
package final class Attachment: @unchecked Sendable {
    // Sendable by hand: the page is memory that the process writes at any time, read with atomic loads; all
    // else is immutable or behind a lock.

    /// The most handles a process may have open at once.
    static let largestHandleCount = 65_536

    package let pid: Int32
    /// The process for good, whatever becomes of its pid.
    let identity: UInt64
    package var logon: Logon { primary.logon }
    /// The process's own token; of a mediated one its service's.
    let primary: ProcessToken
    /// nil for a process that is not mediated.
    package let service: MediatedService?
    let page: IdentityPage
    /// nil for a process whose tasks cannot be followed: none of them acts as a client.
    private let tasks: TaskTrail?
    /// As the marks of this attachment have it.
    private let tag: UInt64

    private struct Handles {
        var last: UInt64 = 0
        var open: [UInt64: ImpersonationHandle] = [:]
    }
    private let handles = Mutex(Handles())
    /// The threads that were found to be the process's, by their ids.
    private let threads = Mutex<[Int32: ThreadReference]>([:])
    private let nonce: (address: UInt64, bytes: [UInt8])
    private let mayHaveExecuted = Atomic(false)
    private let detached = Atomic(false)

    /// Takes over the mapping of the page.
    init(
        pid: Int32, identity: UInt64, primary: ProcessToken, service: MediatedService?, page: IdentityPage,
        nonce: (address: UInt64, bytes: [UInt8]), tasks: TaskTrail?
    ) {
        self.pid = pid
        self.identity = identity
        self.primary = primary
        self.service = service
        self.page = page
        self.nonce = nonce
        self.tasks = tasks
        tag = nonce.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    deinit { munmap(page.base, pageSize) }

    /// In bytes.
    var pageSize: Int { IdentityPage.size(count: page.count) }

    /// Adds a handle; nil when the process has as many as it may.
    func open(
        _ token: Token.Impersonation, _ object: TokenObject, credentials: UnixCredentials?, of client: Int32
    ) -> ImpersonationHandle? {
        let handle = handles.withLock { handles -> ImpersonationHandle? in
            guard handles.open.count < Self.largestHandleCount else { return nil }
            handles.last += 1
            let handle = ImpersonationHandle(
                number: handles.last, token: token, object: object, credentials: credentials, process: pid,
                client: client)
            handles.open[handle.number] = handle
            return handle
        }
        guard let handle, object.stands(behind: handle.number, of: self) else {
            if let handle { close([handle.number]) }
            return nil
        }
        return handle
    }

    /// Puts another token behind a handle that is open: whoever acts by it acts under that from here on. nil when the
    /// handle is not open.
    func replace(
        _ number: UInt64, _ token: Token.Impersonation, credentials: UnixCredentials?, of client: Int32
    ) -> ImpersonationHandle? {
        handles.withLock { handles in
            guard let open = handles.open[number] else { return nil }
            let handle = ImpersonationHandle(
                number: number, token: token, object: open.object, credentials: credentials, process: pid,
                client: client)
            handles.open[number] = handle
            return handle
        }
    }

    func close(_ numbers: some Sequence<UInt64>) {
        let closed = handles.withLock { handles in numbers.map { handles.open.removeValue(forKey: $0) } }
        _ = closed
    }

    /// Takes back every handle that the process may not have any more.
    func close(where isMeant: (ImpersonationHandle) -> Bool) {
        close(handles.withLock { Array($0.open.values) }.filter(isMeant).map(\.number))
    }

    /// The handle of this number; nil when the process has none.
    func handle(_ number: UInt64) -> ImpersonationHandle? { handles.withLock { $0.open[number] } }

    /// From here on no thread of the process has an identity. Those that act under one are refused everything
    /// until they revert.
    func detach() {
        detached.store(true, ordering: .releasing)
        handles.withLock { $0.open = [:] }
        threads.withLock { $0 = [:] }
    }

    var isDetached: Bool { detached.load(ordering: .acquiring) }

    /// Whether the process is gone for good.
    var processHasEnded: Bool {
        let descriptor = guise_pidfd_open(pid, false)
        guard descriptor >= 0 else { return descriptor == -ESRCH }
        defer { CGuise.close(descriptor) }
        return guise_pidfd_identity(descriptor) != identity || guise_pidfd_has_ended(descriptor)
    }

    /// The process was seen to execute a program: its memory has to prove that it is still this attachment's.
    func noteExecution() { mayHaveExecuted.store(true, ordering: .releasing) }

    /// Whose rights decide for a thread, by the page and the task that it runs; nil when the thread is not known here.
    ///
    /// The caller holds on to proof that the thread waits (a pending notification), and asks for it again
    /// afterwards.
    func identity(ofThread tid: Int32) -> EffectiveIdentity? {
        let index = page.index(of: UInt32(bitPattern: tid))
        var stored = index.map {
            let slot = page.handle(at: $0)
            return (
                handle: guise_handle_load(slot), body: guise_handle_load(slot + 1),
                intent: page.intent(at: $0)
            )
        }
        let tasks = page.hasActingTasks ? tasks : nil
        guard tasks != nil || stored.map({ $0.handle | $0.intent != 0 }) == true else {
            return stored.map { _ in .process([]) }
        }
        do throws(ThreadReference.Failure) {
            let inode = try reference(to: tid).inode
            // The slot of an earlier thread of that id, which ended without a word.
            if let index, ![0, inode].contains(page.inode(at: index)) { stored = nil }
        } catch {
            return error == .notOfThisProcess ? nil : .unknown
        }
        let isDetached = detached.load(ordering: .acquiring)
        if isDetached || mayHaveExecuted.load(ordering: .acquiring) {
            switch hasSameMemory(tid) {
            case true?: break
            // Another program: the slot is its predecessor's, and it starts with the process's own token.
            case false?: return nil
            case nil: return .unknown
            }
        }
        let mark: TaskMark?
        switch tasks?.follow(tid) {
        case .mark(let found): mark = found
        case .nobody, nil: mark = nil
        case .lost: return .unknown
        }
        let intent = AccessIntent(rawValue: UInt8(truncatingIfNeeded: stored?.intent ?? 0))
            .intersection([.backup, .restore])
        let number: UInt64
        if let stored, stored.handle != 0, stored.body == mark?.body ?? 0 {
            number = stored.handle
        } else if let mark, mark.attachment == tag {
            number = mark.handle
        } else {
            return .process(isDetached ? [] : intent)
        }
        guard !isDetached else { return .unknown }
        return handles.withLock { $0.open[number] }.map { .client($0, intent) } ?? .unknown
    }

    // MARK: Threads that others assign a token

    /// What was assigned to a thread: the handle, which is open as long as the thread may act by it.
    private struct Assigned {
        let inode: UInt64
        let handle: UInt64
    }
    private let assigned = Mutex(Assignments())
    private struct Assignments {
        var threads: [Int32: Assigned] = [:]
        var sweepAt = 64
    }

    /// Puts a handle into a thread's slot, which is made for it if need be. It is closed when another takes its place or
    /// the thread ends. 0: none; a thread without a slot acts under none anyway.
    ///
    /// - Throws: `notFound` when the process has no such thread, `limit` when there is no slot left.
    ///
    /// - Parameter instead: only where this one is there, and for whatever it is there for.
    func assign(_ handle: UInt64, to tid: Int32, instead: UInt64? = nil) throws(Refused) {
        let inode: UInt64
        do throws(ThreadReference.Failure) { inode = try reference(to: tid).inode } catch {
            throw Refused(.notFound, "process \(pid) has no thread \(tid)")
        }
        if assigned.withLock({ $0.threads.count >= $0.sweepAt }) { sweepAssigned() }
        let known = page.index(of: UInt32(bitPattern: tid)).flatMap {
            [0, inode].contains(page.inode(at: $0)) ? $0 : nil
        }
        guard known != nil || handle != 0 else { return }
        func claim() -> Int? { page.claim(UInt32(bitPattern: tid), inode: inode) }
        func claimAnew() -> Int? {
            sweepAssigned()
            return claim()
        }
        guard let index = known ?? claim() ?? claimAnew() else {
            throw Refused(.limit, "process \(pid) has no room for another thread that impersonates")
        }
        page.hasAssignedThreads = true
        let slot = page.handle(at: index)
        if let instead {
            guard guise_handle_load(slot) == instead else {
                throw Refused(.conflict, "the thread \(tid) acts under another token by now")
            }
        } else {
            guise_handle_store(slot + 1, 0)
        }
        guise_handle_store(slot, handle)
        let before = assigned.withLock { assigned in
            defer { assigned.threads[tid] = handle == 0 ? nil : Assigned(inode: inode, handle: handle) }
            return assigned.threads[tid]
        }
        if let before { close([before.handle]) }
    }

    /// Gives up what was assigned to threads that have ended.
    private func sweepAssigned() {
        let ended = assigned.withLock { assigned in
            let ended = assigned.threads.filter { tid, one in (try? reference(to: tid).inode) != one.inode }
            for tid in ended.keys { assigned.threads[tid] = nil }
            assigned.sweepAt = max(64, 2 * assigned.threads.count)
            return ended
        }
        for (tid, one) in ended {
            close([one.handle])
            guard let index = page.index(of: UInt32(bitPattern: tid)), page.inode(at: index) == one.inode
            else { continue }
            page.release(index)
        }
    }

    /// The thread, if it is this process's, and not a later one with the same number; throws `unknown` when that
    /// cannot be told, which must not pass for "no": the thread would be taken for one that does not impersonate.
    private func reference(to tid: Int32) throws(ThreadReference.Failure) -> ThreadReference {
        // Asked outside the lock: the threads of a process do not wait for each other's system call.
        if let known = threads.withLock({ $0[tid] }), !known.hasEnded { return known }
        return try threads.withLock { threads throws(ThreadReference.Failure) in
            threads[tid] = nil
            if threads.count >= page.count {
                threads = threads.filter { !$0.value.hasEnded }
            }
            let reference = try ThreadReference(tid, of: pid)
            threads[tid] = reference
            return reference
        }
    }

    /// Whether the process still has the memory that it attached with; nil when that cannot be told.
    private func hasSameMemory(_ tid: Int32) -> Bool? {
        var found = [UInt8](repeating: 0, count: nonce.bytes.count)
        let got = guise_memory_read(tid, nonce.address, &found, found.count)
        guard got >= 0 || got == -Int(EFAULT) else { return nil }
        return got == found.count && found == nonce.bytes
    }
}

extension UnixCredentials {
    /// Whom the kernel takes an anonymous client for: nobody, in no group.
    static let nobody = UnixCredentials(uid: 65534, gid: 65534, groups: [])
}

/// A thread of another process, for as long as it lives.
private final class ThreadReference {
    private let pidfd: Int32
    /// No other thread has it until the machine restarts.
    let inode: UInt64

    enum Failure: Error {
        case notOfThisProcess
        case unknown
    }

    init(_ tid: Int32, of pid: Int32) throws(Failure) {
        let descriptor = guise_pidfd_open(tid, true)
        guard descriptor >= 0 else { throw descriptor == -ESRCH ? .notOfThisProcess : .unknown }
        // Looked up after the pidfd was opened: if the number had changed hands before, so had this entry.
        guard access("/proc/\(pid)/task/\(tid)", F_OK) == 0, !guise_pidfd_has_ended(descriptor) else {
            let isElsewhere = guise_errno() == ENOENT
            CGuise.close(descriptor)
            throw isElsewhere ? .notOfThisProcess : .unknown
        }
        inode = guise_pidfd_identity(descriptor)
        guard inode != 0 else {
            CGuise.close(descriptor)
            throw .unknown
        }
        pidfd = descriptor
    }

    deinit { CGuise.close(pidfd) }

    var hasEnded: Bool { guise_pidfd_has_ended(pidfd) }
}
