import CGuise
import Glibc
import Synchronization

/// What every mediator works with.
package struct MediationContext: Sendable {
    let roots: ManagedRoots
    let sessions: LogonSessions
    let processes: ProcessDirectory
    let audit: Audit
}

/// The threads that mediate for one service. One always waits for the next trap; when it takes one, another
/// starts waiting, so that a slow call holds up nobody else.
final class MediatorPool: Sendable {
    /// The most threads that handle traps of one service at once. Past it traps wait their turn.
    static let largestThreadCount = 64
    /// The most traps of one service that wait for somebody else (the other end of a FIFO). Past it an open
    /// that would have to wait fails with EAGAIN.
    static let largestWaitingCount = 64
    /// How many threads stay when there is nothing to do.
    private static let spareCount = 2

    private let service: MediatedService
    private let context: MediationContext
    private let state = Mutex(State())

    private struct State {
        var threads: Set<Int32> = []
        var idle = 0
        var count = 0
        var waiting: [UInt64: Int32] = [:]
        var isWatching = false
    }

    init(_ service: MediatedService, _ context: MediationContext) {
        self.service = service
        self.context = context
    }

    /// Starts mediating; false when no thread could be started.
    func start() -> Bool {
        _ = guise_notification_wake_synchronously(service.listener)
        return state.withLock { addThread(&$0) }
    }

    /// Has every thread leave; called when the service has ended.
    func stop() {
        service.end()
        let me = getpid()
        _ = SystemThread.start("guise-stop") {
            // A signal that comes just before the call it is to interrupt is lost, so it is sent again.
            while true {
                let threads = self.state.withLock { $0.threads }
                guard !threads.isEmpty else { return }
                for tid in threads { _ = guise_tgkill(me, tid, SystemThread.interruption) }
                usleep(10_000)
            }
        }
    }

    private func addThread(_ state: inout State) -> Bool {
        state.idle += 1
        state.count += 1
        if SystemThread.start("guise-mediate", { self.run() }) { return true }
        state.idle -= 1
        state.count -= 1
        return false
    }

    private func run() {
        let tid = guise_gettid()
        state.withLock { _ = $0.threads.insert(tid) }
        let mediator = Mediator(context)
        while !service.hasEnded {
            var notification = guise_notification()
            let error = guise_notification_receive(service.listener, &notification)
            guard error == 0 else {
                if error == -EINTR || error == -ENOENT { continue }
                break
            }
            state.withLock { state in
                state.idle -= 1
                if state.idle == 0, state.count < Self.largestThreadCount { _ = addThread(&state) }
            }
            let trap = Trap(service: service, notification: notification)
            // A thread outside this pid namespace has no number here: nothing can be learnt of it.
            if notification.tid == 0 {
                trap.fail(EPERM)
            } else if case .waits = mediator.handle(trap) {
                wait(for: trap)
            }
            let isSpare = state.withLock { state in
                guard state.idle < Self.spareCount else { return true }
                state.idle += 1
                return false
            }
            if isSpare {
                leave(tid, wasIdle: false)
                return
            }
        }
        leave(tid, wasIdle: true)
    }

    private func leave(_ tid: Int32, wasIdle: Bool) {
        state.withLock { state in
            state.threads.remove(tid)
            state.count -= 1
            if wasIdle { state.idle -= 1 }
        }
    }

    // MARK: Waiting for somebody else

    /// Handles a trap on a thread of its own, which may block until the call is done or its thread is gone.
    private func wait(for trap: Trap) {
        let id = trap.notification.id
        let started = state.withLock { state -> Bool in
            guard state.waiting.count < Self.largestWaitingCount else { return false }
            state.waiting[id] = 0
            if !state.isWatching { state.isWatching = SystemThread.start("guise-watch") { self.watch() } }
            return state.isWatching
                && SystemThread.start("guise-wait") {
                    self.state.withLock { $0.waiting[id] = guise_gettid() }
                    if case .waits = Mediator(self.context).handle(trap, mayWait: true) { trap.fail(EAGAIN) }
                    self.state.withLock { _ = $0.waiting.removeValue(forKey: id) }
                }
        }
        if !started {
            state.withLock { _ = $0.waiting.removeValue(forKey: id) }
            trap.fail(EAGAIN)
        }
    }

    /// Interrupts whoever waits on behalf of a thread that is gone.
    private func watch() {
        let me = getpid()
        while true {
            usleep(50_000)
            let waiting = state.withLock { state in
                if state.waiting.isEmpty { state.isWatching = false }
                return state.waiting
            }
            guard !waiting.isEmpty else { return }
            for (id, tid) in waiting where tid != 0 {
                if !guise_notification_is_pending(service.listener, id) {
                    _ = guise_tgkill(me, tid, SystemThread.interruption)
                }
            }
        }
    }
}
