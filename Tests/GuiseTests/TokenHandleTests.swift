import Foundation
import Guise
import Testing

/// A service with two threads, and what its tokens say.
private struct TokenScene {
    let scene: Scene
    /// Two threads of the service.
    let one: Client
    let other: Client

    var service: Person { scene.service.account }

    /// The fields of what a token says.
    func information(_ key: String) throws -> [String: String] {
        let text = try #require(try one.ask("tok-info \(key)").value)
        return Dictionary(
            text.split(separator: " ").map { field in
                let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (String(parts[0]), String(parts[1]))
            }, uniquingKeysWith: { first, _ in first })
    }

    func thread(_ client: Client) throws -> String {
        let ids = try #require(try client.ask("ids").value)
        return "pid=\(ids.split(separator: "/")[0]) tid=\(ids.split(separator: "/")[1])"
    }
}

private func onTokens(_ body: (TokenScene) throws -> Void) throws {
    try onScene { scene in
        let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
        try body(
            TokenScene(
                scene: scene, one: try scene.service.client(root), other: try scene.service.client(root)))
    }
}

@Suite("Tokens as objects", .asRoot)
struct TokenHandleTests {
    private let password = "correct-horse"

    // MARK: Acting

    @Test("a privilege enabled on a thread's own copy is enabled for that thread alone")
    func ownCopies() throws {
        try onTokens { (tokens) throws in
            let backup = "SeImpersonatePrivilege"
            #expect(try tokens.one.ask("self impersonation").value != nil)
            #expect(try tokens.other.ask("self impersonation").value != nil)
            #expect(try tokens.one.ask("token").value == "files impersonation")
            #expect(try tokens.one.ask("tok-open mine thread query privileges").value != nil)
            #expect(
                try tokens.one.ask("tok-adjust mine \(backup)=off").value
                    == "previous \(backup)=enabled missing ")
            #expect(try tokens.one.ask("holds \(backup)").value == "false")
            #expect(try tokens.other.ask("holds \(backup)").value == "true")
            try tokens.one.ask("revert")
            #expect(try tokens.one.ask("holds \(backup)").value == "true", "the process keeps it")
            // A new copy is as the process is.
            try tokens.one.ask("self impersonation")
            #expect(try tokens.one.ask("holds \(backup)").value == "true")
            // What the process's token loses the next copy has not.
            try tokens.one.ask("revert")
            #expect(try tokens.one.ask("tok-open process process query privileges").value != nil)
            #expect(try tokens.one.ask("tok-adjust process \(backup)=off").value != nil)
            try tokens.one.ask("self impersonation")
            #expect(try tokens.one.ask("holds \(backup)").value == "false")
            try tokens.one.ask("revert")
            #expect(try tokens.scene.client.ask("impersonate").thrown == "privilegeNotHeld")
            #expect(try tokens.one.ask("tok-adjust process \(backup)=on").value != nil)
            #expect(try tokens.scene.client.ask("impersonate").value != nil)
            try tokens.scene.client.ask("revert")
            #expect(try tokens.one.ask("tok-adjust process \(backup)=gone").value != nil)
            #expect(
                try tokens.one.ask("tok-adjust process \(backup)=on").value == "previous  missing \(backup)",
                "what was removed stays removed")
            #expect(try tokens.scene.bobs.ask("impersonate").thrown == "privilegeNotHeld")
        }
    }

    @Test("a thread is given a token by another thread, and loses it by another or itself")
    func threads() throws {
        try onTokens { (tokens) throws in
            let scene = tokens.scene
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let services = try scene.stage.file("home/services", "s", of: tokens.service)
            try scene.stage.setPassword("alice", password)
            #expect(try tokens.one.ask("logon a alice \(password) network").number != nil)
            #expect(try tokens.one.ask("tok-logon primary a").value?.hasPrefix("primary") == true)
            #expect(try tokens.one.ask("tok-duplicate alice primary impersonation").value != nil)
            let thread = try tokens.thread(tokens.other).split(separator: " ").last!
            // Not before it was set, and by nobody's guess.
            #expect(try tokens.other.ask("cat \(hers)").errno == EACCES)
            #expect(try tokens.one.ask("tok-assign alice \(thread)").value != nil)
            #expect(try tokens.other.ask("token").value == "alice impersonation")
            #expect(try tokens.other.ask("cat \(hers)").value == "hers")
            #expect(try tokens.other.ask("cat \(services)").errno == EACCES)
            #expect(try tokens.one.ask("token").value == "files primary", "the caller is not meant")
            // It keeps the token when the handle is closed.
            #expect(try tokens.one.ask("tok-close alice").value != nil)
            #expect(try tokens.one.ask("tok-info alice").thrown == "closed")
            #expect(try tokens.other.ask("cat \(hers)").value == "hers")
            // Saying what its calls are for changes nobody's identity.
            #expect(try tokens.other.ask("intent backup cat \(services)").errno == EACCES)
            // In a scope it is somebody else, and afterwards what it was.
            #expect(try tokens.one.ask("tok-duplicate again primary impersonation").value != nil)
            #expect(try tokens.other.ask("tok-scoped again cat \(hers)").value == "hers")
            #expect(try tokens.other.ask("token").value == "alice impersonation")
            #expect(try tokens.other.ask("cat \(services)").errno == EACCES)
            #expect(try tokens.one.ask("tok-assign none \(thread)").value != nil)
            #expect(try tokens.other.ask("token").value == "files primary")
            #expect(try tokens.other.ask("cat \(services)").value == "s")
            // It reverts by itself, too.
            try tokens.one.ask("tok-assign again \(thread)")
            #expect(try tokens.other.ask("cat \(hers)").value == "hers")
            try tokens.other.ask("revert")
            #expect(try tokens.other.ask("cat \(hers)").errno == EACCES)
            // A primary token cannot be set, whoever says so.
            #expect(try tokens.one.ask("tok-assign primary \(thread)").thrown == "invalid")
            #expect(try tokens.one.ask("tok-set-thread primary").thrown == "invalid")
            // But it can be acted under.
            #expect(try tokens.one.ask("tok-impersonate primary").value != nil)
            #expect(try tokens.one.ask("token").value == "alice impersonation")
            try tokens.one.ask("revert")
            #expect(try tokens.one.ask("tok-assign again tid=1").thrown == "notFound")
        }
    }

    @Test(
        "another process's thread is given a token by whoever has the right on that process, through its gates"
    )
    func otherProcesses() throws {
        try onTokens { (tokens) throws in
            let stage = tokens.scene.stage
            try stage.setPassword("alice", password)
            let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
            let twin = try stage.serve(tokens.service, name: "twin").client(root)
            let stranger = try stage.serve(try stage.service("stranger"), name: "stranger").client(root)
            for client in [twin, stranger] {
                #expect(try client.ask("logon a alice \(password) network").number != nil)
                #expect(try client.ask("tok-logon primary a").value != nil)
                #expect(try client.ask("tok-duplicate alice primary impersonation").value != nil)
            }
            let target = try tokens.thread(tokens.one)
            #expect(try stranger.ask("tok-assign alice \(target)").thrown == "accessDenied")
            #expect(try stranger.ask("tok-assign none \(target)").thrown == "accessDenied")
            #expect(try stranger.ask("tok-open t process \(target) query").thrown == "accessDenied")
            #expect(try tokens.one.ask("token").value == "files primary")
            #expect(try twin.ask("tok-assign alice \(target)").value != nil)
            #expect(try tokens.one.ask("token").value == "alice impersonation")
            // Its opener sees the token of the other's thread, by the rights that he has on it.
            #expect(
                try twin.ask("tok-open t thread \(target) query").value?.hasPrefix("impersonation") == true)
            try twin.ask("tok-assign none \(target)")
            #expect(try tokens.one.ask("token").value == "files primary")
            #expect(try twin.ask("tok-open t thread \(target) query").thrown == "notFound")
            // Without the privilege the process acts as nobody else, whoever says so.
            try tokens.one.ask("tok-open process process query privileges")
            try tokens.one.ask("tok-adjust process SeImpersonatePrivilege=off")
            #expect(try twin.ask("tok-assign alice \(target)").thrown == "privilegeNotHeld")
            try stage.waitForAudit("impersonation-refused", "AssignToken", "SeImpersonatePrivilege")
            // Numbers of another process's handles are nothing.
            #expect(try stranger.ask("tok-guess 50").value == "0")
        }
    }

    @Test("a thread made for another's token leaves nothing behind when it ends")
    func endedThreads() throws {
        try onTokens { (tokens) throws in
            let scene = tokens.scene
            #expect(try tokens.one.ask("tok-open p process all").value != nil)
            #expect(try tokens.one.ask("tok-duplicate me p impersonation").value != nil)
            // Threads that never impersonated by themselves: more than there are slots for.
            let service = try scene.stage.serve(tokens.service, threads: 4, name: "small")
            let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
            let control = try service.client(root)
            #expect(try control.ask("tok-open p process all").value != nil)
            #expect(try control.ask("tok-duplicate me p impersonation").value != nil)
            for _ in 0..<40 {
                let passing = try service.client(root)
                let thread = try tokens.thread(passing).split(separator: " ").last!
                #expect(try control.ask("tok-assign me \(thread)").value != nil)
                #expect(try passing.ask("token").value == "files impersonation")
                try passing.leave()
                let gone = thread.dropFirst(4)
                try eventually("the thread to end") {
                    access("/proc/\(service.pid)/task/\(gone)", F_OK) != 0
                }
            }
        }
    }

    // MARK: Copies

    @Test("a copy is never raised, and does what it was opened for and no more")
    func copies() throws {
        try onTokens { (tokens) throws in
            let client = tokens.scene.client
            #expect(try client.ask("impersonate identification").value != nil)
            // The thread has no rights of its own at Identification; the process has.
            #expect(try client.ask("tok-open t thread query duplicate").thrown == "accessDenied")
            #expect(try client.ask("tok-open t thread self query duplicate impersonate").value != nil)
            try client.ask("revert")
            #expect(try client.ask("tok-duplicate up t impersonation").thrown == "accessDenied")
            #expect(try client.ask("tok-duplicate up t primary").thrown == "accessDenied")
            #expect(try client.ask("tok-duplicate same t identification").value != nil)
            #expect(try client.ask("tok-duplicate nobody t anonymous").value != nil)
            #expect(try client.ask("tok-info nobody").value?.contains("user=S-1-5-7 ") == true)
            #expect(try client.ask("tok-info t").value?.contains("user=\(tokens.scene.alice.sid) ") == true)
            // Opened for one thing, it is good for nothing else.
            #expect(try client.ask("tok-open q process query").value == "primary 0x8")
            #expect(try client.ask("tok-duplicate x q impersonation").thrown == "accessDenied")
            #expect(try client.ask("tok-restrict x q max").thrown == "accessDenied")
            #expect(try client.ask("tok-adjust q SeImpersonatePrivilege=off").thrown == "accessDenied")
            #expect(try client.ask("tok-set q integrity 0").thrown == "accessDenied")
            #expect(try client.ask("tok-impersonate q").thrown == "accessDenied")
            #expect(try client.ask("tok-process q").thrown == "accessDenied")
            #expect(try client.ask("tok-open d process duplicate").value != nil)
            #expect(try client.ask("tok-info d").thrown == "accessDenied")
            #expect(try client.ask("tok-open n thread query").thrown == "notFound")
            #expect(try client.ask("impersonate anonymous").value != nil)
            #expect(try client.ask("tok-open n thread self query").thrown == "accessDenied")
            try client.ask("revert")
            // While it acts as alice a thread has her rights on tokens, unless it asks as the process.
            #expect(try client.ask("impersonate").value != nil)
            #expect(try client.ask("tok-open a thread query").value == "impersonation 0x8")
            #expect(try client.ask("tok-open s thread self maximum").value == "impersonation 0xf01ff")
            try client.ask("revert")
        }
    }

    @Test("a restricted token can do less wherever it is used")
    func restricted() throws {
        try onTokens { (tokens) throws in
            let (scene, stage) = (tokens.scene, tokens.scene.stage)
            let staff = try stage.group("planners")
            try stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"
                        $0.join = ["planners"]
                    }))
            try stage.setPassword("alice", password)
            let root = scene.root
            let hers = try stage.managedFile(
                root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})", for: scene.alice)
            let ours = try stage.managedFile(
                root + "/ours", "ours", "O:BAG:SYD:(A;;FR;;;{planners})", for: staff)
            let all = try stage.managedFile(
                root + "/all", "all", "O:BAG:SYD:(A;;FR;;;WD)(A;;FW;;;{alice})", for: scene.alice)
            let unix = try stage.file("home/unix", "unix", of: scene.alice)
            let one = tokens.one
            #expect(try one.ask("logon a alice \(password) network").number != nil)
            #expect(try one.ask("tok-logon whole a").value != nil)
            func opens(_ key: String) throws -> [String] {
                try [hers, ours, all, unix].filter { try one.ask("tok-scoped \(key) cat \($0)").value != nil }
                    .map { ($0 as NSString).lastPathComponent }
            }
            #expect(try opens("whole") == ["hers", "ours", "all", "unix"])
            try one.ask("tok-restrict denied whole deny=\(staff.sid)")
            #expect(try opens("denied") == ["hers", "all", "unix"])
            #expect(try tokens.information("denied")["denied"] == staff.sid)
            #expect(try one.ask("tok-groups denied \(staff.sid)=on").thrown == "invalid", "deny-only")
            #expect(try one.ask("tok-groups denied S-1-1-0=off").thrown == "invalid", "mandatory")
            #expect(try one.ask("tok-groups denied S-1-5-99=off").value == "missing S-1-5-99")
            try one.ask("tok-restrict nobody whole deny=\(scene.alice.sid)")
            #expect(try opens("nobody") == ["ours", "all"])
            // Who can own nothing any more is in the way of no other change.
            #expect(try one.ask("tok-set nobody dacl S-1-1-0").value != nil)
            #expect(try one.ask("tok-set nobody group \(staff.sid)").value != nil)
            #expect(try one.ask("tok-set nobody owner \(scene.alice.sid)").thrown == "invalid")
            try one.ask("tok-restrict everyone whole sids=S-1-1-0")
            #expect(try opens("everyone") == ["all"])
            // Restricted again: what is in both lists.
            try one.ask("tok-restrict twice everyone sids=\(scene.alice.sid)")
            #expect(try opens("twice") == [])
            // Write-restricted: reading is as before under managed roots.
            try one.ask("tok-restrict writing whole sids=S-1-5-33 write")
            #expect(try opens("writing") == ["hers", "ours", "all"])
            #expect(try one.ask("tok-scoped writing open \(all) \(Flags.write)").errno == EACCES)
            #expect(try one.ask("tok-scoped whole open \(all) \(Flags.write)").number != nil)
            try one.ask("tok-restrict weak whole max")
            #expect(try tokens.information("weak")["privileges"] == "SeChangeNotifyPrivilege")
            #expect(try tokens.information("weak")["restrictions"] == "true")
            #expect(try tokens.information("whole")["restrictions"] == "false")
            // A process gets a token that can do less than its own, and no way back.
            try one.ask("tok-open own process all")
            try one.ask("tok-restrict less own sids=\(tokens.service.sid)")
            #expect(try one.ask("tok-process whole").thrown == "accessDenied", "somebody else's")
            // What threads acted under before is no way around it.
            let service = try stage.managedFile(
                root + "/service", "s", "O:BAG:SYD:(A;;FR;;;S-1-5-6)")
            #expect(try tokens.other.ask("self impersonation").value != nil)
            #expect(try tokens.other.ask("cat \(service)").value == "s")
            #expect(try one.ask("tok-process less").value != nil)
            #expect(try tokens.other.ask("cat \(service)").errno == EACCES)
            #expect(try tokens.other.ask("token").value != "files primary")
            try tokens.other.ask("revert")
            #expect(try tokens.other.ask("self impersonation").value != nil)
            #expect(try tokens.other.ask("cat \(service)").errno == EACCES, "SERVICE is none of its SIDs")
            try tokens.other.ask("revert")
            #expect(try tokens.other.ask("cat \(service)").errno == EACCES)
            #expect(try one.ask("tok-process own").thrown == "accessDenied", "it could do more")
            #expect(try one.ask("tok-impersonate own").thrown == "restricted")
            let shown = try stage.run([product("idn"), "show", "\(scene.service.pid)", "--all"]).output
            #expect(shown.contains("Token Type: Primary\n"))
            #expect(shown.contains("Restricting SIDs:\n  \(tokens.service.sid)"))
            let both = try stage.managedFile(
                root + "/both", "b", "O:BAG:SYD:(A;;FR;;;\(tokens.service.sid))(A;;FRFW;;;S-1-5-6)")
            #expect(try one.ask("open \(both) \(Flags.write)").errno == EACCES)
            let effective = try one.ask(
                "spawn \(product("sd")) effective \(both) --runtime \(stage.runtime)"
            ).value
            #expect(effective?.contains(#"Effective: read\n"#) == true, "\(effective ?? "")")
        }
    }

    @Test("what a process was before it was restricted nobody acts under, restricted in another way either")
    func formerTokens() throws {
        try onTokens { (tokens) throws in
            let (one, own) = (tokens.one, tokens.service.sid)
            try one.ask("tok-open own process all")
            try one.ask("tok-restrict less own sids=\(own)")
            #expect(try one.ask("tok-process less").value != nil)
            // What was kept makes other restricted copies still.
            for sids in ["S-1-5-6", "\(own),S-1-5-6", "\(own) write"] {
                #expect(try one.ask("tok-restrict other own sids=\(sids)").value != nil)
                #expect(try one.ask("tok-impersonate other").thrown == "restricted", "\(sids)")
                #expect(try one.ask("tok-duplicate copy other impersonation").value != nil)
                #expect(try one.ask("tok-set-thread copy").thrown == "restricted", "\(sids)")
                #expect(try one.ask("tok-process other").thrown == "accessDenied", "\(sids)")
            }
            #expect(try one.ask("token").value == "files primary")
            try one.ask("tok-restrict same own sids=\(own)")
            #expect(try one.ask("tok-impersonate same").value != nil)
            try one.ask("revert")
        }
    }

    @Test("a token counts as what it was before somebody lowered it, but for who has become it")
    func loweredTokens() throws {
        try onTokens { (tokens) throws in
            let one = tokens.one
            try one.ask("tok-open own process all")
            try one.ask("tok-duplicate before own primary")
            #expect(try one.ask("tok-set own integrity 8192").value != nil)
            // The process is Medium, and goes on as that.
            #expect(try one.ask("self impersonation").value != nil)
            try one.ask("revert")
            #expect(try one.ask("tok-impersonate before").thrown == "integrityTooHigh")
            #expect(try one.ask("tok-set before integrity 4096").value != nil)
            #expect(try one.ask("tok-impersonate before").thrown == "integrityTooHigh")
            try one.ask("tok-restrict less before max")
            try one.ask("tok-duplicate copy less impersonation effective")
            #expect(try one.ask("tok-set-thread copy").thrown == "integrityTooHigh")
            // A copy of what it is now may be lowered, and become the process's.
            try one.ask("tok-duplicate now own primary")
            #expect(try one.ask("tok-set now integrity 4096").value != nil)
            #expect(try one.ask("tok-impersonate now").value != nil)
            try one.ask("revert")
            #expect(try one.ask("tok-process now").value != nil)
            #expect(try one.ask("self impersonation").value != nil)
            try one.ask("revert")
            #expect(try one.ask("tok-impersonate before").thrown == "integrityTooHigh")
            // Somebody else, too: whom the process logged on, lowered, is not whom it may act as.
            try tokens.scene.stage.setPassword("alice", password)
            try one.ask("logon a alice \(password) network")
            try one.ask("tok-logon alice a")
            #expect(try one.ask("tok-set alice integrity 0").value != nil)
            #expect(try one.ask("tok-impersonate alice").thrown == "integrityTooHigh")
        }
    }

    @Test("no copy of a copy has a level that the first one had not")
    func levels() throws {
        try onTokens { (tokens) throws in
            let client = tokens.scene.client
            #expect(try client.ask("impersonate").value == "")
            #expect(
                try client.ask("tok-open t thread self query duplicate impersonate").value
                    == "impersonation 0xe")
            try client.ask("revert")
            #expect(try client.ask("tok-duplicate p t primary").value?.hasPrefix("primary") == true)
            #expect(try client.ask("tok-duplicate up p delegation").thrown == "accessDenied")
            try client.ask("tok-duplicate again p primary")
            try client.ask("tok-restrict less again max")
            #expect(try client.ask("tok-duplicate up less delegation").thrown == "accessDenied")
            #expect(try client.ask("tok-duplicate same less impersonation").value != nil)
            // A process's own, and a logon's, is as high as any.
            try client.ask("tok-open own process all")
            try client.ask("tok-duplicate p own primary")
            #expect(try client.ask("tok-duplicate d p delegation").value != nil)
        }
    }

    @Test("what a process gave up stays gone for as long as it lives, however it connects")
    func lasting() throws {
        try onTokens { (tokens) throws in
            let stage = tokens.scene.stage
            let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
            let plain = try stage.user("plain")
            let one = try stage.serveUnmediated(plain, name: "unmediated").client(root)
            #expect(try one.ask("tok-anew").value == "")
            // While it is attached, by another connection; and so when it attaches again.
            try one.ask("tok-open own process all")
            try one.ask("tok-restrict less own sids=\(plain.sid)")
            #expect(try one.ask("tok-process less").value != nil)
            #expect(try one.ask("tok-anew").value == plain.sid)
            #expect(try one.ask("close-control").value != nil)
            #expect(try one.ask("tok-anew").value == plain.sid)
            // Who serves it sees no more, whether it says who it is or the kernel does.
            for command in ["dial stream", "announce impersonation"] {
                let socket = try #require(try one.ask("\(command) \(tokens.scene.service.socket)").number)
                #expect(try one.ask("tell \(socket) impersonate").value == "OK ")
                #expect(
                    try one.ask("tell \(socket) tok-open seen thread self query").value?.hasPrefix("OK ")
                        == true)
                #expect(try tokens.information("seen")["restricting"] == plain.sid, "\(command)")
            }
            try eventually("the authority to forget the connection") {
                try one.ask("reattach cooperative").value != nil
            }
            #expect(try one.ask("tok-anew").value == plain.sid)
            try one.ask("tok-open now process all")
            try one.ask("tok-restrict other now sids=\(tokens.service.sid)")
            #expect(try one.ask("tok-info other").value?.contains(" restricting=S-1-0-0 ") == true)
            // Another process of the user's is what it was.
            let next = try stage.serveUnmediated(plain, name: "next").client(root)
            #expect(try next.ask("tok-anew").value == "")
        }
    }

    @Test("a process of an administrator's that is restricted to others administers nothing")
    func administrators() throws {
        try onTokens { (tokens) throws in
            let stage = tokens.scene.stage
            let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
            let place = stage.folder("added")
            for (index, sids) in ["S-1-5-18", "S-1-5-32-544", "S-1-1-0"].enumerated() {
                let one = try stage.serveUnmediated(root, name: "root\(index)").client(root)
                try one.ask("tok-open own process all")
                try one.ask("tok-restrict less own sids=\(sids)")
                #expect(try one.ask("tok-process less").value != nil)
                let added = try one.ask("tok-add-root \(stage.folder("added\(index)"))")
                #expect(added.thrown == (sids == "S-1-1-0" ? "accessDenied" : nil), "\(sids): \(added)")
            }
            let one = try stage.serveUnmediated(root, name: "denied").client(root)
            try one.ask("tok-open own process all")
            try one.ask("tok-restrict less own deny=S-1-5-18,S-1-5-32-544")
            #expect(try one.ask("tok-process less").value != nil)
            #expect(try one.ask("tok-add-root \(place)").thrown == "accessDenied")
        }
    }

    // MARK: What they say

    @Test("tokens say everything, and are changed where that is allowed")
    func information() throws {
        try onTokens { (tokens) throws in
            let (scene, one) = (tokens.scene, tokens.one)
            try scene.stage.setPassword("alice", password)
            try one.ask("logon a alice \(password) network")
            try one.ask("tok-logon t a")
            try one.ask("tok-open own process all")
            let (hers, own) = (try tokens.information("t"), try tokens.information("own"))
            #expect(hers["user"] == scene.alice.sid && hers["level"] == "primary")
            #expect(hers["owner"] == scene.alice.sid && hers["source"] == "Password")
            #expect(hers["origin"] == own["session"] && own["origin"] == "0")
            #expect(hers["unix"] == "\(scene.alice.uid)" && hers["dacl"] == "2")
            #expect(hers["integrity"] == "Medium" && own["integrity"] == "System")
            #expect(try one.ask("tok-set t owner \(scene.bob.sid)").thrown == "invalid")
            #expect(try one.ask("tok-set t group S-1-5-32-545").value != nil)
            #expect(try one.ask("tok-set t dacl S-1-1-0").value != nil)
            #expect(try one.ask("tok-set t integrity 12288").thrown == "accessDenied")
            #expect(try one.ask("tok-set t integrity 4096").value != nil)
            #expect(try one.ask("tok-set t integrity 8192").thrown == "accessDenied")
            let after = try tokens.information("t")
            #expect(after["group"] == "S-1-5-32-545" && after["dacl"] == "1" && after["integrity"] == "Low")
            #expect(Int(after["modification"]!)! > Int(hers["modification"]!)!)
            // What it says is what decides: a Low token writes nothing Medium.
            let open = try scene.stage.managedFile(scene.root + "/open", "x", "O:BAG:SYD:(A;;FA;;;WD)")
            #expect(try one.ask("tok-scoped t open \(open) \(Flags.write)").errno == EACCES)
            #expect(try one.ask("tok-scoped t cat \(open)").value == "x")
            // Names, both ways.
            #expect(try one.ask("sid alice").value == scene.alice.sid)
            #expect(try one.ask("sid-name \(scene.alice.sid)").value == "alice")
            #expect(try one.ask("sid-name S-1-1-0").value == "Everyone")
            #expect(try one.ask("sid Unix User\\root").value == "S-1-22-1-0")
            #expect(try one.ask("sid nobody-has-this-name").value == "-")
        }
    }

    @Test("questions are answered for the token that decides, and audited where that is allowed")
    func questions() throws {
        try onTokens { (tokens) throws in
            let (scene, stage, client) = (tokens.scene, tokens.scene.stage, tokens.scene.client)
            let sddl = "O:BAG:SYD:(A;;0x1;;;\(scene.alice.sid))S:(AU;SAFA;FA;;;WD)"
            #expect(try client.ask("check \(sddl) 1").value == "false 0")
            #expect(try client.ask("member \(tokens.service.sid)").value == "true")
            _ = try client.ask("impersonate")
            #expect(try client.ask("check \(sddl) 1").value == "true 1")
            #expect(try client.ask("check \(sddl) 3").value == "false 0")
            #expect(try client.ask("member \(scene.alice.sid)").value == "true")
            #expect(try client.ask("member \(tokens.service.sid)").value == "false")
            #expect(try client.ask("holds SeImpersonatePrivilege").value == "false")
            #expect(try client.ask("check O:BAG:SYD:(A;;0x1;;;WD) 1").value == "true 1")
            #expect(try client.ask("check G:SYD:(A;;0x1;;;WD) 1").thrown == "invalid", "no owner")
            #expect(try client.ask("check \(sddl) 1 door").thrown == "privilegeNotHeld")
            _ = try client.ask("revert")
            // At Identification the question is about the client; at Anonymous about nobody.
            _ = try client.ask("impersonate identification")
            #expect(try client.ask("check \(sddl) 1").value == "true 1")
            _ = try client.ask("impersonate anonymous")
            #expect(try client.ask("check \(sddl) 1").thrown == "accessDenied")
            _ = try client.ask("revert")
            let auditing = try stage.service(
                "auditing", privileges: ["SeImpersonatePrivilege", "SeAuditPrivilege"])
            let audited = try stage.serve(auditing, name: "auditing").client(scene.alice)
            _ = try audited.ask("impersonate")
            #expect(try audited.ask("check \(sddl) 1 door").value == "true 1")
            #expect(try audited.ask("check \(sddl) 2 window").value == "false 0")
            try stage.waitForRecord("access-audited") {
                $0.path == "door" && $0.outcome == "success" && $0.user == scene.alice.sid
                    && $0.call == "CheckToken" && $0.service == "auditing"
            }
            try stage.waitForRecord("access-audited") { $0.path == "window" && $0.outcome == "failure" }
            #expect(try audited.ask("check O:BAG:SYD:(A;;1;;;WD) 1 silence").value == "true 1")
            #expect(!stage.audit.contains { $0.path == "silence" })
        }
    }

    // MARK: Limits

    @Test("tokens are bounded for each user, and given back")
    func limits() throws {
        try onTokens { (tokens) throws in
            try tokens.one.ask("tok-open p process all")
            let sids = (0..<900).map { "S-1-5-21-1-2-3-\($0)" }.joined(separator: ",")
            #expect(try tokens.one.ask("tok-restrict large p sids=\(sids)").value != nil)
            let first = try #require(try tokens.one.ask("tok-fill large 2000", seconds: 60).number)
            #expect(first > 50 && first < 2000)
            let second = try #require(try tokens.one.ask("tok-fill large 2000", seconds: 60).number)
            #expect(abs(first - second) <= 1)
        }
    }
}
