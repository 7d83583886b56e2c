import Glibc
import Synchronization

/// Threads for what may keep its thread waiting: looking up a path that a caller names, asking the name service switch,
/// closing what a caller sent. Only so many work for one user at once; more of that user's work waits its turn, and
/// nobody else's does.
final class Workers: Sendable {
    typealias Job = @Sendable () -> Void

    /// No user (chown(2): -1 is none): the authority's own work.
    static let nobody = UInt32.max
    /// The most threads that work for one user at once.
    static let largestCountPerUser = 16
    /// How many threads stay when there is nothing to do.
    private static let largestSpareCount = 2

    private struct State {
        /// By user: how many threads work, and what waits for one.
        var working: [UInt32: Int] = [:]
        var waiting: [UInt32: [Job]] = [:]
        /// What was handed to spare threads.
        var handed: [(UInt32, Job)] = []
        var spareCount = 0
    }
    private let state = Mutex(State())
    private let spares: Semaphore

    /// nil when there are no descriptors left.
    init?() {
        guard let spares = Semaphore() else { return nil }
        self.spares = spares
    }

    /// Has a job done, as soon as the user has a thread left. Does not wait.
    func run(for user: UInt32, _ job: @escaping Job) {
        state.withLock { state in
            state.waiting[user, default: []].append(job)
            start(user, &state)
        }
    }

    /// How many of a user's jobs wait for a thread.
    func waitingCount(of user: UInt32) -> Int { state.withLock { $0.waiting[user]?.count ?? 0 } }

    /// Tries again to start threads, after the machine had none to give.
    func retry() {
        state.withLock { state in
            for user in Array(state.waiting.keys) { start(user, &state) }
        }
    }

    /// Puts a user's jobs to threads, for as long as there are both.
    private func start(_ user: UInt32, _ state: inout State) {
        while state.working[user, default: 0] < Self.largestCountPerUser,
            let job = state.waiting[user]?.first
        {
            if state.spareCount > 0 {
                state.spareCount -= 1
                state.handed.append((user, job))
                spares.signal()
            } else if !SystemThread.start("guise-work", { self.work(user, job) }) {
                return
            }
            state.working[user, default: 0] += 1
            removeFirst(of: user, &state)
        }
    }

    private func removeFirst(of user: UInt32, _ state: inout State) {
        state.waiting[user]?.removeFirst()
        if state.waiting[user]?.isEmpty == true { state.waiting[user] = nil }
    }

    private func work(_ user: UInt32, _ job: @escaping Job) {
        var next: (user: UInt32, job: Job)? = (user, job)
        while let (user, job) = next {
            next = nil
            job()
            let isSpare = state.withLock { state -> Bool in
                if let waiting = state.waiting[user]?.first {
                    removeFirst(of: user, &state)
                    next = (user, waiting)
                    return false
                }
                state.working[user, default: 1] -= 1
                if state.working[user] == 0 { state.working[user] = nil }
                guard state.spareCount < Self.largestSpareCount else { return false }
                state.spareCount += 1
                return true
            }
            guard isSpare else { continue }
            // A signal can end a wait.
            while !spares.wait() {}
            next = state.withLock { $0.handed.removeFirst() }
        }
    }
}
