import Foundation
import GuiseProtocol
import Testing

extension TicketScene {
    /// What a client gets who asks 31 times at once: packs of 1, 2, 4, 8 and 16. The last of them.
    func pack(of client: Client? = nil, _ words: String = "") throws -> [String] {
        let reply = try (client ?? hers).ask("ticket-next files 31 " + words)
        guard let tickets = reply.value?.split(separator: " "), tickets.count == 31 else {
            throw HarnessError("no tickets: \(reply)")
        }
        return tickets.suffix(16).map(String.init)
    }

    /// What came of presenting a ticket.
    func redeem(_ ticket: String, _ server: Client? = nil) throws -> Reply {
        try (server ?? self.server).ask("ticket-redeem \(ticket)")
    }

    /// A second process of the same service.
    func twin() throws -> Service { try stage.serve(files.account, name: "twin") }
}

@Suite("A pack of tickets", .asRoot)
struct TicketPackTests {
    @Test(
        "is redeemed by the service itself after the first, each ticket once, and is one client to the authority"
    )
    func once() throws {
        try TicketScene.on { (scene) throws in
            let pack = try scene.pack()
            #expect(Set(pack).count == 16)
            for ticket in pack {
                #expect(try scene.redeem(ticket).value == "impersonation \(scene.hers.process.pid)")
                #expect(try scene.server.acting("token").value == "alice impersonation")
                #expect(try scene.readPlan().value == "the plan")
            }
            for ticket in pack { #expect(try scene.redeem(ticket).thrown == "notFound") }
            try scene.stage.waitForAudit("impersonation", scene.alice.sid)
            let records = scene.stage.audit.filter { $0.event == "impersonation" }
            #expect(records.count == 1)
            // Where somebody else is redeemed in between, too.
            let (hers, his) = (try scene.pack(), try scene.pack(of: scene.his))
            for (one, other) in zip(hers, his) {
                #expect(try scene.redeem(one).value != nil)
                #expect(try scene.server.acting("token").value == "alice impersonation")
                #expect(try scene.redeem(other).value != nil)
                #expect(try scene.server.acting("token").value == "bob impersonation")
                #expect(try scene.readPlan().errno == EACCES)
            }
        }
    }

    @Test("is redeemed once in total by the processes of a service")
    func prefork() throws {
        try TicketScene.on { (scene) throws in
            let twin = try scene.twin().client(scene.bob)
            let pack = try scene.pack()
            #expect(try scene.redeem(pack[0]).value != nil)
            // Used here, and then there.
            #expect(try scene.redeem(pack[1]).value != nil)
            #expect(try scene.redeem(pack[1], twin).thrown == "notFound")
            #expect(try scene.redeem(pack[1]).thrown == "notFound")
            // Used there, and then here.
            #expect(try scene.redeem(pack[2], twin).value != nil)
            #expect(try scene.readPlan(twin).value == "the plan")
            #expect(try scene.redeem(pack[2]).thrown == "notFound")
            #expect(try scene.redeem(pack[2], twin).thrown == "notFound")
            #expect(try scene.redeem(pack[3]).value != nil)
            #expect(try scene.readPlan().value == "the plan")
        }
    }

    @Test("outlives the process that it was leased to, as far as it was not used")
    func death() throws {
        try TicketScene.on { (scene) throws in
            let twin = try scene.twin()
            let pack = try scene.pack()
            do {
                let client = try twin.client(scene.bob)
                #expect(try scene.redeem(pack[0], client).value != nil)
                #expect(try scene.redeem(pack[1], client).value != nil)
            }
            twin.process.end()
            #expect(try scene.redeem(pack[1]).thrown == "notFound")
            for ticket in pack[2...] { #expect(try scene.redeem(ticket).value != nil) }
            #expect(try scene.readPlan().value == "the plan")
            for ticket in pack { #expect(try scene.redeem(ticket).thrown == "notFound") }
        }
    }

    @Test("expires, is not guessed from one that is known, and is worth nothing to another service")
    func strangers() throws {
        try TicketScene.on { (scene) throws in
            let other = try scene.stage.serve(try scene.stage.service("other"), name: "other").client(
                scene.bob)
            let pack = try scene.pack()
            #expect(try scene.redeem(pack[0]).value != nil)
            let forged = pack[1].dropLast(2) + (pack[1].hasSuffix("00") ? "01" : "00")
            #expect(try scene.redeem(String(forged)).thrown == "notFound")
            #expect(try scene.redeem(pack[2], other).thrown == "accessDenied")
            #expect(try scene.redeem(pack[2]).thrown == "notFound")
            #expect(try scene.redeem(pack[1]).value != nil)
            let late = try scene.pack("lifetime 2")
            #expect(try scene.redeem(late[0]).value != nil)
            usleep(2_200_000)
            for ticket in late { #expect(try scene.redeem(ticket).thrown == "notFound") }
        }
    }

    @Test("of a client whose session has ended is worth nothing, leased or not")
    func loggedOff() throws {
        try TicketScene.on { (scene) throws in
            let before = try scene.stage.sessions
            let pack = try scene.pack()
            #expect(try scene.redeem(pack[0]).value != nil)
            #expect(try scene.redeem(pack[1]).value != nil)
            let session = try #require(try scene.stage.sessions.subtracting(before).first)
            try scene.stage.ask(.sessionEnd(.with { $0.session = session }))
            for ticket in pack[2...] {
                #expect(["accessDenied", "notFound"].contains(try scene.redeem(ticket).thrown))
            }
            #expect(try scene.readPlan().value == nil)
        }
    }

    @Test("carries the level that was said", arguments: ["anonymous", "identification", "impersonation"])
    func level(level: String) throws {
        try TicketScene.on { (scene) throws in
            for ticket in try scene.pack("level \(level)").prefix(3) {
                let redeemed = try scene.redeem(ticket).value
                #expect(redeemed == "\(level) \(level == "anonymous" ? 0 : scene.hers.process.pid)")
                let token = try scene.server.acting("token").value
                #expect(token == (level == "anonymous" ? "ANONYMOUS LOGON anonymous" : "alice \(level)"))
                #expect(try scene.readPlan().value == (level == "impersonation" ? "the plan" : nil))
            }
        }
    }

    @Test("does not show later calls what a handler made of the token")
    func adjustedByServer() throws {
        try TicketScene.on { (scene) throws in
            let pack = try scene.pack()
            func enabled() throws -> Bool? {
                _ = try scene.server.ask("impersonate")
                defer { _ = try? scene.server.ask("revert") }
                _ = try scene.server.ask("tok-open seen thread query")
                return try scene.server.ask("tok-info seen").value?.split(separator: " ")
                    .first { $0.hasPrefix("enabled=") }?.contains("SeChangeNotifyPrivilege")
            }
            for ticket in pack[..<2] { #expect(try scene.redeem(ticket).value != nil) }
            #expect(try enabled() == true)
            _ = try scene.server.ask("impersonate")
            #expect(try scene.server.ask("tok-open mine thread query privileges").value != nil)
            #expect(try scene.server.ask("tok-adjust mine SeChangeNotifyPrivilege=off").value != nil)
            _ = try scene.server.ask("revert")
            #expect(try enabled() == false)
            for ticket in pack[2..<5] {
                #expect(try scene.redeem(ticket).value != nil)
                #expect(try enabled() == true)
            }
        }
    }

    @Test("is dropped by a client that adjusts its token")
    func adjustedByClient() throws {
        try TicketScene.on { (scene) throws in
            let backend = try scene.stage.serve(try scene.stage.service("backend"), name: "backend").client(
                scene.bob)
            func passesOn() throws -> Bool? {
                let ticket = try #require(try scene.server.ask("ticket-next backend 1 effective").value)
                #expect(try scene.redeem(ticket, backend).value != nil)
                return try backend.ask("privileges").value?.contains("SeImpersonatePrivilege")
            }
            #expect(try scene.server.ask("ticket-next backend 8 effective").value != nil)
            #expect(try passesOn() == true)
            #expect(try scene.server.ask("tok-open own process query privileges").value != nil)
            #expect(try scene.server.ask("tok-adjust own SeImpersonatePrivilege=off").value != nil)
            #expect(try passesOn() == false)
            #expect(try scene.server.ask("tok-adjust own SeImpersonatePrivilege=on").value != nil)
            #expect(try passesOn() == true)
        }
    }

    @Test("of an authority that is gone is dropped by the client")
    func restarted() throws {
        try TicketScene.on { (scene) throws in
            let before = try scene.hers.ask("ticket-next files 20").value
            scene.stage.killAuthority()
            #expect(try scene.hers.ask("ticket-next files 1").thrown == "authorityUnreachable")
            try scene.stage.startAuthority()
            let server = try scene.stage.serve(scene.files.account, name: "again").client(scene.bob)
            let next = try #require(try scene.hers.ask("ticket-next files 1").value)
            #expect(before?.contains(next) == false)
            #expect(try scene.redeem(next, server).value != nil)
            #expect(try scene.readPlan(server).value == "the plan")
        }
    }

    @Test("is a single ticket for who has many, and refuses nobody one")
    func flood() throws {
        try TicketScene.on { (scene) throws in
            #expect(try scene.hers.ask("ticket-flood files 1000").value == "1000")
            let last = try #require(try scene.hers.ask("ticket-next files 24").value?.split(separator: " "))
            #expect(Set(last).count == 24)
            #expect(try scene.hers.ask("ticket-next files 1").thrown == "limitReached")
            // What the service redeems by itself does not count: 150 packs, and the 15 tickets before each.
            for _ in 0..<150 {
                let tickets = try #require(try scene.his.ask("ticket-next files 31").value)
                for ticket in tickets.split(separator: " ") {
                    #expect(try scene.redeem(String(ticket)).value != nil)
                }
            }
        }
    }
}
