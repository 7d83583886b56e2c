import Synchronization

/// By which commit what was last changed: a transaction goes on only while nothing that it read or changes has another
/// state than when it began.
///
/// What it remembers has a bound. Transactions that are left open while others change more than that have to begin anew.
final class History: Sendable {
    private struct State {
        /// The last commit that is seen by all.
        var sequence: UInt64 = 0
        var changed: [RegistryView.Place: UInt64] = [:]
        /// About how many bytes ``changed`` takes.
        var size = 0
        /// What commits up to this one changed is not known any more.
        var forgotten: UInt64 = 0
        /// When the open transactions began.
        var open: [UInt64: Int] = [:]

        func isAsBefore(_ place: RegistryView.Place, _ begun: UInt64) -> Bool {
            begun >= forgotten && changed[place, default: 0] <= begun
        }
    }

    private let state = Mutex(State())
    private let limit: Int

    /// - Parameter limit: how many bytes it may take.
    init(limit: Int) { self.limit = limit }

    /// A transaction begins, after the commit that is returned.
    func begin() -> UInt64 {
        state.withLock { state in
            state.open[state.sequence, default: 0] += 1
            return state.sequence
        }
    }

    /// The transaction has ended.
    func end(_ begun: UInt64) {
        state.withLock { state in
            guard let count = state.open[begun] else { return }
            state.open[begun] = count == 1 ? nil : count - 1
        }
    }

    /// Whether nobody has changed any of this since a commit.
    func areAsBefore(_ places: some Sequence<RegistryView.Place>, _ begun: UInt64) -> Bool {
        state.withLock { state in places.allSatisfy { state.isAsBefore($0, begun) } }
    }

    /// Whether nobody has changed this since a commit. Asked after it was read.
    func isAsBefore(_ place: RegistryView.Place, _ begun: UInt64) -> Bool {
        state.withLock { $0.isAsBefore(place, begun) }
    }

    /// A commit is about to change this, and nobody sees any of it yet.
    func willChange(_ places: Set<RegistryView.Place>) {
        state.withLock { state in
            for place in places where state.changed.updateValue(state.sequence + 1, forKey: place) == nil {
                state.size += place.size
            }
        }
    }

    /// Everybody sees the commit.
    func didChange() {
        state.withLock { state in
            state.sequence += 1
            guard state.open.isEmpty || state.size > limit else { return }
            (state.changed, state.size) = ([:], 0)
            state.forgotten = state.sequence
        }
    }

    /// About how many bytes it takes.
    var size: Int { state.withLock { $0.size } }
}

extension RegistryView.Place {
    /// About how many bytes remembering it takes.
    var size: Int {
        switch self {
        case .key, .children, .values: 96
        case .child(_, let folded), .value(_, let folded): 128 + folded.count
        }
    }
}
