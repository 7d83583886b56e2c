import AccessControl
import Synchronization

/// Checks passwords: says who an account's bearer is, or that he is not.
final class PasswordLogons: Sendable {
    let line = HashingLine()
    private let accounts: AccountStore
    private let throttle = Mutex(LogonThrottle())

    init(accounts: AccountStore) { self.accounts = accounts }

    /// An account that was found to be its bearer's.
    struct Proven: Sendable {
        let account: Account
        let credentials: UnixCredentials
        /// Of the password that was said.
        let hash: PasswordHash
    }

    /// Refuses a caller that has to wait before it tries the account again.
    func checkDelay(_ caller: UInt32, _ name: String) throws(Refused) {
        let key = key(of: name, accounts.directory)
        let delay = throttle.withLock { $0.delay(caller, key, now: LogonThrottle.now) }
        guard delay == 0 else {
            throw Refused(
                .limit,
                "too many wrong passwords for \(quoted(name)) from uid \(caller); try again in \(delay) s")
        }
    }

    /// Checks a password. To be called in the line: takes as long as hashing does, whatever it comes to.
    ///
    /// - Throws: `logonFailure`, which does not say whether it was the name or the password; `internal` when it is not
    ///   known which groups the user is in.
    func prove(_ name: String, _ password: Password, for caller: UInt32) throws(Refused) -> Proven {
        // Those before in the line may have failed.
        try checkDelay(caller, name)
        let directory = accounts.directory
        let key = key(of: name, directory)
        let account = account(named: name, directory)
        let hash: PasswordHash?
        do {
            // Asked for an account that is nobody's, too: that takes its time as well.
            hash = try accounts.passwordHash(of: account?.sid ?? .null)
        } catch { throw Refused(error) }
        guard let isRight = password.matches(hash) else {
            throw Refused(.internal, "there is no memory to check a password")
        }
        guard isRight, let account, let hash else {
            throttle.withLock { $0.failed(caller, key, now: LogonThrottle.now) }
            throw Self.failure(name)
        }
        throttle.withLock { $0.succeeded(caller, key) }
        // A name service that hangs keeps nobody else from hashing.
        line.leave(caller)
        do throws(LogonError) {
            let credentials = try NominalLogon.credentials(of: account, directory)
            return Proven(account: account, credentials: credentials, hash: hash)
        } catch { throw Refused(error) }
    }

    /// Refuses a password that was changed since it was found to be right.
    func checkUnchanged(_ user: Proven) throws(Refused) {
        let hash: PasswordHash?
        do { hash = try accounts.passwordHash(of: user.account.sid) } catch { throw Refused(error) }
        guard hash == user.hash else { throw Self.failure(user.account.name) }
    }

    static func failure(_ name: String) -> Refused {
        Refused(
            .logonFailure, "\(quoted(name)) was not logged on: wrong name or password, or it has no password")
    }

    /// The account that is meant, by its name, qualified or not, or its SID. Never asks the name service switch, which
    /// may answer one name later than another.
    func account(named name: String, _ directory: AccountDirectory) -> Account? {
        if let account = directory.account(named: name) { return account }
        return SID(name).flatMap(directory.account(sid:))
    }

    /// By what failures are counted: the same for every way to write an account. What is too long is no account's name.
    private func key(of name: String, _ directory: AccountDirectory) -> String {
        if let account = account(named: name, directory) { return account.sid.description }
        return String(String.UnicodeScalarView(AccountName.folded(name).unicodeScalars.prefix(64)))
    }
}
