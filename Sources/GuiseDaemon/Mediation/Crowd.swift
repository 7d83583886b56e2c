import Synchronization

/// Shares the mediator threads of one service among its clients: calls of a client that wait for a disk, or for a file
/// system that some user serves and that does not answer, leave the others theirs.
///
/// A call that there is no place for is put off: whoever is done with another call of that client handles it next.
final class Crowd: Sendable {
    /// The most threads that one client's calls take at once, when there are more than these.
    static let largestShare = 8

    private struct State {
        var underWay: [UInt32: Int] = [:]
        var putOff: [UInt32: [Trap]] = [:]
    }
    private let state = Mutex(State())
    /// How many threads there are. Nothing is counted while there are few.
    let threadCount = Atomic(0)

    enum Place {
        /// As long as there are few threads.
        case uncounted
        case taken
        /// Somebody else handles the call.
        case none
    }

    func takePlace(for trap: Trap, of user: UInt32) -> Place {
        guard threadCount.load(ordering: .relaxed) > Self.largestShare else { return .uncounted }
        return state.withLock { state in
            guard state.underWay[user, default: 0] < Self.largestShare else {
                state.putOff[user, default: []].append(trap)
                return .none
            }
            state.underWay[user, default: 0] += 1
            return .taken
        }
    }

    /// Gives a place back.
    ///
    /// - Returns: a call that was put off and is to be handled now.
    func leave(_ user: UInt32) -> Trap? {
        state.withLock { state in
            state.underWay[user, default: 1] -= 1
            if state.underWay[user] == 0 { state.underWay[user] = nil }
            guard var waiting = state.putOff[user] else { return nil }
            let next = waiting.removeFirst()
            state.putOff[user] = waiting.isEmpty ? nil : waiting
            return next
        }
    }
}
