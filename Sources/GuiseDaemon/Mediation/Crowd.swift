import AccessControl
import Synchronization

/// Shares the mediator threads of one service among its clients: calls of a client that wait for a disk, or for a file
/// system that some user serves and that does not answer, leave the others theirs.
///
/// A call that there is no place for is put off: whoever is done with another call of that client handles it next.
final class Crowd: Sendable {
    /// The most threads that one client's calls take at once, when there are more than these.
    static let largestShare = 8
    /// Past so many that were put off, those whose threads are gone are looked for, and again at each doubling.
    private static let countBeforeLooking = 256

    private struct State {
        var underWay: [SID: Int] = [:]
        var putOff: [SID: [Trap]] = [:]
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

    func takePlace(for trap: Trap, of user: SID) -> Place {
        guard threadCount.load(ordering: .relaxed) > Self.largestShare else { return .uncounted }
        return state.withLock { state in
            guard state.underWay[user, default: 0] < Self.largestShare else {
                state.putOff[user, default: []].append(trap)
                let count = state.putOff[user]!.count
                if count >= Self.countBeforeLooking, count & (count - 1) == 0 {
                    state.putOff[user]!.removeAll { !$0.isPending }
                }
                return .none
            }
            state.underWay[user, default: 0] += 1
            return .taken
        }
    }

    /// Gives a place back, or on to a call that was put off.
    ///
    /// - Returns: a call that is to be handled now, in the place that was given back. Whatever becomes of it, the place
    ///   has to be given back once more: there may be others behind it.
    func leave(_ user: SID) -> Trap? {
        state.withLock { state in
            if var waiting = state.putOff.removeValue(forKey: user), !waiting.isEmpty {
                let next = waiting.removeFirst()
                if !waiting.isEmpty { state.putOff[user] = waiting }
                return next
            }
            state.underWay[user, default: 1] -= 1
            if state.underWay[user] == 0 { state.underWay[user] = nil }
            return nil
        }
    }
}
