import AccessControl
import CGuise
import Glibc
import Synchronization

/// What every mediator works with.
package struct MediationContext: Sendable {
    let roots: ManagedRoots
    let sessions: LogonSessions
    let processes: ProcessDirectory
    let registrations: Registrations
    let names = RegisteredNames()
    let tokens: TokenFactory
    let audit: Audit
}

/// The threads that mediate for one service.
///
/// One at a time waits for the next trap: the kernel wakes all that wait, for each trap, which would cost as
/// much again as the trap does. Who takes a trap handles it and waits again. One more thread is on the
/// lookout: when traps are not taken because a slow call holds the others up, or when they queue up, it joins
/// in, and leaves the lookout to the next. While traps queue up as many may wait as there are processors: one
/// that had to leave whenever it found another waiting would be missed at the next trap.
final class MediatorPool: Sendable {
    /// The most threads that handle traps of one service at once. Past it traps wait their turn.
    static let largestThreadCount = 64
    /// The most traps of one service that wait for somebody else (the other end of a FIFO). Past it an open
    /// that would have to wait fails with EAGAIN.
    static let largestWaitingCount = 64
    /// The most of them that are one client's, so that no client's FIFOs are all that a service can wait for.
    static let largestWaitingCountPerClient = 16
    /// How many threads stay when there is nothing to do, besides the two that have something to do always.
    private static let largestSpareCount = 2
    /// Milliseconds that the lookout lets a call take before it joins in.
    private static let patience: Int32 = 2
    /// The lookout sleeps soundly after so many looks at a service that makes no calls.
    private static let looksBeforeSleep = 100
    /// A trap that was there this many nanoseconds after asking for one had been waiting.
    private static let queuedWithin = 2_000
    /// So many traps in a row that had been waiting call for one more thread.
    private static let queuedBeforeHelp = 8
    /// After so many traps in a row that had not, a thread leaves the work to another that took some, too.
    private static let calmBeforeRest = 32
    /// After so many traps a thread looks whether it has to wait beside others, ...
    private static let trapsBetweenLooks = 16
    /// ... which it has when nobody else waited at so many of them, made by one thread after another.
    private static let neededBetweenLooks = 4
    private static let processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    private let service: MediatedService
    private let context: MediationContext
    private let crowd = Crowd()
    private let state = Mutex(State())
    /// How many threads wait for the next trap, and how many may: one, unless the traps of several threads queue up.
    private let seated = Atomic(0)
    private let seats = Atomic(1)
    /// The thread whose trap was taken last.
    private let lastThread = Atomic<UInt32>(0)
    /// How many traps were taken so far.
    private let taken = Atomic<UInt64>(0)
    private let lookoutSleeps = Atomic(false)
    private let helpIsWanted = Atomic(false)
    private let lookout: Semaphore
    private let spares: Semaphore

    /// A call that waits for somebody else: on which thread of ours (0: none yet), for which of the service's.
    private struct Waiting {
        var thread: Int32 = 0
        let caller: Int32
        /// nil: the service's own.
        let client: SID?
    }

    private struct State {
        var threads: Set<Int32> = []
        var count = 0
        /// Those that neither are on the lookout nor spare.
        var activeCount = 0
        var hasLookout = false
        var spareCount = 0
        var waiting: [UInt64: Waiting] = [:]
        var isWatching = false
    }

    /// nil when there are no descriptors left.
    init?(_ service: MediatedService, _ context: MediationContext) {
        guard let lookout = Semaphore(), let spares = Semaphore() else { return nil }
        self.lookout = lookout
        self.spares = spares
        self.service = service
        self.context = context
    }

