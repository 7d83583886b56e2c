import AccessControl

/// The logon that an account would get, to look at: nothing of it counts anywhere.
enum NominalLogon {
    /// - Parameter name: of any form, or a SID. May ask the name service switch.
    static func of(_ name: String, _ directory: AccountDirectory) throws(LogonError) -> Logon {
        guard let sid = directory.sid(named: name) else { throw .unknownAccount(name: name) }
        if sid == .system { return try unix(uid: 0, directory) }
        if let account = directory.account(sid: sid) {
            switch account.kind {
            case .user:
                return try unix(UnixLogonRecipe(account, try credentials(of: account, directory), directory))
            case .service:
                guard let credentials = directory.credentials(ofService: account) else {
                    throw .noUser(name: name)
                }
                return try service(account, credentials, directory)
            case .group: throw .noUser(name: name)
            }
        }
        guard let uid = sid.rid, sid == .unixUser(uid) else { throw .noUser(name: name) }
        return try unix(uid: uid, directory)
    }

    /// Whom the kernel takes a user's account for at a logon: nobody when it has no Unix user. Asks the name service
    /// switch.
    static func credentials(
        of account: Account, _ directory: AccountDirectory
    ) throws(LogonError) -> UnixCredentials {
        guard let uid = account.unixID else { return .nobody }
        return try credentials(of: uid, group: account.unixGroup)
    }

    private static func credentials(
        of uid: UInt32, group: UInt32? = nil
    ) throws(LogonError) -> UnixCredentials {
        do throws(UnixNames.Unavailable) {
            guard let login = try UnixNames.login(of: uid) else {
                return UnixCredentials(uid: uid, gid: group ?? uid, groups: [])
            }
            return try UnixNames.credentials(of: login)
        } catch { throw .groupsUnknown(uid: uid, errno: error.errno) }
    }

    private static func unix(uid: UInt32, _ directory: AccountDirectory) throws(LogonError) -> Logon {
        try unix(UnixLogonRecipe(try credentials(of: uid), directory))
    }

    private static func unix(_ recipe: UnixLogonRecipe) throws(LogonError) -> Logon {
        let session = LogonSession(id: 0, user: recipe.user, kind: .unix)
        return Logon(
            session: session, token: try recipe.token(in: session), credentials: recipe.credentials)
    }

    private static func service(
        _ account: Account, _ credentials: UnixCredentials, _ directory: AccountDirectory
    ) throws(LogonError) -> Logon {
        let recipe = ServiceLogonRecipe(account, credentials, directory)
        let session = LogonSession(id: 0, user: account.sid, kind: .service)
        return Logon(session: session, token: try recipe.token(in: session), credentials: credentials)
    }
}
