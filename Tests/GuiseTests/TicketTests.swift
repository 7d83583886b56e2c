import Foundation
import GuiseProtocol
import Testing

/// Two services, alice and bob, and a file that only alice can read.
struct TicketScene {
    let stage: Stage
    let files: Service
    let alice: Person
    let bob: Person
    /// Processes of theirs that know the authority, and no service.
    let hers: Client
    let his: Client
    /// A connection to the service that redeems. Whose it is does not matter.
    let server: Client
    let plan: String

    static func on(
        privileges: [String] = ["SeImpersonatePrivilege"], _ body: (TicketScene) throws -> Void
    ) throws {
        try onStage { (stage) throws in
            let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
            let files = try stage.serve(try stage.service("files", privileges: privileges))
            try body(
                TicketScene(
                    stage: stage, files: files, alice: alice, bob: bob,
                    hers: try Client(commandsOn: stage, as: alice),
                    his: try Client(commandsOn: stage, as: bob), server: try files.client(bob),
                    plan: try stage.file("services/plan", "the plan", of: alice)))
        }
    }

    /// A ticket of alice's.
    func ticket(_ words: String = "") throws -> String { try Self.ticket(of: hers, "files " + words) }

    /// The bytes of a ticket, in hexadecimal.
    static func ticket(of client: Client, _ words: String) throws -> String {
        let reply = try client.ask("ticket-issue " + words)
        guard let value = reply.value else { throw HarnessError("no ticket: \(reply)") }
        return String(value.prefix { $0 != " " })
    }

    /// What the redeemed client may read of alice's file.
    func readPlan(_ server: Client? = nil) throws -> Reply {
        try (server ?? self.server).acting("cat \(plan)")
    }
}

@Suite("A ticket", .asRoot)
struct TicketTests {
    @Test("lets its service act as who had it issued, once")
    func once() throws {
        try TicketScene.on { (scene) throws in
            let ticket = try scene.ticket()
            let level = try scene.server.ask("ticket-redeem \(ticket)").value
            #expect(level == "impersonation \(scene.hers.process.pid)")
            #expect(try scene.server.acting("token").value == "alice impersonation")
            #expect(try scene.readPlan().value == "the plan")
            #expect(try scene.server.ask("ticket-redeem \(ticket)").thrown == "notFound")
            // Another one, of somebody else, on the same connection.
            let his = try TicketScene.ticket(of: scene.his, "files")
            #expect(try scene.server.ask("ticket-redeem \(his)").value != nil)
            #expect(try scene.server.acting("token").value == "bob impersonation")
            #expect(try scene.readPlan().errno == EACCES)
        }
    }

    @Test("may be asked for by whoever runs here, for a server by its SID too, and by no unknown name")
    func asked() throws {
        try TicketScene.on { (scene) throws in
            let stranger = scene.stage.stranger()
            let client = try Client(commandsOn: scene.stage, as: stranger)
            let ticket = try TicketScene.ticket(of: client, scene.files.account.sid)
            #expect(try scene.server.ask("ticket-redeem \(ticket)").value != nil)
            #expect(try scene.server.acting("token").value == "S-1-22-1-\(stranger.uid) impersonation")
            #expect(try client.ask("ticket-issue nobody-of-that-name").thrown == "notFound")
            #expect(try client.ask("ticket-issue Administrators").thrown == "notFound")
            #expect(try client.ask("ticket-issue files lifetime 301").thrown == "invalid")
            #expect(try client.ask("ticket-issue files lifetime 0").thrown == "invalid")
            // Who is not attached redeems nothing.
            #expect(try client.ask("ticket-redeem \(ticket)").thrown == "notAttached")
        }
    }

    @Test("that another service presents is worth nothing any more, and that is on record")
    func stolen() throws {
        try TicketScene.on { (scene) throws in
            let other = try scene.stage.serve(try scene.stage.service("other"), name: "other").client(
                scene.bob)
            let ticket = try scene.ticket()
            #expect(try other.ask("ticket-redeem \(ticket)").thrown == "accessDenied")
            #expect(try scene.server.ask("ticket-redeem \(ticket)").thrown == "notFound")
            try scene.stage.waitForAudit("access-denied", "TicketRedeem", "the ticket is for")
            #expect(!scene.stage.auditLines.contains { $0.contains(ticket) })
            #expect(!scene.stage.log.contains(ticket))
        }
    }

