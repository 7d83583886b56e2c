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

    private let bySID: [SID: Account]
    private let byName: [String: Account]
    private let byUnixUser: [UInt32: Account]
    private let byUnixGroup: [UInt32: Account]

    init(machine: SID, generation: UInt64, accounts: [Account], roots: [ManagedRoot]) {
        self.machine = machine
        self.generation = generation
        self.accounts = accounts.sorted { AccountName.folded($0.name) < AccountName.folded($1.name) }
        self.roots = roots.sorted { $0.path < $1.path }

        var bySID: [SID: Account] = [:]
        var byName: [String: Account] = [:]
        var byUnixUser: [UInt32: Account] = [:]
        var byUnixGroup: [UInt32: Account] = [:]
        for account in accounts {
            bySID[account.sid] = account
            byName[AccountName.folded(account.name)] = account
            guard let id = account.unixID else { continue }
            switch account.kind {
            case .user, .service: byUnixUser[id] = account
            case .group: byUnixGroup[id] = account
            }
        }
        self.bySID = bySID
        self.byName = byName
        self.byUnixUser = byUnixUser
        self.byUnixGroup = byUnixGroup
    }

    /// The account of this name, in upper or lower case.
    package func account(named name: String) -> Account? { byName[AccountName.folded(name)] }

    /// The account with this SID.
    package func account(sid: SID) -> Account? { bySID[sid] }

    /// The user or service that this uid belongs to.
    package func account(unixUser uid: UInt32) -> Account? { byUnixUser[uid] }

    /// The group that this gid belongs to.
    package func group(unixGroup gid: UInt32) -> Account? { byUnixGroup[gid] }

    /// The accounts whose names come after this one, in the order of their names.
    package func accounts(after name: String) -> ArraySlice<Account> {
        let key = AccountName.folded(name)
        return accounts.drop { AccountName.folded($0.name) <= key }
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
}
