import AccessControl

/// The logon that an account would get, to look at: nothing of it counts anywhere.
enum NominalLogon {
    /// - Parameter name: of any form, or a SID. May ask the name service switch.
    static func of(_ name: String, _ directory: AccountDirectory) throws(LogonError) -> Logon {
        guard let sid = directory.sid(named: name) else { throw .unknownAccount(name: name) }
        if sid == .system { return try unix(uid: 0, directory) }
        if let account = directory.account(sid: sid) {
            guard let uid = account.unixID else { throw .noUser(name: name) }
            switch account.kind {
            case .group: throw .noUser(name: name)
            case .service: return try service(account, uid, directory)
            case .user: return try unix(uid: uid, group: account.unixGroup, directory)
            }
        }
        guard let uid = sid.rid, sid == .unixUser(uid) else { throw .noUser(name: name) }
        return try unix(uid: uid, directory)
    }

    private static func unix(
        uid: UInt32, group: UInt32? = nil, _ directory: AccountDirectory
    ) throws(LogonError) -> Logon {
        let groups = UnixNames.logonGroups(ofUser: uid)
        let credentials = UnixCredentials(
            uid: uid, gid: groups?.primary ?? group ?? uid, groups: groups?.others ?? [])
        let recipe = UnixLogonRecipe(credentials, directory)
        let session = LogonSession(id: 0, user: recipe.user, kind: .unix)
        return Logon(session: session, token: try recipe.token(in: session), credentials: credentials)
    }

    private static func service(
        _ account: Account, _ uid: UInt32, _ directory: AccountDirectory
    ) throws(LogonError) -> Logon {
        let credentials = UnixCredentials(
            uid: uid, gid: account.unixGroup ?? uid, groups: directory.unixGroups(of: account.sid))
        let recipe = ServiceLogonRecipe(account, credentials, directory)
        let session = LogonSession(id: 0, user: account.sid, kind: .service)
        return Logon(session: session, token: try recipe.token(in: session), credentials: credentials)
    }
}