    @Test("expires, and is not guessed")
    func expiredOrGuessed() throws {
        try TicketScene.on { (scene) throws in
            let ticket = try scene.ticket("lifetime 1")
            usleep(1_200_000)
            #expect(try scene.server.ask("ticket-redeem \(ticket)").thrown == "notFound")
            let good = try scene.ticket()
            for guess in [
                "", "00", String(repeating: "00", count: 32), String(good.dropLast(2)), good + "00",
                good.dropLast(2) + (good.hasSuffix("00") ? "01" : "00"),
            ] {
                #expect(try scene.server.ask("ticket-redeem \(guess)").thrown == "notFound", "\(guess)")
            }
            #expect(try scene.server.ask("ticket-redeem \(good)").value != nil)
        }
    }

    @Test(
        "carries the level that was said, and no other",
        arguments: ["anonymous", "identification", "impersonation", "delegation"])
    func level(level: String) throws {
        try TicketScene.on { (scene) throws in
            let ticket = try scene.ticket("level \(level)")
            let redeemed = try scene.server.ask("ticket-redeem \(ticket)").value
            // Of Anonymous nobody knows the process.
            #expect(redeemed == "\(level) \(level == "anonymous" ? 0 : scene.hers.process.pid)")
            let token = try scene.server.acting("token").value
            #expect(token == (level == "anonymous" ? "ANONYMOUS LOGON anonymous" : "alice \(level)"))
            let may = ["impersonation", "delegation"].contains(level)
            #expect(try scene.readPlan().value == (may ? "the plan" : nil))
        }
    }

    @Test("of a thread that acts at a level has at most that level, and is never the service's own")
    func raised() throws {
        try TicketScene.on { (scene) throws in
            let backend = try scene.stage.serve(try scene.stage.service("backend"), name: "backend").client(
                scene.bob)
            let front = try scene.files.client(scene.alice)
            func pass(on words: String) throws -> Reply {
                let reply = try front.ask("ticket-issue backend " + words)
                guard let value = reply.value else { return reply }
                _ = try backend.ask("ticket-redeem \(value.prefix { $0 != " " })")
                return try backend.acting("token")
            }
            #expect(try front.ask("impersonate identification").value != nil)
            for level in ["impersonation", "delegation"] {
                #expect(try pass(on: "level \(level)").thrown == "accessDenied")
            }
            #expect(try pass(on: "").value == "alice identification")
            #expect(try scene.readPlan(backend).value == nil)
            #expect(try pass(on: "level anonymous").value == "ANONYMOUS LOGON anonymous")
            #expect(try front.ask("impersonate anonymous").value != nil)
            #expect(try pass(on: "level identification").thrown == "accessDenied")
            #expect(try pass(on: "").value == "ANONYMOUS LOGON anonymous")
            #expect(try front.ask("impersonate").value != nil)
            #expect(try pass(on: "level delegation").thrown == "accessDenied")
            #expect(try pass(on: "").value == "alice impersonation")
            #expect(try scene.readPlan(backend).value == "the plan")
            // And no longer than it acts.
            #expect(try front.ask("revert").value != nil)
            #expect(try pass(on: "").value == "files impersonation")
            try scene.stage.waitForAudit("connection", "TicketIssue", scene.alice.sid)
        }
    }

    @Test("of a client whose session has ended is worth nothing")
    func loggedOff() throws {
        try TicketScene.on { (scene) throws in
            let before = try scene.stage.sessions
            let (early, late) = (try scene.ticket(), try scene.ticket())
            #expect(try scene.server.ask("ticket-redeem \(early)").value != nil)
            let session = try #require(try scene.stage.sessions.subtracting(before).first)
            try scene.stage.ask(.sessionEnd(.with { $0.session = session }))
            #expect(try scene.server.ask("ticket-redeem \(late)").thrown == "accessDenied")
            #expect(try scene.readPlan().value == nil)
        }
    }