    /// Starts mediating; false when no thread could be started.
    func start() -> Bool {
        _ = guise_notification_wake_synchronously(service.listener)
        let started = state.withLock { addThread(&$0, asLookout: false) && addThread(&$0, asLookout: true) }
        if !started { stop() }
        return started
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

    private func addThread(_ state: inout State, asLookout: Bool) -> Bool {
        guard state.count < Self.largestThreadCount,
            SystemThread.start("guise-mediate", { self.run(asLookout: asLookout) })
        else { return false }
        state.count += 1
        crowd.threadCount.store(state.count, ordering: .relaxed)
        if asLookout { state.hasLookout = true } else { state.activeCount += 1 }
        return true
    }

    private func run(asLookout: Bool) {
        let tid = guise_gettid()
        state.withLock { _ = $0.threads.insert(tid) }
        let mediator = Mediator(context, crowd)
        if asLookout { keepLookout() }
        var last: UInt32 = 0
        var queued = 0
        var calm = 0
        var calmSince: UInt64 = 0
        var looked = 0
        var needed = 0
        var isSuperfluous = false
        while !service.hasEnded {
            guard !isSuperfluous, takeSeat() else {
                queued = 0
                calm = 0
                isSuperfluous = false
                if rest() { continue }
                break
            }
            let start = now()
            var notification = guise_notification()
            let error = guise_notification_receive(service.listener, &notification)
            let count = taken.add(1, ordering: .sequentiallyConsistent).newValue
            let others = seated.subtract(1, ordering: .acquiringAndReleasing).newValue
            guard error == 0 else {
                if error == -EINTR || error == -ENOENT { continue }
                break
            }
            if lookoutSleeps.load(ordering: .sequentiallyConsistent),
                lookoutSleeps.exchange(false, ordering: .sequentiallyConsistent)
            {
                lookout.signal()
            }
            // One thread's next call may well be there at once; another's waited for that one's.
            let isQueued = notification.tid != last && now() - start < Self.queuedWithin
            queued = isQueued ? queued + 1 : 0
            calm = isQueued ? 0 : calm + 1
            last = notification.tid
            // Who made the call before this one, too, did so while its mediator was not back yet.
            let isAnother =
                lastThread.exchange(notification.tid, ordering: .relaxed) != notification.tid
            if others == 0, isAnother { needed += 1 }
            looked += 1
            if looked == Self.trapsBetweenLooks {
                if needed < Self.neededBetweenLooks { seats.store(1, ordering: .relaxed) }
                looked = 0
                needed = 0
            }
            if calm == 0 { calmSince = count }
            if calm == Self.calmBeforeRest {
                // Those who took none meanwhile may be held up, so the work is not left to them.
                isSuperfluous =
                    count - calmSince > UInt64(2 * calm) && seats.load(ordering: .relaxed) == 1
                calm = 0
                calmSince = count
            }
            if queued == Self.queuedBeforeHelp {
                queued = 0
                callForHelp()
            }
            let trap = Trap(service: service, notification: notification)
            // A thread outside this pid namespace has no number here: nothing can be learnt of it.
            if notification.tid == 0 {
                trap.fail(EPERM)
            } else {
                var trap: Trap? = trap
                while let one = trap {
                    if case .waits = mediator.handle(one) {
                        wait(for: one, of: mediator.acting?.token.token.user)
                    }
                    trap = mediator.next
                }
            }
        }
        state.withLock { state in
            state.threads.remove(tid)
            state.count -= 1
            crowd.threadCount.store(state.count, ordering: .relaxed)
            state.activeCount -= 1
        }
    }

    private func takeSeat() -> Bool {
        var taken = seated.load(ordering: .relaxed)
        while taken < seats.load(ordering: .relaxed) {
            let attempt = seated.compareExchange(
                expected: taken, desired: taken + 1, ordering: .acquiringAndReleasing)
            if attempt.exchanged { return true }
            taken = attempt.original
        }
        return false
    }

    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    // MARK: Lookout

    /// Waits until there is work for one thread more; false: there are enough who wait for that.
    private func rest() -> Bool {
        enum Role { case active, lookout, spare, none }
        let role = state.withLock { state -> Role in
            guard state.activeCount > 1 else { return .active }
            if !state.hasLookout {
                state.hasLookout = true
            } else if state.spareCount < Self.largestSpareCount {
                state.spareCount += 1
                state.activeCount -= 1
                return .spare
            } else {
                return .none
            }
            state.activeCount -= 1
            return .lookout
        }
        switch role {
        case .active:
            return true
        case .none:
            return false
        case .spare:
            // Woken to be the next lookout.
            while !spares.wait(), !service.hasEnded {}
            keepLookout()
        case .lookout:
            keepLookout()
        }
        return true
    }

    /// Returns when there is work for one thread more, with another one on the lookout: at no time may all be held
    /// up and none see it.
    private func keepLookout() {
        look()
        state.withLock { state in
            state.activeCount += 1
            guard !service.hasEnded else { return }
            if state.spareCount > 0 {
                state.spareCount -= 1
                spares.signal()
            } else if !addThread(&state, asLookout: true) {
                // The next one that rests.
                state.hasLookout = false
            }
        }
    }

    private func look() {
        var seen = taken.load(ordering: .sequentiallyConsistent)
        var quiet = 0
        while !service.hasEnded {
            if quiet < Self.looksBeforeSleep {
                lookout.wait(milliseconds: Self.patience)
            } else {
                lookoutSleeps.store(true, ordering: .sequentiallyConsistent)
                if taken.load(ordering: .sequentiallyConsistent) == seen { lookout.wait() }
                lookoutSleeps.store(false, ordering: .sequentiallyConsistent)
                quiet = 0
            }
            if helpIsWanted.exchange(false, ordering: .acquiringAndReleasing) { return }
            let now = taken.load(ordering: .sequentiallyConsistent)
            if now != seen {
                seen = now
                quiet = 0
            } else if seated.load(ordering: .acquiring) == 0 {
                return
            } else {
                quiet += 1
            }
        }
    }

    /// Traps queue up: one thread more, if there is a processor for it, and as many may wait as there are.
    private func callForHelp() {
        let (mayHelp, count) = state.withLock { state in
            let mayHelp = state.hasLookout && state.activeCount < Self.processorCount
            return (mayHelp, min(state.activeCount + (mayHelp ? 1 : 0), Self.processorCount))
        }
        seats.store(max(1, count), ordering: .relaxed)
        guard mayHelp else { return }
        helpIsWanted.store(true, ordering: .releasing)
        lookout.signal()
    }

    // MARK: Waiting for somebody else

    /// Handles a trap on a thread of its own, which may block until the call is done or its thread is gone.
    private func wait(for trap: Trap, of client: SID?) {
        let id = trap.notification.id
        let started = state.withLock { state -> Bool in
            guard state.waiting.count < Self.largestWaitingCount,
                client == nil
                    || state.waiting.values.count(where: { $0.client == client })
                        < Self.largestWaitingCountPerClient
            else { return false }
            state.waiting[id] = Waiting(caller: trap.tid, client: client)
            if !state.isWatching { state.isWatching = SystemThread.start("guise-watch") { self.watch() } }
            return state.isWatching
                && SystemThread.start("guise-wait") {
                    self.state.withLock { $0.waiting[id]?.thread = guise_gettid() }
                    if case .waits = Mediator(self.context, self.crowd).handle(trap, mayWait: true) {
                        trap.fail(EAGAIN)
                    }
                    self.state.withLock { _ = $0.waiting.removeValue(forKey: id) }
                }
        }
        if !started {
            state.withLock { _ = $0.waiting.removeValue(forKey: id) }
            trap.fail(EAGAIN)
        }
    }

    /// Interrupts whoever waits on behalf of a thread that is gone, or that has a signal to handle.
    private func watch() {
        let me = getpid()
        while true {
            usleep(50_000)
            let waiting = state.withLock { state in
                if state.waiting.isEmpty { state.isWatching = false }
                return state.waiting
            }
            guard !waiting.isEmpty else { return }
            for (id, one) in waiting where one.thread != 0 {
                if !guise_notification_is_pending(service.listener, id) || hasSignal(one.caller) {
                    _ = guise_tgkill(me, one.thread, SystemThread.interruption)
                }
            }
        }
    }
}
