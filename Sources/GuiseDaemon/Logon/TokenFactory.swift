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

    private struct Remembered {
        let generation: UInt64
        let logon: Logon
    }

    private let accounts: AccountStore
    private let sessions: LogonSessions
    private let remembered = Mutex<[UnixCredentials: Remembered]>([:])

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
    package func logon(_ credentials: UnixCredentials) throws(LogonError) -> Logon {
        let directory = accounts.directory
        let earlier = remembered.withLock { $0[credentials] }
        if let earlier, earlier.generation == directory.generation,
            sessions.isAlive(earlier.logon.session.id)
        {
            return earlier.logon
        }
        let recipe = UnixLogonRecipe(credentials, directory)
        return try remembered.withLock { remembered throws(LogonError) in
            // Somebody else may have been quicker.
            let known = remembered[credentials]
            if let known, known.generation == directory.generation,
                sessions.isAlive(known.logon.session.id)
            {
                return known.logon
            }
            let session =
                known.flatMap { sessions.session($0.logon.session.id) }.flatMap {
                    $0.user == recipe.user ? $0 : nil
                } ?? sessions.begin(user: recipe.user, kind: .unix)
            let logon = Logon(
                session: session, token: try recipe.token(in: session), credentials: credentials)
            if remembered.count >= Self.maximumRemembered, known == nil {
                remembered = remembered.filter { sessions.isAlive($0.value.logon.session.id) }
                if remembered.count >= Self.maximumRemembered, let any = remembered.keys.first {
                    remembered[any] = nil
                }
            }
            remembered[credentials] = Remembered(generation: directory.generation, logon: logon)
            return logon
        }
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
        guard let account = directory.account(sid: user.account.sid), account.hasPassword,
            account.unixID == user.account.unixID
        else { throw .unknownAccount(name: user.account.name) }
        let recipe = UnixLogonRecipe(account, user.credentials, directory, type: type)
        let session = sessions.begin(user: account.sid, kind: .password(type), creator: creator)
        do throws(LogonError) {
            return Logon(
                session: session, token: try recipe.token(in: session), credentials: user.credentials)
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
