import Synchronization

/// The line of those whose passwords are to be hashed: a few at a time on the whole machine, since each takes 16 MiB and
/// a processor for some 30 ms, one at a time of each caller, and the callers take turns.
final class HashingLine: Sendable {
    typealias Job = @Sendable () -> Void

    /// How many are hashed at once.
    static let largestHasherCount = 2
    /// How many may be about something else after they hashed.
    static let largestAwayCount = 32
    /// How many of one caller may wait.
    static let largestCountPerUser = 64
    /// How many may wait. When it is full whoever has none waiting is let in all the same.
    static let largestCount = 1024

    private struct State {
        var waiting: [UInt32: [Job]] = [:]
        /// The callers that wait, the next first.
        var turns: [UInt32] = []
        var served: Set<UInt32> = []
        /// Those of the served whose job does not hash any more.
        var away: Set<UInt32> = []
        var count = 0
        var hashers = 0

        /// Whether another thread is needed, which is counted then.
        mutating func takesHasher() -> Bool {
            guard hashers < largestHasherCount, turns.contains(where: { !served.contains($0) }) else {
                return false
            }
            hashers += 1
            return true
        }

        mutating func next() -> (user: UInt32, job: Job)? {
            guard let turn = turns.firstIndex(where: { !served.contains($0) }) else { return nil }
            let user = turns.remove(at: turn)
            guard let job = waiting[user]?.removeFirst() else { return nil }
            if waiting[user]?.isEmpty == true { waiting[user] = nil } else { turns.append(user) }
            served.insert(user)
            count -= 1
            return (user, job)
        }
    }
    private let state = Mutex(State())

    /// Queues a job of a caller.
    func add(_ user: UInt32, _ job: @escaping Job) throws(Refused) {
        let needsHasher = try state.withLock { state throws(Refused) in
            let own = state.waiting[user]?.count ?? 0
            guard own == 0 || state.count < Self.largestCount && own < Self.largestCountPerUser else {
                throw Refused(.limit, "too many passwords wait to be checked already; ask again")
            }
            if state.waiting[user] == nil { state.turns.append(user) }
            state.waiting[user, default: []].append(job)
            state.count += 1
            return state.takesHasher()
        }
        guard needsHasher, !SystemThread.start("guise-hash", { self.run() }) else { return }
        try state.withLock { state throws(Refused) in
            state.hashers -= 1
            // Somebody else's thread will come to it.
            guard state.hashers == 0, state.away.isEmpty else { return }
            for waiting in state.waiting.values { state.count -= waiting.count }
            (state.waiting, state.turns) = ([:], [])
            throw Refused(.internal, "no thread could be started to check the password")
        }
    }

    /// Says that the running job of a caller has hashed, and does something from now on that may take long: the next may
    /// hash meanwhile. The caller's own wait on.
    func leave(_ user: UInt32) {
        let needsHasher = state.withLock { state in
            guard state.served.contains(user), state.away.count < Self.largestAwayCount,
                state.away.insert(user).inserted
            else { return false }
            state.hashers -= 1
            return state.takesHasher()
        }
        // Without a thread it is this one that comes to them, later.
        if needsHasher, !SystemThread.start("guise-hash", { self.run() }) {
            state.withLock { $0.hashers -= 1 }
        }
    }

    private func run() {
        while true {
            let next = state.withLock { state in
                let next = state.next()
                if next == nil { state.hashers -= 1 }
                return next
            }
            guard let next else { return }
            next.job()
            let goesOn = state.withLock { state in
                state.served.remove(next.user)
                return state.away.remove(next.user) == nil || state.takesHasher()
            }
            guard goesOn else { return }
        }
    }
}
