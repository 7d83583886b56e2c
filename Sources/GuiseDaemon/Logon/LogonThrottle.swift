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
    /// Accounts that are remembered for one caller. Of more the one is forgotten that failed the longest ago: to get
    /// there takes longer than to wait.
    static let largestCountPerUser = 4096
    /// Accounts that are remembered in all.
    static let largestCount = 65_536

    private struct Failures {
        var count: Int
        var last: Int
    }
    private var failures: [UInt32: [String: Failures]] = [:]
    private var count = 0

    /// Seconds that never go backwards, and go on while the machine sleeps.
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return time.tv_sec
    }

    /// How many seconds a caller has to wait before it may try an account again; 0: it may now.
    func delay(_ user: UInt32, _ account: String, now: Int) -> Int {
        guard let failed = failures[user]?[account], failed.count >= Self.freeFailures,
            now - failed.last < Self.memory
        else { return 0 }
        let delay = min(1 << min(failed.count - Self.freeFailures, 6), Self.longestDelay)
        return max(0, failed.last + delay - now)
    }

    /// As ``delay(_:_:now:)``, of who then tries: whoever has failed too often tries once and not at several places at
    /// the same time.
    mutating func begin(_ user: UInt32, _ account: String, now: Int) -> Int {
        let delay = delay(user, account, now: now)
        if delay == 0, let failed = failures[user]?[account], failed.count >= Self.freeFailures,
            now - failed.last < Self.memory
        {
            failures[user]?[account]?.last = now
        }
        return delay
    }

    mutating func failed(_ user: UInt32, _ account: String, now: Int) {
        var known = failures[user]?[account] ?? Failures(count: 0, last: now)
        if now - known.last >= Self.memory { known.count = 0 }
        if failures[user]?[account] == nil {
            if failures[user, default: [:]].count >= Self.largestCountPerUser { forgetOldest(of: user) }
            if count >= Self.largestCount { forget(now: now) }
            count += 1
        }
        failures[user, default: [:]][account] = Failures(count: known.count + 1, last: now)
    }

    mutating func succeeded(_ user: UInt32, _ account: String) { remove(user, account) }

    private mutating func remove(_ user: UInt32, _ account: String) {
        guard failures[user]?.removeValue(forKey: account) != nil else { return }
        count -= 1
        if failures[user]?.isEmpty == true { failures[user] = nil }
    }

    private mutating func forgetOldest(of user: UInt32) {
        guard let oldest = failures[user]?.min(by: { $0.value.last < $1.value.last }) else { return }
        remove(user, oldest.key)
    }

    /// Drops what has expired, and if that is nothing, what whoever has most has longest.
    private mutating func forget(now: Int) {
        for (user, accounts) in failures {
            for (account, failed) in accounts where now - failed.last >= Self.memory { remove(user, account) }
        }
        guard count >= Self.largestCount,
            let most = failures.max(by: { $0.value.count < $1.value.count })?.key
        else { return }
        forgetOldest(of: most)
    }
}
