import AccessControl
package import RegistryModel
import Synchronization

/// One client's keys, watches and transactions. The client's calls come one at a time.
package final class RegistrySession {
    /// How much one client may hold.
    package struct Limits: Sendable {
        /// Open keys; deep down they count for more.
        package var handles = 4096
        /// Watches.
        package var watches = 256
        /// Transactions.
        package var transactions = 16
        /// Entries of a list that come at once.
        package var page = 1000
        /// Bytes of values that come at once; one value comes in any case.
        package var pageBytes = 1 << 20

        package init() {}
    }

    /// An open key.
    struct OpenKey {
        let id: KeyID
        /// As it was opened, links and the user's hive resolved.
        let path: RegistryPath
        let granted: RegistryAccess
        let intent: AccessIntent
        /// The transaction that it was opened in; 0 for none.
        let transaction: UInt64

        /// Its path takes memory.
        var weight: Int { 1 + path.names.count / 16 }
    }

    let engine: RegistryEngine
    let limits: Limits
    private var handles: [UInt64: OpenKey] = [:]
    private var transactions: [UInt64: RegistryView] = [:]
    private var watches: [UInt64: Watches.Watch] = [:]
    private var last: UInt64 = 0

    let share: UserShare
    /// What the open keys take of ``Limits/handles``.
    private var weight = 0

    /// - Parameter share: of the user whose client it is.
    package init(_ engine: RegistryEngine, limits: Limits = Limits(), share: UserShare = UserShare()) {
        (self.engine, self.limits, self.share) = (engine, limits, share)
    }

    deinit { end() }

    /// Gives up everything the client holds.
    package func end() {
        for watch in watches.values { engine.watches.remove(watch) }
        for view in transactions.values { engine.rollBack(view) }
        (handles, transactions, watches, weight) = ([:], [:], [:], 0)
    }

    // MARK: Handles

    func hold(_ key: OpenKey) throws(RegistryError) -> UInt64 {
        guard weight + key.weight <= limits.handles else {
            throw .limitReached(
                "one client has at most \(limits.handles) keys open, and fewer of those that are deep; close some"
            )
        }
        weight += key.weight
        last += 1
        handles[last] = key
        return last
    }

    func open(_ handle: UInt64) throws(RegistryError) -> OpenKey {
        guard let key = handles[handle] else {
            throw .invalidHandle("there is no open key \(handle); open it again")
        }
        return key
    }

    /// An open key that was granted some rights.
    func open(_ handle: UInt64, for needed: RegistryAccess) throws(RegistryError) -> OpenKey {
        let key = try open(handle)
        guard key.granted.isSuperset(of: needed) else {
            throw .accessDenied(
                "\(key.path) was opened for \(key.granted), and this takes \(needed); open it for that")
        }
        return key
    }

    /// Closes a key. One that is not open is none of anybody's business.
    package func close(_ handle: UInt64) { weight -= handles.removeValue(forKey: handle)?.weight ?? 0 }

    /// How many keys are open.
    package var handleCount: Int { handles.count }

    // MARK: Views

    /// Reads, in the transaction if there is one.
    func reading<Result>(
        _ transaction: UInt64, _ body: (RegistryView) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        if let view = transactions[transaction] { return try body(view) }
        return try body(RegistryView(engine, .alone))
    }

    /// Changes, in the transaction if there is one, else at once.
    ///
    /// Of a transaction in which a change failed halfway nothing can be kept: it is ended.
    func changing<Result>(
        _ transaction: UInt64, _ body: (RegistryView) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        guard let view = transactions[transaction] else { return try engine.change(for: share, body) }
        let before = view.changeCount
        do throws(RegistryError) {
            return try body(view)
        } catch {
            // What somebody else overtook cannot be committed any more.
            if case .conflict = error {
                transactions[transaction] = nil
                engine.rollBack(view)
                throw error
            }
            if view.changeCount != before {
                transactions[transaction] = nil
                engine.rollBack(view)
                throw .transactionEnded("the transaction was rolled back: \(error)")
            }
            throw error
        }
    }

    /// The key of a handle, which may have been deleted.
    func record(_ key: OpenKey, _ view: RegistryView) throws(RegistryError) -> KeyRecord {
        guard let record = try view.key(key.id) else {
            throw .keyDeleted("\(key.path) has been deleted; close the handle")
        }
        return record
    }

    // MARK: Transactions

    /// Begins a transaction. Keys opened in it show and do what is in it until it ends, and what is committed from then on.
    ///
    /// - Parameter isLarge: the client may restore, and so change much at once.
    package func beginTransaction(isLarge: Bool = false) throws(RegistryError) -> UInt64 {
        guard transactions.count < limits.transactions else {
            throw .limitReached("one client has at most \(limits.transactions) transactions; end some")
        }
        last += 1
        transactions[last] = engine.begin(isLarge: isLarge, for: share)
        return last
    }

    /// Makes what was done in a transaction known and durable, all of it.
    ///
    /// - Throws: ``RegistryError/conflict(_:)``, ``RegistryError/transactionEnded(_:)``. It has ended in any case.
    package func commit(_ transaction: UInt64) throws(RegistryError) {
        try engine.commit(try ending(transaction))
    }

    /// Forgets what was done in a transaction.
    package func rollBack(_ transaction: UInt64) throws(RegistryError) {
        engine.rollBack(try ending(transaction))
    }

    private func ending(_ transaction: UInt64) throws(RegistryError) -> RegistryView {
        guard let view = transactions.removeValue(forKey: transaction) else { throw ended }
        return view
    }

    private var ended: RegistryError { .transactionEnded("the transaction has ended; begin another") }

    /// That a transaction which is named is there.
    func check(transaction: UInt64) throws(RegistryError) {
        guard transaction == 0 || transactions[transaction] != nil else { throw ended }
    }

    // MARK: Watches

    /// Has changes of a key told; takes KEY_NOTIFY.
    ///
    /// - Parameter tell: is called while a commit ends, on any thread, and must not wait.
    package func watch(
        _ handle: UInt64, kinds: RegistryChangeKinds, includingSubtree: Bool,
        tell: @escaping @Sendable (_ watch: UInt64, RegistryChangeKinds) -> Void
    ) throws(RegistryError) -> UInt64 {
        let key = try open(handle, for: .notify)
        guard kinds != [], kinds.isSubset(of: .all) else {
            throw .invalid("say which changes are to be told")
        }
        guard watches.count < limits.watches else {
            throw .limitReached("one client has at most \(limits.watches) watches; end some")
        }
        try reading(0) { view throws(RegistryError) in _ = try record(key, view) }
        last += 1
        let number = last
        let watch = Watches.Watch(key: key.id, includesSubtree: includingSubtree, kinds: kinds) { kinds in
            tell(number, kinds)
        }
        engine.watches.add(watch)
        watches[number] = watch
        return number
    }

    /// Ends a watch.
    package func endWatch(_ watch: UInt64) {
        if let watch = watches.removeValue(forKey: watch) { engine.watches.remove(watch) }
    }
}
