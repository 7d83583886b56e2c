import Foundation
import Testing

@Suite("Levels and gates", .asRoot)
struct LevelTests {
    /// A stage with a service, alice, and a file that only she may read and one that everybody may.
    private func onScene(
        privileges: [String] = ["SeImpersonatePrivilege"],
        _ body: (Stage, Service, Person, _ hers: String) throws -> Void
    ) throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let service = try stage.serve(try stage.service("files", privileges: privileges))
            stage.folder("home", of: alice)
            try body(stage, service, alice, try stage.file("home/hers", "hers", of: alice))
        }
    }

    @Test(
        "what a client allowed is what the service gets",
        arguments: [
            ("anonymous", "S-1-5-7", Int32?.some(EACCES)), ("identification", "alice", EACCES),
            ("impersonation", "alice", nil), ("delegation", "alice", nil),
        ])
    func levels(level: String, name: String, refusal: Int32?) throws {
        try onScene { (stage, service, alice, hers) throws in
            let client = try service.client(alice, level: level)
            #expect(try client.ask("adopt").value == level)
            let named = try #require(try client.ask("client").value)
            #expect(named.contains(name) || named.contains("S-1-5-7") && name == "S-1-5-7")
            let read = try client.acting("cat \(hers)")
            if let refusal { #expect(read.errno == refusal) } else { #expect(read.value == "hers") }
        }
    }

    @Test("an anonymous client leaves nothing of itself behind")
    func anonymous() throws {
        try onScene { (stage, service, alice, _) throws in
            let client = try service.client(alice, level: "anonymous")
            let known = try #require(try client.ask("client").value)
            #expect(known.hasPrefix("S-1-5-7 ") && known.hasSuffix("groups 0"))
            _ = try client.ask("impersonate")
            #expect(try client.ask("token").value?.hasSuffix(" anonymous") == true)
            #expect(!stage.log.contains(alice.sid))
            #expect(try client.ask("cat /etc/shadow").errno == EACCES)
            let refused = try stage.waitForRecord("access-denied") { $0.level == "Anonymous" }
            #expect(refused.user == "S-1-5-7" && refused.client == nil)
            let captured = try stage.waitForRecord("impersonation")
            #expect(captured.user == "S-1-5-7" && captured.client == nil)
            #expect(!stage.auditLines.contains { $0.contains(alice.sid) })
        }
    }

    @Test("the service may ask for less than the client allowed, never for more")
    func atMost() throws {
        try onScene { (_, service, alice, hers) throws in
            let client = try service.client(alice)
            #expect(try client.acting("cat \(hers)", atMost: "identification").errno == EACCES)
            #expect(try client.acting("cat \(hers)", atMost: "anonymous").errno == EACCES)
            #expect(try client.acting("cat \(hers)").value == "hers")
            let shy = try service.client(alice, level: "identification")
            #expect(try shy.acting("cat \(hers)", atMost: "delegation").errno == EACCES)
            _ = try client.ask("impersonate identification")
            #expect(try client.ask("token").value == "alice identification")
            _ = try client.ask("impersonate")
            #expect(try client.ask("token").value == "alice impersonation")
        }
    }

    @Test("below Impersonation, what is open to everybody under a managed root is not open to Anonymous")
    func everyoneExcludesAnonymous() throws {
        try onScene { (stage, service, alice, _) throws in
            let root = try stage.root(
                "managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FR;;;WD)(A;;0xa0;;;AN)")
            try stage.managedFile(root + "/everyone", "all", "O:BAG:SYD:(A;;FR;;;WD)")
            try stage.managedFile(root + "/anonymous", "even", "O:BAG:SYD:(A;;FR;;;AN)")
            let client = try service.client(alice)
            #expect(try client.acting("cat \(root)/everyone").value == "all")
            #expect(try client.acting("cat \(root)/everyone", atMost: "identification").errno == EACCES)
            #expect(try client.acting("cat \(root)/anonymous", atMost: "identification").value == "even")
        }
    }

    @Test(
        "without SeImpersonatePrivilege impersonating fails, identifying works, and the thread stays itself")
    func noPrivilege() throws {
        try onScene(privileges: []) { (stage, service, alice, hers) throws in
            let client = try service.client(alice)
            let refused = try client.ask("impersonate")
            #expect(refused.thrown == "privilegeNotHeld")
            #expect(refused.line.contains("SeImpersonatePrivilege"))
            #expect(try client.ask("token").value == "files primary")
            #expect(try client.ask("cat \(hers)").errno == EACCES)
            #expect(try client.ask("impersonate identification").value != nil)
            #expect(try client.ask("token").value == "alice identification")
            #expect(try client.ask("cat \(hers)").errno == EACCES)
            // A refusal leaves the thread as it was: identified, not itself again.
            #expect(try client.ask("impersonate").thrown == "privilegeNotHeld")
            #expect(try client.ask("token").value == "alice identification")
        }
    }

    @Test("without the privilege a service may still act as its own user")
    func sameUser() throws {
        try onScene(privileges: []) { (_, service, _, _) throws in
            // The service connects to itself.
            let driver = try service.client(service.account)
            let answer = try driver.ask("impersonate")
            #expect(answer.value != nil, "\(answer)")
        }
    }

    @Test("a client above the service's integrity is refused, privilege or not", arguments: [false, true])
    func integrity(mediated: Bool) throws {
        try onStage { (stage) throws in
            // Under `guise run` a service has System integrity, as on Windows; started by hand it has Medium.
            let account = try stage.service("files")
            let service = mediated ? try stage.serve(account) : try stage.serveUnmediated(account)
            let root = try service.client(Person(name: "root", uid: 0, sid: "S-1-5-18"))
            #expect(try root.ask("client").value?.hasPrefix("S-1-5-18 ") == true)
            if mediated {
                #expect(try root.acting("cat /etc/shadow").value != nil)
            } else {
                #expect(try root.ask("impersonate").thrown == "integrityTooHigh")
                #expect(try root.ask("token").value?.hasSuffix(" primary") == true)
                #expect(try root.ask("impersonate identification").value != nil)
            }
        }
    }

    @Test("impersonating while impersonating replaces the identity; one revert ends it")
    func replaces() throws {
        try onScene { (stage, service, alice, hers) throws in
            let bob = try stage.user("bob")
            let his = try stage.file("home/his", "his", of: bob)
            let (one, other) = (try service.client(alice), try service.client(bob))
            _ = try other.ask("adopt")
            _ = try other.ask("name bob")
            _ = try one.ask("impersonate")
            #expect(try one.ask("cat \(hers)").value == "hers")
            #expect(try one.ask("impersonate-named bob").value != nil)
            #expect(try one.ask("cat \(his)").value == "his")
            #expect(try one.ask("cat \(hers)").errno == EACCES)
            _ = try one.ask("revert")
            #expect(try one.ask("cat \(his)").errno == EACCES)
            #expect(try one.ask("token").value == "files primary")
        }
    }

    @Test("the scoped form puts back what was before, however it ends")
    func scoped() throws {
        try onScene { (stage, service, alice, hers) throws in
            let client = try service.client(alice)
            #expect(try client.ask("scoped cat \(hers)").value == "hers")
            #expect(try client.ask("token").value == "files primary")
            #expect(try client.ask("scoped-throwing").thrown != nil)
            #expect(try client.ask("token").value == "files primary")
            _ = try client.ask("impersonate identification")
            #expect(try client.ask("scoped cat \(hers)").value == "hers")
            #expect(try client.ask("token").value == "alice identification")
            #expect(try client.ask("scoped revert").value != nil)
            #expect(try client.ask("token").value == "alice identification")
        }
    }

    @Test("no other thread notices")
    func otherThreads() throws {
        try onScene { (stage, service, alice, hers) throws in
            let (client, other) = (try service.client(alice), try service.client(alice))
            _ = try client.ask("impersonate")
            #expect(try client.ask("cat \(hers)").value == "hers")
            #expect(try client.ask("thread cat \(hers)").errno == EACCES)
            #expect(try client.ask("thread token").value == "files primary")
            #expect(try other.ask("cat \(hers)").errno == EACCES)
            _ = try other.ask("revert")
            #expect(try client.ask("cat \(hers)").value == "hers")
        }
    }

    @Test("a client without an account is its Unix user")
    func stranger() throws {
        try onScene { (stage, service, _, hers) throws in
            let stranger = stage.stranger()
            let own = try stage.file("home/stranger", "own", of: stranger)
            let client = try service.client(stranger)
            #expect(try client.ask("client").value?.hasPrefix(stranger.sid + " ") == true)
            #expect(try client.acting("cat \(own)").value == "own")
            #expect(try client.acting("cat \(hers)").errno == EACCES)
        }
    }
}
