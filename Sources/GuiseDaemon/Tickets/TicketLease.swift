import Synchronization

/// The tickets of a pack that a process may redeem by itself, for as long as they wait.
///
/// What the process writes into its page harms nobody but itself: at worst it acts again as a client that it acts as anyway,
/// or one of its account's other processes is refused.
final class TicketLease: Sendable {
    /// Never given twice, so that a word of a lease that is over is nobody's.
    let number: UInt64
    /// Whose page has the words; mapped as long as this is there.
    let attachment: Attachment
    /// Of the client; 0 where the tickets outlive it, as those of level Anonymous do.
    let session: UInt64
    /// The first of the words, which follow each other.
    let first: Int

    init(number: UInt64, attachment: Attachment, session: UInt64, first: Int) {
        (self.number, self.attachment, self.session, self.first) = (number, attachment, session, first)
    }

    func offer(_ place: Int) { attachment.page.offerTicket(at: first + place, of: number) }
    func take(_ place: Int) -> Bool { attachment.page.takeTicket(at: first + place, of: number) }
    func isWaiting(_ place: Int) -> Bool { attachment.page.hasTicket(at: first + place, of: number) }
}

/// The leases that there are, by their clients' logon sessions: with a session the process's right to redeem ends, at once
/// and on whatever thread.
final class TicketLeases: Sendable {
    private let leases = Mutex<[UInt64: [UInt64: TicketLease]]>([:])

    func add(_ lease: TicketLease) {
        guard lease.session != 0 else { return }
        leases.withLock { $0[lease.session, default: [:]][lease.number] = lease }
    }

    func remove(_ lease: TicketLease) {
        leases.withLock { leases in
            leases[lease.session]?[lease.number] = nil
            if leases[lease.session]?.isEmpty == true { leases[lease.session] = nil }
        }
    }

    /// Leaves nothing to be redeemed by the process itself.
    func end(session: UInt64) {
        let ended = leases.withLock { $0.removeValue(forKey: session) } ?? [:]
        for lease in ended.values {
            for place in 0..<Tickets.largestPack { _ = lease.take(place) }
        }
    }
}
