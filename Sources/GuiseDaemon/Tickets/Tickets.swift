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
    /// The most that are issued at once.
    static let largestPack = 32

    struct Ticket {
        /// As whom the server may act, and at which level.
        let client: PeerCapture.Client
        /// Who may redeem it.
        let server: SID
        fileprivate let share: Share
        /// In milliseconds of the steady clock.
        fileprivate let end: UInt64
        fileprivate let pack: Pack?
        /// Which of its pack's it is.
        fileprivate let place: Int
    }

    /// Tickets that were issued together: whoever redeems one may be let redeem the rest by itself.
    fileprivate final class Pack {
        let tickets: [[UInt8]]
        /// By bits: those that are in the table.
        var waiting: UInt32
        /// Whoever has it takes a ticket by its word in the process's page, and so does the authority.
        var lease: TicketLease?

        init(_ tickets: [[UInt8]]) {
            self.tickets = tickets
            waiting = .max >> (UInt32.bitWidth - tickets.count)
        }

        var waitingPlaces: [Int] { tickets.indices.filter { waiting & 1 << $0 != 0 } }
    }

    /// What a process has leased, and the room in its page for more.
    private struct Room {
        let attachment: Attachment
        /// The first words of packs.
        var free: [Int]
        var packs: [Int: Pack] = [:]

        init(_ attachment: Attachment) {
            self.attachment = attachment
            free = Array(stride(from: 0, to: attachment.page.ticketCount, by: largestPack))
        }
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
    private var rooms: [ObjectIdentifier: Room] = [:]
    private let leases: TicketLeases
    private var lastLease: UInt64 = 0
    private let now: () -> UInt64
    private var sweptAt: UInt64 = 0

    /// - Parameters:
    ///   - leases: is told of each.
    ///   - now: milliseconds that only rise.
    init(
        leases: TicketLeases = TicketLeases(), now: @escaping () -> UInt64 = { WallClock.steadyMilliseconds }
    ) {
        (self.leases, self.now) = (leases, now)
    }

    var count: Int { tickets.count }

    /// How many places the queues take, those of used tickets with them.
    var remembered: Int { queues.values.reduce(0) { $0 + $1.order.count } }

    /// Makes a ticket, and others with it for the same client.
    ///
    /// Where there is no room at all it is made at the expense of the user who has the most, or refused if that is this
    /// one: whoever floods the authority keeps nobody else from a ticket. The others are for room that is left over: of
    /// half of what the user may have for the client, and of half of the table.
    ///
    /// - Parameters:
    ///   - lifetime: in seconds.
    ///   - user: for whose process.
    ///   - count: the most that are wanted, at least 1.
    func issue(
        _ client: PeerCapture.Client, to server: SID, lifetime: UInt32, for user: UInt32, count: Int
    ) throws(Refused) -> [[UInt8]] {
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
        let count = max(
            1,
            min(
                count, Self.largestPack, Self.largestCountPerShare / 2 - counts[share, default: 0],
                Self.largestCount / 2 - tickets.count))
        var random = SystemRandomNumberGenerator()
        let made = (0..<count).map { _ in Self.random(&random) }
        let pack = count > 1 ? Pack(made) : nil
        let end = now() + UInt64(lifetime) * 1000
        for (place, bytes) in made.enumerated() {
            tickets[bytes] = Ticket(
                client: client, server: server, share: share, end: end, pack: pack, place: place)
        }
        counts[share, default: 0] += count
        queues[user, default: Queue()].waiting += count
        queues[user]?.order.append(contentsOf: made)
        return made
    }

    private static func random(_ source: inout SystemRandomNumberGenerator) -> [UInt8] {
        var words = (source.next(), source.next(), source.next(), source.next())
        return withUnsafeBytes(of: &words, Array.init)
    }

    /// Takes a ticket out, so that it is never there again; nil when it is not there, has expired, or was redeemed by who
    /// had it leased.
    func redeem(_ bytes: [UInt8]) -> Ticket? {
        guard let ticket = tickets[bytes] else { return nil }
        // Whoever takes the word has it, the process or this.
        let isUnused = ticket.pack?.lease?.take(ticket.place) ?? true
        remove(bytes)
        return isUnused && now() < ticket.end ? ticket : nil
    }

    /// Lets a process redeem what waits of a ticket's pack by itself; nil when nothing does, another one is let already,
    /// or its page has no room.
    ///
    /// - Parameters:
    ///   - ticket: as it was redeemed.
    ///   - expiry: when the client's session ends by itself, in milliseconds since 1970.
    func lease(
        restOf ticket: Ticket, to attachment: Attachment, until expiry: UInt64?
    ) -> (lease: TicketLease, rest: [(bytes: [UInt8], place: Int)], milliseconds: UInt64)? {
        reap(attachment)
        guard let pack = ticket.pack, pack.lease == nil, pack.waiting != 0 else { return nil }
        let now = now()
        var milliseconds = ticket.end > now ? ticket.end - now : 0
        if let expiry {
            let current = WallClock.milliseconds
            milliseconds = min(milliseconds, expiry > current ? expiry - current : 0)
        }
        var room = rooms[ObjectIdentifier(attachment)] ?? Room(attachment)
        guard milliseconds > 0, let first = room.free.popLast() else { return nil }
        lastLease += 1
        let token = ticket.client.token
        let lease = TicketLease(
            number: lastLease, attachment: attachment,
            session: ticket.client.level == .anonymous || token.isAnonymous ? 0 : token.logonSession,
            first: first)
        var rest: [(bytes: [UInt8], place: Int)] = []
        for place in pack.waitingPlaces {
            lease.offer(place)
            rest.append((pack.tickets[place], place))
        }
        pack.lease = lease
        room.packs[first] = pack
        rooms[ObjectIdentifier(attachment)] = room
        leases.add(lease)
        return (lease, rest, milliseconds)
    }

    /// Takes back what is leased and was not redeemed: it waits for whoever comes, and this alone redeems it.
    func withdraw(where isMeant: (TicketLease) -> Bool) {
        for room in rooms.values {
            for pack in room.packs.values { withdraw(pack, where: isMeant) }
        }
    }

    /// As ``withdraw(where:)``, all of a process that is gone, or has become another.
    func withdraw(from attachment: Attachment) {
        guard let room = rooms[ObjectIdentifier(attachment)] else { return }
        for pack in room.packs.values { withdraw(pack) { _ in true } }
        rooms[ObjectIdentifier(attachment)] = nil
    }

    private func withdraw(_ pack: Pack, where isMeant: (TicketLease) -> Bool) {
        guard let lease = pack.lease, isMeant(lease) else { return }
        end(lease, of: pack)
        for place in pack.waitingPlaces where !lease.take(place) { remove(pack.tickets[place]) }
    }

    private func end(_ lease: TicketLease, of pack: Pack) {
        pack.lease = nil
        leases.remove(lease)
        rooms[ObjectIdentifier(lease.attachment)]?.packs[lease.first] = nil
        rooms[ObjectIdentifier(lease.attachment)]?.free.append(lease.first)
    }

    /// Drops what a process has redeemed by itself.
    private func reap(_ attachment: Attachment) {
        guard let room = rooms[ObjectIdentifier(attachment)] else { return }
        for pack in room.packs.values {
            guard let lease = pack.lease else { continue }
            for place in pack.waitingPlaces where !lease.isWaiting(place) { remove(pack.tickets[place]) }
        }
    }

    /// Whether the process that has it leased took it.
    private func isRedeemed(_ ticket: Ticket) -> Bool {
        ticket.pack?.lease.map { !$0.isWaiting(ticket.place) } ?? false
    }

    /// Drops those that have expired, and those that were redeemed elsewhere.
    func sweep() {
        let now = now()
        sweptAt = now
        for (bytes, ticket) in tickets where ticket.end <= now || isRedeemed(ticket) { remove(bytes) }
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
        if let pack = ticket.pack {
            pack.waiting &= ~(1 << ticket.place)
            if let lease = pack.lease {
                _ = lease.take(ticket.place)
                if pack.waiting == 0 { end(lease, of: pack) }
            }
        }
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
