import Dispatch
import RegistryModel
import Synchronization

/// Who is told of changes to which keys.
///
/// A commit only notes what is to be told: however many wait for it, it goes on. What is noted meanwhile of a key is told
/// at once, so that no more is kept than there are keys that are watched.
final class Watches: Sendable {
    /// Somebody who waits for changes of one key.
    final class Watch: Sendable {
        let key: KeyID
        let includesSubtree: Bool
        let kinds: RegistryChangeKinds
        /// Never waits: others are told after it.
        let tell: @Sendable (RegistryChangeKinds) -> Void
        fileprivate let isOver = Atomic(false)
        /// After how many notes it began.
        fileprivate let begun = Atomic<UInt64>(0)

        init(
            key: KeyID, includesSubtree: Bool, kinds: RegistryChangeKinds,
            tell: @escaping @Sendable (RegistryChangeKinds) -> Void
        ) {
            (self.key, self.includesSubtree, self.kinds, self.tell) = (key, includesSubtree, kinds, tell)
        }
    }

    /// What one commit changed.
    struct Events: Sendable {
        /// At these keys.
        var at: [KeyID: RegistryChangeKinds] = [:]
        /// At keys below these.
        var below: [KeyID: RegistryChangeKinds] = [:]
    }

    private struct Note {
        var at: RegistryChangeKinds = []
        var below: RegistryChangeKinds = []
        var last: UInt64 = 0
    }

    private struct State {
        var byKey: [KeyID: [ObjectIdentifier: Watch]] = [:]
        var subtrees = 0
        var notes: [KeyID: Note] = [:]
        var count: UInt64 = 0
    }

    private let state = Mutex(State())
    private let teller = DispatchQueue(label: "guise.registry.watches")

    /// Whether anybody waits for changes below a key.
    var includeSubtrees: Bool { state.withLock { $0.subtrees > 0 } }
    /// Whether anybody waits at all.
    var isEmpty: Bool { state.withLock { $0.byKey.isEmpty } }

    /// All kinds of change at each key that is watched.
    var everything: Events { state.withLock { Events(at: $0.byKey.mapValues { _ in .all }) } }

    func add(_ watch: Watch) {
        state.withLock { state in
            watch.begun.store(state.count, ordering: .relaxed)
            state.byKey[watch.key, default: [:]][ObjectIdentifier(watch)] = watch
            if watch.includesSubtree { state.subtrees += 1 }
        }
    }

    func remove(_ watch: Watch) {
        watch.isOver.store(true, ordering: .relaxed)
        state.withLock { state in
            guard state.byKey[watch.key]?.removeValue(forKey: ObjectIdentifier(watch)) != nil else { return }
            if state.byKey[watch.key]?.isEmpty == true { state.byKey[watch.key] = nil }
            if watch.includesSubtree { state.subtrees -= 1 }
        }
    }

    /// Has whoever waits for it told, soon.
    func tell(_ events: Events) {
        let isFirst = state.withLock { state in
            let wasEmpty = state.notes.isEmpty
            state.count += 1
            for (key, kinds) in events.at where state.byKey[key] != nil {
                state.notes[key, default: Note()].at.formUnion(kinds)
                state.notes[key]?.last = state.count
            }
            for (key, kinds) in events.below where state.byKey[key] != nil {
                state.notes[key, default: Note()].below.formUnion(kinds)
                state.notes[key]?.last = state.count
            }
            return wasEmpty && !state.notes.isEmpty
        }
        if isFirst { teller.async { [self] in tellNoted() } }
    }

    private func tellNoted() {
        let noted = state.withLock { state in
            defer { state.notes = [:] }
            return state.notes.compactMap { key, note in
                state.byKey[key].map { (Array($0.values), note) }
            }
        }
        for (watches, note) in noted {
            for watch in watches where watch.begun.load(ordering: .relaxed) < note.last {
                let kinds = watch.includesSubtree ? note.at.union(note.below) : note.at
                let wanted = kinds.intersection(watch.kinds)
                if wanted != [], !watch.isOver.load(ordering: .relaxed) { watch.tell(wanted) }
            }
        }
    }

    /// Waits until all that was noted has been told.
    func settle() { teller.sync {} }
}
