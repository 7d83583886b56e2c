import Glibc
import Synchronization

/// Whom the kernel takes accounts' users for, as the name service switch said no longer than a second ago, and not before
/// the machine's own files were last changed. To ask it takes as long as to judge a client, and longer for who is not in
/// these files.
final class RememberedUsers: Sendable {
    /// The most users, and for how many milliseconds.
    static let largestCount = 1024
    static let longest: UInt64 = 1000

    private struct User: Hashable {
        let uid: UInt32?
        let group: UInt32?
    }
    private struct Remembered {
        let credentials: UnixCredentials
        let time: UInt64
    }
    private struct State {
        var users: [User: Remembered] = [:]
        var files: [Int] = []
    }
    private let state = Mutex(State())

    func credentials(
        of account: Account, ask: () throws(LogonError) -> UnixCredentials
    ) throws(LogonError) -> UnixCredentials {
        let user = User(uid: account.unixID, group: account.unixGroup)
        let (files, now) = (Self.files(), WallClock.steadyMilliseconds)
        let known = state.withLock { state -> UnixCredentials? in
            guard state.files == files, let known = state.users[user], now < known.time + Self.longest
            else { return nil }
            return known.credentials
        }
        if let known { return known }
        let credentials = try ask()
        state.withLock { state in
            if state.files != files || state.users.count >= Self.largestCount { state.users = [:] }
            state.files = files
            state.users[user] = Remembered(credentials: credentials, time: now)
        }
        return credentials
    }

    /// What tells whether the files were changed.
    private static func files() -> [Int] {
        ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"].flatMap { path in
            var status = stat()
            guard stat(path, &status) == 0 else { return [0] }
            return [Int(status.st_ino), status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
        }
    }
}
