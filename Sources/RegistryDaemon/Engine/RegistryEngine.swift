import AccessControl
import Glibc
package import RegistryModel
import Synchronization

/// All keys of one registry: what is stored, what is in memory alone, and who waits for changes.
///
/// Reads take a lock for a look-up in memory, and none while they wait for storage. Commits go one after another, and hold up
/// no reader while they are written.
package final class RegistryEngine: Sendable {
    /// How much one client's call may do.
    package struct Limits: Sendable {
        /// The largest value in bytes.
        package var value = RegistryLimits.value
        /// The most keys and values that one call or transaction changes. They are written at once, and all other commits
        /// wait meanwhile: that many take some 45 ms.
        package var changes = 2_000
        /// The most bytes of values that one call or transaction writes.
        package var changedBytes = 8 << 20
        /// How many times as much a transaction of somebody who may restore changes, and holds.
        package var restoring = 500
        /// About how many bytes of keys and values that were looked at are kept in memory.
        package var cachedBytes = 512 << 20
        /// About how many bytes the open transactions of one user take.
        package var transactionBytes = 16 << 20
        /// About how many bytes it takes to remember what was changed while transactions are open.
        package var historyBytes = 64 << 20

        package init() {}
    }

    struct Spot: Hashable {
        let key: KeyID
        let folded: [UInt8]

        /// About how much memory it takes, with what it leads to.
        var weight: Int { 64 }
    }

    /// What was looked at lately. What storage says is taken in only if nothing was committed meanwhile (`commits`).
    private struct Core {
        var commits: UInt64 = 0
        var keys: RecentCache<KeyID, KeyRecord>
        var children: RecentCache<Spot, KeyID>
        var values: RecentCache<Spot, ValueRecord>

        init(bytes: Int) {
            keys = RecentCache(limit: bytes / 2)
            children = RecentCache(limit: bytes / 8)
            values = RecentCache(limit: bytes * 3 / 8)
        }

        mutating func insert(_ record: KeyRecord) {
            keys.insert(record, for: record.id, weight: record.weight)
            let spot = Spot(key: record.parent, folded: record.name.folded)
            children.insert(record.id, for: spot, weight: spot.weight)
        }
    }

    package let limits: Limits
    let watches = Watches()
    private let storage: any RegistryStorage
    private let volatile = MemoryStorage()
    private let core: Guarded<Core>
    /// Held by the one commit that is being written.
    private let writing = Mutex(())
    /// Held before ``writing`` for a large one: of all that wait, a small one has one large one before it at most.
    private let writingMuch = Mutex(())
    let history: History
    private let lastID: Atomic<KeyID>
    private let lastVolatileID = Atomic<KeyID>(0)

    /// The hives' own keys.
    package static let machine: KeyID = 1
    package static let users: KeyID = 2

    /// Takes over a storage, and makes the hives in it that are missing.
    package init(_ storage: any RegistryStorage, limits: Limits = Limits()) throws(RegistryError) {
        (self.storage, self.limits) = (storage, limits)
        history = History(limit: limits.historyBytes)
        core = Guarded(Core(bytes: limits.cachedBytes))
        lastID = Atomic(max(try storage.largestID(), Self.users))
        var changes = RegistryChanges()
        for (id, name) in [(Self.machine, "Machine"), (Self.users, "Users")] where try storage.key(id) == nil
        {
            changes.keys[id] = KeyRecord(
                id: id, parent: 0, name: try RegistryKeyName(name), lastWrite: Self.now(),
                descriptor: Self.hiveDescriptor.bytes)
        }
        if !changes.isEmpty { try storage.apply(changes) }
    }

    /// Of a hive's key: administrators and SYSTEM everything, everybody reads, as on Windows.
    static let hiveDescriptor = SecurityDescriptor(
        owner: .administrators, group: .system,
        dacl: .present(
            hiveList(
                [(.system, .allAccess), (.administrators, .allAccess), (.everyone, .allRead)])),
        control: .daclProtected)

    /// Of a user's hive: the user, administrators and SYSTEM everything.
    static func userDescriptor(_ user: SID) -> SecurityDescriptor {
        SecurityDescriptor(
            owner: user, group: .system,
            dacl: .present(
                hiveList([(.system, .allAccess), (.administrators, .allAccess), (user, .allAccess)])),
            control: .daclProtected)
    }

    /// - Parameter holders: who may do what, with the keys below too.
    private static func hiveList(_ holders: [(SID, RegistryAccess)]) -> ACL {
        // Three entries are never too large for a list.
        (try? ACL(holders.map { .allow($0.0, $0.1, flags: .containerInherit) })) ?? .empty
    }

    /// 100 ns since 1601.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec + 11_644_473_600) * 10_000_000 + UInt64(time.tv_nsec / 100)
    }

    func newID(volatile: Bool) -> KeyID {
        volatile
            ? -lastVolatileID.add(1, ordering: .relaxed).newValue : lastID.add(1, ordering: .relaxed).newValue
    }

    // MARK: What is committed

    /// What is in memory, else what is stored, which is in memory from then on.
    private func known<Record>(
        _ inMemory: (inout Core) -> Record?, stored: () throws(RegistryError) -> Record?,
        insert: (inout Core, Record) -> Void
    ) throws(RegistryError) -> Record? {
        let (known, commits) = core.withLock { (inMemory(&$0), $0.commits) }
        if let known { return known }
        guard let record = try stored() else { return nil }
        core.withLock { if $0.commits == commits { insert(&$0, record) } }
        return record
    }

    func key(_ id: KeyID) throws(RegistryError) -> KeyRecord? {
        if id < 0 { return volatile.key(id) }
        return try known({ $0.keys.value(id) }) { () throws(RegistryError) in
            try storage.key(id)
        } insert: {
            $0.insert($1)
        }
    }

    func child(of parent: KeyID, named name: RegistryKeyName) throws(RegistryError) -> KeyRecord? {
        if let found = volatile.child(of: parent, named: name.folded) { return found }
        guard parent >= 0 else { return nil }
        let spot = Spot(key: parent, folded: name.folded)
        return try known({ core in core.children.value(spot).flatMap { core.keys.value($0) } }) {
            () throws(RegistryError) in
            try storage.child(of: parent, named: name.folded)
        } insert: {
            $0.insert($1)
        }
    }

    func children(
        of parent: KeyID, after folded: [UInt8]?, limit: Int
    ) throws(RegistryError) -> [KeyRecord] {
        let inMemory = volatile.children(of: parent, after: folded, limit: limit)
        guard parent >= 0 else { return inMemory }
        let stored = try storage.children(of: parent, after: folded, limit: limit)
        guard !inMemory.isEmpty else { return stored }
        return Array((stored + inMemory).sorted { $0.name < $1.name }.prefix(limit))
    }

    func value(of key: KeyID, named name: RegistryValueName) throws(RegistryError) -> ValueRecord? {
        if key < 0 { return volatile.value(of: key, named: name.folded) }
        let spot = Spot(key: key, folded: name.folded)
        return try known({ $0.values.value(spot) }) { () throws(RegistryError) in
            try storage.value(of: key, named: name.folded)
        } insert: {
            $0.values.insert($1, for: spot, weight: $1.weight)
        }
    }

    func values(
        of key: KeyID, after folded: [UInt8]?, limit: Int, bytes: Int
    ) throws(RegistryError) -> [ValueRecord] {
        if key < 0 { return volatile.values(of: key, after: folded, limit: limit, bytes: bytes) }
        return try storage.values(of: key, after: folded, limit: limit, bytes: bytes)
    }

    // MARK: Changing

    /// Does something that changes keys, all of it or nothing. Durable when it returns.
    ///
    /// It is worked out while others commit, and anew if they were in the way; in the end, while nobody does.
    ///
    /// - Parameter share: of the user for whom it is done.
    func change<Result>(
        for share: UserShare? = nil, _ body: (RegistryView) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        var attempt = 1
        while true {
            // Others wait while it is worked out after all have committed: that is for small ones.
            let isAlone = attempt.isMultiple(of: 5)
            do throws(RegistryError) {
                return isAlone ? try changeAlone(body) : try tryToChange(for: share, body)
            } catch {
                guard case .conflict = error, attempt < 20 else { throw error }
                attempt += 1
            }
        }
    }

    private func tryToChange<Result>(
        for share: UserShare?, _ body: (RegistryView) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        let view = RegistryView(self, .call, begun: history.begin(), share: share)
        defer { rollBack(view) }
        let result = try body(view)
        try commit(view)
        return result
    }

    private func changeAlone<Result>(
        _ body: (RegistryView) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        try writing.withLock { _ throws(RegistryError) in
            let view = RegistryView(self, .alone)
            let result = try body(view)
            try write(view)
            return result
        }
    }

    /// Begins a transaction: what it does others see when it is committed.
    ///
    /// - Parameters:
    ///   - isLarge: for somebody who may restore: it may change `Limits.restoring` times as much.
    ///   - share: of the user for whom it is begun.
    func begin(isLarge: Bool = false, for share: UserShare? = nil) -> RegistryView {
        RegistryView(self, .transaction, isLarge: isLarge, begun: history.begin(), share: share)
    }

    /// Ends a transaction.
    ///
    /// - Throws: ``RegistryError/conflict(_:)`` when somebody else changed what it read or changes. It has ended then, too.
    func commit(_ view: RegistryView) throws(RegistryError) {
        defer { rollBack(view) }
        guard !view.changes.isEmpty else {
            // All that was read is of one moment; it waits for nobody.
            guard history.areAsBefore(view.touched, view.begun) else { throw .overtaken }
            return
        }
        guard view.isLarge else { return try writeUnlessOvertaken(view) }
        try writingMuch.withLock { _ throws(RegistryError) in try writeUnlessOvertaken(view) }
    }

    private func writeUnlessOvertaken(_ view: RegistryView) throws(RegistryError) {
        try writing.withLock { _ throws(RegistryError) in
            guard history.areAsBefore(view.touched, view.begun) else { throw .overtaken }
            view.endReading()
            try write(view)
        }
    }

    /// Ends a transaction and forgets what it did.
    func rollBack(_ view: RegistryView) { view.end() }

    private func write(_ view: RegistryView) throws(RegistryError) {
        guard !view.changes.isEmpty else { return }
        try view.stamp()
        let places = view.places()
        var (stored, inMemory) = (RegistryChanges(), RegistryChanges())
        for (id, record) in view.changes.keys {
            if id < 0 { inMemory.keys[id] = .some(record) } else { stored.keys[id] = .some(record) }
        }
        for (id, values) in view.changes.values {
            if id < 0 { inMemory.values[id] = values } else { stored.values[id] = values }
        }
        // Before anybody may read it, so that no transaction takes what is new for what was there when it began.
        history.willChange(places)
        defer { history.didChange() }
        if !stored.isEmpty { try storage.apply(stored) }
        publish(stored, inMemory, view)
        // Now that all see it: whoever begins to watch later has it to look at, and nobody before is passed over.
        watches.tell((try? view.events()) ?? watches.everything)
    }

    private func publish(_ stored: RegistryChanges, _ inMemory: RegistryChanges, _ view: RegistryView) {
        core.withLock { core in
            core.commits += 1
            for (id, record) in stored.keys {
                if let old = view.replaced[id] {
                    core.children.remove(Spot(key: old.parent, folded: old.name.folded))
                }
                if record == nil { core.keys.remove(id) }
            }
            for record in stored.keys.values {
                if let record { core.insert(record) }
            }
            for (id, values) in stored.values {
                for (folded, value) in values {
                    let spot = Spot(key: id, folded: folded)
                    if let value {
                        core.values.insert(value, for: spot, weight: value.weight)
                    } else {
                        core.values.remove(spot)
                    }
                }
            }
            volatile.apply(inMemory)
        }
    }

    // MARK: Care

    /// Makes durable what is not yet.
    package func flush() throws(RegistryError) { try storage.flush() }

    /// Writes a copy of what is stored, while it is in use.
    package func backup(to path: String) throws(RegistryError) { try storage.backup(to: path) }

    /// What is wrong with what is stored; nothing if all is well.
    package func complaints() throws(RegistryError) -> [String] { try storage.complaints() }
}

extension KeyRecord {
    /// About how much memory it takes. Keys with one descriptor share it.
    fileprivate var weight: Int { 192 + 2 * name.folded.count }
}

extension RegistryError {
    static let overtaken = RegistryError.conflict(
        "somebody else has changed what this transaction read or changes; begin it anew")
}

extension ValueRecord {
    /// About how much memory it takes.
    var weight: Int { 160 + 2 * name.folded.count + bytes.count }
}
