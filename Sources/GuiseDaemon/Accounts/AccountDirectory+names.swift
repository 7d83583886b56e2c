package import AccessControl

extension AccountDirectory {
    /// The name people use for a SID: of a well-known identity, an account, or a Unix user or group.
    ///
    /// May ask the name service switch, so not for the path of a decision.
    package func name(of sid: SID) -> String? {
        if let name = knownName(of: sid) { return name }
        guard let rid = sid.rid else { return nil }
        if sid == .unixUser(rid) { return UnixNames.user(rid).map { "\(WellKnownNames.unixUser)\\\($0)" } }
        if sid == .unixGroup(rid) { return UnixNames.group(rid).map { "\(WellKnownNames.unixGroup)\\\($0)" } }
        return nil
    }

    /// The same as far as it is known without asking anybody.
    package func knownName(of sid: SID) -> String? {
        WellKnownNames.name(of: sid) ?? account(sid: sid).map(qualifiedName)
    }

    /// The SID behind a name as `name(of:)` writes it, a bare account name, or a SID in text form.
    package func sid(named name: String) -> SID? {
        if let sid = SID(name) { return sid }
        if let sid = WellKnownNames.sid(named: name) { return sid }
        guard let backslash = name.firstIndex(of: "\\") else { return account(named: name)?.sid }

        let domain = name[..<backslash]
        let rest = String(name[name.index(after: backslash)...])
        switch domain.lowercased() {
        case WellKnownNames.unixUser.lowercased():
            return UnixNames.userID(named: rest).map(SID.unixUser)
        case WellKnownNames.unixGroup.lowercased():
            return UnixNames.groupID(named: rest).map(SID.unixGroup)
        default:
            guard let account = account(named: rest),
                qualifiedName(of: account).lowercased() == name.lowercased()
            else { return nil }
            return account.sid
        }
    }

    private func qualifiedName(of account: Account) -> String {
        switch account.kind {
        case .service: "\(WellKnownNames.ntService)\\\(account.name)"
        case .group where account.isBuiltIn: "\(WellKnownNames.builtIn)\\\(account.name)"
        case .user, .group: account.name
        }
    }
}
