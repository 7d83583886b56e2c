import AccessControl
import Glibc
import GuiseProtocol
import Testing

@testable import GuiseDaemon

/// The table of tickets, by a clock of the test's own.
@Suite("Tickets that wait to be used")
struct TicketsTests {
    private final class Clock {
        var now: UInt64 = 1_000_000
    }
    private let clock = Clock()
    private let tickets: Tickets
    private let state: ScratchState
    private let tokens: TokenFactory
    private static let server = SID("S-1-5-80-1")!

    init() throws {
        let clock = clock
        tickets = Tickets { clock.now }
        state = try ScratchState()
        tokens = TokenFactory(accounts: try state.open(), sessions: LogonSessions())
    }

    @discardableResult
    private func issue(_ user: UInt32, as client: UInt32? = nil, lifetime: UInt32 = 30) throws -> [UInt8] {
        try tickets.issue(
            try self.client(client ?? user), to: Self.server, lifetime: lifetime, for: user, count: 1)[0]
    }

    private func isRefused(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch { return (error as? Refused)?.reason == .limit }
    }

    @Test("are 32 bytes, each time others, and there once")
    func once() throws {
        let issued = try (0..<100).map { _ in try issue(1) }
        #expect(Set(issued).count == 100)
        #expect(issued.allSatisfy { $0.count == Tickets.length })
        for ticket in issued {
            #expect(tickets.redeem(ticket)?.server == Self.server)
            #expect(tickets.redeem(ticket) == nil)
        }
        #expect(tickets.count == 0)
    }

    @Test("are not found by anything but all of their bytes")
    func guessed() throws {
        let ticket = try issue(1)
        for index in ticket.indices {
            var other = ticket
            other[index] ^= 1
            #expect(tickets.redeem(other) == nil)
        }
        #expect(tickets.redeem([]) == nil)
        #expect(tickets.redeem(Array(ticket.dropLast())) == nil)
        #expect(tickets.redeem(ticket + [0]) == nil)
        #expect(tickets.redeem(ticket) != nil)
    }

    @Test("are gone at the end of their time, and no earlier")
    func expiry() throws {
        let (early, late, swept) = (try issue(1), try issue(1), try issue(1, lifetime: 300))
        clock.now += 29_999
        #expect(tickets.redeem(early) != nil)
        clock.now += 1
        #expect(tickets.redeem(late) == nil)
        tickets.sweep()
        #expect(tickets.count == 1)
        clock.now += 270_000
        tickets.sweep()
        #expect(tickets.count == 0)
        #expect(tickets.redeem(swept) == nil)
    }

    @Test("of one user for one client are so many; its other clients and other users have theirs")
    func share() throws {
        for _ in 0..<Tickets.largestCountPerShare { try issue(1) }
        #expect(isRefused { try issue(1) })
        try issue(1, as: 2)
        try issue(2)
        // Used ones make room, and so do expired ones.
        clock.now += 30_000
        try issue(1)
        #expect(tickets.count == 1)
    }

    @Test("of a full table the heaviest user loses the oldest; a user who has as many is refused")
    func full() throws {
        let first = try issue(1, as: 1000)
        let second = try issue(1, as: 1000)
        for index in 2..<UInt32(Tickets.largestCount) { try issue(1, as: 1000 + index / 1000) }
        #expect(tickets.count == Tickets.largestCount)
        #expect(isRefused { try issue(1, as: 5000) })
        let hers = try issue(2)
        #expect(tickets.redeem(first) == nil)
        #expect(tickets.count == Tickets.largestCount)
        #expect(tickets.redeem(second) != nil)
        #expect(tickets.redeem(hers) != nil)
    }

    @Test("of a full table everybody gets as many as the others, whoever came first")
    func fair() throws {
        for index in 0..<UInt32(Tickets.largestCount) { try issue(1, as: 1000 + index / 1000) }
        var count = 0
        while !isRefused({ try issue(2, as: 1000 + UInt32(count) / 1000) }) { count += 1 }
        #expect((Tickets.largestCount / 2 - 1...Tickets.largestCount / 2).contains(count))
    }

