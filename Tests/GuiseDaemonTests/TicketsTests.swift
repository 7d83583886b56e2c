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
        let client = client ?? user
        let logon = try tokens.logon(UnixCredentials(uid: client, gid: client, groups: []))
        return try tickets.issue(
            PeerCapture.Client(
                pid: 1, token: logon.token.token, credentials: logon.credentials, level: .impersonation),
            to: Self.server, lifetime: lifetime, for: user)
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
}
