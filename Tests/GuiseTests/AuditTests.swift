import CGuise
import Foundation
import GuiseProtocol
import Testing

/// What a real authority puts on record of real services and clients.
@Suite("The audit of an authority", .asRoot)
struct AuditTests {
    @Test("a refusal says who was refused what, where, as whose client, and by which rule")
    func refusals() throws {
        try onScene { (scene) throws in
            let (stage, bob) = (scene.stage, scene.bob)
            let hers = try stage.managedFile(
                scene.root + "/hers", "hers", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})(A;;0x80;;;WD)",
                for: scene.alice)
            let ids = try #require(try scene.bobs.ask("ids").value).split(separator: "/").map { Int32($0)! }
            #expect(try scene.bobs.acting("cat \(hers)").errno == EACCES)
            let record = try stage.waitForRecord("access-denied") { $0.path == hers }
            #expect(record.service == "files" && record.pid == ids[0] && record.tid == ids[1])
            #expect(record.user == bob.sid && record.userName == "bob" && record.level == "Impersonation")
            #expect(record.client == scene.bobs.process.pid && record.call == "openat")
            #expect(record.wanted == ["READ_DATA", "READ_ATTRIBUTES"] && record.refused == ["READ_DATA"])
            #expect(record.rule?.contains("does not grant") == true)
            // Of two paths both; a path that starts at a descriptor from the top.
            #expect(
                try scene.bobs.acting("syscall \(SYS_rename) @\(hers) @\(scene.root)/other").errno == EACCES)
            let renamed = try stage.waitForRecord("access-denied") { $0.call == "rename" }
            #expect(renamed.path == hers && renamed.target == scene.root + "/other")
            #expect(renamed.refused == ["DELETE_CHILD"])
            // What the kernel refuses to the client is refused, too.
            let kept = try stage.file("home/kept", "kept", of: scene.alice)
            let folder = try #require(try scene.bobs.acting("open \(scene.home) \(Flags.directory)").number)
            #expect(try scene.bobs.acting("openat \(folder) kept \(Flags.read)").errno == EACCES)
            let kernel = try stage.waitForRecord("access-denied") { $0.path == kept }
            #expect(kernel.user == bob.sid && kernel.rule == "the kernel, by the Unix credentials")
            // What is merely not there is nobody's refusal.
            #expect(try scene.bobs.acting("cat \(scene.home)/nothing").errno == ENOENT)
            // A terminal's commands in a path are text.
            #expect(try scene.bobs.acting("cat \(scene.root)/\u{1b}[2J").errno == ENOENT)
            #expect(try scene.bobs.acting("creat \(scene.root)/\u{1b}[2J 438").errno == EACCES)
            try stage.waitForAudit("access-denied", "/\\u001b[2J")
            #expect(!stage.audit.contains { $0.path == scene.home + "/nothing" })
        }
    }

    @Test("impersonations, privileges, services, connections and changes are there with who did it")
    func kinds() throws {
        try onScene { (scene) throws in
            let (stage, alice) = (scene.stage, scene.alice)
            #expect(try scene.client.ask("impersonate").value != nil)
            let impersonation = try stage.waitForRecord("impersonation") { $0.user == alice.sid }
            #expect(impersonation.service == "files" && impersonation.pid == scene.service.pid)
            #expect(
                impersonation.client == scene.client.process.pid
                    && impersonation.by == scene.service.account.sid)
            let used = try stage.waitForRecord("privilege-used") { $0.user == alice.sid }
            #expect(used.privileges == ["SeImpersonatePrivilege"] && used.service == "files")
            let server = try PlainServer(at: stage.directory + "/services/plain")
            #expect(try scene.client.ask("connect \(server.address)").number != nil)
            let connection = try stage.waitForRecord("connection") { $0.path == server.address }
            #expect(connection.user == alice.sid && connection.level == "Impersonation")
            _ = try scene.client.ask("revert")

            let started = try stage.waitForRecord("service-started")
            #expect(
                started.service == "files" && started.pid == scene.service.pid
                    && started.user == scene.service.account.sid)
            let added = try stage.waitForRecord("account-changed") {
                $0.change?.contains("add user bob") == true
            }
            #expect(added.by == "S-1-5-18" && added.pid == getpid() && added.call == "AccountAdd")
            let root = try stage.waitForRecord("root-changed")
            #expect(root.path == scene.root && root.change?.contains("O:\(alice.sid)") == true)
            try stage.describe(scene.root, "D:(A;OICI;FA;;;SY)")
            let described = try stage.waitForRecord("descriptor-changed")
            #expect(described.path == scene.root && described.by == "S-1-5-18")
            #expect(described.change == "set D:(A;OICI;FA;;;SY)")

            let refused = try stage.run(
                [product("guise"), "account", "add", "eve", "--uid", "12345"], as: alice)
            #expect(refused.status == 1)
            let refusal = try stage.waitForRecord("access-denied") { $0.call == "AccountAdd" }
            #expect(refusal.by == alice.sid && refusal.rule?.contains("only administrators") == true)

            scene.service.process.end()
            try stage.waitForRecord("service-ended") { $0.service == "files" }
            stage.authority?.signal(SIGTERM)
            try stage.authority?.wait()
            try stage.waitForRecord("authority-started")
            try stage.waitForRecord("authority-stopped")
        }
    }

    @Test("a service that may not act as the client is on record, with the gate")
    func gate() throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let service = try stage.serve(try stage.service("powerless", privileges: []))
            #expect(try service.client(alice).ask("impersonate").thrown != nil)
            let record = try stage.waitForRecord("impersonation-refused")
            #expect(record.service == "powerless" && record.user == alice.sid)
            #expect(record.rule?.contains("SeImpersonatePrivilege") == true)
            #expect(!stage.audit.contains { $0.event == "impersonation" || $0.event == "privilege-used" })
        }
    }

    @Test("a SACL is honoured: success, failure, for whom it says, each time, and nothing without one")
    func sacl() throws {
        try onScene { (scene) throws in
            let (stage, alice, bob) = (scene.stage, scene.alice, scene.bob)
            let dacl = Stage.fill("D:(A;;FA;;;SY)(A;;FA;;;{alice})", [alice])
            let plain = try stage.managedFile(scene.root + "/plain", "x", "O:BAG:SY" + dacl)
            let watched = try stage.managedFile(
                scene.root + "/watched", "x",
                "O:BAG:SY" + dacl + Stage.fill("S:(AU;SA;0x1;;;{alice})(AU;FA;0x1;;;{bob})", [alice, bob]))
            let labelled = try stage.managedFile(
                scene.root + "/labelled", "x", "O:BAG:SY" + dacl + "S:(ML;;NW;;;ME)")
            for path in [plain, watched, labelled] {
                // Once the long way, and then by what was seen before.
                for _ in 0..<3 { #expect(try scene.client.acting("cat \(path)").value == "x") }
                #expect(try scene.bobs.acting("cat \(path)").errno == EACCES)
            }
            // Not what the entries ask for.
            #expect(try scene.client.acting("syscall \(SYS_access) @\(watched) 2").number == 0)
            try stage.waitForRecord("access-denied") { $0.path == labelled }
            let audited = stage.audit.filter { $0.event == "access-audited" }
            #expect(audited.count == 4 && audited.allSatisfy { $0.object == watched })
            let (successes, failures) = (
                audited.filter { $0.outcome == "success" }, audited.filter { $0.outcome == "failure" }
            )
            #expect(successes.count == 3)
            #expect(
                successes.allSatisfy {
                    $0.user == alice.sid && $0.granted == ["READ_DATA", "READ_ATTRIBUTES"]
                })
            #expect(failures.count == 1 && failures[0].user == bob.sid && failures[0].granted == nil)
            #expect(stage.audit.count { $0.event == "access-denied" && $0.user == bob.sid } == 3)

            // In a Unix place, too; and for what is done to descriptors themselves.
            let own = try stage.file("home/own", "own", of: alice)
            try stage.describe(own, "O:BAG:SY" + dacl + "S:(AU;SA;FR;;;WD)")
            #expect(try scene.client.acting("cat \(own)").value == "own")
            try stage.waitForRecord("access-audited") { $0.object == own && $0.service == "files" }
            try stage.describe(own, "S:(AU;SA;WDWO;;;WD)")
            let security = try stage.waitForRecord("privilege-used") { $0.object == own }
            #expect(security.privileges == ["SeSecurityPrivilege"] && security.call == "DescriptorSet")
            try stage.describe(own, "D:(A;;FA;;;WD)")
            let changed = try stage.waitForRecord("access-audited") {
                $0.call == "DescriptorSet" && $0.wanted == ["WRITE_DAC"]
            }
            #expect(changed.by == "S-1-5-18" && changed.outcome == "success")
        }
    }

    @Test("making a symbolic link under a managed root is on record as a use of the privilege")
    func privilege() throws {
        try onScene { (scene) throws in
            let make = "syscall \(SYS_symlink) @target @\(scene.root)/link"
            #expect(try scene.client.acting(make).errno == EPERM)
            try scene.stage.waitForAudit("access-denied", "SeCreateSymbolicLinkPrivilege")
            #expect(!scene.stage.audit.contains { $0.call == "symlink" && $0.event == "privilege-used" })
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"
                        $0.grant = ["SeCreateSymbolicLinkPrivilege"]
                    }))
            let client = try scene.service.client(scene.alice)
            _ = try client.ask("impersonate")
            let worked = try client.ask(make).errno == nil
            guard worked else { return }
            let record = try scene.stage.waitForRecord("privilege-used") { $0.call == "symlink" }
            #expect(record.privileges == ["SeCreateSymbolicLinkPrivilege"] && record.user == scene.alice.sid)
        }
    }

    @Test("a flood by one service holds up nobody, takes bounded memory, and is counted to the last")
    func flood() throws {
        try onScene(threads: 16) { (scene) throws in
            let stage = scene.stage
            let other = try stage.serve(try stage.service("other"), threads: 16, name: "other")
            let hers = try stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice)
            let (alices, bobs) = (try other.client(scene.alice), try other.client(scene.bob))
            let authority = try #require(stage.authority).pid
            let before = try residentSize(authority)
            let count = 30_000
            _ = try scene.bobs.ask("impersonate")
            try scene.bobs.send("cat-until-leak \(count) hers \(hers)")
            for _ in 0..<20 {
                #expect(try alices.acting("cat \(hers)").value == "hers")
                #expect(try bobs.acting("cat \(hers)").errno == EACCES)
            }
            #expect(try scene.bobs.reply(seconds: 120).value == "none")
            // Each of them is a record, or in a record's count, or in what is said to be lost.
            func told(_ service: String) -> Int {
                stage.audit.filter { $0.event == "access-denied" && $0.service == service }
                    .reduce(0) { $0 + ($1.count ?? 1) }
                    + stage.audit.reduce(0) { $0 + ($1.lost?[service]?["access-denied"] ?? 0) }
            }
            try eventually("all to be told; \(told("files")) are", seconds: 20) { told("files") == count }
            #expect(told("other") == 20)
            #expect(
                stage.audit.count { $0.service == "other" && $0.event == "access-denied" && $0.count == nil }
                    == 20)
            #expect(stage.auditLines.count < 15_000)
            #expect(try residentSize(authority) < before + (64 << 10))
        }
    }

    /// In KiB.
    private func residentSize(_ pid: pid_t) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
    }

    @Test("a disk that takes nothing more stops nobody, and what was not written is, once it can be")
    func fullDisk() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let hers = try stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice)
            let authority = try #require(stage.authority).pid
            func limit(_ size: String) throws {
                let outcome = try stage.run([
                    "/usr/bin/prlimit", "--pid", "\(authority)", "--fsize=\(size):unlimited",
                ])
                #expect(outcome.status == 0, "\(outcome)")
            }
            // The logs of the authority itself are shorter.
            _ = try scene.bobs.ask("impersonate")
            for _ in 0..<20 { #expect(try scene.bobs.ask("cat \(hers)").errno == EACCES) }
            try eventually("the records") { stage.audit.count { $0.event == "access-denied" } == 20 }
            let size = try #require(
                FileManager.default.attributesOfItem(atPath: stage.auditPath)[.size] as? Int)
            try limit("\(size + 100)")
            for _ in 0..<50 { #expect(try scene.bobs.ask("cat \(hers)").errno == EACCES) }
            try stage.waitForLog("the audit log is not written", "audit.log")
            guard case .status(let status) = try stage.ask(.status(.init())) else {
                throw HarnessError("no status")
            }
            #expect(status.stateDefect.contains("the audit log is not written"))
            #expect(try scene.client.acting("cat \(hers)").value == "hers")
            let now = FileManager.default.contents(atPath: stage.auditPath) ?? Data()
            #expect(now.count <= size + 100 && now.last == 0x0A)
            try limit("unlimited")
            try eventually("the records that waited") {
                stage.audit.count { $0.event == "access-denied" && $0.path == hers } == 70
            }
            try stage.waitForLog("the audit log is written again")
            #expect(!stage.audit.contains { $0.event == "events-lost" })
        }
    }

    @Test("after half a line the next record has a line of its own; the reader says so")
    func crash() throws {
        try onStage { (stage) throws in
            try stage.waitForRecord("authority-started")
            stage.killAuthority()
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: stage.auditPath))
            try file.seekToEnd()
            try file.write(contentsOf: Data(#"{"time":"2026-11-20T10:00"#.utf8))
            try stage.startAuthority()
            try eventually("another start") { stage.audit.count { $0.event == "authority-started" } == 2 }
            #expect(stage.auditLines.count == 3)
            let shown = try stage.run([
                product("guise"), "audit", "--state", stage.directory + "/state", "--json",
            ])
            #expect(shown.status == 0 && shown.output.split(separator: "\n").count == 2)
            #expect(shown.errors.contains("audit.log:2: passed over"))
            let asAlice = try stage.run(
                [product("guise"), "audit", "--state", stage.directory + "/state"],
                as: try stage.user("alice"))
            #expect(asAlice.status == 1 && asAlice.errors.contains("run this as root"))
        }
    }

    @Test("the log is turned at its size, and no more files are kept than asked for")
    func rotation() throws {
        try onStage(withAuthority: false) { (stage) throws in
            try stage.startAuthority(options: ["--audit-size", "1", "--audit-files", "2"])
            let bob = try stage.user("bob")
            let service = try stage.serve(try stage.service("files"))
            let path = try stage.file("kept", "kept", mode: 0o600)
            let long = stage.directory + "/" + String(repeating: "./", count: 1800) + "kept"
            let client = try service.client(bob)
            _ = try client.ask("impersonate")
            #expect(try client.ask("cat-until-leak 800 kept \(long)").value == "none")
            let last = stage.directory + "/././kept"
            #expect(try client.ask("cat \(last)").errno == EACCES)
            try stage.waitForRecord("access-denied", seconds: 10) { $0.path == last }
            let files = try FileManager.default.contentsOfDirectory(atPath: stage.directory + "/state")
                .filter { $0.hasPrefix("audit.log") }.sorted()
            #expect(files == ["audit.log", "audit.log.1"])
            for file in files {
                let attributes = try FileManager.default.attributesOfItem(
                    atPath: stage.directory + "/state/" + file)
                #expect((attributes[.size] as? Int ?? .max) <= 1 << 20)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
            }
            _ = path
        }
    }

    @Test("journald is told, too, where there is one")
    func journal() throws {
        try onStage(withAuthority: false) { (stage) throws in
            let journal = try PlainServer(at: stage.directory + "/services/journal", type: SOCK_DGRAM)
            try stage.startAuthority(options: ["--journal", journal.address])
            _ = try stage.user("alice")
            var told = ""
            try eventually("the journal to be told: \(told)") {
                while let datagram = journal.datagram() {
                    told += datagram.text
                    #expect(datagram.pid == stage.authority?.pid && datagram.uid == 0)
                }
                return told.contains("GUISE_EVENT=account-changed")
            }
            #expect(told.contains("GUISE_EVENT=authority-started\n"))
            #expect(told.contains("SYSLOG_IDENTIFIER=guised\n"))
            #expect(
                told.contains("MESSAGE=account-changed by NT AUTHORITY\\SYSTEM AccountAdd add user alice"))
        }
    }
}
