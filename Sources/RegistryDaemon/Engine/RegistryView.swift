import RegistryModel

/// The registry as one call or one transaction sees it: what is committed, under what it has changed itself.
///
/// Not safe from several threads at once.
final class RegistryView {
    /// What of a key was read or changed, to find out whether a transaction clashes with others.
    enum Place: Hashable, Sendable {
        /// The key's record, but for its last-write time.
        case key(KeyID)
        /// The key of a name below.
        case child(KeyID, [UInt8])
        /// The list of keys below.
        case children(KeyID)
        case value(KeyID, [UInt8])
        /// The list of values.
        case values(KeyID)
    }

    /// What it is for.
    enum Purpose {
        /// Nothing is changed meanwhile, or each look is for itself. It changes little, since others wait.
        case alone
        /// One call, which others may overtake.
        case call
        case transaction
    }

    private let engine: RegistryEngine
    private let purpose: Purpose
    /// After which commit the transaction began.
    let begun: UInt64
    private(set) var touched: Set<Place> = []
    private(set) var changes = RegistryChanges()
    /// Keys that were there before, as they were, if they are changed.
    private(set) var replaced: [KeyID: KeyRecord] = [:]
    /// Keys of which no more is changed than when they were last written to. Whoever changes more of them does not clash,
    /// and what they changed stays.
    private var stamps: [KeyID: UInt64] = [:]
    /// Keys that were made or renamed, by where they are now.
    private var added: [KeyID: [[UInt8]: KeyID]] = [:]
    /// How many changes were made.
    private(set) var changeCount = 0
    private var bytes = 0

    /// How many times the usual it may change.
    private let scale: Int
    private let share: UserShare?
    /// What it holds of its user's share.
    private var held = 0
    private var holdsLargeChange = false
    /// Whether what others change is remembered for it.
    private var isFollowed: Bool
    private var isOver = false

    init(
        _ engine: RegistryEngine, _ purpose: Purpose, isLarge: Bool = false, begun: UInt64 = 0,
        share: UserShare? = nil
    ) {
        (self.engine, self.purpose, self.begun, self.share) = (engine, purpose, begun, share)
        scale = isLarge ? engine.limits.restoring : 1
        isFollowed = purpose != .alone
    }

    /// Nothing is read any more.
    func endReading() {
        guard isFollowed else { return }
        isFollowed = false
        engine.history.end(begun)
    }

    /// Ends it, in whatever way; it gives up what it holds.
    func end() {
        endReading()
        guard !isOver else { return }
        isOver = true
        share?.give(held)
        if holdsLargeChange { share?.largeChange.signal() }
    }

    deinit { end() }

    /// Reads something that the commit depends on: all that is read is as it was when the transaction began.
    private func reading<Result>(
        _ place: @autoclosure () -> Place, _ body: () throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        guard purpose != .alone else { return try body() }
        let place = place()
        try touch(place)
        let result = try body()
        guard engine.history.isAsBefore(place, begun) else { throw .overtaken }
        return result
    }

    private func touch(_ place: Place) throws(RegistryError) {
        guard purpose != .alone, touched.insert(place).inserted else { return }
        guard touched.count <= 50 * scale * engine.limits.changes else { throw tooMuch("reads") }
        try hold(place.size)
    }

    /// A key's record that was found by its name: what is decided by it holds while it stays as it is.
    private func depending(on record: KeyRecord) throws(RegistryError) -> KeyRecord {
        guard purpose != .alone else { return record }
        try touch(.key(record.id))
        guard engine.history.isAsBefore(.key(record.id), begun) else { throw .overtaken }
        return stamped(record)
    }

    private func stamped(_ record: KeyRecord) -> KeyRecord {
        guard let written = stamps[record.id] else { return record }
        var record = record
        record.lastWrite = written
        return record
    }

    /// Whether it takes long to write.
    var isLarge: Bool { changeCount > 256 || changeCount > 1 && bytes > 2 << 20 }

    private func hold(_ size: Int) throws(RegistryError) {
        guard let share, purpose == .transaction else { return }
        guard share.take(size, limit: scale * engine.limits.transactionBytes) else {
            throw .limitReached("the open transactions of one user hold at most so much; end some")
        }
        held += size
    }

    private func tooMuch(_ what: String) -> RegistryError {
        .limitReached("one transaction or call \(what) at most so much; do it in parts")
    }

    /// Counts something that is changed.
    private func count(bytes size: Int) throws(RegistryError) {
        changeCount += 1
        bytes += size
        guard changeCount <= scale * engine.limits.changes, bytes <= scale * engine.limits.changedBytes else {
            throw tooMuch(
                "changes \(engine.limits.changes) keys and values, \(engine.limits.changedBytes) bytes,")
        }
        try hold(512 + size)
        guard isLarge else { return }
        guard purpose != .alone else { throw .overtaken }
        // Waits where it holds nothing that others wait for.
        if let share, purpose == .call, !holdsLargeChange {
            share.largeChange.wait()
            holdsLargeChange = true
        }
    }

