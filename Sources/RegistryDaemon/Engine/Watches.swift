import RegistryModel
import Synchronization

/// Who is told of changes to which keys.
final class Watches: Sendable {
    /// Somebody who waits for changes of one key.
    final class Watch: Sendable {
        let key: KeyID
        let includesSubtree: Bool
        let kinds: RegistryChangeKinds
        /// Never waits: it is called while a commit ends.
        let tell: @Sendable (RegistryChangeKinds) -> Void

        init(
            key: KeyID, includesSubtree: Bool, kinds: RegistryChangeKinds,
            tell: @escaping @Sendable (RegistryChangeKinds) -> Void
        ) {
            (self.key, self.includesSubtree, self.kinds, self.tell) = (key, includesSubtree, kinds, tell)
        }
    }

    /// What changed at one key, and the keys above it, nearest first.
    struct Event: Sendable {
        let key: KeyID
        let kinds: RegistryChangeKinds
        let above: [KeyID]
    }

    private struct State {
        var byKey: [KeyID: [ObjectIdentifier: Watch]] = [:]
        var subtrees = 0
    }

    private let state = Mutex(State())

    /// Whether anybody waits for changes below a key.
    var includeSubtrees: Bool { state.withLock { $0.subtrees > 0 } }
    /// Whether anybody waits at all.
    var isEmpty: Bool { state.withLock { $0.byKey.isEmpty } }

    func add(_ watch: Watch) {
        state.withLock { state in
            state.byKey[watch.key, default: [:]][ObjectIdentifier(watch)] = watch
            if watch.includesSubtree { state.subtrees += 1 }
        }
    }

    func remove(_ watch: Watch) {
        state.withLock { state in
            guard state.byKey[watch.key]?.removeValue(forKey: ObjectIdentifier(watch)) != nil else { return }
            if state.byKey[watch.key]?.isEmpty == true { state.byKey[watch.key] = nil }
            if watch.includesSubtree { state.subtrees -= 1 }
        }
    }

    func tell(_ events: [Event]) {
        guard !events.isEmpty else { return }
        let told = state.withLock { state in
            var told: [ObjectIdentifier: (watch: Watch, kinds: RegistryChangeKinds)] = [:]
            func note(_ key: KeyID, _ kinds: RegistryChangeKinds, isBelow: Bool) {
                for (id, watch) in state.byKey[key] ?? [:] where watch.includesSubtree || !isBelow {
                    let wanted = kinds.intersection(watch.kinds)
                    if wanted != [] { told[id, default: (watch, [])].kinds.formUnion(wanted) }
                }
            }
            for event in events {
                note(event.key, event.kinds, isBelow: false)
                for key in event.above { note(key, event.kinds, isBelow: true) }
            }
            return told.values.map { $0 }
        }
        for (watch, kinds) in told { watch.tell(kinds) }
    }
}
