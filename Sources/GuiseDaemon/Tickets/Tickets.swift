import AccessControl
import GuiseProtocol

/// The tickets that wait to be used: each lets one service act once as whoever had it issued.
///
/// They are in memory alone: no file has them, and a later authority knows none. Used on the control thread alone.
final class Tickets {
    /// The bytes of a ticket, which nobody guesses.
    static let length = 32
    /// In seconds.
    static let usualLifetime: UInt32 = 30
    static let longestLifetime: UInt32 = 300
    /// The most that wait at once of those that one user's processes had issued for one client.
    static let largestCountPerShare = 1024
    /// The most that wait at once.
    static let largestCount = 32_768

    struct Ticket {
        /// As whom the server may act, and at which level.
        let client: PeerCapture.Client
        /// Who may redeem it.
        let server: SID
        fileprivate let share: Share
        /// In milliseconds of the steady clock.
        fileprivate let end: UInt64
    }

    /// What is counted together: what one user's processes ask for as one client. A service that passes on many clients
    /// has as many shares.
    struct Share: Hashable {
        let user: UInt32
        let client: SID
    }

    /// One user's, in the order in which they were issued.
    private struct Queue {
        var waiting = 0
        /// Those that are gone since among them, and before `first` no others.
        var order: [[UInt8]] = []
        var first = 0
    }

    /// By their bytes, under a hash with a random key: how long a look-up takes says nothing of what is there.
    private var tickets: [[UInt8]: Ticket] = [:]
    private var counts: [Share: Int] = [:]
    private var queues: [UInt32: Queue] = [:]
    private let now: () -> UInt64
    private var sweptAt: UInt64 = 0

    /// - Parameter now: milliseconds that only rise.
    init(now: @escaping () -> UInt64 = { WallClock.steadyMilliseconds }) { self.now = now }

    var count: Int { tickets.count }

    /// How many places the queues take, those of used tickets with them.
    var remembered: Int { queues.values.reduce(0) { $0 + $1.order.count } }

    /// Makes a ticket.
    ///
    /// Where there is no room at all it is made at the expense of the user who has the most, or refused if that is this
    /// one: whoever floods the authority keeps nobody else from a ticket.
    ///
    /// - Parameters:
    ///   - lifetime: in seconds.
    ///   - user: for whose process.
    func issue(
        _ client: PeerCapture.Client, to server: SID, lifetime: UInt32, for user: UInt32
    ) throws(Refused) -> [UInt8] {
        let share = Share(user: user, client: client.token.user)
        if counts[share, default: 0] >= Self.largestCountPerShare || tickets.count >= Self.largestCount {
            sweepIfDue()
        }
        guard counts[share, default: 0] < Self.largestCountPerShare else {
            throw Refused(
                .limit,
                "\(Self.largestCountPerShare) tickets of user \(user) for \(share.client) wait to be used"
                    + " already")
        }
        if tickets.count >= Self.largestCount { try makeRoom(for: user) }
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<Self.length).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        tickets[bytes] = Ticket(
            client: client, server: server, share: share, end: now() + UInt64(lifetime) * 1000)
        counts[share, default: 0] += 1
        queues[user, default: Queue()].waiting += 1
        queues[user]?.order.append(bytes)
        return bytes
    }

    /// Takes a ticket out, so that it is never there again; nil when it is not there or has expired.
    func redeem(_ bytes: [UInt8]) -> Ticket? {
        guard let ticket = remove(bytes), now() < ticket.end else { return nil }
        return ticket
    }

    /// Drops those that have expired.
    func sweep() {
        let now = now()
        sweptAt = now
        for (bytes, ticket) in tickets where ticket.end <= now { remove(bytes) }
    }

    /// Looks at every ticket, so not more than once in a second.
    private func sweepIfDue() { if now() >= sweptAt + 1000 { sweep() } }

    private func makeRoom(for user: UInt32) throws(Refused) {
        let own = queues[user]?.waiting ?? 0
        guard let heaviest = queues.max(by: { $0.value.waiting < $1.value.waiting })?.key, heaviest != user,
            var queue = queues[heaviest], own + 1 < queue.waiting
        else {
            throw Refused(
                .limit, "\(Self.largestCount) tickets wait to be used, \(own) of them of user \(user)")
        }
        while tickets[queue.order[queue.first]] == nil { queue.first += 1 }
        queues[heaviest]?.first = queue.first
        remove(queue.order[queue.first])
    }

    @discardableResult
    private func remove(_ bytes: [UInt8]) -> Ticket? {
        guard let ticket = tickets.removeValue(forKey: bytes) else { return nil }
        counts[ticket.share, default: 1] -= 1
        if counts[ticket.share] == 0 { counts[ticket.share] = nil }
        let user = ticket.share.user
        queues[user]?.waiting -= 1
        guard let queue = queues[user], queue.waiting > 0 else {
            queues[user] = nil
            return ticket
        }
        // As many that are gone as wait, and they are left out: each is looked at a few times at most.
        if queue.order.count > 2 * queue.waiting + 64 {
            queues[user]?.order.removeAll { tickets[$0] == nil }
            queues[user]?.first = 0
        }
        return ticket
    }
}
