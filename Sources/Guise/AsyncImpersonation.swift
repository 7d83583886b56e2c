public import AccessControl
import CGuise
import Dispatch
import Glibc
import GuiseProtocol
import Synchronization

extension Connection {
    /// Runs `body` as the client. The identity follows the task: through suspension points, into child tasks
    /// and task groups, onto default actors, whatever threads they run on. Unrelated work on the same threads
    /// never has it, nor do other callers of the same actor, whose calls may run right behind.
    ///
    /// It does not follow where the task leaves for an executor of somebody else: into unstructured tasks (`Task {}`,
    /// `Task.detached`), onto the main actor or an actor with an executor of its own, into an inner
    /// `withTaskExecutorPreference`. All these run as the service, and must not take the client's word for what to
    /// open.
    ///
    /// In the body ``revertToSelf()`` ends what ``impersonate(atMost:)`` began there. The body's own identity ends with
    /// the body. A body in a body has its own, and the outer one its own again afterwards.
    ///
    /// Starting costs the way to another thread and back; a call that opens something costs about a microsecond more
    /// than on a thread that impersonates, once a task of the process has acted as a client.
    ///
    /// - Parameter limit: act at no more than this level, whatever the client allowed.
    /// - Throws: as ``impersonate(atMost:)`` and ``GuiseError/tasksNotFollowed(_:)``, before `body` runs; else what
    ///   `body` throws.
    public func impersonating<Result: Sendable>(
        atMost limit: ImpersonationLevel = .delegation,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await captured().impersonating(atMost: limit, body)
    }
}

extension Capture {
    /// Runs `body` as who was captured, in a task that prefers an executor of its own.
    func impersonating<Result: Sendable>(
        atMost limit: ImpersonationLevel, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        let handle = try handle(atMost: limit)
        let authority = try authority.alive()
        guard IdentityExecutor.trail != nil else {
            throw GuiseError.tasksNotFollowed(
                "this program's Swift runtime does not show whose task a thread runs, so a task cannot act as a"
                    + " client; impersonate on threads, or link the runtime when the program is built")
        }
        let executor = IdentityExecutor(capture: self, handle: handle)
        authority.page.hasActingTasks = true
        return try await withTaskExecutorPreference(executor) {
            // A function that is only called as an async one would not change threads by itself.
            guard executor.isCurrent else {
                throw GuiseError.tasksNotFollowed(
                    "this program's Swift runtime does not run a task where it was told to, so it cannot act as a"
                        + " client; impersonate on threads")
            }
            return try await body()
        }
    }
}

/// Runs the jobs of one body, and tells the authority by its mark that they are a client's. The jobs that an actor runs
/// for other callers in between are not: what counts is whose task a thread runs when it asks for something.
final class IdentityExecutor: TaskExecutor {
    // The first property: the authority reads it right behind the object's header.
    private let mark: TaskMark
    private let capture: Capture

    private static let bodies = Atomic<UInt64>(0)

    init(capture: Capture, handle: UInt64) {
        self.capture = capture
        mark = TaskMark(
            attachment: capture.authority.tag, handle: handle,
            body: Self.bodies.add(1, ordering: .relaxed).newValue)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        DispatchQueue.global().async {
            job.runSynchronously(on: self.asUnownedTaskExecutor())
            ThreadIdentity.clearBodies()
        }
    }

    /// Whether the calling thread runs a task of this body.
    var isCurrent: Bool { Self.currentBody == mark.body }

    /// The body whose task the calling thread runs; 0 for none.
    @inline(__always)
    static var currentBody: UInt64 { currentMark?.body ?? 0 }

    /// The mark of the body whose task the calling thread runs.
    @inline(__always)
    static var currentMark: TaskMark? {
        guise_task_executor()?.load(fromByteOffset: TaskMark.offset, as: TaskMark.self)
    }

    /// The first word of every object of this class.
    static var kind: UInt64 { UInt64(UInt(bitPattern: ObjectIdentifier(IdentityExecutor.self))) }

    /// Where the runtime leaves word of the executor whose job a thread runs; nil when that is not beyond doubt.
    static let trail: guise_task_trail? = {
        // The first thread is kept until the second has looked, so that they are two.
        let end = DispatchSemaphore(value: 0)
        let seen = (Probe.look(until: end), Probe.look(until: end))
        for _ in 0..<2 { end.signal() }
        guard var first = seen.0, let second = seen.1, first.word == second.word,
            first.executor == second.executor
        else { return nil }
        guise_task_trail_use(&first, UnsafeRawPointer(bitPattern: UInt(kind)))
        return first
    }()
}

/// Runs jobs on new threads, to look what the runtime leaves there.
private final class Probe: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        startThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// - Parameter end: what the thread waits for after it has looked.
    static func look(until end: DispatchSemaphore) -> guise_task_trail? {
        let probe = Probe()
        let found = Mutex<guise_task_trail?>(nil)
        let done = DispatchSemaphore(value: 0)
        Task.detached(executorPreference: probe) {
            var trail = guise_task_trail()
            if guise_task_trail_find(Unmanaged.passUnretained(probe).toOpaque(), &trail) {
                found.withLock { $0 = trail }
            }
            done.signal()
            wait(for: end)
        }
        done.wait()
        return found.withLock { $0 }
    }

    /// On a thread that nothing else needs.
    private static func wait(for semaphore: DispatchSemaphore) { semaphore.wait() }
}