    // MARK: Reading

    func key(_ id: KeyID) throws(RegistryError) -> KeyRecord? {
        try reading(.key(id)) { () throws(RegistryError) in
            if let changed = changes.keys[id] { return changed }
            return try engine.key(id).map(stamped)
        }
    }

    func child(of parent: KeyID, named name: RegistryKeyName) throws(RegistryError) -> KeyRecord? {
        if let id = added[parent]?[name.folded] { return changes.keys[id] ?? nil }
        let found = try reading(.child(parent, name.folded)) { () throws(RegistryError) in
            try engine.child(of: parent, named: name)
        }
        guard let record = found else { return nil }
        guard let changed = changes.keys[record.id] else { return try depending(on: record) }
        // One of that name was deleted here, or has another name now.
        return changed?.name == name ? changed : nil
    }

    func children(of parent: KeyID, after: [UInt8]? = nil, limit: Int) throws(RegistryError) -> [KeyRecord] {
        let found = try reading(.children(parent)) { () throws(RegistryError) in
            try merged(childrenOf: parent, after: after, limit: limit)
        }
        var out: [KeyRecord] = []
        out.reserveCapacity(found.count)
        for record in found { out.append(try depending(on: record)) }
        return out
    }

    private func merged(
        childrenOf parent: KeyID, after: [UInt8]?, limit: Int
    ) throws(RegistryError) -> [KeyRecord] {
        guard !changes.keys.isEmpty else {
            return try engine.children(of: parent, after: after, limit: limit)
        }
        var out: [KeyRecord] = (added[parent] ?? [:]).keys.sorted(after: after).prefix(limit).compactMap {
            name in
            added[parent]?[name].flatMap { changes.keys[$0] ?? nil }
        }
        var (last, found) = (after, 0)
        while found < limit {
            let page = try engine.children(of: parent, after: last, limit: limit)
            for record in page {
                let isMoved = added[parent]?[record.name.folded] != nil
                guard let changed = changes.keys[record.id] else {
                    if !isMoved { out.append(record) }
                    found += 1
                    continue
                }
                if let changed, changed.name == record.name, !isMoved {
                    out.append(changed)
                    found += 1
                }
            }
            guard page.count == limit, let end = page.last else { break }
            last = end.name.folded
        }
        return Array(out.sorted { $0.name < $1.name }.prefix(limit))
    }

    func value(of key: KeyID, named name: RegistryValueName) throws(RegistryError) -> ValueRecord? {
        if let changed = changes.values[key]?[name.folded] { return changed }
        return try reading(.value(key, name.folded)) { () throws(RegistryError) in
            try engine.value(of: key, named: name)
        }
    }

    func values(
        of key: KeyID, after: [UInt8]? = nil, limit: Int, bytes: Int = .max
    ) throws(RegistryError) -> [ValueRecord] {
        try reading(.values(key)) { () throws(RegistryError) in
            try merged(valuesOf: key, after: after, limit: limit, bytes: bytes)
        }
    }

    private func merged(
        valuesOf key: KeyID, after: [UInt8]?, limit: Int, bytes: Int
    ) throws(RegistryError) -> [ValueRecord] {
        guard let changed = changes.values[key], !changed.isEmpty else {
            return try engine.values(of: key, after: after, limit: limit, bytes: bytes)
        }
        var (out, size, last): ([ValueRecord], Int, [UInt8]?) = ([], 0, after)
        let own = changed.keys.sorted(after: after)
        while true {
            let page = try engine.values(of: key, after: last, limit: limit, bytes: bytes)
            let isLast = page.isEmpty
            // Those changed here that come before the end of what was read.
            for name in own where last.map({ $0.lexicographicallyPrecedes(name) }) ?? true {
                guard isLast || page.last.map({ !$0.name.folded.lexicographicallyPrecedes(name) }) ?? false,
                    let value = changed[name].flatMap({ $0 })
                else { continue }
                out.append(value)
                size += value.size
            }
            for value in page where changed[value.name.folded] == nil {
                out.append(value)
                size += value.size
            }
            guard !isLast, out.count < limit, size < bytes else { break }
            last = page.last?.name.folded
        }
        size = 0
        return out.sorted { $0.name < $1.name }.prefix(limit).prefix { value in
            defer { size += value.size }
            return size < bytes
        }
    }

    // MARK: Changing

    func insert(_ record: KeyRecord) throws(RegistryError) {
        try count(bytes: record.descriptor.count)
        changes.keys[record.id] = .some(record)
        added[record.parent, default: [:]][record.name.folded] = record.id
        try wrote(record.parent)
    }

