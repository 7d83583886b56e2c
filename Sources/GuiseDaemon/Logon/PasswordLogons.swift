import AccessControl
import Synchronization

/// Checks passwords: says who an account's bearer is, or that he is not.
final class PasswordLogons: Sendable {
    let line = LogonLine.ofHashing()
    let pamLine = LogonLine.ofPAM()
    let pam: PAMStack
    let accounts: AccountStore
    let throttle = Mutex(LogonThrottle())

    init(accounts: AccountStore, pam: PAMStack = PAMStack()) { (self.accounts, self.pam) = (accounts, pam) }

    /// Somebody who was found to be who he says.
    struct Proven: Sendable {
        /// nil: a user of the machine's who has none.
        let account: Account?
        let credentials: UnixCredentials
        let evidence: Evidence

        /// By what.
        enum Evidence: Sendable {
            /// The hash of the account's own password that was said.
            case password(PasswordHash)
            case pam
        }

        var hasOwnPassword: Bool {
            if case .password = evidence { true } else { false }
        }

        var sid: SID { account?.sid ?? .unixUser(credentials.uid) }
    }

    /// Why nobody was logged on, for the caller and for the record.
    struct Failure: Error {
        let refused: Refused
        /// Whom it was about, where there is such a user.
        var user: SID?
        /// What only the record has.
        var detail: String?
    }

    /// Refuses a caller that has to wait before it tries the account again.
    func checkDelay(_ caller: UInt32, _ name: String) throws(Refused) {
        let key = key(of: name, accounts.directory)
        try Self.check(throttle.withLock { $0.delay(caller, key, now: LogonThrottle.now) }, caller, name)
    }

    static func check(_ delay: Int, _ caller: UInt32, _ name: String) throws(Refused) {
        guard delay == 0 else {
            throw Refused(
                .limit,
                "too many wrong passwords for \(quoted(name)) from uid \(caller); try again in \(delay) s")
        }
    }

    /// Checks the password of an account of the authority's own. To be called in the line: takes as long as hashing does,
    /// whatever it comes to.
    ///
    /// - Throws: `logonFailure`, which does not say whether it was the name or the password; `internal` when it is not
    ///   known which groups the user is in.
    func prove(_ name: String, _ password: Password, for caller: UInt32) throws(Failure) -> Proven {
        let directory = accounts.directory
        let account = account(named: name, directory)
        func fail(_ refused: Refused) -> Failure { Failure(refused: refused, user: account?.sid) }
        // Those before in the line may have failed.
        do throws(Refused) { try checkDelay(caller, name) } catch { throw fail(error) }
        let key = key(of: name, directory)
        let hash: PasswordHash?
        do {
            // Asked for an account that is nobody's, too: that takes its time as well.
            hash = try accounts.passwordHash(of: account?.sid ?? .null)
        } catch { throw fail(Refused(error)) }
        guard let isRight = password.matches(hash) else {
            throw fail(Refused(.internal, "there is no memory to check a password"))
        }
        guard isRight, let account, let hash else {
            throttle.withLock { $0.failed(caller, key, now: LogonThrottle.now) }
            throw fail(failure(name))
        }
        throttle.withLock { $0.succeeded(caller, key) }
        // A name service that hangs keeps nobody else from hashing.
        line.leave(caller)
        do throws(LogonError) {
            let credentials = try NominalLogon.credentials(of: account, directory)
            return Proven(account: account, credentials: credentials, evidence: .password(hash))
        } catch { throw fail(Refused(error)) }
    }

    /// Refuses who is not any more whom the password was found to be of.
    func checkUnchanged(_ user: Proven) throws(Refused) {
        switch user.evidence {
        case .password(let said):
            let hash: PasswordHash?
            do { hash = try accounts.passwordHash(of: user.sid) } catch { throw Refused(error) }
            guard hash == said else { throw failure(user.account?.name ?? "") }
        case .pam:
            guard case .account(let account) = standing(ofUnixUser: user.credentials.uid, accounts.directory),
                account?.sid == user.account?.sid
            else { throw failure(user.account?.name ?? "\(user.sid)") }
        }
    }

    /// The same words for everybody, and so with what holds for all.
    func failure(_ name: String) -> Refused {
        let others = pam.defect.map { "; the machine's own users cannot be logged on: \($0)" } ?? ""
        return Refused(
            .logonFailure,
            "\(quoted(name)) was not logged on: wrong name or password, or it has no password\(others)")
    }

    /// The account that is meant, by its name, qualified or not, or its SID. Never asks the name service switch, which
    /// may answer one name later than another.
    func account(named name: String, _ directory: AccountDirectory) -> Account? {
        if let account = directory.account(named: name) { return account }
        return SID(name).flatMap(directory.account(sid:))
    }

    /// By what failures are counted: the same for every way to write an account. What is too long is no account's name.
    func key(of name: String, _ directory: AccountDirectory) -> String {
        if let account = account(named: name, directory) { return account.sid.description }
        return String(String.UnicodeScalarView(AccountName.folded(name).unicodeScalars.prefix(64)))
    }
}
