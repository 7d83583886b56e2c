import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Clients by Kerberos and Negotiate", .asRoot, .withRealms)
struct KerberosTests {
    @Test("are acted as, at the level that they allowed", arguments: ["Kerberos", "Negotiate"])
    func accepting(package: String) throws {
        try onRealms { scene in
            let client = scene.client
            #expect(try client.ask("cat \(scene.hers)").errno == EACCES)
            let token = try scene.token(package)
            let answer = try client.ask("context-accept a \(package) \(token)")
            let words = try #require(answer.value, "\(answer)").split(separator: " ")
            #expect(words[0] == "done")
            #expect(
                try client.ask("context a").value
                    == "Kerberos alice@A.TEST HTTP/files.a.test@A.TEST impersonation mutual expires")
            #expect(try client.ask("context-token a").value?.hasPrefix("\(scene.alice.sid) ") == true)
            // The client hears that the service is the one that it meant.
            #expect(try scene.alices.ask("step k \(words[1])").value == "done -")
            #expect(
                try scene.alices.ask("context k").value
                    == "Kerberos alice@A.TEST HTTP/files.a.test@A.TEST impersonation mutual -")
            #expect(try scene.alices.ask("context-impersonate k").thrown == "notAServerConnection")

            #expect(try client.ask("context-impersonate a").value != nil)
            #expect(try client.ask("token").value == "alice impersonation")
            #expect(try client.ask("cat \(scene.hers)").value == "hers")
            #expect(try client.ask("context-revert a").value != nil)
            #expect(try client.ask("cat \(scene.hers)").errno == EACCES)
            #expect(try client.ask("context-scoped a cat \(scene.hers)").value == "hers")
            #expect(try client.ask("context-task a \(scene.hers)").value == "OK hers")
            #expect(try client.ask("context-impersonate a identification").value != nil)
            #expect(try client.ask("cat \(scene.hers)").errno == EACCES)
            try client.ask("revert")

