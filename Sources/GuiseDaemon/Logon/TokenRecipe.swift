import AccessControl

/// The groups of a token in the making: in the order given, each once.
struct GroupList {
    private(set) var groups: [Token.Group] = []
    private var seen: Set<SID> = []

    mutating func add(_ sid: SID, _ attributes: Token.Group.Attributes = .usual) {
        if seen.insert(sid).inserted { groups.append(Token.Group(sid, attributes)) }
    }

    mutating func add(_ accounts: [Account]) {
        for account in accounts {
            // Administrators may be the owner of what their members make.
            add(account.sid, account.sid == .administrators ? [.usual, .owner] : .usual)
        }
    }

    func contains(_ sid: SID) -> Bool { seen.contains(sid) }
}

extension PrivilegeSet {
    /// What counts without being enabled first, for users, as on Windows; and what no program of Linux would enable.
    fileprivate static let enabledForUsers: PrivilegeSet = [
        .changeNotify, .impersonate, .createGlobal, .bindPrivilegedPort,
    ]
}

/// What the token of a process with Unix credentials is made from.
struct UnixLogonRecipe {
    let user: SID
    let credentials: UnixCredentials
    /// What new objects have for their group.
    private let primaryGroup: SID
    private let groups: GroupList
    private let present: PrivilegeSet
    private let enabled: PrivilegeSet
    private let integrity: IntegrityLevel

    /// Of a process, or of a Unix user.
    ///
    /// - Parameter type: of the logon, for a user who was logged on.
    init(_ credentials: UnixCredentials, _ directory: AccountDirectory, type: LogonType? = nil) {
        let account = credentials.isRoot ? nil : directory.account(unixUser: credentials.uid)
        self.init(account, credentials, type, directory)
    }

    /// Of a user's account.
    ///
    /// - Parameter type: of the logon.
    init(
        _ account: Account, _ credentials: UnixCredentials, _ directory: AccountDirectory,
        type: LogonType? = nil
    ) {
        self.init(.some(account), credentials, type, directory)
    }

    private init(
        _ account: Account?, _ credentials: UnixCredentials, _ type: LogonType?, _ directory: AccountDirectory
    ) {
        self.credentials = credentials
        user = credentials.isRoot ? .system : account?.sid ?? .unixUser(credentials.uid)
        // Whom the kernel takes for nobody because it has no Unix user is not whom others know as that nobody.
        let hasUnixUser = account == nil || account?.unixID != nil
        primaryGroup = hasUnixUser ? .unixGroup(credentials.gid) : .users

        var groups = GroupList()
        groups.add(.everyone)
        if let type { groups.add(type.sid) }
        groups.add(.authenticatedUsers)
        groups.add(.local)
        let gids = hasUnixUser ? [credentials.gid] + credentials.groups : []
        let mapped = gids.compactMap(directory.group(unixGroup:))
        var direct = [user, .users] + mapped.map(\.sid)
        let isAdministrator = credentials.isRoot || hasUnixUser && AuthorityUser.isOperator(credentials)
        if isAdministrator { direct.append(.administrators) }
        let inherited = directory.groups(holding: direct)
        if isAdministrator { groups.add(.administrators, [.usual, .owner]) }
        groups.add(.users)
        groups.add(mapped)
        groups.add(inherited)
        // As in Samba the Unix SIDs stay beside those of the accounts they are mapped to, so that a
        // descriptor from before the mapping goes on to mean what it meant.
        if hasUnixUser { groups.add(.unixUser(credentials.uid)) }
        for gid in gids { groups.add(.unixGroup(gid)) }
        self.groups = groups

        if credentials.isRoot {
            // Enabled, all of them: no tool of ours adjusts its token first, as those of Windows do.
            (present, enabled, integrity) = (.all, .all, .system)
            return
        }
        let holders =
            [
                account, directory.account(sid: .users),
                isAdministrator ? directory.account(sid: .administrators) : nil,
            ]
            .compactMap(\.self) + mapped + inherited
        present = holders.reduce([]) { $0.union($1.privileges) }
        enabled = present.intersection(.enabledForUsers)
        integrity = account?.integrity ?? (groups.contains(.administrators) ? .high : .medium)
    }

    func token(in session: LogonSession) throws(LogonError) -> Token.Primary {
        try finish(
            user: user, groups: groups, present: present, enabled: enabled, integrity: integrity,
            session: session, credentials: credentials, primaryGroup: primaryGroup)
    }
}

/// What the token of a service is made from that is started under its account.
struct ServiceLogonRecipe {
    private let account: Account
    private let credentials: UnixCredentials
    private let groups: GroupList
    private let privileges: PrivilegeSet

    init(_ account: Account, _ credentials: UnixCredentials, _ directory: AccountDirectory) {
        self.account = account
        self.credentials = credentials
        var groups = GroupList()
        groups.add(.everyone)
        groups.add(.users)
        groups.add(.service)
        groups.add(.authenticatedUsers)
        groups.add(.local)
        groups.add(.allServices)
        let inherited = directory.groups(holding: [account.sid, .users])
        groups.add(inherited)
        groups.add(.unixUser(credentials.uid))
        for gid in [credentials.gid] + credentials.groups {
            if let group = directory.group(unixGroup: gid) { groups.add([group]) }
            groups.add(.unixGroup(gid))
        }
        self.groups = groups
        // Of what Users hold a service gets SeChangeNotify alone: it was granted what else it needs.
        let holders = [account] + directory.groups(holding: [account.sid])
        let everybodys = directory.account(sid: .users)?.privileges.intersection([.changeNotify]) ?? []
        privileges = holders.reduce(everybodys) { $0.union($1.privileges) }
    }

    func token(in session: LogonSession) throws(LogonError) -> Token.Primary {
        try finish(
            user: account.sid, groups: groups, present: privileges, enabled: privileges,
            integrity: account.integrity ?? .system, session: session, credentials: credentials,
            primaryGroup: .unixGroup(credentials.gid))
    }
}

extension LogonSession.Kind {
    /// What a token names as its source.
    fileprivate var source: String {
        switch self {
        case .unix: "Unix"
        case .service: "Service"
        case .password: "Password"
        case .package(let name): String(name.prefix(8))
        }
    }
}

/// What both kinds of token have in common.
private func finish(
    user: SID, groups: GroupList, present: PrivilegeSet, enabled: PrivilegeSet, integrity: IntegrityLevel,
    session: LogonSession, credentials: UnixCredentials, primaryGroup: SID
) throws(LogonError) -> Token.Primary {
    var groups = groups
    groups.add(session.sid, [.usual, .logonID])
    var fields = Token.Fields(user: user, integrity: integrity, logonSession: session.id)
    fields.groups = groups.groups
    fields.privileges = Token.Privileges(present: present, enabled: enabled)
    fields.source = Token.Source(name: session.kind.source, id: session.id)
    fields.defaultGroup = primaryGroup
    // What inherits nothing belongs to its maker and the system.
    fields.defaultDACL = try? ACL([
        .allow(user, AccessMask<FileKind>.genericAll.rawValue),
        .allow(.system, AccessMask<FileKind>.genericAll.rawValue),
    ])
    do {
        return Token.Primary(try Token(fields))
    } catch { throw .tooManyGroups(uid: credentials.uid) }
}
