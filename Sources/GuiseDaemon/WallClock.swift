import Glibc

/// The time of day, for people: nothing is decided by it.
enum WallClock {
    /// Milliseconds since 1970, UTC.
    static var milliseconds: UInt64 {
        var now = timespec()
        guard clock_gettime(CLOCK_REALTIME, &now) == 0, now.tv_sec >= 0 else { return 0 }
        return UInt64(now.tv_sec) * 1000 + UInt64(now.tv_nsec) / 1_000_000
    }
}
