import CGuise
import Foundation
import Guise
import GuiseProtocol
import Testing

/// The machine's own users, whose passwords PAM knows. One after another: they change /etc/passwd.
@Suite(
    "Logons by PAM", .asRoot, .serialized,
    .enabled(
        if: ["useradd", "userdel", "chpasswd"].allSatisfy {
            FileManager.default.isExecutableFile(atPath: "/usr/sbin/" + $0)
        },
        "needs useradd, userdel and chpasswd (Debian: passwd)"))
struct PAMLogonTests {
    private let password = PAMScene.password

    /// Logs on as root; what it threw.
    private func outcome(
        _ scene: PAMScene, _ name: String, _ password: String = PAMScene.password
    ) -> String? {
        thrown { try scene.stage.tryLogon(name, password) }
    }

    @Test("give the machine's user a token of a session of its own, as whom a service acts")
    func tokens() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            let service = try stage.serve(try stage.service("files", privileges: []))
            let client = try service.client(try stage.user("bob"))
            let groups = [
                "network": "S-1-5-2", "interactive": "S-1-5-4", "batch": "S-1-5-3", "service": "S-1-5-6",
            ]
            var sessions: Set<Int> = []
            for (type, group) in groups {
                sessions.insert(
                    try #require(try client.ask("logon \(type) \(user.name) \(password) \(type)").number))
                let token = try #require(try client.ask("logon-token \(type)").value).split(separator: " ")
                #expect(token[0] == "S-1-22-1-\(user.uid)" && token[1] == "\(user.uid)")
                let all = token[2].split(separator: ",").map(String.init)
                #expect(all.filter(groups.values.contains) == [group])
                #expect(all.contains("S-1-22-2-\(user.gid)"))
            }
            #expect(sessions.count == 4)
            let hers = try stage.file("services/hers", "hers", of: user.person)
            let managed = try stage.managedFile(
                try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)") + "/hers", "managed",
                "O:BAG:SYD:(A;;FR;;;\(user.person.sid))")
            #expect(try client.ask("logon-impersonate network").value != nil)
            #expect(try client.ask("token").value == "\(user.name) impersonation")
            #expect(try client.ask("cat \(hers)").value == "hers")
            #expect(try client.ask("cat \(managed)").value == "managed")
            try client.ask("revert")
            #expect(try client.ask("cat \(hers)").errno == EACCES)
            #expect(try client.ask("logon wrong \(user.name) wrong network").thrown == "logonFailed")
            for name in [user.name, "Unix User\\\(user.name)", "unix user\\\(user.name)", user.person.sid] {
                #expect(outcome(scene, name) == nil, "\(name)")
            }
            try stage.waitForAudit("logon", "network, session", "by PAM", user.person.sid)
            try stage.waitForAudit("logon-failed", user.person.sid, "pam_authenticate")
            #expect(!stage.auditLines.joined().contains(password))
        }
    }

    @Test("have the groups of the name that was proven, and not of another one with its uid")
    func aliases() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            let alias = try MachineUser(stage, password: "other-password", uid: user.uid)
            defer { alias.remove() }
            #expect(alias.gid != user.gid)
            let files = try [user, alias].map { one in
                let path = try stage.file("services/of-\(one.gid)", "\(one.gid)", mode: 0o040)
                #expect(chown(path, 0, one.gid) == 0)
                return path
            }
            let client = try stage.serve(try stage.service("files", privileges: [])).client(
                try stage.user("bob"))
            for (one, said) in [(user, password), (alias, "other-password")] {
                #expect(try client.ask("logon a \(one.name) \(said) network").number != nil, "\(one.name)")
                let token = try #require(try client.ask("logon-token a").value).split(separator: " ")
                #expect(token[0] == "S-1-22-1-\(user.uid)")
                let groups = token[2].split(separator: ",").filter { $0.hasPrefix("S-1-22-2-") }
                #expect(groups == ["S-1-22-2-\(one.gid)"])
                #expect(try client.ask("logon-impersonate a").value != nil)
                let opened = try files.filter { try client.ask("cat \($0)").value != nil }
                #expect(opened == ["\(stage.directory)/services/of-\(one.gid)"])
                try client.ask("revert")
            }
            // By the uid it is the first one's password that counts.
            #expect(outcome(scene, user.person.sid) == nil)
            #expect(outcome(scene, user.person.sid, "other-password") == "logonFailed")
        }
    }

    @Test("are listed and ended by the operator, and outlive a change of the password")
    func sessions() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            let client = try stage.serve(try stage.service("files")).client(try stage.user("bob"))
            let managed = try stage.managedFile(
                try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)") + "/hers", "managed",
                "O:BAG:SYD:(A;;FR;;;\(user.person.sid))")
            let session = try #require(
                try client.ask("logon a \(user.name) \(password) interactive").number)
            let sid = "S-1-5-5-\(session >> 32)-\(session & 0xffff_ffff)"
            let listed = try stage.run([product("guise"), "session", "list"])
            let line = try #require(listed.output.split(separator: "\n").first { $0.contains(sid) })
            #expect(line.contains("interactive") && line.contains("Unix User\\\(user.name)"), "\(line)")
            try user.setPassword(stage, "another-horse")
            #expect(outcome(scene, user.name) == "logonFailed")
            #expect(outcome(scene, user.name, "another-horse") == nil)
            #expect(try client.ask("logon-scoped a cat \(managed)").value == "managed")
            try client.ask("logon-impersonate a")
            #expect(try stage.run([product("guise"), "session", "end", sid]).status == 0)
            #expect(try client.ask("cat \(managed)").errno == EACCES)
        }
    }

    @Test("count for an account that has no password of its own, and for no other")
    func accounts() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            let alice = try stage.user("alice", uid: user.uid)
            let client = try stage.serve(try stage.service("files")).client(try stage.user("bob"))
            for name in ["alice", alice.sid, user.name, user.person.sid] {
                #expect(try client.ask("logon a \(name) \(password) network").number != nil, "\(name)")
                let token = try #require(try client.ask("logon-token a").value).split(separator: " ")
                #expect(token[0] == alice.sid && token[1] == "\(user.uid)", "\(name)")
            }
            // From now on the authority's own password counts, under the account's name alone.
            try stage.setPassword("alice", "own-password")
            #expect(outcome(scene, "alice", "own-password") == nil)
            #expect(outcome(scene, "alice") == "logonFailed")
            #expect(outcome(scene, user.name) == "logonFailed")
            #expect(outcome(scene, user.name, "own-password") == "logonFailed")
            try stage.removePassword("alice")
            usleep(1_100_000)
            #expect(outcome(scene, "alice") == nil)
            // Others than users have no logon.
            try stage.ask(.accountRemove(.with { $0.name = "alice" }))
            #expect(outcome(scene, user.name) == nil)
            _ = try stage.service("other", uid: user.uid)
            #expect(outcome(scene, "other") == "logonFailed")
            #expect(outcome(scene, user.name) == "logonFailed")
        }
    }

    @Test("of accounts that the machine keeps out are refused, and why is told to who knows the password")
    func keptOut() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            try user.change(stage, "chage -E 1 \(user.name)")
            #expect(outcome(scene, user.name) == "accountExpired")
            #expect(outcome(scene, user.name, "wrong") == "logonFailed")
            try stage.waitForAudit("logon-failed", "accountExpired: PAM: ", "pam_acct_mgmt", user.person.sid)
            try user.change(stage, "chage -E -1 -d 0 \(user.name)")
            #expect(outcome(scene, user.name) == "passwordExpired")
            try stage.waitForAudit("logon-failed", "passwordExpired: PAM: ")
            try user.change(stage, "chage -d 20000 -M -1 \(user.name)")
            #expect(outcome(scene, user.name) == nil)
            try scene.configure(
                """
                auth required pam_unix.so nodelay
                account required pam_succeed_if.so quiet user != \(user.name)
                """)
            #expect(outcome(scene, user.name) == "accountRestricted")
            try scene.configure("auth required pam_deny.so\naccount required pam_permit.so")
            #expect(outcome(scene, user.name) == "logonFailed")
            try scene.configure(PAMScene.usual)
            try user.change(stage, "usermod -L \(user.name)")
            #expect(outcome(scene, user.name) == "logonFailed")
            try user.change(stage, "usermod -U \(user.name)")
            #expect(outcome(scene, user.name) == nil)
            // A password that is none.
            try user.change(stage, "usermod -p '' \(user.name)")
            try scene.configure("auth required pam_unix.so nodelay nullok\naccount required pam_unix.so")
            #expect(outcome(scene, user.name, "anything") == "logonFailed")
        }
    }

    @Test("make nobody root or nobody, whatever the stack says")
    func excluded() throws {
        try onPAMScene("auth required pam_permit.so\naccount required pam_permit.so") { scene in
            #expect(outcome(scene, scene.user.name) == nil)
            for name in ["root", "Unix User\\root", "S-1-22-1-0", "SYSTEM", "S-1-5-18", "nobody"] {
                #expect(outcome(scene, name) == "logonFailed", "\(name)")
            }
            // Names that are none, and such as might be taken for something else.
            for name in [
                "", "-r", "--help", "../guise", "/etc/passwd", "a:b", "no-such-user", "S-1-22-1-4294967295",
                "\(scene.user.name)\0", "\(scene.user.name)\0x", "\(scene.user.name)\n",
                "\(scene.user.name) ",
                String(repeating: "x", count: 300), "Unix User\\", "Unix User\\-r", "Users", "S-1-22-2-0",
            ] {
                #expect(outcome(scene, name) == "logonFailed", "\(name)")
            }
            try scene.stage.waitForRecord("logon-failed") {
                $0.user == "S-1-5-18" && $0.rule?.contains("root is not logged on") == true
            }
            #expect(!scene.stage.auditLines.joined().contains("no-such-user"))
            #expect(outcome(scene, scene.user.name, String(repeating: "x", count: 256)) == nil)
            #expect(outcome(scene, scene.user.name, String(repeating: "x", count: 257)) == "invalid")
            #expect(outcome(scene, scene.user.name, "a\0b") == "invalid")
        }
    }

    @Test(
        "go by the user that the stack makes of the one who was named",
        .enabled(if: PAMScene.compiler != nil, "needs a C compiler: the module is the test's own"))
    func renamed() throws {
        try onPAMScene(module: true) { scene in
            let (stage, user) = (scene.stage, scene.user)
            func configure(_ name: String) throws {
                try scene.configure(
                    """
                    auth required MODULE rename=\(name)
                    auth required pam_permit.so
                    account required pam_permit.so
                    """)
            }
            let other = try MachineUser(stage, password: password)
            defer { other.remove() }
            try configure(other.name)
            let client = try stage.serve(try stage.service("files")).client(try stage.user("bob"))
            #expect(try client.ask("logon a \(user.name) \(password) network").number != nil)
            #expect(try client.ask("logon-token a").value?.hasPrefix(other.person.sid + " ") == true)
            #expect(try client.ask("logon b no-such-user \(password) network").number != nil)
            #expect(try client.ask("logon-token b").value?.hasPrefix(other.person.sid + " ") == true)
            for name in ["root", "nobody", "no-such-user", "-r"] {
                try configure(name)
                #expect(outcome(scene, user.name) == "logonFailed", "\(name)")
            }
            let account = try stage.user("carol", uid: other.uid)
            try stage.setPassword(account.name, "own-password")
            try configure(other.name)
            #expect(outcome(scene, user.name) == "logonFailed")
        }
    }

    @Test(
        "survive modules that crash, leave, print and ask",
        .enabled(if: PAMScene.compiler != nil, "needs a C compiler: the module is the test's own"))
    func badModules() throws {
        try onPAMScene(module: true) { scene in
            let (stage, user) = (scene.stage, scene.user)
            func configure(_ kind: String, _ act: String) throws {
                try scene.configure("\(kind) required MODULE \(act)\n" + PAMScene.usual)
            }
            for (kind, act, expected) in [
                ("auth", "crash", "authorityFailed"), ("account", "crash", "authorityFailed"),
                ("auth", "exit", "authorityFailed"), ("auth", "nonsense", "authorityFailed"),
                ("auth", "ask", "logonFailed"), ("auth", "print", nil), ("account", "print", nil),
            ] as [(String, String, String?)] {
                try configure(kind, act)
                #expect(outcome(scene, user.name) == expected, "\(kind) \(act)")
                // A right one starts the count anew.
                try scene.configure(PAMScene.usual)
                #expect(outcome(scene, user.name) == nil)
            }
            try stage.waitForAudit("logon-failed", "internal: PAM: guise-pam ended by signal 6")
            try scene.configure("auth required no-such-module.so\naccount required pam_permit.so")
            #expect(outcome(scene, user.name) == "authorityFailed")
            // For PAM a line that it does not understand is one that lets nobody in.
            try scene.configure("nonsense\n" + PAMScene.usual)
            #expect(outcome(scene, user.name) == "logonFailed")
            #expect(scene.workers.count == 0)
        }
    }

    @Test(
        "tell the stack who asks, and nobody the password",
        .enabled(if: PAMScene.compiler != nil, "needs a C compiler: the module is the test's own"))
    func items() throws {
        try onPAMScene(module: true) { scene in
            let (stage, user) = (scene.stage, scene.user)
            let told = stage.directory + "/told"
            try scene.configure("auth required MODULE tell=\(told)\n" + PAMScene.usual)
            let bob = try stage.user("bob")
            let client = try stage.serveUnmediated(bob, name: "plain").client(bob)
            #expect(try client.ask("logon a \(user.name) \(password) network").number != nil)
            let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: told)), as: UTF8.self)
            #expect(text.hasPrefix("guise guise \(bob.uid) - "), "\(text)")
            #expect(!text.contains(password) && text.contains("guise-pam"))
            try eventually("the password to be gone") {
                try !ProcessMemory(of: stage.authority!.pid).contains(password)
            }
        }
    }

    @Test(
        "that hang hold up nobody else, and are ended",
        .enabled(if: PAMScene.compiler != nil, "needs a C compiler: the module is the test's own"))
    func hanging() throws {
        try onPAMScene(module: true) { scene in
            let (stage, user) = (scene.stage, scene.user)
            let stuck = try MachineUser(stage, password: password)
            defer { stuck.remove() }
            try scene.configure("auth required MODULE hang for=\(stuck.name)\n" + PAMScene.usual)
            try stage.setPassword(try stage.userWithoutUnixUser("carol").name, password)
            let (bob, eve) = (try stage.user("bob"), try stage.user("eve"))
            let service = try stage.serveUnmediated(bob, name: "hanging")
            let waiting = try (0..<3).map { _ in try service.client(bob) }
            for client in waiting { try client.send("logon a \(stuck.name) \(password) network") }
            try eventually("three workers") { scene.workers.count == 3 }
            let start = Date()
            // Of the same service, of another one, and of the authority's own accounts.
            #expect(try service.client(bob).ask("logon b \(user.name) \(password) network").number != nil)
            let more = try service.client(bob)
            try more.send("logon c \(stuck.name) \(password) network")
            try eventually("four workers") { scene.workers.count == 4 }
            let late = try service.client(bob)
            try late.send("logon d \(user.name) \(password) network")
            let others = try stage.serveUnmediated(eve, name: "others").client(eve)
            #expect(try others.ask("logon b \(user.name) \(password) network").number != nil)
            #expect(try others.ask("logon c carol \(password) network").number != nil)
            #expect(try service.client(bob).ask("logon c carol \(password) network").number != nil)
            #expect(Date().timeIntervalSince(start) < 12)
            // A worker that is killed is an error of one logon, and makes room for the next.
            #expect(scene.workers.first.map { kill($0, SIGKILL) } == 0)
            #expect(try late.reply().number != nil)
            #expect(Date().timeIntervalSince(start) < 14)
            try eventually("the rest to be ended", seconds: 30) { scene.workers.count == 0 }
            let outcomes = try (waiting + [more]).map { try $0.reply().thrown ?? "logged on" }
            #expect(
                outcomes.sorted() == ["authorityFailed", "limitReached", "limitReached", "limitReached"])
            try stage.waitForAudit("logon-failed", "internal: PAM: guise-pam ended by signal 9")
            // What they started in their sessions is ended with them.
            try eventually("nobody to be left", seconds: 30) { leftCount(of: stage) == 0 }
            try stage.waitForAudit("logon-failed", "limit: PAM: guise-pam was ended")
        }
    }

    /// Processes of guise-pam anywhere that have this stage's module open.
    private func leftCount(of stage: Stage) -> Int {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { process in
            guard Int32(process) != nil,
                let maps = try? String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)
            else { return false }
            return maps.contains(stage.directory + "/pam/module.so")
        }.count
    }

    @Test("make who guesses wait, however the user is spelled, and nobody else")
    func throttle() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            let bob = try stage.user("bob")
            let guessing = try stage.serveUnmediated(bob, name: "guessing").client(bob)
            #expect(try guessing.ask("logon a \(user.name) wrong network").thrown == "logonFailed")
            #expect(try guessing.ask("logon a \(user.person.sid) wrong network").thrown == "logonFailed")
            #expect(try guessing.ask("logon a \(user.name) wrong network").thrown == "logonFailed")
            for name in [user.name, user.person.sid] {
                #expect(try guessing.ask("logon a \(name) \(password) network").thrown == "limitReached")
            }
            #expect(outcome(scene, user.name) == nil)
            for _ in 0..<3 {
                #expect(try guessing.ask("logon a no-such-user wrong network").thrown == "logonFailed")
            }
            #expect(try guessing.ask("logon a no-such-user wrong network").thrown == "limitReached")
            usleep(2_100_000)
            #expect(try guessing.ask("logon a \(user.name) \(password) network").number != nil)
        }
    }

    @Test("in a flood keep nobody from the authority")
    func flood() throws {
        // The delay is what keeps them waiting.
        try onPAMScene("auth optional pam_faildelay.so delay=400000\n" + PAMScene.usual) { scene in
            let (stage, user) = (scene.stage, scene.user)
            let bob = try stage.user("bob")
            let guessing = try stage.serveUnmediated(bob, name: "guessing")
            let clients = try (0..<100).map { _ in try guessing.client(bob) }
            for (index, client) in clients.enumerated() { try client.send("logon a guess\(index) x network") }
            var longest = 0.0
            for _ in 0..<20 {
                let start = Date()
                try stage.ask(.accountList(.init()))
                longest = max(longest, Date().timeIntervalSince(start))
                #expect(scene.workers.count <= 4)
            }
            let start = Date()
            #expect(outcome(scene, user.name) == nil)
            let took = Date().timeIntervalSince(start)
            let outcomes = try clients.map { try $0.reply().thrown }
            #expect(outcomes.allSatisfy { ["logonFailed", "limitReached"].contains($0) })
            #expect(outcomes.contains("limitReached"))
            #expect(longest < 0.5 && took < 5, "\(longest) \(took)")
        }
    }

    @Test("take as long for a name that there is not as for a wrong password, by the stack's delay")
    func timing() throws {
        try onPAMScene(
            "auth optional pam_faildelay.so delay=600000\n" + PAMScene.usual
        ) { scene in
            func time(_ name: String) -> Double {
                let start = Date()
                #expect(outcome(scene, name, "wrong") == "logonFailed")
                return Date().timeIntervalSince(start)
            }
            // PAM makes each delay up to half as long or half as long again, at random.
            for name in [scene.user.name, "no-such-user", "root"] {
                let took = time(name)
                #expect(took > 0.25 && took < 5, "\(name) \(took)")
            }
        }
    }

    @Test("need a stack of Guise's own and the program that asks it, and the operator hears what is missing")
    func unavailable() throws {
        try onPAMScene { scene in
            let (stage, user) = (scene.stage, scene.user)
            func told() throws -> String {
                let report = try stage.run([product("guise"), "doctor"]).output
                return report.split(separator: "\n").first { $0.contains("  pam ") }.map(String.init)
                    ?? report
            }
            func message(_ name: String) -> String {
                do {
                    try stage.tryLogon(name, password)
                    return "logged on"
                } catch { return "\(error)".replacing(name, with: "NAME") }
            }
            #expect(try told().hasPrefix("ok "))
            // What other services are configured by is no leave for this one.
            try scene.configure(
                "auth required pam_permit.so\naccount required pam_permit.so", service: "other")
            unlink(scene.directory + "/guise")
            #expect(
                try told().hasPrefix("limited") && told().contains("there is no \(scene.directory)/guise"))
            #expect(message(user.name).contains("there is no \(scene.directory)/guise"))
            #expect(message(user.name) == message("no-such-user"))
            #expect(outcome(scene, "no-such-user2") == "logonFailed")
            // The authority alone, without what belongs beside it.
            try scene.configure(PAMScene.usual)
            stage.killAuthority()
            let copy = stage.directory + "/guised"
            try FileManager.default.copyItem(atPath: product("guised"), toPath: copy)
            try stage.startAuthority(
                wrapper: ["/bin/sh", "-c", "shift; exec \(copy) \"$@\"", "sh"],
                options: ["--pam-directory", scene.directory])
            #expect(try told().contains("there is no \(stage.directory)/guise-pam"))
            #expect(message(user.name).contains("there is no \(stage.directory)/guise-pam"))
        }
    }

    @Test("are none of an authority without root, which says so to everybody alike")
    func rootless() throws {
        try onStage(withAuthority: false) { (stage) throws in
            let user = try MachineUser(stage, password: password)
            defer { user.remove() }
            try stage.startRootlessAuthority(of: stage.stranger().uid)
            for name in [user.name, "no-such-user"] {
                let error = #expect(throws: GuiseError.self) { try stage.tryLogon(name, password) }
                guard case .logonFailed(let text) = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
                #expect(text.contains("runs without root"))
            }
        }
    }
}
