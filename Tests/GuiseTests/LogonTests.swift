import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Logons by password", .asRoot)
struct LogonTests {
    private let password = "correct-horse"

    @Test("give a token of a session of its own, with the group of their type")
    func tokens() throws {
        try onScene { scene in
            try scene.stage.setPassword("alice", password)
            let groups = [
                "network": "S-1-5-2", "interactive": "S-1-5-4", "batch": "S-1-5-3", "service": "S-1-5-6",
            ]
            var sessions: Set<Int> = []
            for (type, group) in groups {
                let session = try #require(
                    try scene.client.ask("logon \(type) alice \(password) \(type)").number)
                sessions.insert(session)
                let token = try #require(try scene.client.ask("logon-token \(type)").value).split(
                    separator: " ")
                #expect(token[0] == scene.alice.sid)
                #expect(token[1] == "\(scene.alice.uid)")
                let all = token[2].split(separator: ",").map(String.init)
                #expect(all.filter(groups.values.contains) == [group])
                #expect(all.contains("S-1-5-5-\(session >> 32)-\(session & 0xffff_ffff)"))
                #expect(all.contains("S-1-22-1-\(scene.alice.uid)"))
            }
            #expect(sessions.count == 4)
            #expect(sessions.isSubset(of: try scene.stage.sessions.map(Int.init)))
        }
    }

    @Test("let a service act as the account without SeImpersonatePrivilege, which it needs for anybody else")
    func acting() throws {
        try onScene { scene in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let managed = try scene.stage.managedFile(
                scene.root + "/hers", "managed", "O:BAG:SYD:(A;;FR;;;{alice})", for: scene.alice)
            try scene.stage.setPassword("alice", password)
            let service = try scene.stage.serve(
                try scene.stage.service("powerless", privileges: []), name: "powerless")
            let client = try service.client(scene.bob)
            #expect(try client.ask("impersonate").thrown == "privilegeNotHeld")
            #expect(try client.ask("logon a alice \(password) network").number != nil)
            #expect(try client.ask("logon-impersonate a").value != nil)
            #expect(try client.ask("token").value == "alice impersonation")
            #expect(try client.ask("cat \(hers)").value == "hers")
            #expect(try client.ask("cat \(managed)").value == "managed")
            #expect(try client.ask("revert").value != nil)
            #expect(try client.ask("cat \(hers)").errno == EACCES)
            #expect(try client.ask("logon-scoped a cat \(hers)").value == "hers")
            #expect(try client.ask("cat \(managed)").errno == EACCES)
            #expect(try client.ask("logon-task a \(managed)").value == "OK managed")
            // While a thread is somebody else it logs on as the process all the same.
            #expect(try client.ask("logon-impersonate a").value != nil)
            #expect(try client.ask("logon b alice \(password) network").number != nil)
        }
    }

    @Test("do not lift anybody above the service's integrity")
    func integrity() throws {
        try onScene { scene in
            try scene.stage.setPassword("alice", password)
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "files"
                        $0.level = 0x1000
                    }))
            let service = try scene.stage.serve(scene.service.account, name: "low")
            let client = try service.client(scene.bob)
            #expect(try client.ask("logon a alice \(password) network").number != nil)
            #expect(try client.ask("logon-impersonate a").thrown == "integrityTooHigh")
            #expect(try client.ask("token").value == "files primary")
        }
    }

    @Test("end with the last who holds them, and every decision with them")
    func lifetime() throws {
        try onScene { scene in
            let managed = try scene.stage.managedFile(
                scene.root + "/hers", "managed", "O:BAG:SYD:(A;;FR;;;{alice})", for: scene.alice)
            try scene.stage.setPassword("alice", password)
            func log(_ client: Client) throws -> UInt64 {
                UInt64(try #require(try client.ask("logon a alice \(password) network").number))
            }
            // Closed by the program.
            let first = try log(scene.client)
            #expect(try scene.stage.sessions.contains(first))
            try scene.client.ask("logon-close a")
            try eventually("the session to end") { try !scene.stage.sessions.contains(first) }
            // Not while a thread acts under it.
            let second = try log(scene.client)
            try scene.client.ask("logon-impersonate a")
            try scene.client.ask("logon-close a")
            #expect(try scene.client.ask("cat \(managed)").value == "managed")
            #expect(try scene.stage.sessions.contains(second))
            try scene.client.ask("revert")
            try eventually("the session to end") { try !scene.stage.sessions.contains(second) }
            // By the operator: what acts under it has lost all rights, and comes by no others.
            let third = try log(scene.client)
            try scene.client.ask("logon-impersonate a")
            #expect(try scene.client.ask("cat \(managed)").value == "managed")
            let ended = try scene.stage.run([product("guise"), "session", "end", "\(third)"])
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(try scene.client.ask("cat \(managed)").errno == EACCES)
            #expect(try scene.bobs.ask("logon-scoped a cat \(managed)").errno == EACCES)
            try scene.client.ask("revert")
            // With the process.
            let fourth = try log(scene.client)
            #expect(try scene.stage.sessions.contains(fourth))
            scene.service.process.end()
            try eventually("the session to end") { try !scene.stage.sessions.contains(fourth) }
        }
    }

    @Test("make connections at whose other end they are who is seen")
    func connections() throws {
        try onScene { scene in
            try scene.stage.setPassword("alice", password)
            let managed = try scene.stage.managedFile(
                scene.root + "/hers", "managed", "O:BAG:SYD:(A;;FR;;;{alice})", for: scene.alice)
            let powerless = try scene.stage.service("powerless", privileges: [])
            let asking = try scene.stage.serve(powerless, name: "asking")
            let client = try asking.client(scene.bob)
            let session = try #require(try client.ask("logon a alice \(password) network").number)
            for level in ["identification", "impersonation"] {
                let socket = try #require(
                    try client.ask("logon-dial a \(scene.service.socket) \(level)").number)
                let seen = try client.ask("tell \(socket) client").value
                #expect(seen?.hasPrefix("OK \(scene.alice.sid) alice") == true, "\(seen ?? "-")")
                #expect(try client.ask("tell \(socket) adopt").value == "OK \(level)")
                #expect(try client.ask("tell \(socket) impersonate").value == "OK ")
                #expect(
                    try client.ask("tell \(socket) cat \(managed)").value
                        == (level == "impersonation" ? "OK managed" : "ERRNO \(EACCES)"))
            }
            // The connection holds the session when nothing else does.
            try client.ask("logon-close a")
            #expect(try scene.stage.sessions.contains(UInt64(session)))
            try client.ask("logon-hang-up")
            try eventually("the session to end") { try !scene.stage.sessions.contains(UInt64(session)) }
        }
    }

    @Test("of an account without a Unix user make files under managed roots, and are nobody elsewhere")
    func withoutUnixUser() throws {
        try onScene { scene in
            let carol = try scene.stage.userWithoutUnixUser("carol")
            try scene.stage.setPassword("carol", password)
            let root = try scene.stage.root(
                "hers",
                "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICIIO;FA;;;CO)(A;;0x1201bf;;;{carol})(A;;0x1201bf;;;{alice})",
                for: carol, scene.alice)
            #expect(try scene.client.ask("logon c carol \(password) network").number != nil)
            let token = try #require(try scene.client.ask("logon-token c").value).split(separator: " ")
            #expect(token[0] == carol.sid)
            #expect(!token[2].contains("S-1-22-"), "nobody's own groups are none of hers")
            #expect(try scene.client.ask("logon-impersonate c").value != nil)
            let made = try #require(
                try scene.client.ask("open \(root)/made \(Flags.create | Flags.write)").number)
            #expect(try scene.client.ask("write \(made) hers").errno == nil)
            #expect(try scene.client.ask("cat \(root)/made").errno == nil)
            try scene.client.ask("revert")
            #expect(try scene.client.acting("cat \(root)/made").errno == EACCES, "alice has no right on it")
            let open = try scene.stage.file("home/open", "open", of: scene.alice, mode: 0o644)
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice, mode: 0o640)
            let services = try scene.stage.file("home/services", "s", of: scene.service.account, mode: 0o600)
            #expect(try scene.client.ask("logon-scoped c cat \(open)").value == "open")
            #expect(try scene.client.ask("logon-scoped c cat \(hers)").errno == EACCES)
            #expect(try scene.client.ask("logon-scoped c cat \(services)").errno == EACCES)
            #expect(try scene.client.ask("cat \(services)").value == "s")
            let server = try PlainServer(at: scene.stage.directory + "/services/plain")
            #expect(try scene.client.ask("logon-scoped c dial stream \(server.address)").number != nil)
            #expect(server.next()?.uid == 65534)
        }
    }

    @Test("fail alike whatever was wrong, and are audited without what was said")
    func refused() throws {
        try onScene { scene in
            let stage = scene.stage
            try stage.setPassword("alice", password)
            func message(_ name: String, _ password: String) -> String {
                do {
                    try stage.tryLogon(name, password)
                    return "logged on"
                } catch { return "\(error)".replacing(name, with: "NAME") }
            }
            #expect(message("alice", password) == "logged on")
            #expect(message("ALICE", password) == "logged on")
            #expect(message(scene.alice.sid, password) == "logged on")
            let wrong = message("alice", "Tr0ub4dor")
            #expect(wrong.contains("wrong name or password"))
            for (name, password) in [
                ("bob", "Tr0ub4dor"), ("nobody-known", "Tr0ub4dor"), ("files", "Tr0ub4dor"),
                ("Administrators", "Tr0ub4dor"), ("SYSTEM", "Tr0ub4dor"), ("alice", password + "\u{e9}"),
            ] { #expect(message(name, password) == wrong) }
            #expect(thrown { try stage.tryLogon("alice", "") } == "invalid")
            #expect(thrown { try stage.tryLogon("alice", String(repeating: "x", count: 257)) } == "invalid")
            let long = String(repeating: "\u{e9}", count: 128)
            try stage.setPassword("alice", long)
            #expect(message("alice", long) == "logged on")
            #expect(message("alice", String(long.dropLast()) + "xx") == wrong)
            #expect(thrown { try stage.setPassword("files", password) } == "invalid")
            #expect(thrown { try stage.setPassword("nobody-known", password) } == "notFound")
            try stage.removePassword("alice")
            #expect(message("alice", long) == wrong)
            try stage.waitForAudit("logon-failed", "network", "logonFailure")
            try stage.waitForAudit("account-changed", "set the password of alice")
            let told = stage.log + stage.auditLines.joined()
            #expect(!told.contains(password) && !told.contains("Tr0ub4dor"))
            #expect(!told.contains("nobody-known"))
        }
    }

    @Test("of types that are for services and administrators are refused to others; so is setting passwords")
    func rights() throws {
        try onScene { scene in
            let stage = scene.stage
            try stage.setPassword("alice", password)
            let asking = try stage.serveUnmediated(scene.bob, name: "plain")
            let client = try asking.client(scene.bob)
            #expect(try client.ask("logon a alice \(password) network").number != nil)
            #expect(try client.ask("logon a alice \(password) service").thrown == "accessDenied")
            #expect(try client.ask("logon a alice \(password) batch").thrown == "accessDenied")
            let set = try stage.run(
                ["/bin/sh", "-c", "echo guessed | \(product("guise")) account password alice --stdin"],
                as: scene.bob)
            #expect(set.status == 1 && set.errors.contains("only an administrator"))
            // A session of somebody else's is not there for him; the one that he began is.
            let own = try #require(try client.ask("logon b alice \(password) network").number)
            let others = try #require(try scene.client.ask("logon c alice \(password) network").number)
            func end(_ session: Int) throws -> Stage.Outcome {
                try stage.run([product("guise"), "session", "end", "\(session)"], as: scene.bob)
            }
            #expect(try end(others).errors.contains("no logon session"))
            #expect(try stage.sessions.contains(UInt64(others)))
            #expect(try end(own).status == 0)
            #expect(try !stage.sessions.contains(UInt64(own)))
        }
    }

    @Test("take what is no sealed memory for no password")
    func unsealed() throws {
        try onScene { scene in
            try scene.stage.setPassword("alice", password)
            let request = WireRequest.OneOf_Body.logonUser(
                .with {
                    $0.account = "alice"
                    $0.type = .network
                })
            let path = try scene.stage.file("password", password)
            let channel = try Channel()
            defer { for end in [channel.reading, channel.writing] { close(end) } }
            let file = open(path, O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            let growing = guise_memfd_sealed("writable", password.utf8.count)
            defer { close(growing) }
            _ = write(growing, password, password.utf8.count)
            for descriptor in [file, channel.reading, growing, nil] {
                let client = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
                #expect(thrown { _ = try client.call(request, descriptor: descriptor) } == "invalid")
            }
        }
    }

    @Test("make who guesses wait, and nobody else")
    func throttle() throws {
        try onScene { scene in
            let stage = scene.stage
            try stage.setPassword("alice", password)
            let guessing = try stage.serveUnmediated(scene.bob, name: "guessing").client(scene.bob)
            for name in ["alice", "nobody-known"] {
                for _ in 0..<3 {
                    #expect(try guessing.ask("logon a \(name) wrong network").thrown == "logonFailed")
                }
                #expect(try guessing.ask("logon a \(name) \(password) network").thrown == "limitReached")
            }
            try stage.waitForRecord("logon-failed") {
                $0.user == scene.alice.sid && $0.rule == "limit"
            }
            // Others log on as her meanwhile, and he as others.
            #expect(try scene.client.ask("logon a alice \(password) network").number != nil)
            try stage.setPassword("bob", password)
            #expect(try guessing.ask("logon a bob \(password) network").number != nil)
            usleep(2_100_000)
            #expect(try guessing.ask("logon a alice \(password) network").number != nil)
            #expect(try guessing.ask("logon a alice wrong network").thrown == "logonFailed")
            #expect(
                try guessing.ask("logon a alice \(password) network").number != nil, "a right one starts anew"
            )
        }
    }

    @Test("are refused in another user namespace, where one user may be thousands of uids")
    func userNamespace() throws {
        try onScene { scene in
            try scene.stage.setPassword("alice", password)
            let outside = try Client(
                commandsOn: scene.stage, as: scene.bob, by: ["/usr/bin/unshare", "--user", "--"])
            let reply = try outside.ask("logon a alice \(password) network")
            #expect(reply.thrown == "invalid" && reply.line.contains("user namespace"), "\(reply)")
            let inside = try Client(commandsOn: scene.stage, as: scene.bob)
            #expect(try inside.ask("logon a alice \(password) network").number != nil)
        }
    }

    @Test("in a flood keep nobody from the authority, nor take its memory")
    func flood() throws {
        try onScene { scene in
            let stage = scene.stage
            try stage.setPassword("alice", password)
            func logOn() throws -> Double {
                let start = Date()
                #expect(try scene.client.ask("logon a alice \(password) network").number != nil)
                return Date().timeIntervalSince(start)
            }
            let alone = max(0.1, try logOn())
            let guessing = try stage.serveUnmediated(scene.bob, name: "guessing")
            let clients = try (0..<100).map { _ in try guessing.client(scene.bob) }
            for (index, client) in clients.enumerated() { try client.send("logon a guess\(index) x network") }
            var longest = 0.0
            for _ in 0..<20 {
                let start = Date()
                try stage.ask(.accountList(.init()))
                longest = max(longest, Date().timeIntervalSince(start))
            }
            let took = try logOn()
            let outcomes = try clients.map { try $0.reply().thrown }
            #expect(outcomes.allSatisfy { ["logonFailed", "limitReached"].contains($0) })
            #expect(outcomes.contains("limitReached"))
            // 64 of them wait; whoever is nobody's caller waits for one of these at most, and not for tens.
            #expect(longest < 5 * alone && took < 10 * alone, "\(longest) \(took) \(alone)")
            let status = try String(contentsOfFile: "/proc/\(stage.authority!.pid)/status", encoding: .utf8)
            let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }!
                .split(separator: " ").compactMap { Int($0) }.first!
            #expect(peak < 256 * 1024, "peak of \(peak) KiB")
        }
    }

    @Test("take as long for a name that there is not as for a wrong password")
    func timing() throws {
        try onScene { scene in
            let stage = scene.stage
            try stage.setPassword("alice", password)
            func time(_ name: String) -> Double {
                let start = Date()
                #expect(thrown { try stage.tryLogon(name, "wrong") } == "logonFailed")
                return Date().timeIntervalSince(start)
            }
            // Different accounts, so that nobody has to wait.
            for index in 0..<15 {
                _ = try stage.userWithoutUnixUser("known\(index)")
                try stage.setPassword("known\(index)", password)
                _ = try stage.userWithoutUnixUser("locked\(index)")
            }
            // In turns, and the least of each: whatever else the machine does can only add.
            var least = ["known": Double.infinity, "unknown": .infinity, "locked": .infinity]
            for index in 0..<15 {
                for name in least.keys.sorted() { least[name] = min(least[name]!, time(name + "\(index)")) }
            }
            let known = least["known"]!
            for other in [least["unknown"]!, least["locked"]!] {
                #expect(other > known * 0.5 && other < known * 2, "\(least)")
            }
        }
    }

    @Test("leave no password in the authority's memory or log, and no hash of a removed one in its files")
    func wiping() throws {
        try onScene { scene in
            let stage = scene.stage
            let secret = "needle-\(UUID().uuidString)"
            try stage.setPassword("alice", secret)
            try stage.tryLogon("alice", secret)
            #expect(thrown { try stage.tryLogon("alice", secret + "-wrong") } == "logonFailed")
            // The last worker may not have let go of it yet.
            try eventually("the password to be gone") {
                try !ProcessMemory(of: stage.authority!.pid).contains(secret)
            }
            func files() throws -> [UInt8] {
                try FileManager.default.contentsOfDirectory(atPath: stage.directory + "/state").flatMap {
                    Array(try Data(contentsOf: URL(fileURLWithPath: stage.directory + "/state/" + $0)))
                }
            }
            #expect(contains(try files(), Array("$y$j9T$".utf8)))
            #expect(!contains(try files(), Array(secret.utf8)))
            try stage.removePassword("alice")
            #expect(!contains(try files(), Array("$y$j9T$".utf8)))
            try stage.setPassword("bob", secret)
            #expect(contains(try files(), Array("$y$j9T$".utf8)))
            try stage.ask(.accountRemove(.with { $0.name = "bob" }))
            #expect(!contains(try files(), Array("$y$j9T$".utf8)))
        }
    }

    @Test("would leave no password in a core of the authority's either", arguments: [false, true])
    func cores(withoutRoot: Bool) throws {
        func check(_ stage: Stage) throws {
            let process = "/proc/\(try #require(stage.authority).pid)"
            let limits = try String(contentsOfFile: process + "/limits", encoding: .utf8)
            let line = try #require(
                limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") })
            #expect(line.split(separator: " ").dropFirst(4).prefix(2) == ["0", "0"])
            let filter = try String(contentsOfFile: process + "/coredump_filter", encoding: .utf8)
            #expect(UInt32(filter.dropLast(), radix: 16) == 0)
        }
        if withoutRoot {
            try onRootlessScene { scene in try check(scene.stage) }
        } else {
            try onStage { stage in try check(stage) }
        }
    }

    private func contains(_ bytes: [UInt8], _ needle: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { test_contains($0.baseAddress!, $0.count, needle, needle.count) }
    }

    @Test("end with everything that a process may ask for by them")
    func processOfEndedSession() throws {
        try onScene { scene in
            try scene.stage.setPassword("alice", password)
            #expect(try scene.client.ask("logon a alice \(password) network").number != nil)
            let request = WireTokenOf.with { $0.process = UInt32(scene.service.process.pid) }
            guard case .thread(let view) = try scene.stage.ask(.tokenOf(request)) else {
                Issue.record("no token")
                return
            }
            try scene.stage.ask(.sessionEnd(.with { $0.session = view.token.session }))
            // The service's own: it asks for nobody and nothing any more.
            #expect(try scene.client.ask("logon b alice \(password) network").thrown == "accessDenied")
            #expect(try scene.client.ask("logon-impersonate a").thrown == "accessDenied")
        }
    }

    @Test("are kept by the operator with guise account and guise session")
    func tools() throws {
        try onScene { scene in
            let stage = scene.stage
            let guise = product("guise")
            func shell(_ line: String) throws -> Stage.Outcome {
                try stage.run(["/bin/sh", "-c", line])
            }
            #expect(try shell("echo '\(password)' | \(guise) account password alice --stdin").status == 0)
            #expect(try shell("\(guise) account show alice").output.contains("Password: yes"))
            try stage.tryLogon("alice", password)
            #expect(try shell("\(guise) account password alice").errors.contains("no terminal"))
            #expect(
                try shell("\(guise) account password alice --stdin </dev/null").errors.contains("no password")
            )
            #expect(try shell("\(guise) account password alice --remove").status == 0)
            #expect(thrown { try stage.tryLogon("alice", password) } == "logonFailed")
            #expect(
                try shell("printf '\(password)' | \(guise) account add dora --password-stdin").status == 0)
            try stage.tryLogon("dora", password)
            #expect(
                try stage.run([guise, "account", "show", "dora"], as: scene.bob).output.contains("Password")
                    == false)
            let session = try #require(try scene.client.ask("logon a dora \(password) interactive").number)
            let listed = try shell("\(guise) session list")
            #expect(listed.output.contains("S-1-5-5-\(session >> 32)-\(session & 0xffff_ffff)  interactive"))
            #expect(
                try shell("\(guise) session end S-1-5-5-\(session >> 32)-\(session & 0xffff_ffff)").status
                    == 0)
            #expect(try shell("\(guise) session end \(session)").status == 1)
            #expect(try shell("\(guise) session end S-1-5-32-544").status == 64)
        }
    }
}
