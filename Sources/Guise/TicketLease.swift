import Dispatch
import GuiseProtocol
import Synchronization

/// Tickets that this process may redeem by itself: those that were issued together with one that it had the authority
/// redeem. All stand for the same client, whom the authority holds once for all of them, until the last is redeemed or
/// they expire, and nobody acts as the client any more.
///
/// Each is redeemed by taking its word in the identity page, by whoever comes first: this process, or the authority for
/// another one of the service. The authority takes back what it wants to be asked for again: when the client's session
/// ends, its token or the service's is changed, or this process is gone.
final class TicketLease: Sendable {
    private let capture: Capture
    private let number: UInt64
    /// In nanoseconds of the steady clock.
    private let end: UInt64

    private struct Place {
        let lease: TicketLease
        let word: Int
    }
    /// By their bytes, under a hash with a random key. As many as the page has words at most.
    private static let waiting = Mutex<[[UInt8]: Place]>([:])

    private init(_ capture: Capture, number: UInt64, end: UInt64) {
        (self.capture, self.number, self.end) = (capture, number, end)
    }

    /// - Parameter asked: when the authority was asked for it, or before.
    static func keep(_ lease: WireTicketLease, of capture: Capture, since asked: UInt64) {
        let count = capture.authority.page.ticketCount
        let kept = TicketLease(
            capture, number: lease.number, end: asked + UInt64(lease.lifetime) * 1_000_000)
        let tickets = lease.tickets.map(Array.init)
        // In a child made by fork the lock may be held for ever, by a thread that is not there. What is not kept the
        // authority redeems.
        let isKept = waiting.withLockIfAvailable { waiting in
            for (ticket, word) in zip(tickets, lease.words) where word < count {
                waiting[ticket] = Place(lease: kept, word: Int(word))
            }
            return true
        }
        guard isKept == true else { return }
        // So that a service that nobody calls any more holds no clients.
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(lease.lifetime))) {
            // Given up outside the lock: the last is a message to the authority.
            let late = waiting.withLock { waiting in tickets.map { waiting.removeValue(forKey: $0) } }
            _ = consume late
        }
    }

    /// Uses a ticket up, if it is this process's to redeem; nil: the authority is to be asked.
    static func redeem(_ ticket: [UInt8], _ authority: Authority) -> Capture? {
        // A child made by fork does not have the page.
        guard authority.client.isOwn, !authority.client.isLost,
            let place = waiting.withLockIfAvailable({ $0.removeValue(forKey: ticket) }) ?? nil
        else { return nil }
        let lease = place.lease
        guard lease.capture.authority === authority, SteadyClock.nanoseconds < lease.end,
            authority.page.takeTicket(at: place.word, of: lease.number)
        else { return nil }
        return lease.capture
    }
}
