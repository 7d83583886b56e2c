package import AccessControl
import GRDB
import Synchronization

/// The accounts of this machine and its managed roots, kept in the state directory.
///
/// Reads come from memory. A change is one transaction, and is visible to every later read when the call
/// that made it returns.
package final class AccountStore: Sendable {
    private let directoryLock: StateDirectory
    private let database: Mutex<DatabaseQueue>
    private let current: Mutex<AccountDirectory>
    let mappings = RememberedMappings()
    let users = RememberedUsers()

    /// Opens the state of `directory`, making it when the directory is empty.
    ///
    /// - Throws: `StateError`; then nothing in the directory was changed.
    package convenience init(directory: String) throws(StateError) {
        try self.init(directory: StateDirectory(path: directory))
    }

    /// Opens the state of a directory that was checked and locked.
    package init(directory: consuming StateDirectory) throws(StateError) {
        let path = directory.path
        let queue = try AccountDatabase.open(in: directory)
        let loaded: AccountDirectory
        do {
            loaded = try queue.read { try AccountDatabase.read($0, generation: 0) }
        } catch { throw AccountDatabase.explain(error, path) }
        directoryLock = directory
        database = Mutex(queue)
        current = Mutex(loaded)
    }

    deinit {
        // Before the lock on the directory goes.
        database.withLock { try? $0.close() }
    }

    /// The state directory.
    package var statePath: String { directoryLock.path }

    /// What is wrong with the state directory by now, though the authority goes on with what it has read; nil when
    /// nothing is. Reads the whole database: not for the control thread.
    package func stateDefect() -> StateError? {
        do throws(StateError) {
            try directoryLock.checkAgain()
            try AccountDatabase.checkAgain(in: directoryLock)
            return nil
        } catch { return error }
    }

    /// Everything, as of now.
    package var directory: AccountDirectory { current.withLock { $0 } }

    /// The SID of this machine.
    package var machine: SID { directory.machine }

    /// Every account, ordered by name.
    package func list() -> [Account] { directory.accounts }

    /// The account of this name, in upper or lower case.
    package func account(named name: String) -> Account? { directory.account(named: name) }

    /// The account with this SID.
    package func account(sid: SID) -> Account? { directory.account(sid: sid) }

    /// The user or service that this uid belongs to.
    package func account(unixUser uid: UInt32) -> Account? { directory.account(unixUser: uid) }

    /// The group that this gid belongs to.
    package func group(unixGroup gid: UInt32) -> Account? { directory.group(unixGroup: gid) }

    /// The name people use for a SID. May ask the name service switch.
    package func name(of sid: SID) -> String? { directory.name(of: sid) }

    /// The SID behind a name. May ask the name service switch.
    package func sid(named name: String) -> SID? { directory.sid(named: name) }

    /// Every managed root, ordered by path.
    package func roots() -> [ManagedRoot] { directory.roots }

    /// Every registered abstract name, in order.
    package func endpoints() -> [RegisteredEndpoint] { directory.endpoints }

    // MARK: Changes

    /// Adds an account; its SID is made here.
    @discardableResult
    package func add(_ proposal: Account.Proposal) throws(AccountError) -> Account {
        try AccountName.validate(proposal.name)
        try Self.validateUnixIDs(proposal)
        try Self.validate(proposal.integrity, of: proposal.name, proposal.kind)
        let (after, sid) = try change { database, before in
            try before.requireFree(proposal)
            let groups = try proposal.groups.map { name in try before.requireGroup(named: name) }
            let sid = try Self.makeSID(for: proposal, before.machine, database)
            try database.execute(
                sql: """
                    INSERT INTO account (sid, name, folded, kind, unix_id, unix_group, integrity)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    sid.description, proposal.name, AccountName.folded(proposal.name), proposal.kind.rawValue,
                    proposal.unixID.map { Int64($0) }, proposal.unixGroup.map { Int64($0) },
                    proposal.integrity.map { Int64($0.rawValue) },
                ])
            try Self.grant(proposal.privileges, to: sid, database)
            for group in groups { try Self.join(group.sid, member: sid, database) }
            return Changed(sid, touched: [sid])
        }
        guard let account = after.account(sid: sid) else { throw .unknownAccount(name: proposal.name) }
        return account
    }

    /// Removes an account. Its SID is not given out again, except to a service of the same name.
    ///
    /// - Returns: the account as it was.
    @discardableResult
    package func remove(name: String) throws(AccountError) -> Account {
        let account = try change { database, before in
            let account = try before.requireAccount(named: name)
            guard !account.isBuiltIn else { throw AccountError.builtIn(name: account.name) }
            try database.execute(
                sql: "DELETE FROM account WHERE sid = ?", arguments: [account.sid.description])
            return Changed(account, touched: [account.sid] + before.members(of: account.sid).map(\.sid))
        }.result
        if account.hasPassword { emptyLog() }
        return account
    }

    /// Changes privileges, memberships and integrity, all or nothing; what is already so is no error.
    ///
    /// - Parameter integrity: `nil` to leave it alone, `.some(nil)` for what others of the kind have.
    @discardableResult
    package func change(
        name: String, grant: PrivilegeSet = [], revoke: PrivilegeSet = [], join: [String] = [],
        leave: [String] = [], integrity: IntegrityLevel?? = nil
    ) throws(AccountError) -> Account {
        let (after, sid) = try change { database, before in
            let account = try before.requireAccount(named: name)
            try Self.grant(grant.subtracting(revoke), to: account.sid, database)
            for privilege in revoke {
                try database.execute(
                    sql: "DELETE FROM privilege WHERE account = ? AND name = ?",
                    arguments: [account.sid.description, privilege.name])
            }
            for name in leave {
                let group = try before.requireGroup(named: name)
                try database.execute(
                    sql: "DELETE FROM membership WHERE member = ? AND container = ?",
                    arguments: [account.sid.description, group.sid.description])
            }
            for name in join {
                let group = try before.requireGroup(named: name)
                try before.requireNoCycle(account, joining: group)
                try Self.join(group.sid, member: account.sid, database)
            }
            if let integrity {
                try Self.validate(integrity, of: account.name, account.kind)
                try database.execute(
                    sql: "UPDATE account SET integrity = ? WHERE sid = ?",
                    arguments: [integrity.map { Int64($0.rawValue) }, account.sid.description])
            }
            return Changed(account.sid, touched: [account.sid])
        }
        guard let account = after.account(sid: sid) else { throw .unknownAccount(name: name) }
        return account
    }

    /// Sets the hash of a user's password, or takes it away, so that nobody is logged on by it any more.
    @discardableResult
    package func setPassword(_ hash: PasswordHash?, of name: String) throws(AccountError) -> Account {
        let (after, sid) = try change { database, before in
            let account = try before.requireAccount(named: name)
            guard account.kind == .user else { throw AccountError.noPassword(name: account.name) }
            if let hash {
                try database.execute(
                    sql: """
                        INSERT INTO password (account, hash) VALUES (?, ?)
                        ON CONFLICT (account) DO UPDATE SET hash = excluded.hash
                        """,
                    arguments: [account.sid.description, hash.text])
            } else {
                try database.execute(
                    sql: "DELETE FROM password WHERE account = ?", arguments: [account.sid.description])
            }
            return Changed(account.sid, touched: [account.sid])
        }
        emptyLog()
        guard let account = after.account(sid: sid) else { throw .unknownAccount(name: name) }
        return account
    }

    /// The hash of an account's password; `nil` when it has none. Reads the database.
    package func passwordHash(of sid: SID) throws(AccountError) -> PasswordHash? {
        do {
            return try database.withLock { queue in
                try queue.read { try AccountDatabase.passwordHash(sid, $0) }
            }
        } catch { throw .storage(detail: "\(error)") }
    }

    /// What other tables of the database are read and changed by.
    func withDatabase<Value: Sendable>(_ body: (DatabaseQueue) throws -> Value) throws -> Value {
        try database.withLock { try body($0) }
    }

    /// Earlier pages, with what was overwritten since, leave the write-ahead log. Whoever reads the database at this
    /// moment puts that off until the next time.
    private func emptyLog() {
        database.withLock { queue in
            _ = try? queue.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        }
    }

    /// Remembers a managed root. A path that is one already gets the new descriptor.
    package func addRoot(_ root: ManagedRoot) throws(AccountError) {
        try ManagedRoot.validate(path: root.path)
        _ = try change { database, _ in
            try database.execute(
                sql:
                    "INSERT INTO root (path, sddl) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET sddl = excluded.sddl",
                arguments: [root.path, root.sddl])
            return Changed((), touched: [])
        }
    }

    /// Forgets a managed root.
    package func removeRoot(path: String) throws(AccountError) {
        _ = try change { database, before in
            guard before.roots.contains(where: { $0.path == path }) else {
                throw AccountError.unknownRoot(path: path)
            }
            try database.execute(sql: "DELETE FROM root WHERE path = ?", arguments: [path])
            return Changed((), touched: [])
        }
    }

    /// Remembers an abstract name. One that is registered already gets the new descriptor.
    package func addEndpoint(_ endpoint: RegisteredEndpoint) throws(AccountError) {
        try RegisteredEndpoint.validate(name: endpoint.name)
        _ = try change { database, before in
            guard
                before.endpoints.count < RegisteredEndpoint.largestCount
                    || before.endpoints.contains(where: { $0.name == endpoint.name })
            else { throw AccountError.tooManyEndpoints }
            try database.execute(
                sql:
                    "INSERT INTO endpoint (name, sddl) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sddl = excluded.sddl",
                arguments: [endpoint.name, endpoint.sddl])
            return Changed((), touched: [])
        }
    }

    /// Forgets an abstract name.
    package func removeEndpoint(name: String) throws(AccountError) {
        _ = try change { database, before in
            guard before.endpoints.contains(where: { $0.name == name }) else {
                throw AccountError.unknownEndpoint(name: name)
            }
            try database.execute(sql: "DELETE FROM endpoint WHERE name = ?", arguments: [name])
            return Changed((), touched: [])
        }
    }

    // MARK: The transaction

    /// What a change returns, and the accounts it touched.
    private struct Changed<Result> {
        let result: Result
        let touched: [SID]

        init(_ result: Result, touched: [SID]) {
            self.result = result
            self.touched = touched
        }
    }

    /// Runs `body` in one transaction, reads back what it touched, and makes that what everybody sees.
    private func change<Result: Sendable>(
        _ body: (Database, AccountDirectory) throws -> Changed<Result>
    ) throws(AccountError) -> (after: AccountDirectory, result: Result) {
        do {
            // The lock spans the swap, so that changes become visible in the order of their commits.
            return try database.withLock { queue in
                let before = directory
                let (after, result) = try queue.write { database in
                    let changed = try body(database, before)
                    let accounts = try changed.touched.map { sid in
                        (sid, try AccountDatabase.account(sid, database, machine: before.machine))
                    }
                    for case (_, let account?) in accounts where account.groups.count > Account.maximumGroups
                    {
                        throw AccountError.tooManyGroups(name: account.name)
                    }
                    let roots = try AccountDatabase.roots(database)
                    let endpoints = try AccountDatabase.endpoints(database)
                    return (
                        AccountDirectory(before, accounts, roots: roots, endpoints: endpoints),
                        changed.result
                    )
                }
                current.withLock { $0 = after }
                mappings.forget()
                return (after, result)
            }
        } catch let error as AccountError {
            throw error
        } catch {
            throw .storage(detail: "\(error)")
        }
    }

    private static func makeSID(
        for proposal: Account.Proposal, _ machine: SID, _ database: Database
    ) throws -> SID {
        if proposal.kind == .service { return .service(named: proposal.name) }
        // The counter only ever grows, so that a descriptor that names a removed account names nobody else.
        let next = try Int64.fetchOne(
            database, sql: "UPDATE machine SET next_rid = next_rid + 1 RETURNING next_rid - 1")
        guard let next, let rid = UInt32(exactly: next) else { throw AccountError.exhausted }
        return try machine.appending(rid)
    }

    private static func grant(_ privileges: PrivilegeSet, to sid: SID, _ database: Database) throws {
        for privilege in privileges {
            try database.execute(
                sql: "INSERT OR IGNORE INTO privilege (account, name) VALUES (?, ?)",
                arguments: [sid.description, privilege.name])
        }
    }

    private static func join(_ group: SID, member: SID, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO membership (member, container) VALUES (?, ?) ON CONFLICT DO NOTHING",
            arguments: [member.description, group.description])
    }

    private static func validate(
        _ integrity: IntegrityLevel?, of name: String, _ kind: Account.Kind
    ) throws(AccountError) {
        guard let integrity else { return }
        guard kind != .group else { throw .invalidIntegrity(name: name, rule: "a group has no level") }
        guard Account.integrityLevels.contains(integrity) else {
            throw .invalidIntegrity(name: name, rule: "\(integrity) is not a level that accounts can have")
        }
    }

    private static func validateUnixIDs(_ proposal: Account.Proposal) throws(AccountError) {
        if proposal.kind == .group, proposal.unixGroup != nil {
            throw .groupHasNoPrimaryGroup(name: proposal.name)
        }
        for id in [proposal.unixID, proposal.unixGroup].compactMap({ $0 }) {
            switch id {
            case 0: throw .invalidUnixID(id: id, rule: "0 is the system itself")
            case 65534: throw .invalidUnixID(id: id, rule: "the kernel shows it for ids it cannot name")
            case .max: throw .invalidUnixID(id: id, rule: "the kernel takes it for \"unchanged\"")
            default: break
            }
        }
        guard proposal.unixID == nil else { return }
        let isGroup = proposal.kind == .group
        let native =
            isGroup ? UnixNames.groupID(named: proposal.name) : UnixNames.userID(named: proposal.name)
        if let native { throw .ambiguousUnixName(name: proposal.name, id: native, isGroup: isGroup) }
        // Without root all run as the authority's own user.
        if proposal.kind == .service, AuthorityUser.isRoot { throw .unixIDNeeded(name: proposal.name) }
    }
}

extension AccountDirectory {
    fileprivate func requireAccount(named name: String) throws(AccountError) -> Account {
        // A qualified name or a SID is as good as the bare name.
        if let account = account(named: name) { return account }
        guard let sid = sid(named: name), let account = account(sid: sid) else {
            throw .unknownAccount(name: name)
        }
        return account
    }

    fileprivate func requireGroup(named name: String) throws(AccountError) -> Account {
        let account = try requireAccount(named: name)
        guard account.kind == .group else { throw .notAGroup(name: account.name) }
        return account
    }

    /// What an account leaves in the same change cannot matter: only what the group is in can close a circle.
    fileprivate func requireNoCycle(_ member: Account, joining group: Account) throws(AccountError) {
        guard group.sid != member.sid, !groups(holding: [group.sid]).contains(where: { $0.sid == member.sid })
        else { throw .cycle(member: member.name, group: group.name) }
    }

    fileprivate func requireFree(_ proposal: Account.Proposal) throws(AccountError) {
        if let owner = account(named: proposal.name) {
            throw .taken(what: "the name \(quoted(proposal.name))", by: owner.name)
        }
        if proposal.kind == .service, let owner = account(sid: .service(named: proposal.name)) {
            throw .taken(what: "the SID of the service \(quoted(proposal.name))", by: owner.name)
        }
        guard let id = proposal.unixID else { return }
        let owner = proposal.kind == .group ? group(unixGroup: id) : account(unixUser: id)
        if let owner {
            throw .taken(what: "\(proposal.kind == .group ? "gid" : "uid") \(id)", by: owner.name)
        }
    }
}