    /// Changes a key that is there.
    func update(_ record: KeyRecord) throws(RegistryError) {
        guard let old = try key(record.id) else { return }
        try count(bytes: record.descriptor.count)
        keep(old)
        changes.keys[record.id] = .some(record)
        guard old.name != record.name || added[old.parent]?[old.name.folded] == old.id else { return }
        if added[old.parent]?[old.name.folded] == old.id { added[old.parent]?[old.name.folded] = nil }
        added[record.parent, default: [:]][record.name.folded] = record.id
    }

    /// Deletes a key that has no keys below it.
    func delete(_ record: KeyRecord) throws(RegistryError) {
        try count(bytes: 0)
        keep(record)
        if added[record.parent]?[record.name.folded] == record.id {
            added[record.parent]?[record.name.folded] = nil
        }
        changes.values[record.id] = nil
        changes.keys.updateValue(nil, forKey: record.id)
        try wrote(record.parent)
    }

    func set(_ value: ValueRecord, of key: KeyID) throws(RegistryError) {
        try count(bytes: value.bytes.count + value.name.folded.count)
        try touch(.value(key, value.name.folded))
        changes.values[key, default: [:]][value.name.folded] = .some(value)
        try wrote(key)
    }

    func deleteValue(_ name: RegistryValueName, of key: KeyID) throws(RegistryError) {
        try count(bytes: 0)
        changes.values[key, default: [:]].updateValue(nil, forKey: name.folded)
        try wrote(key)
    }

    private func keep(_ old: KeyRecord) {
        if replaced[old.id] == nil, changes.keys[old.id] == nil { replaced[old.id] = old }
    }

    /// Notes when a key was last changed.
    private func wrote(_ id: KeyID) throws(RegistryError) {
        guard id != 0 else { return }
        let now = RegistryEngine.now()
        guard let changed = changes.keys[id] else {
            stamps[id] = now
            return
        }
        guard var record = changed else { return }
        record.lastWrite = now
        changes.keys[id] = .some(record)
    }

    private func untracked(_ id: KeyID) throws(RegistryError) -> KeyRecord? {
        if let changed = changes.keys[id] { return changed }
        return try engine.key(id)
    }

    // MARK: Committing

    /// Has the keys that were written to say when, as they are now. Nobody else commits meanwhile.
    func stamp() throws(RegistryError) {
        for (id, written) in stamps where changes.keys[id] == nil {
            guard var record = try engine.key(id) else { continue }
            keep(record)
            record.lastWrite = written
            changes.keys[id] = .some(record)
        }
    }

    /// What others must not have read or changed meanwhile.
    func places() -> Set<Place> {
        var places: Set<Place> = []
        for (id, record) in changes.keys {
            let old = replaced[id]
            if old?.name != record?.name {
                for one in [old, record ?? nil].compactMap({ $0 }) {
                    places.insert(.child(one.parent, one.name.folded))
                    places.insert(.children(one.parent))
                }
            }
            var same = old
            if let record { same?.lastWrite = record.lastWrite }
            if same != record { places.insert(.key(id)) }
        }
        for (id, values) in changes.values {
            places.insert(.values(id))
            for folded in values.keys { places.insert(.value(id, folded)) }
        }
        return places
    }

    /// What whoever watches is told.
    func events() throws(RegistryError) -> Watches.Events {
        guard !engine.watches.isEmpty else { return Watches.Events() }
        var kinds: [KeyID: RegistryChangeKinds] = [:]
        for (id, record) in changes.keys {
            let old = replaced[id]
            if old?.name != record?.name, let one = record ?? old {
                kinds[one.parent, default: []].insert(.names)
            }
            guard let old else { continue }
            guard let record else {
                kinds[id, default: []].insert(.names)
                continue
            }
            if old.descriptor != record.descriptor { kinds[id, default: []].insert(.security) }
            if old.className != record.className || old.isLink != record.isLink {
                kinds[id, default: []].insert(.attributes)
            }
        }
        for (id, values) in changes.values where !values.isEmpty { kinds[id, default: []].insert(.values) }
        kinds[0] = nil
        var events = Watches.Events(at: kinds)
        guard engine.watches.includeSubtrees else { return events }
        for (id, changed) in kinds {
            // No further than where all of it is known from other keys: trees are deep.
            var next = try above(id)
            while let id = next, !events.below[id, default: []].isSuperset(of: changed) {
                events.below[id, default: []].formUnion(changed)
                next = try above(id)
            }
        }
        return events
    }

    /// The key above one, which may have been deleted here; nil for a hive's.
    private func above(_ id: KeyID) throws(RegistryError) -> KeyID? {
        let record = if let gone = replaced[id] { gone } else { try untracked(id) }
        return record.flatMap { $0.parent == 0 ? nil : $0.parent }
    }
}
