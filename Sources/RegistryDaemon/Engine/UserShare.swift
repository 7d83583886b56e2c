import Dispatch
import Synchronization

/// What one user takes of the registry, over all their connections: whatever they do at once, others have their turn.
package final class UserShare: Sendable {
    private let held = Atomic<Int>(0)
    /// Taken for a large change outside of transactions: of one user's, one is worked out and written at a time.
    let largeChange = DispatchSemaphore(value: 1)

    package init() {}

    /// Counts so many bytes of open transactions; false, and none of them, when that is over the limit.
    func take(_ bytes: Int, limit: Int) -> Bool {
        guard held.add(bytes, ordering: .relaxed).newValue <= limit else {
            give(bytes)
            return false
        }
        return true
    }

    func give(_ bytes: Int) { held.subtract(bytes, ordering: .relaxed) }

    /// How many bytes open transactions hold.
    package var transactionBytes: Int { held.load(ordering: .relaxed) }
}
