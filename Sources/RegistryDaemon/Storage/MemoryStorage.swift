package import RegistryModel

/// Keys that end with the process.
package final class MemoryStorage: RegistryStorage {
    private struct Key {
        var record: KeyRecord
        var values: [[UInt8]: ValueRecord] = [:]
    }

    private struct State {
        var keys: [KeyID: Key] = [:]
        var children: [KeyID: [[UInt8]: KeyID]] = [:]
    }

    private let state = Guarded(State())

    package init() {}

    package func largestID() -> KeyID { state.withLock { $0.keys.keys.max() ?? 0 } }

    package func key(_ id: KeyID) -> KeyRecord? { state.withLock { $0.keys[id]?.record } }

    package func child(of parent: KeyID, named folded: [UInt8]) -> KeyRecord? {
        state.withLock { state in
            state.children[parent]?[folded].flatMap { state.keys[$0]?.record }
        }
    }

    package func children(of parent: KeyID, after folded: [UInt8]?, limit: Int) -> [KeyRecord] {
        state.withLock { state in
            guard let children = state.children[parent] else { return [] }
            return children.keys.sorted(after: folded).prefix(limit).compactMap { name in
                children[name].flatMap { state.keys[$0]?.record }
            }
        }
    }

    package func value(of key: KeyID, named folded: [UInt8]) -> ValueRecord? {
        state.withLock { $0.keys[key]?.values[folded] }
    }

    package func values(of key: KeyID, after folded: [UInt8]?, limit: Int, bytes: Int) -> [ValueRecord] {
        state.withLock { state in
            guard let values = state.keys[key]?.values else { return [] }
            var (out, size): ([ValueRecord], Int) = ([], 0)
            for name in values.keys.sorted(after: folded).prefix(limit) where size < bytes {
                guard let value = values[name] else { continue }
                out.append(value)
                size += value.size
            }
            return out
        }
    }

    package func apply(_ changes: RegistryChanges) {
        state.withLock { state in
            for (id, record) in changes.keys {
                if let old = state.keys[id]?.record, state.children[old.parent]?[old.name.folded] == id {
                    state.children[old.parent]?[old.name.folded] = nil
                    if state.children[old.parent]?.isEmpty == true { state.children[old.parent] = nil }
                }
                if record == nil { state.keys[id] = nil }
            }
            for (id, record) in changes.keys {
                guard let record else { continue }
                state.keys[id, default: Key(record: record)].record = record
                state.children[record.parent, default: [:]][record.name.folded] = id
            }
            for (id, values) in changes.values where state.keys[id] != nil {
                for (name, value) in values { state.keys[id]?.values[name] = value }
            }
        }
    }

    package func backup(to path: String) throws(RegistryError) {
        throw .invalid("what is in memory alone cannot be backed up")
    }

    package func complaints() -> [String] { [] }

    package func flush() {}
}

extension Sequence<[UInt8]> {
    func sorted(after folded: [UInt8]?) -> [[UInt8]] {
        let later = filter { name in folded.map { $0.lexicographicallyPrecedes(name) } ?? true }
        return later.sorted { $0.lexicographicallyPrecedes($1) }
    }
}