    @Test("that are used at once leave nothing behind, while one waits")
    func memory() throws {
        let waiting = try issue(1, lifetime: 300)
        for _ in 0..<10_000 { #expect(tickets.redeem(try issue(1)) != nil) }
        #expect(tickets.count == 1)
        #expect(tickets.remembered < 100)
        #expect(tickets.redeem(waiting) != nil)
        #expect(tickets.remembered == 0)
    }

    // MARK: Packs

    private func pack(_ user: UInt32, _ count: Int) throws -> [[UInt8]] {
        try tickets.issue(try client(user), to: Self.server, lifetime: 30, for: user, count: count)
    }

    private func logon(_ user: UInt32) throws -> Logon {
        try tokens.logon(UnixCredentials(uid: user, gid: user, groups: []))
    }

    private func client(
        _ user: UInt32, _ level: ImpersonationLevel = .impersonation
    ) throws -> PeerCapture.Client {
        let logon = try logon(user)
        return PeerCapture.Client(
            pid: 1, token: logon.token.token, credentials: logon.credentials, level: level)
    }

    /// A process, with a page of its own: room for two packs.
    private func process() throws -> GuiseDaemon.Attachment {
        let size = IdentityPage.size(count: 16)
        let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        return GuiseDaemon.Attachment(
            pid: 1, identity: 1, primary: ProcessToken(try logon(77)), service: nil,
            page: IdentityPage(base: base, count: 16), nonce: (0, [UInt8](repeating: 0, count: 16)),
            tasks: nil)
    }

    /// Redeems the first of a pack and lets the process redeem the rest.
    private func lease(_ pack: [[UInt8]], to process: GuiseDaemon.Attachment) throws -> TicketLease? {
        let ticket = try #require(tickets.redeem(pack[0]))
        return tickets.lease(restOf: ticket, to: process, until: nil)?.lease
    }

    @Test("come as packs, for room that is left over, and never less than one")
    func packs() throws {
        #expect(Set(try pack(1, 32)).count == 32)
        #expect(try pack(1, 1000).count == Tickets.largestPack)
        for _ in 0..<14 { #expect(try pack(1, 32).count == 32) }
        #expect(tickets.count == 512)
        for _ in 0..<512 { #expect(try pack(1, 32).count == 1) }
        #expect(isRefused { _ = try pack(1, 32) })
        #expect(try pack(2, 32).count == 32)
    }

    @Test("of a pack are redeemed once, by the process that leased them or by the authority")
    func leased() throws {
        let (process, pack) = (try self.process(), try self.pack(1, 32))
        let lease = try #require(try self.lease(pack, to: process))
        #expect(process.page.takeTicket(at: lease.first + 1, of: lease.number))
        #expect(tickets.redeem(pack[1]) == nil)
        #expect(tickets.redeem(pack[2]) != nil)
        #expect(!process.page.takeTicket(at: lease.first + 2, of: lease.number))
        #expect(tickets.redeem(pack[2]) == nil)
        // Nobody else gets the same lease, and this one no more than there is room for.
        let other = try #require(tickets.redeem(pack[3]))
        #expect(tickets.lease(restOf: other, to: process, until: nil) == nil)
        #expect(try self.lease(try self.pack(1, 32), to: process) != nil)
        #expect(try self.lease(try self.pack(1, 32), to: process) == nil)
    }

    @Test("that a process redeemed by itself make room, for tickets and for packs")
    func reaped() throws {
        let process = try self.process()
        for _ in 0..<1000 {
            let lease = try #require(try self.lease(try pack(1, 32), to: process))
            for place in 1..<32 {
                #expect(process.page.takeTicket(at: lease.first + place, of: lease.number))
            }
        }
        #expect(tickets.count <= 62)
        tickets.sweep()
        #expect(tickets.count == 0)
        #expect(tickets.remembered == 0)
    }

    @Test("that are taken back are the authority's to redeem, those that were not used")
    func withdrawn() throws {
        let (process, pack) = (try self.process(), try self.pack(1, 32))
        let first = try #require(try lease(pack, to: process))
        #expect(process.page.takeTicket(at: first.first + 1, of: first.number))
        tickets.withdraw(from: process)
        #expect(!process.page.takeTicket(at: first.first + 2, of: first.number))
        #expect(tickets.redeem(pack[1]) == nil)
        // To another process, or to the same.
        let ticket = try #require(tickets.redeem(pack[2]))
        let second = try #require(tickets.lease(restOf: ticket, to: process, until: nil)?.lease)
        #expect(!process.page.takeTicket(at: second.first + 3, of: first.number))
        #expect(process.page.takeTicket(at: second.first + 3, of: second.number))
        #expect(tickets.redeem(pack[3]) == nil)
    }

    @Test("of a client whose session ends are nobody's to redeem by itself; those of Anonymous stay")
    func sessionEnd() throws {
        let leases = TicketLeases()
        let tickets = Tickets(leases: leases)
        func lease(_ level: ImpersonationLevel) throws -> (TicketLease, UInt64, GuiseDaemon.Attachment) {
            let (client, process) = (try self.client(1, level), try self.process())
            let pack = try tickets.issue(client, to: Self.server, lifetime: 30, for: 1, count: 32)
            let ticket = try #require(tickets.redeem(pack[0]))
            let lease = try #require(tickets.lease(restOf: ticket, to: process, until: nil)?.lease)
            return (lease, client.token.logonSession, process)
        }
        let (known, session, process) = try lease(.impersonation)
        let (anonymous, other, nobody) = try lease(.anonymous)
        leases.end(session: session)
        leases.end(session: other)
        for place in 1..<32 {
            #expect(!process.page.takeTicket(at: known.first + place, of: known.number))
            #expect(nobody.page.takeTicket(at: anonymous.first + place, of: anonymous.number))
        }
    }

    @Test("are used up for a process that writes anything into its page, and nobody else's are touched")
    func hostile() throws {
        let (hostile, honest) = (try self.process(), try self.process())
        let (hers, his) = (try self.pack(1, 32), try self.pack(2, 32))
        let (lease, other) = (try self.lease(hers, to: hostile), try self.lease(his, to: honest))
        let (number, others) = (try #require(lease?.number), try #require(other?.number))
        // As if nothing had been used: the authority redeems each once all the same.
        #expect(tickets.redeem(hers[1]) != nil)
        for word in 0..<hostile.page.ticketCount { hostile.page.offerTicket(at: word, of: number) }
        #expect(tickets.redeem(hers[1]) == nil)
        #expect(tickets.redeem(hers[2]) != nil)
        // Of another process's.
        for word in 0..<hostile.page.ticketCount {
            hostile.page.offerTicket(at: word, of: others)
        }
        #expect(tickets.redeem(hers[3]) == nil)
        memset(hostile.page.base, 0xFF, hostile.pageSize)
        tickets.sweep()
        tickets.withdraw(from: hostile)
        for ticket in hers { #expect(tickets.redeem(ticket) == nil) }
        for ticket in his[1...] { #expect(tickets.redeem(ticket) != nil) }
    }
}
