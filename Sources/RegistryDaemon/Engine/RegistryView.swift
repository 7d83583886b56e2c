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

    private let engine: RegistryEngine
    private let isTracking: Bool
    /// After which commit the transaction began.
    let begun: UInt64
    private(set) var touched: Set<Place> = []
    private(set) var changes = RegistryChanges()
    /// Keys that were there before, as they were, if they are changed.
    private(set) var replaced: [KeyID: KeyRecord] = [:]
    /// Keys that were made or renamed, by where they are now.
    private var added: [KeyID: [[UInt8]: KeyID]] = [:]
    /// How many changes were made.
    private(set) var changeCount = 0
    private var bytes = 0

    /// How many times the usual it may change.
    private let scale: Int

    init(_ engine: RegistryEngine, isTracking: Bool, isLarge: Bool = false, begun: UInt64 = 0) {
        (self.engine, self.isTracking, self.begun) = (engine, isTracking, begun)
        scale = isLarge ? 100 : 1
    }

    private func touch(_ place: @autoclosure () -> Place) throws(RegistryError) {
        guard isTracking else { return }
        touched.insert(place())
        guard touched.count <= 10 * scale * engine.limits.changes else { throw tooMuch("reads") }
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
    }

    // MARK: Reading

    func key(_ id: KeyID) throws(RegistryError) -> KeyRecord? {
        try touch(.key(id))
        if let changed = changes.keys[id] { return changed }
        return try engine.key(id)
    }

    func child(of parent: KeyID, named name: RegistryKeyName) throws(RegistryError) -> KeyRecord? {
        try touch(.child(parent, name.folded))
        if let id = added[parent]?[name.folded] { return changes.keys[id] ?? nil }
        guard let record = try engine.child(of: parent, named: name) else { return nil }
        guard let changed = changes.keys[record.id] else { return record }
        // One of that name was deleted here, or has another name now.
        return changed?.name == name ? changed : nil
    }

    func children(of parent: KeyID, after: [UInt8]? = nil, limit: Int) throws(RegistryError) -> [KeyRecord] {
        try touch(.children(parent))
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
        try touch(.value(key, name.folded))
        if let changed = changes.values[key]?[name.folded] { return changed }
        return try engine.value(of: key, named: name)
    }

    func values(
        of key: KeyID, after: [UInt8]? = nil, limit: Int, bytes: Int = .max
    ) throws(RegistryError) -> [ValueRecord] {
        try touch(.values(key))
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
        guard id != 0, var record = try untracked(id) else { return }
        // Whoever else writes to it at the same time does not clash.
        keep(record)
        record.lastWrite = RegistryEngine.now()
        changes.keys[id] = .some(record)
    }

    private func untracked(_ id: KeyID) throws(RegistryError) -> KeyRecord? {
        if let changed = changes.keys[id] { return changed }
        return try engine.key(id)
    }

    // MARK: Committing

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
    func events() throws(RegistryError) -> [Watches.Event] {
        guard !engine.watches.isEmpty else { return [] }
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
        let includesSubtrees = engine.watches.includeSubtrees
        var events: [Watches.Event] = []
        for (id, changed) in kinds where id != 0 {
            events.append(
                Watches.Event(key: id, kinds: changed, above: includesSubtrees ? try above(id) : []))
        }
        return events
    }

    private func above(_ id: KeyID) throws(RegistryError) -> [KeyID] {
        var (out, next): ([KeyID], KeyID) = ([], id)
        while out.count < RegistryLimits.depth {
            // Above a deleted key there may be deleted ones.
            let record = if let gone = replaced[next] { gone } else { try untracked(next) }
            guard let record, record.parent != 0 else { break }
            out.append(record.parent)
            next = record.parent
        }
        return out
    }
}
