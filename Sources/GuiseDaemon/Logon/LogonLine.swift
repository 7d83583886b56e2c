import Synchronization

/// The line of those whose passwords are to be checked: so many at a time on the whole machine, fewer of each caller, and
/// the callers take turns.
final class LogonLine: Sendable {
    typealias Job = @Sendable () -> Void

    /// How many are checked at once.
    let width: Int
    /// How many of one caller are.
    let widthPerUser: Int
    /// How many may be about something else after they were checked.
    static let largestAwayCount = 32
    /// How many of one caller may wait.
    static let largestCountPerUser = 64
    /// How many may wait. When it is full whoever has none waiting is let in all the same.
    static let largestCount = 1024

    private struct State {
        var waiting: [UInt32: [Job]] = [:]
        /// The callers that wait, the next first.
        var turns: [UInt32] = []
        /// How many jobs of each run.
        var served: [UInt32: Int] = [:]
        /// Whose job checks nothing any more.
        var away: Set<UInt32> = []
        var count = 0
        var threads = 0

        func mayServe(_ user: UInt32, _ line: LogonLine) -> Bool {
            served[user, default: 0] < line.widthPerUser
        }

        /// Whether another thread is needed, which is counted then.
        mutating func takesThread(_ line: LogonLine) -> Bool {
            guard threads < line.width, turns.contains(where: { mayServe($0, line) }) else { return false }
            threads += 1
            return true
        }

        mutating func next(_ line: LogonLine) -> (user: UInt32, job: Job)? {
            guard let turn = turns.firstIndex(where: { mayServe($0, line) }) else { return nil }
            let user = turns.remove(at: turn)
            guard let job = waiting[user]?.removeFirst() else { return nil }
            if waiting[user]?.isEmpty == true { waiting[user] = nil } else { turns.append(user) }
            served[user, default: 0] += 1
            count -= 1
            return (user, job)
        }

        mutating func end(_ user: UInt32) {
            served[user] = served[user].flatMap { $0 > 1 ? $0 - 1 : nil }
        }
    }
    private let state = Mutex(State())

    init(width: Int, perUser widthPerUser: Int) { (self.width, self.widthPerUser) = (width, widthPerUser) }

    /// For hashing: each takes 16 MiB and a processor for some 30 ms.
    static func ofHashing() -> LogonLine { LogonLine(width: 2, perUser: 1) }

    /// For asking PAM, which mostly waits: for a file, a directory server, or for the delay after a wrong password.
    static func ofPAM() -> LogonLine { LogonLine(width: 32, perUser: 4) }

    /// Queues a job of a caller.
    func add(_ user: UInt32, _ job: @escaping Job) throws(Refused) {
        let needsThread = try state.withLock { state throws(Refused) in
            let own = state.waiting[user]?.count ?? 0
            guard own == 0 || state.count < Self.largestCount && own < Self.largestCountPerUser else {
                throw Refused(.limit, "too many passwords wait to be checked already; ask again")
            }
            if state.waiting[user] == nil { state.turns.append(user) }
            state.waiting[user, default: []].append(job)
            state.count += 1
            return state.takesThread(self)
        }
        guard needsThread, !SystemThread.start("guise-logon", { self.run() }) else { return }
        try state.withLock { state throws(Refused) in
            state.threads -= 1
            // Somebody else's thread will come to it.
            guard state.threads == 0, state.away.isEmpty else { return }
            for waiting in state.waiting.values { state.count -= waiting.count }
            (state.waiting, state.turns) = ([:], [])
            throw Refused(.internal, "no thread could be started to check the password")
        }
    }

    /// Says that the one running job of a caller has hashed, and does something from now on that may take long: the next
    /// may hash meanwhile. The caller's own wait on. For lines that serve one of each caller.
    func leave(_ user: UInt32) {
        let needsThread = state.withLock { state in
            guard widthPerUser == 1, state.served[user] != nil, state.away.count < Self.largestAwayCount,
                state.away.insert(user).inserted
            else { return false }
            state.threads -= 1
            return state.takesThread(self)
        }
        // Without a thread it is this one that comes to them, later.
        if needsThread, !SystemThread.start("guise-logon", { self.run() }) {
            state.withLock { $0.threads -= 1 }
        }
    }

    private func run() {
        while true {
            let next = state.withLock { state in
                let next = state.next(self)
                if next == nil { state.threads -= 1 }
                return next
            }
            guard let next else { return }
            next.job()
            let goesOn = state.withLock { state in
                state.end(next.user)
                return state.away.remove(next.user) == nil || state.takesThread(self)
            }
            guard goesOn else { return }
        }
    }
}
