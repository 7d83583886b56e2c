package import AccessControl
import Synchronization

/// What a logon yields: a token, and who the kernel takes its bearer for.
package struct Logon: Sendable {
    package let session: LogonSession
    package let token: Token.Primary
    package let credentials: UnixCredentials
}

/// Makes tokens of what the kernel says about a process and what the accounts say about its user.
package final class TokenFactory: Sendable {
    /// How many Unix logons are remembered; more only cost making their tokens again.
    package static let maximumRemembered = 4096

    /// How many sessions one Unix user has, one for each set of groups. None can be ended to make room: nobody knows
    /// which tokens are still in use.
    static let largestCountPerUser = 1024

    private struct State {
        var logons: [UnixCredentials: Remembered] = [:]
        /// By uid: the sessions, also those whose logon is not remembered.
        var sessions: [UInt32: [UnixCredentials: UInt64]] = [:]
    }

    private struct Remembered {
        let generation: UInt64
        let logon: Logon
    }

    private let accounts: AccountStore
    private let sessions: LogonSessions
    private let remembered = Mutex(State())

    package init(accounts: AccountStore, sessions: LogonSessions) {
        self.accounts = accounts
        self.sessions = sessions
    }

    /// The accounts as they are now.
    var directory: AccountDirectory { accounts.directory }

    /// The logon of whoever has these credentials.
    ///
    /// Equal credentials share one session and one token until the accounts change or the session ends.
    /// After a change the session goes on with a new token, as long as the credentials stand for the same
    /// user; tokens that were given out stay as they are.
    ///
    /// - Throws: `tooManySessions` for a set of groups beyond those that a user other than root may have.
    package func logon(_ credentials: UnixCredentials) throws(LogonError) -> Logon {
        let directory = accounts.directory
        let earlier = remembered.withLock { $0.logons[credentials] }
        if let earlier, earlier.generation == directory.generation,
            sessions.isAlive(earlier.logon.session.id)
        {
            return earlier.logon
        }
        let recipe = UnixLogonRecipe(credentials, directory)
        return try remembered.withLock { state throws(LogonError) in
            // Somebody else may have been quicker.
            let known = state.logons[credentials]
            if let known, known.generation == directory.generation,
                sessions.isAlive(known.logon.session.id)
            {
                return known.logon
            }
            let session = try session(of: recipe.user, credentials, &state.sessions)
            let logon = Logon(
                session: session, token: try recipe.token(in: session), credentials: credentials)
            if state.logons.count >= Self.maximumRemembered, known == nil {
                state.logons = state.logons.filter { sessions.isAlive($0.value.logon.session.id) }
                if state.logons.count >= Self.maximumRemembered, let any = state.logons.keys.first {
                    state.logons[any] = nil
                }
            }
            state.logons[credentials] = Remembered(generation: directory.generation, logon: logon)
            return logon
        }
    }

    /// The session of these credentials, a new one if they have none of this user.
    private func session(
        of user: SID, _ credentials: UnixCredentials, _ known: inout [UInt32: [UnixCredentials: UInt64]]
    ) throws(LogonError) -> LogonSession {
        var own = known[credentials.uid] ?? [:]
        if let session = own[credentials].flatMap(sessions.session), session.user == user { return session }
        if own[credentials] == nil, own.count >= Self.largestCountPerUser, !credentials.isRoot {
            own = own.filter { sessions.isAlive($0.value) }
            guard own.count < Self.largestCountPerUser else { throw .tooManySessions(uid: credentials.uid) }
        }
        let session = sessions.begin(user: user, kind: .unix)
        own[credentials] = session.id
        known[credentials.uid] = own
        return session
    }

    /// A new logon of a user whose password was said, in a session of its own.
    ///
    /// - Parameters:
    ///   - user: as it was proven; what became of it since counts.
    ///   - creator: the session that the password was said in.
    func passwordLogon(
        _ user: PasswordLogons.Proven, _ type: LogonType, creator: UInt64
    ) throws(LogonError) -> Logon {
        let directory = accounts.directory
        let recipe: UnixLogonRecipe
        if let proven = user.account {
            guard let account = directory.account(sid: proven.sid),
                account.hasPassword == user.hasOwnPassword,
                account.unixID == proven.unixID
            else { throw .unknownAccount(name: proven.name) }
            recipe = UnixLogonRecipe(account, user.credentials, directory, type: type)
        } else {
            let uid = user.credentials.uid
            guard directory.account(unixUser: uid) == nil else { throw .unknownAccount(name: "\(user.sid)") }
            recipe = UnixLogonRecipe(user.credentials, directory, type: type)
        }
        return try logon(recipe, user.credentials, .password(type), creator)
    }

    /// A new logon of a user whom a security package found out, in a session of its own.
    ///
    /// - Parameters:
    ///   - known: as the rules had it; what became of it since counts.
    ///   - creator: the session of the service that the client came to.
    ///   - rule: the mapping rule that names the account.
    ///   - expiry: when the proof expires, and the session with it; milliseconds since 1970.
    func packageLogon(
        _ known: Account, _ credentials: UnixCredentials, package: String, creator: UInt64, rule: Int64,
        expiry: UInt64?
    ) throws(LogonError) -> Logon {
        let directory = accounts.directory
        guard let account = directory.account(sid: known.sid), account.unixID == known.unixID else {
            throw .unknownAccount(name: known.name)
        }
        let recipe = UnixLogonRecipe(account, credentials, directory, type: .network)
        return try logon(recipe, credentials, .package(package), creator, rule: rule, expiry: expiry)
    }

    private func logon(
        _ recipe: UnixLogonRecipe, _ credentials: UnixCredentials, _ kind: LogonSession.Kind,
        _ creator: UInt64,
        rule: Int64? = nil, expiry: UInt64? = nil
    ) throws(LogonError) -> Logon {
        let session = sessions.begin(
            user: recipe.user, kind: kind, creator: creator, rule: rule, expiry: expiry)
        do throws(LogonError) {
            return Logon(session: session, token: try recipe.token(in: session), credentials: credentials)
        } catch {
            sessions.end(session.id)
            throw error
        }
    }

    /// A new logon of a service, in a session of its own: whoever starts the service ends it.
    ///
    /// - Parameter starter: who starts it. Without root it can be nobody else.
    package func serviceLogon(
        named name: String, startedBy starter: UnixCredentials? = nil
    ) throws(LogonError) -> Logon {
        let directory = accounts.directory
        guard let sid = directory.sid(named: name), let account = directory.account(sid: sid) else {
            throw .unknownAccount(name: name)
        }
        guard account.kind == .service, let credentials = directory.credentials(ofService: account) else {
            throw .notAService(name: account.name)
        }
        let running = AuthorityUser.isRoot ? credentials : starter ?? credentials
        let recipe = ServiceLogonRecipe(account, running, directory)
        let session = sessions.begin(user: account.sid, kind: .service)
        do throws(LogonError) {
            return Logon(session: session, token: try recipe.token(in: session), credentials: running)
        } catch {
            sessions.end(session.id)
            throw error
        }
    }
}
