package import AccessControl

/// All accounts at one moment, indexed for every question the authority asks while it decides.
///
/// Immutable, so that any number of threads read it without a lock; a change makes a new one.
package final class AccountDirectory: Sendable {
    /// The SID of this machine, of which its accounts' SIDs are made.
    package let machine: SID
    /// Counts the changes since the store was opened.
    package let generation: UInt64
    /// Every account, ordered by name.
    package let accounts: [Account]
    /// Every managed root, ordered by path.
    package let roots: [ManagedRoot]
    /// Every registered abstract name, in order.
    package let endpoints: [RegisteredEndpoint]

    private let bySID: [SID: Account]
    private let byName: [String: SID]
    private let byUnixUser: [UInt32: SID]
    private let byUnixGroup: [UInt32: SID]

    init(
        machine: SID, generation: UInt64, accounts: [Account], roots: [ManagedRoot],
        endpoints: [RegisteredEndpoint]
    ) {
        self.machine = machine
        self.generation = generation
        self.accounts =
            accounts.map { (key: AccountName.folded($0.name), account: $0) }
            .sorted { $0.key < $1.key }.map(\.account)
        self.roots = roots.sorted { $0.path < $1.path }
        self.endpoints = endpoints.sorted { $0.name < $1.name }

        var index = Index()
        for account in accounts { index.insert(account) }
        (bySID, byName, byUnixUser, byUnixGroup) =
            (index.bySID, index.byName, index.byUnixUser, index.byUnixGroup)
    }

    /// The directory after a change: `changes` say what became of some accounts, `nil` that one is gone.
    init(
        _ before: AccountDirectory, _ changes: [(sid: SID, account: Account?)], roots: [ManagedRoot],
        endpoints: [RegisteredEndpoint]
    ) {
        machine = before.machine
        generation = before.generation + 1
        self.roots = roots.sorted { $0.path < $1.path }
        self.endpoints = endpoints.sorted { $0.name < $1.name }

        var accounts = before.accounts
        var index = Index(
            bySID: before.bySID, byName: before.byName, byUnixUser: before.byUnixUser,
            byUnixGroup: before.byUnixGroup)
        for (sid, account) in changes {
            if let old = index.bySID[sid] {
                index.remove(old)
                accounts.remove(at: Self.position(of: AccountName.folded(old.name), in: accounts))
            }
            if let account {
                index.insert(account)
                accounts.insert(
                    account, at: Self.position(of: AccountName.folded(account.name), in: accounts))
            }
        }
        self.accounts = accounts
        (bySID, byName, byUnixUser, byUnixGroup) =
            (index.bySID, index.byName, index.byUnixUser, index.byUnixGroup)
    }

    private struct Index {
        var bySID: [SID: Account] = [:]
        var byName: [String: SID] = [:]
        var byUnixUser: [UInt32: SID] = [:]
        var byUnixGroup: [UInt32: SID] = [:]

        mutating func insert(_ account: Account) { set(account, account) }
        mutating func remove(_ account: Account) { set(account, nil) }

        private mutating func set(_ account: Account, _ new: Account?) {
            bySID[account.sid] = new
            byName[AccountName.folded(account.name)] = new?.sid
            guard let id = account.unixID else { return }
            switch account.kind {
            case .user, .service: byUnixUser[id] = new?.sid
            case .group: byUnixGroup[id] = new?.sid
            }
        }
    }

    /// Where the first account stands whose name is not before `key`.
    private static func position(of key: String, in accounts: [Account]) -> Int {
        var (low, high) = (0, accounts.count)
        while low < high {
            let middle = (low + high) / 2
            if AccountName.folded(accounts[middle].name) < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The account of this name, in upper or lower case.
    package func account(named name: String) -> Account? {
        byName[AccountName.folded(name)].flatMap { bySID[$0] }
    }

    /// The account with this SID.
    package func account(sid: SID) -> Account? { bySID[sid] }

    /// The user or service that this uid belongs to.
    package func account(unixUser uid: UInt32) -> Account? { byUnixUser[uid].flatMap { bySID[$0] } }

    /// The group that this gid belongs to.
    package func group(unixGroup gid: UInt32) -> Account? { byUnixGroup[gid].flatMap { bySID[$0] } }

    /// Whom a uid stands for, with an account or without.
    package func sid(unixUser uid: UInt32) -> SID {
        uid == 0 ? .system : byUnixUser[uid] ?? .unixUser(uid)
    }

    /// The group that a gid stands for, with an account or without.
    package func sid(unixGroup gid: UInt32) -> SID { byUnixGroup[gid] ?? .unixGroup(gid) }

    /// The accounts whose names come after this one, in the order of their names.
    package func accounts(after name: String) -> ArraySlice<Account> {
        let key = AccountName.folded(name)
        let start = Self.position(of: key, in: accounts)
        let found = start < accounts.count && AccountName.folded(accounts[start].name) == key
        return accounts[(found ? start + 1 : start)...]
    }

    /// The groups that hold any of `members`, directly or through other groups, each once.
    package func groups(holding members: some Sequence<SID>) -> [Account] {
        var result: [Account] = []
        var seen: Set<SID> = []
        var pending = Array(members)
        while let member = pending.popLast() {
            for sid in bySID[member]?.groups ?? [] where seen.insert(sid).inserted {
                guard let group = bySID[sid] else { continue }
                result.append(group)
                pending.append(sid)
            }
        }
        return result.sorted { $0.sid < $1.sid }
    }

    /// The accounts that were put into this group themselves.
    package func members(of group: SID) -> [Account] {
        accounts.filter { $0.groups.contains(group) }
    }

    /// The gids a service of this account runs with: those of its groups that have one.
    package func unixGroups(of account: SID) -> [UInt32] {
        groups(holding: [account]).compactMap(\.unixID).sorted()
    }

    /// Whom the kernel takes a service for; without root the authority's own user. `nil` when it has no Unix user.
    func credentials(ofService account: Account) -> UnixCredentials? {
        guard let uid = account.unixID else { return AuthorityUser.isRoot ? nil : AuthorityUser.credentials }
        return UnixCredentials(uid: uid, gid: account.unixGroup ?? uid, groups: unixGroups(of: account.sid))
    }
}