    @Test("of an authority that was started anew is none")
    func restarted() throws {
        try TicketScene.on { (scene) throws in
            let ticket = try scene.ticket()
            scene.stage.killAuthority()
            #expect(try scene.server.ask("ticket-redeem \(ticket)").thrown == "authorityLost")
            try scene.stage.startAuthority()
            let server = try scene.stage.serve(scene.files.account, name: "again").client(scene.bob)
            #expect(try server.ask("ticket-redeem \(ticket)").thrown == "notFound")
            // The client's process asks the new one.
            let next = try TicketScene.ticket(of: scene.hers, "files")
            #expect(try server.ask("ticket-redeem \(next)").value != nil)
            #expect(try scene.readPlan(server).value == "the plan")
        }
    }

    @Test("is refused to who has too many, and to nobody else")
    func flood() throws {
        try TicketScene.on { (scene) throws in
            #expect(try scene.his.ask("ticket-flood files 3000").value == "1024 limitReached")
            #expect(try scene.server.ask("ticket-redeem \(try scene.ticket())").value != nil)
            #expect(try scene.readPlan().value == "the plan")
            // A service that passes clients on has as many for each of them.
            _ = try scene.server.ask("revert")
            #expect(try scene.server.ask("impersonate").value != nil)
            #expect(try scene.server.ask("ticket-flood files 3000").value == "1024 limitReached")
            let other = try scene.files.client(scene.bob)
            #expect(try other.ask("impersonate").value != nil)
            #expect(try other.ask("ticket-issue files").value != nil)
        }
    }

    @Test("does not stand in for SeImpersonatePrivilege")
    func privilege() throws {
        try TicketScene.on(privileges: []) { (scene) throws in
            #expect(try scene.server.ask("ticket-redeem \(try scene.ticket())").value != nil)
            #expect(try scene.server.ask("impersonate").thrown == "privilegeNotHeld")
            #expect(try scene.server.ask("impersonate identification").value != nil)
            #expect(try scene.server.ask("token").value == "alice identification")
        }
    }

    @Test("leaves out what the client has disabled, where it says so")
    func effectiveOnly() throws {
        try TicketScene.on { (scene) throws in
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"
                        $0.grant = ["SeBackupPrivilege"]
                    }))
            _ = try scene.server.ask("ticket-redeem \(try scene.ticket())")
            #expect(try scene.server.ask("privileges").value?.contains("SeBackupPrivilege") == true)
            _ = try scene.server.ask("ticket-redeem \(try scene.ticket("effective"))")
            #expect(try scene.server.ask("privileges").value?.contains("SeBackupPrivilege") == false)
            #expect(try scene.server.ask("privileges").value?.contains("SeChangeNotifyPrivilege") == true)
        }
    }

    @Test("is printed by `guise ticket`, for clients in any language")
    func tool() throws {
        try TicketScene.on { (scene) throws in
            func hexadecimal(_ base64: String) throws -> String {
                try #require(Data(base64Encoded: base64.trimmingCharacters(in: .newlines)))
                    .map { String(format: "%02x", $0) }.joined()
            }
            let plain = try scene.stage.run([product("guise"), "ticket", "--for", "files"], as: scene.alice)
            #expect(plain.status == 0)
            _ = try scene.server.ask("ticket-redeem \(try hexadecimal(plain.output))")
            #expect(try scene.server.acting("token").value == "alice impersonation")
            let json = try scene.stage.run(
                [
                    product("guise"), "ticket", "--for", scene.files.account.sid, "--level", "identification",
                    "--lifetime", "60", "--json",
                ], as: scene.alice)
            struct View: Decodable {
                let ticket: String
                let level: String
                let lifetime: Int
                let server: String
            }
            let view = try JSONDecoder().decode(View.self, from: Data(json.output.utf8))
            #expect(view.level == "Identification" && view.lifetime == 60)
            #expect(view.server == scene.files.account.sid)
            _ = try scene.server.ask("ticket-redeem \(try hexadecimal(view.ticket))")
            #expect(try scene.server.acting("token").value == "alice identification")
            let refused = try scene.stage.run(
                [product("guise"), "ticket", "--for", "nobody"], as: scene.alice)
            #expect(refused.status == 1 && refused.output.isEmpty)
            #expect(refused.errors.hasPrefix("guise: there is no service"))
        }
    }
}
