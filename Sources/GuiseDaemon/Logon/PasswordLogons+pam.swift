import AccessControl
import GuiseProtocol

/// Checks the passwords of the machine's own users, which PAM knows.
extension PasswordLogons {
    /// How a user of the machine's is named.
    enum UnixUser: Sendable {
        case name(String)
        case uid(UInt32)
    }

    /// The user that PAM is to be asked about; nil: the password is compared with the authority's own, or there is nobody to
    /// ask.
    ///
    /// An account that has a password here is logged on by that and by nothing else; one without by PAM, as the Unix user
    /// that it belongs to. Never asks the name service switch.
    func unixUser(named name: String) -> UnixUser? {
        guard pam.defect == nil else { return nil }
        let directory = accounts.directory
        if let account = account(named: name, directory) {
            guard account.kind == .user, !account.hasPassword else { return nil }
            return account.unixID.map(UnixUser.uid)
        }
        if let sid = SID(name) { return sid.rid.flatMap { sid == .unixUser($0) ? .uid($0) : nil } }
        guard WellKnownNames.sid(named: name) == nil else { return nil }
        let prefix = WellKnownNames.unixUser + "\\"
        let login =
            name.lowercased().hasPrefix(prefix.lowercased()) ? String(name.dropFirst(prefix.count)) : name
        return Self.isLogin(login) ? .name(login) : nil
    }

    /// Whether something may be a user's name to the machine. What may be taken for an option, a path or several fields is
    /// nobody's.
    private static func isLogin(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && !name.hasPrefix("-")
            && name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && !"/:,".utf8.contains($0) }
    }

    /// Whom a Unix user stands for here.
    enum Standing {
        /// Somebody who may be logged on by PAM, with or without an account.
        case account(Account?)
        /// Nobody who may; why.
        case excluded(String)
    }

    func standing(ofUnixUser uid: UInt32, _ directory: AccountDirectory) -> Standing {
        // SYSTEM is who starts the authority, and nobody that a service may become by guessing.
        if uid == 0 { return .excluded("root is not logged on by password") }
        guard uid != UnixCredentials.nobody.uid, uid != .max else {
            return .excluded("uid \(uid) stands for nobody")
        }
        guard let account = directory.account(unixUser: uid) else { return .account(nil) }
        guard account.kind == .user else {
            return .excluded("\(account.name) is no user")
        }
        guard !account.hasPassword else {
            return .excluded("\(account.name) has a password of its own here")
        }
        return .account(account)
    }

    /// Checks a password by PAM. To be called in PAM's line: takes as long as PAM does, ``PAMStack/largestTime`` at most,
    /// and what the name service takes to find a user.
    ///
    /// - Throws: `logonFailure`, which does not say whether it was the name or the password, or another of its kind where
    ///   the password was right; `limit` for a caller that has to wait, and when PAM does not answer; `internal` when it
    ///   does not work.
    func prove(
        _ user: UnixUser, named name: String, _ password: Password, for caller: UInt32
    ) throws(Failure) -> Proven {
        let directory = accounts.directory
        // That nobody can be asked whether there is such a user does not pass for "there is none".
        let known: UnixNames.Login?
        do throws(UnixNames.Unavailable) {
            known =
                switch user {
                case .name(let name): try UnixNames.login(named: name)
                case .uid(let id): try UnixNames.login(of: id)
                }
        } catch {
            throw Failure(refused: Refused(LogonError.usersUnknown(name: name, errno: error.errno)))
        }
        let uid = known?.uid
        // Of a name that is nobody's the stack may make somebody.
        var login: String? = if case .name(let name) = user { name } else { known?.name }
        // PAM hears of nobody who is not to be logged on anyway, so that nobody guesses at root by it; it is asked all the
        // same, about a user that there is not, and takes its time.
        var exclusion: String?
        if let uid, case .excluded(let why) = standing(ofUnixUser: uid, directory) {
            (exclusion, login) = (why, nil)
        }
        let sid = uid.map(directory.sid(unixUser:))
        func fail(_ refused: Refused, _ detail: String? = nil, _ user: SID? = nil) -> Failure {
            Failure(refused: refused, user: user ?? sid, detail: detail)
        }
        // The same for every way to name a user.
        let key = sid?.description ?? key(of: name, directory)
        do throws(Refused) {
            try Self.check(throttle.withLock { $0.begin(caller, key, now: LogonThrottle.now) }, caller, name)
        } catch { throw fail(error) }
        let asker = UnixNames.user(caller) ?? "\(caller)"
        let answer = pam.ask(login ?? "\(sid ?? .null)", password, for: asker)
        // What modules say of a user that there is not may be what somebody typed in the wrong place.
        let detail = exclusion ?? (sid == nil ? nil : answer.account)
        switch answer.outcome {
        case .right where exclusion == nil:
            throttle.withLock { $0.succeeded(caller, key) }
            return try proven(answer.user, name: name, directory, fail)
        case .expired where exclusion == nil:
            throw fail(
                Refused(.accountExpired, "\(quoted(name)) was not logged on: the account has expired"), detail
            )
        case .change where exclusion == nil:
            throw fail(
                Refused(
                    .passwordExpired,
                    "\(quoted(name)) was not logged on: the password has expired; change it first, with passwd"
                ),
                detail)
        case .closed where exclusion == nil:
            throw fail(
                Refused(
                    .accountRestricted,
                    "\(quoted(name)) was not logged on: the machine (PAM) does not let the account in now"),
                detail)
        case .right, .wrong, .expired, .change, .closed:
            throttle.withLock { $0.failed(caller, key, now: LogonThrottle.now) }
            throw fail(failure(name), detail)
        case .failed, .late:
            // Whatever makes PAM fail: it does not make guessing cheaper.
            throttle.withLock { $0.failed(caller, key, now: LogonThrottle.now) }
            throw fail(
                answer.outcome == .late
                    ? Refused(
                        .limit,
                        "PAM did not answer in \(PAMStack.largestTime.components.seconds) s; try again later")
                    : Refused(.internal, "PAM could not check the password; the audit says why"),
                answer.account)
        }
    }

    /// Whoever PAM says it is in the end, looked up anew: modules may change the user.
    private func proven(
        _ login: String, name: String, _ directory: AccountDirectory,
        _ fail: (Refused, String?, SID?) -> Failure
    ) throws(Failure) -> Proven {
        let known: UnixNames.Login?
        do throws(UnixNames.Unavailable) {
            known = Self.isLogin(login) ? try UnixNames.login(named: login) : nil
        } catch { throw fail(Refused(LogonError.usersUnknown(name: name, errno: error.errno)), nil, nil) }
        guard let known else {
            throw fail(failure(name), "PAM says that it is a user whom nobody knows", nil)
        }
        let uid = known.uid
        let sid = directory.sid(unixUser: uid)
        let account: Account?
        switch standing(ofUnixUser: uid, directory) {
        case .excluded(let why): throw fail(failure(name), why, sid)
        case .account(let found): account = found
        }
        // The groups of the name that was proven: another one of the same uid may have more.
        do throws(UnixNames.Unavailable) {
            return Proven(
                account: account, credentials: try UnixNames.credentials(of: known), evidence: .pam)
        } catch { throw fail(Refused(LogonError.groupsUnknown(uid: uid, errno: error.errno)), nil, sid) }
    }
}
