public import AccessControl
import Dispatch

extension Connection {
    /// Runs `body` as the client. The identity follows the task: through suspension points, into child tasks
    /// and task groups, whatever threads they run on; unrelated work on the same threads never sees it. It follows
    /// onto a default actor that nobody else calls at the same time.
    ///
    /// - Warning: An actor runs its callers' calls one after the other on one thread, with the identity of
    ///   whoever happened to start it, and Swift's runtime lets nobody in between. What is called by tasks of
    ///   several identities at once must not open anything: open outside, and pass what was opened in.
    ///
    /// It does not follow into unstructured tasks (`Task.detached`, and `Task {}` when it outlives `body`), nor
    /// onto the main actor or an actor with an executor of its own: these run as the service.
    ///
    /// A ``revertToSelf()`` in `body` lasts until the task is suspended, which an `await` may or may not do: end the
    /// body instead.
    ///
    /// - Parameter limit: act at no more than this level, whatever the client allowed.
    /// - Throws: as ``impersonate(atMost:)``, before `body` runs; else what `body` throws.
    public func impersonating<Result: Sendable>(
        atMost limit: ImpersonationLevel = .delegation,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        let capture = try captured()
        let executor = IdentityExecutor(capture: capture, handle: try capture.handle(atMost: limit))
        _ = try capture.authority.alive()
        return try await withTaskExecutorPreference(executor, operation: body)
    }
}

/// Runs every job with one identity installed on the thread that runs it.
final class IdentityExecutor: TaskExecutor {
    private let capture: Capture
    private let handle: UInt64

    init(capture: Capture, handle: UInt64) {
        self.capture = capture
        self.handle = handle
    }

    func enqueue(_ job: consuming ExecutorJob) { run(UnownedJob(job), on: asUnownedTaskExecutor()) }

    private func run(_ job: UnownedJob, on executor: UnownedTaskExecutor) {
        DispatchQueue.global().async {
            let before = ThreadIdentity.save()
            do throws(GuiseError) {
                try ThreadIdentity.install(self.handle, of: self.capture, in: self.capture.authority)
            } catch {
                // More threads than slots. The job must not run as the service, so it waits for a slot.
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(1)) {
                    self.run(job, on: executor)
                }
                return
            }
            job.runSynchronously(on: executor)
            ThreadIdentity.restore(before)
        }
    }
}
