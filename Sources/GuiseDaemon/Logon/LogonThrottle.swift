import Glibc

/// Makes who guesses passwords wait. What counts is how often one caller, by its uid, failed at one account: others
/// log the same account on meanwhile, and the caller others. So nobody locks an account for anybody but himself.
struct LogonThrottle {
    /// Failures that cost nothing.
    static let freeFailures = 3
    /// The most seconds between two attempts.
    static let longestDelay = 60
    /// Failures are forgotten after this many seconds without another.
    static let memory = 15 * 60
    /// Failures are counted in so many places for each caller, where an account has its own by its hash: nothing is
    /// forgotten to make room. Who tries more accounts than that makes nobody wait but himself.
    static let placeCount = 1 << 16
    /// Of so many callers those are forgotten who have nothing to wait for.
    static let callerCountBeforeSweep = 1024

    private struct Failures {
        /// Whose they are, by its whole hash.
        let account: Int
        /// Whether others have failed here, too. Then nobody's success makes up for them.
        var isShared = false
        var count = 0
        var last: Int

        func isOver(_ now: Int) -> Bool { now - last >= LogonThrottle.memory }
    }
    /// By caller, and place.
    private var failures: [UInt32: [Int: Failures]] = [:]
    private var sweepAt = callerCountBeforeSweep

    /// Seconds that never go backwards, and go on while the machine sleeps.
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return time.tv_sec
    }

    /// Hashed by a key that nobody outside knows: whose places are the same is not to be found out beforehand.
    private static func place(of account: String) -> (hash: Int, index: Int) {
        let hash = account.hashValue
        return (hash, hash & (placeCount - 1))
    }

    /// How many seconds a caller has to wait before it may try an account again; 0: it may now.
    func delay(_ user: UInt32, _ account: String, now: Int) -> Int {
        guard let failed = failures[user]?[Self.place(of: account).index],
            failed.count >= Self.freeFailures, !failed.isOver(now)
        else { return 0 }
        let delay = min(1 << min(failed.count - Self.freeFailures, 6), Self.longestDelay)
        return max(0, failed.last + delay - now)
    }

    /// As ``delay(_:_:now:)``, of who then tries: whoever has failed too often tries once and not at several places at
    /// the same time.
    mutating func begin(_ user: UInt32, _ account: String, now: Int) -> Int {
        let delay = delay(user, account, now: now)
        let index = Self.place(of: account).index
        if delay == 0, let failed = failures[user]?[index], failed.count >= Self.freeFailures,
            !failed.isOver(now)
        {
            failures[user]?[index]?.last = now
        }
        return delay
    }

    mutating func failed(_ user: UInt32, _ account: String, now: Int) {
        let (hash, index) = Self.place(of: account)
        if failures[user] == nil, failures.count >= sweepAt { sweep(now) }
        var known = failures[user]?[index] ?? Failures(account: hash, last: now)
        if known.isOver(now) { known = Failures(account: hash, last: now) }
        if known.account != hash { known.isShared = true }
        known.count += 1
        known.last = now
        failures[user, default: [:]][index] = known
    }

    mutating func succeeded(_ user: UInt32, _ account: String) {
        let (hash, index) = Self.place(of: account)
        guard let known = failures[user]?[index], known.account == hash, !known.isShared else { return }
        failures[user]?[index] = nil
        if failures[user]?.isEmpty == true { failures[user] = nil }
    }

    private mutating func sweep(_ now: Int) {
        failures = failures.compactMapValues { accounts in
            let left = accounts.filter { !$0.value.isOver(now) }
            return left.isEmpty ? nil : left
        }
        sweepAt = max(Self.callerCountBeforeSweep, 2 * failures.count)
    }
}