            try scene.stage.waitForRecord("logon") {
                $0.call == "Kerberos" && $0.userName?.hasSuffix("alice") == true
                    && $0.change?.contains("alice@A.TEST") == true && $0.service == "files"
            }
            // A session of its own, until the service lets go of it.
            let before = try scene.stage.sessions.count
            try client.ask("context-close a")
            try eventually("the session to end") { try scene.stage.sessions.count == before - 1 }
        }
    }

    @Test("who allow no more than Identification are known, and not acted as")
    func identification() throws {
        try onRealms { scene in
            let client = scene.client
            let token1 = try scene.token(level: "identification")
            #expect(
                try client.ask("context-accept a Negotiate \(token1)").value != nil)
            #expect(try client.ask("context a").value?.contains(" identification ") == true)
            #expect(try client.ask("context-token a").value?.hasPrefix("\(scene.alice.sid) ") == true)
            #expect(try client.ask("context-scoped a token").value == "alice identification")
            #expect(try client.ask("context-scoped a cat \(scene.hers)").errno == EACCES)
            // Who wants to be nobody has to do it without Kerberos.
            #expect(
                try scene.alices.ask("initiate n Negotiate HTTP@files.a.test anonymous").thrown == "invalid")
        }
    }

    @Test("are acted as with SeImpersonatePrivilege alone: the service said no secret of theirs")
    func privilege() throws {
        try onRealms(privileges: []) { scene in
            let token2 = try scene.token()
            #expect(try scene.client.ask("context-accept a Negotiate \(token2)").value != nil)
            #expect(try scene.client.ask("context-impersonate a").thrown == "privilegeNotHeld")
            #expect(try scene.client.ask("context-impersonate a identification").value != nil)
        }
    }

    @Test("are whom rules say, from the realms that rules are about, now")
    func mapping() throws {
        try onRealms(["A.TEST", "B.TEST"]) { scene in
            let client = scene.client
            // A principal that no rule names.
            let bobs = try scene.initiator(scene.bob, "bob")
            let refused = try client.ask("context-accept b Negotiate \(try scene.token(of: bobs))")
            #expect(refused.thrown == "logonFailed" || refused.thrown == "notMapped", "\(refused)")
            try scene.stage.waitForRecord("logon-failed") { $0.service == "files" && $0.rule != nil }

            // The same name in another realm is somebody else; a realm that nobody trusts has nobody.
            try scene.realms.principal("alice", in: "B.TEST")
            let elses = scene.stage.stranger()
            let other = try scene.initiator(elses, "alice@B.TEST")
            let token3 = try scene.token(of: other)
            #expect(try client.ask("context-accept c Negotiate \(token3)").thrown == "logonFailed")
            try scene.stage.trust("B.TEST", anonymous: true)
            let token4 = try scene.token(of: other)
            #expect(try client.ask("context-accept c Negotiate \(token4)").value != nil)
            #expect(try client.ask("context-scoped c token").value == "ANONYMOUS LOGON anonymous")
            let rule = try scene.stage.map("alice@B.TEST", to: scene.bob)
            let token5 = try scene.token(of: other)
            #expect(try client.ask("context-accept d Negotiate \(token5)").value != nil)
            #expect(try client.ask("context-token d").value?.hasPrefix("\(scene.bob.sid) ") == true)

            // Without the rule whom it let in is out, and it lets in nobody more.
            #expect(try client.ask("context-impersonate d").value != nil)
            try scene.stage.ask(.mappingRemove(.with { $0.id = rule }))
            #expect(try client.ask("cat \(scene.hers)").errno == EACCES)
            #expect(try client.ask("context-scoped d cat \(scene.hers)").errno == EACCES)
            try client.ask("revert")
            let token6 = try scene.token(of: other)
            #expect(try client.ask("context-accept e Negotiate \(token6)").value != nil)
            #expect(try client.ask("context-scoped e token").value == "ANONYMOUS LOGON anonymous")
        }
    }

    @Test("with forged, damaged, foreign or repeated tokens are nobody")
    func attacks() throws {
        try onRealms(library: ["clockskew = 3"]) { scene in
            let client = scene.client
            for package in ["Kerberos", "Negotiate"] {
                let token = Data(base64Encoded: try scene.token(package))!
                var attempts: [Data] = [
                    Data([0x60]), Data("NTLMSSP\0\u{1}\0\0\0".utf8), Data(repeating: 0x60, count: 50_000),
                    Data((0..<4096).map { _ in UInt8.random(in: 0...255) }), token.prefix(token.count / 2),
                    token.dropLast(), Data([0x60, 0x84, 0xff, 0xff, 0xff, 0xff]) + token.dropFirst(2),
                ]
                for _ in 0..<20 {
                    // In the ticket or the authenticator, not in what SPNEGO may leave out of account.
                    var changed = token
                    changed[Int.random(in: 300..<(token.count - 8))] ^= 1 << UInt8.random(in: 0..<8)
                    attempts.append(changed)
                }
                for attempt in attempts {
                    let answer = try client.ask(
                        "context-accept x \(package) \(attempt.base64EncodedString())")
                    #expect(answer.thrown != nil || answer.value?.hasPrefix("more") == true, "\(answer)")
                    #expect(answer.thrown != "authorityFailed", "\(answer)")
                    #expect(try client.ask("context x").thrown == "notFound")
                }
            }
            #expect(try client.ask("context-accept x Kerberos -").thrown == "invalid")
            let token7 = try scene.token("Negotiate")
            #expect(
                try client.ask("context-accept x Kerberos \(token7)").thrown == "logonFailed")

            // Twice the same.
            let once = try scene.token()
            #expect(try client.ask("context-accept a Negotiate \(once)").value != nil)
            #expect(try client.ask("context-accept b Negotiate \(once)").thrown == "logonFailed")
            // Also by a worker that did not see the first, and by an authority that did not.
            let worker = try #require(scene.worker)
            kill(worker, SIGKILL)
            // Who asks before the authority has noticed is told to begin anew.
            try eventually("another worker") {
                try client.ask("context-accept b Negotiate \(once)").thrown == "logonFailed"
            }
            #expect(scene.worker != worker)

            // For another service.
            _ = try scene.realms.keytab("HTTP/others.a.test")
            let others = try scene.token(target: "HTTP@others.a.test")
            #expect(try client.ask("context-accept b Negotiate \(others)").thrown == "logonFailed")

            // From earlier.
            let late = try scene.token()
            sleep(8)
            let answer = try client.ask("context-accept b Negotiate \(late)")
            #expect(answer.thrown == "logonFailed", "\(answer)")
            let token8 = try scene.token()
            #expect(try client.ask("context-accept b Negotiate \(token8)").value != nil)
        }
    }

    @Test("come to services with a keytab, which only administrators give, and the service never sees")
    func keytabs() throws {
        try onRealms { scene in
            let (stage, client) = (scene.stage, scene.client)
            let bare = try stage.serve(try stage.service("bare"), name: "bare").client(scene.bob)
            let refused = try bare.ask("context-accept a Negotiate \(try scene.token())")
            #expect(
                refused.thrown == "notFound" && refused.line.contains("guise account keytab"), "\(refused)")
            // Somebody else's service, with a keytab of its own.
            let own = try scene.realms.keytab("HTTP/bare.a.test")
            try stage.setKeytab("bare", own)
            let token9 = try scene.token()
            #expect(try bare.ask("context-accept a Negotiate \(token9)").thrown == "logonFailed")
            let token10 = try scene.token(target: "HTTP@bare.a.test")
            #expect(
                try bare.ask("context-accept a Negotiate \(token10)").value != nil)

            for file in try FileManager.default.contentsOfDirectory(
                atPath: stage.directory + "/state/keytabs")
            {
                var status = stat()
                #expect(stat(stage.directory + "/state/keytabs/" + file, &status) == 0)
                #expect(status.st_mode & 0o077 == 0, "\(file)")
            }
            let kept = "\(stage.directory)/state/keytabs/\(scene.service.account.sid).accepting"
            #expect(access(kept, F_OK) == 0)
            #expect(try client.ask("cat \(kept)").errno == EACCES)
            func keytab(_ arguments: [String], as person: Person? = nil) throws -> Int32 {
                try stage.run([product("guise"), "account", "keytab"] + arguments, as: person).status
            }
            let nonsense = try stage.file("nonsense", "no keytab")
            #expect(try keytab(["files", nonsense]) != 0)
            let public_ = try stage.file("public", "\u{5}\u{2}nothing", mode: 0o644)
            #expect(try keytab(["files", public_], as: scene.alice) != 0)
            let token11 = try scene.token()
            #expect(try client.ask("context-accept a Negotiate \(token11)").value != nil)
            #expect(try keytab(["files", "--remove"]) == 0)
            #expect(access(kept, F_OK) != 0)
            let token12 = try scene.token()
            #expect(try client.ask("context-accept a Negotiate \(token12)").thrown == "notFound")
            try stage.waitForRecord("account-changed") { $0.change?.contains("keytab of files") == true }
            // A service that is added by the same name later has none.
            #expect(access("\(stage.directory)/state/keytabs", F_OK) == 0)
            func hasKeytab() throws -> Bool {
                try FileManager.default.contentsOfDirectory(atPath: stage.directory + "/state/keytabs")
                    .contains { $0.hasSuffix(".accepting") }
            }
            #expect(try hasKeytab())
            try stage.ask(.accountRemove(.with { $0.name = "bare" }))
            #expect(try !hasKeytab())
        }
    }

    @Test("are judged by a process that is nobody, and dies and hangs alone")
    func worker() throws {
        try onRealms { scene in
            let client = scene.client
            let half = Self.halfOpen
            #expect(try client.ask("context-accept h Negotiate \(half)").value?.hasPrefix("more") == true)
            let worker = try #require(scene.worker)
            let status = try String(contentsOfFile: "/proc/\(worker)/status", encoding: .utf8)
            func has(_ line: String) -> Bool { status.contains("\n\(line)") }
            #expect(has("Uid:\t65534\t65534\t65534\t65534") && has("Gid:\t65534\t65534\t65534\t65534"))
            #expect(has("CapPrm:\t0000000000000000") && has("NoNewPrivs:\t1") && has("Seccomp:\t2"))
            // Not to be read by others of its user.
            let nobody = Person(name: "nobody", uid: 65534, sid: "")
            #expect(try scene.stage.run(["/bin/cat", "/proc/\(worker)/environ"], as: nobody).status != 0)
            let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker)/fd")
            #expect(Set(["0", "3", "4"]).isSubset(of: Set(descriptors)) && descriptors.count <= 12)
            #expect(descriptors.allSatisfy { Int($0).map { $0 < 16 } == true }, "\(descriptors)")
            // By another package than began it a conversation does not go on.
            #expect(try client.ask("accept-other Negotiate \(half) Kerberos").thrown == "invalid")

            // It dies between two steps.
            kill(worker, SIGKILL)
            try eventually("the end of the worker") { scene.worker != worker }
            // Known to the authority already, found out by asking, or not yet.
            let step = try client.ask("step h \(half)")
            #expect(["notFound", "authorityFailed", "limitReached"].contains(step.thrown), "\(step)")
            let token13 = try scene.token()
            #expect(try client.ask("context-accept a Negotiate \(token13)").value != nil)
            #expect(try client.ask("context-scoped a cat \(scene.hers)").value == "hers")

            // It hangs: the authority goes on, and gives it up.
            let next = try #require(scene.worker)
            kill(next, SIGSTOP)
            try client.send("context-accept b Negotiate \(try scene.token())")
            usleep(200_000)
            let other = try scene.service.client(scene.alice)
            #expect(try other.acting("cat \(scene.hers)").value == "hers")
            #expect(try client.reply().thrown == "authorityFailed")
            try eventually("the end of the worker") { scene.worker != next }
            let token14 = try scene.token()
            #expect(try client.ask("context-accept b Negotiate \(token14)").value != nil)
            // Whom it let in before stays.
            #expect(try client.ask("context-scoped a cat \(scene.hers)").value == "hers")
        }
    }

    @Test("keep what they delegated while many send what is long and worth nothing")
    func burst() throws {
        try onRealms { scene in
            let client = scene.client
            let token = try scene.token(level: "delegation")
            #expect(try client.ask("context-accept d Negotiate \(token)").value != nil)
            let worker = try #require(scene.worker)
            kill(worker, SIGSTOP)
            let long = Data([0x60, 0x82, 0xea, 0x00] + [UInt8](repeating: 0x60, count: 59_000))
            try client.send("accept-burst 24 Kerberos \(long.base64EncodedString())")
            sleep(2)
            kill(worker, SIGCONT)
            #expect(try client.reply(seconds: 30).value == "logonFailed 24")
            #expect(scene.worker == worker)
            _ = try scene.realms.keytab("HTTP/back.a.test")
            let first = try client.ask("context-scoped d initiate o Negotiate HTTP@back.a.test impersonation")
            #expect(first.value != nil, "\(first)")
        }
    }

    @Test("have so many conversations under way, of one service, and no more")
    func bounds() throws {
        try onRealms { scene in
            let many = try #require(
                try scene.client.ask("accept-many 1000 Negotiate \(Self.halfOpen)", seconds: 60).value)
            #expect(many.hasPrefix("256 THROWN limitReached"), "\(many)")
            // They ended with who held them.
            try eventually("room") {
                let token = try scene.token()
                return try scene.client.ask("context-accept a Negotiate \(token)").value != nil
            }
        }
    }

    #if NIO && Hummingbird
        @Test(
            "that are curl --negotiate are served by the HTTP middleware as themselves",
            .enabled(if: access("/usr/bin/curl", X_OK) == 0, "needs curl"))
        func curl() throws {
            try onRealms { scene in
                let stage = scene.stage
                let port = try scene.launch(
                    [product("guise-test-adapters"), "auth", "required", "negotiate"], named: "web")
                func curl(_ path: String, _ options: [String], as person: Person) throws -> String {
                    let url = "http://web.a.test:\(port)\(path)?path=\(scene.hers)"
                    return try scene.output(
                        ["/usr/bin/curl", "-s", "-w", " %{http_code}", "--noproxy", "*"]
                            + ["--resolve", "web.a.test:\(port):127.0.0.1"] + options + [url], as: person)
                }
                let negotiate = ["--negotiate", "-u", ":"]
                #expect(try curl("/who", [], as: scene.alice) == " 401")
                #expect(try curl("/who", negotiate, as: scene.alice) == "hers 200")
                #expect(try curl("/stream", negotiate, as: scene.alice) == "hers hers  200")
                #expect(try curl("/name", negotiate, as: scene.alice) == "alice Impersonation Kerberos 200")
                #expect(
                    try curl("/name", negotiate + ["--delegation", "always"], as: scene.alice)
                        == "alice Delegation Kerberos 200")
                #expect(try curl("/open", [], as: scene.alice) == "nobody 200")
                _ = try scene.realms.log(scene.bob, onAs: "bob")
                #expect(try curl("/who", negotiate, as: scene.bob) == " 403")
                try stage.map("bob@A.TEST", to: scene.bob)
                #expect(try curl("/who", negotiate, as: scene.bob) == "nobody 200")
                #expect(try curl("/name", negotiate, as: scene.bob) == "bob Impersonation Kerberos 200")
            }
        }
    #endif

    #if GRPC
        @Test("that call by gRPC over TCP are served as themselves, and know the server")
        func rpc() throws {
            try onRealms { scene in
                let port = try scene.launch(
                    [product("guise-test-grpc"), "serve", "tcp", "--packages"], named: "rpc")
                func call(_ words: String..., as person: Person, at other: String? = nil) throws -> String {
                    try scene.output(
                        [product("guise-test-grpc"), "call", other ?? port, "-"] + words, as: person)
                }
                let (alice, hers) = (scene.alice, scene.hers)
                let proof = ["--negotiate", "HTTP@rpc.a.test"]
                #expect(try call(proof[0], proof[1], "Read", hers, as: alice) == "hers\n")
                #expect(try call(proof[0], proof[1], "Token", "", as: alice) == "alice Impersonation\n")
                #expect(
                    try call(proof[0], proof[1], "--level", "delegation", "Token", "", as: alice)
                        == "alice Delegation\n")
                #expect(
                    try call(proof[0], proof[1], "--level", "identification", "Read", hers, as: alice)
                        == "nobody\n")
                // Each message of a stream, each of many calls, over the one connection.
                #expect(
                    try call(proof[0], proof[1], "--times", "10", "Read", hers, as: alice)
                        == String(repeating: "hers\n", count: 10))
                #expect(
                    try call(proof[0], proof[1], "--stream", "Talk", hers, hers, as: alice) == "hers\nhers\n")
                #expect(
                    try call("--no-identity", "Read", hers, as: alice)
                        == "unauthenticated: the call does not say who makes it\n")
                #expect(
                    try call("--proof", "Negotiate AAAA", "Read", hers, as: alice)
                        == "unauthenticated: the call's proof is not accepted\n")
                #expect(
                    try call("--proof", "Basic AAAA", "Read", hers, as: alice)
                        == "unauthenticated: the call proves nothing that this service takes\n")
                // A token counts once; and one for another service is worth nothing here.
                let target = "HTTP@rpc.a.test"
                let once = try scene.token(target: target)
                #expect(try call("--proof", "Negotiate \(once)", "Read", hers, as: scene.bob) == "hers\n")
                #expect(
                    try call("--proof", "Negotiate \(once)", "Read", hers, as: scene.bob)
                        == "unauthenticated: the call's proof is not accepted\n")
                let other = try scene.token()
                #expect(
                    try call("--proof", "Negotiate \(other)", "Read", hers, as: scene.bob)
                        == "unauthenticated: the call's proof is not accepted\n")
                let twice = try (scene.token(target: target), scene.token(target: target))
                #expect(
                    try call(
                        "--proof", "Negotiate \(twice.0)", "--proof", "Negotiate \(twice.1)", "Read", hers,
                        as: scene.bob) == "unauthenticated: the call says more than once who makes it\n")
                _ = try scene.realms.log(scene.bob, onAs: "bob")
                #expect(
                    try call(proof[0], proof[1], "Read", hers, as: scene.bob).hasPrefix(
                        "permissionDenied: the call's proof"))
                // Who is not the service that was meant cannot say that it is.
                let wrong = try scene.launch(
                    [product("guise-test-grpc"), "serve", "tcp", "--packages", "--unproved"], named: "wrong")
                #expect(
                    try call("--negotiate", "HTTP@wrong.a.test", "Token", "", as: alice, at: wrong)
                        == "unauthenticated: the server did not prove that it is HTTP@wrong.a.test\n")
            }
        }
    #endif

    /// SPNEGO's first message (RFC 4178, 4.2.1) that names Kerberos and has no token of it.
    private static let halfOpen: String = {
        func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] { [tag, UInt8(content.count)] + content }
        let kerberos: [UInt8] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02]
        let mechanisms = tagged(0xa0, tagged(0x30, kerberos))
        let spnego: [UInt8] = [0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02]
        return Data(tagged(0x60, spnego + tagged(0xa0, tagged(0x30, mechanisms)))).base64EncodedString()
    }()
}

extension KerberosScene {
    /// The process that judges the service's tokens; nil when there is none.
    var worker: pid_t? {
        let authority = stage.authority?.pid ?? 0
        let children =
            (try? String(contentsOfFile: "/proc/\(authority)/task/\(authority)/children", encoding: .utf8))
            ?? ""
        let all =
            children.split(separator: " ").compactMap { pid_t($0) }
            + ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/task")) ?? [])
            .filter { $0 != "\(authority)" }
            .flatMap { task in
                ((try? String(contentsOfFile: "/proc/\(authority)/task/\(task)/children", encoding: .utf8))
                    ?? "")
                    .split(separator: " ").compactMap { pid_t($0) }
            }
        return all.first { pid in
            (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "guise-gss\n"
                && (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.contains(") Z ")
                    == false
        }
    }
}
