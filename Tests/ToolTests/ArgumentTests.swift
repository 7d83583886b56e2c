import AccessControl
import ArgumentParser
import GuiseProtocol
import Testing
import ToolSupport

@testable import guise
@testable import idn
@testable import sd

@Suite("Arguments")
struct ArgumentTests {
    @Test("of account add become its request")
    func accountAdd() throws {
        let parsed = try GuiseCommand.parseAsRoot([
            "account", "add", "files", "--service", "--uid", "900", "--gid", "901", "--grant",
            "SeImpersonatePrivilege", "--grant", "SeBackupPrivilege", "--join", "staff", "--runtime", "/r",
        ])
        let add = try #require(parsed as? AccountCommand.Add)
        let account = add.request.account
        #expect(account.kind == .service)
        #expect(account.name == "files")
        #expect(account.unixID == 900 && account.unixGroup == 901)
        #expect(account.privileges == ["SeImpersonatePrivilege", "SeBackupPrivilege"])
        #expect(account.groups == ["staff"])
        #expect(add.runtime.directory == "/r")
    }

    @Test("say a user when they do not say what, and a group's gid is its id")
    func kinds() throws {
        let user = try #require(
            try GuiseCommand.parseAsRoot(["account", "add", "alice"]) as? AccountCommand.Add)
        #expect(user.request.account.kind == .user)
        #expect(!user.request.account.hasUnixID && !user.request.account.hasUnixGroup)
        let group = try #require(
            try GuiseCommand.parseAsRoot(["account", "add", "staff", "--group", "--gid", "5"])
                as? AccountCommand.Add)
        #expect(group.request.account.kind == .group)
        #expect(group.request.account.unixID == 5 && !group.request.account.hasUnixGroup)
    }

    @Test("of ticket say for whom, at which level, and for how long")
    func ticket() throws {
        let usual = try #require(
            try GuiseCommand.parseAsRoot(["ticket", "--for", "files"]) as? TicketCommand)
        #expect(usual.server == "files" && usual.level == nil && usual.lifetime == 30)
        #expect(!usual.effectiveOnly)
        let full = try #require(
            try GuiseCommand.parseAsRoot([
                "ticket", "--for", "S-1-5-18", "--level", "identification", "--lifetime", "300",
                "--effective-only",
            ]) as? TicketCommand)
        #expect(full.level == .identification && full.lifetime == 300 && full.effectiveOnly)
    }

    @Test(
        "that make no sense are refused before anything is asked",
        arguments: [
            ["ticket"], ["ticket", "--for", "x", "--level", "all"],
            ["ticket", "--for", "x", "--lifetime", "0"],
            ["ticket", "--for", "x", "--lifetime", "301"], ["ticket", "x"],
            ["account", "add"], ["account", "add", "x", "--group", "--uid", "3"],
            ["account", "add", "x", "--service", "--uid", "9", "--password-stdin"],
            ["account", "add", "x", "--user", "--group"],
            ["account", "add", "x", "--gid", "3"], ["account", "add", "x", "--uid", "-1"],
            ["account", "add", "x", "--uid", "4294967296"], ["account", "grant", "x"],
            ["account", "frobnicate"],
            ["root", "add"], ["root", "add", "/a", "/b"],
            ["endpoint", "add"], ["endpoint", "add", "@x"], ["endpoint", "remove"],
        ])
    func nonsense(arguments: [String]) {
        do {
            _ = try GuiseCommand.parseAsRoot(arguments)
            Issue.record("accepted")
        } catch {
            #expect(GuiseCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("name a process or a thread")
    func targets() {
        #expect(Target(argument: "12") == Target(process: 12, thread: nil))
        #expect(Target(argument: "12/34") == Target(process: 12, thread: 34))
        for text in ["", "/", "1/", "/2", "0", "1/0", "-1", "+1", " 1", "1/2/3", "x", "4294967296", "１"] {
            #expect(Target(argument: text) == nil, "\(text)")
        }
    }

    @Test("of idn show need no process")
    func idnShow() throws {
        let mine = try #require(try IdnCommand.parseAsRoot(["show"]) as? IdnCommand.Show)
        #expect(mine.subject.target == nil)
        let thread = try #require(try IdnCommand.parseAsRoot(["show", "7/8", "--json"]) as? IdnCommand.Show)
        #expect(thread.subject.target?.thread == 8 && thread.output.json)
        let watch = try #require(
            try IdnCommand.parseAsRoot(["watch", "7", "--interval", "0.5"]) as? IdnCommand.Watch)
        #expect(watch.interval == 0.5)
    }

    @Test(
        "of idn that make no sense are refused before anything is asked",
        arguments: [
            ["show", "0"], ["show", "1", "2"], ["compare", "1"], ["compare", "1", "x"], ["connections"],
            ["connections", "1/"], ["watch"], ["watch", "1", "--interval", "0"],
            ["watch", "1", "--interval", "-1"], ["watch", "1", "--interval", "nan"],
            ["watch", "1", "--interval", "inf"], ["sid", "--enabled"], ["groups", "--enabled"],
            ["elevation", "1/2/3"], ["sessions", "me"],
        ])
    func nonsenseForIdn(arguments: [String]) {
        do {
            _ = try IdnCommand.parseAsRoot(arguments)
            Issue.record("accepted")
        } catch {
            #expect(IdnCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("of sd may look like anything")
    func sd() throws {
        let set = try #require(
            try SdCommand.parseAsRoot(["set", "/a b", "D:P(A;;FA;;;SY)"]) as? SdCommand.Set)
        #expect(set.path == "/a b" && set.sddl == "D:P(A;;FA;;;SY)")
        let grant = try #require(
            try SdCommand.parseAsRoot(["grant", "Unix User\\bob", "read,WRITE_DAC", "/a b", "--inherit"])
                as? SdCommand.Grant)
        #expect(grant.entry.name == "Unix User\\bob" && grant.entry.path == "/a b")
        #expect(grant.entry.rights.mask == [.allRead, .writeDAC] && grant.entry.inheritance == .below)
        let off = try #require(
            try SdCommand.parseAsRoot(["inherit", "off", "/a", "--remove"]) as? SdCommand.Inherit)
        #expect(off.inheritance == .off && off.remove)
        let posix = try #require(
            try SdCommand.parseAsRoot(["import", "posix", "/a", "--from", "/b"]) as? SdCommand.Import)
        #expect(posix.form == .posix && posix.from == "/b" && !posix.show)
    }

    @Test(
        "are rights by word, by name and by number",
        arguments: [
            ("read", 0x12_0089), ("read,write,execute,DELETE", 0x13_01bf), ("modify", 0x13_01bf),
            ("full", 0x1f_01ff), ("Write_Dac", 0x4_0000), ("0x120089", 0x12_0089), ("1,0X2", 3),
        ] as [(String, UInt32)])
    func rights(text: String, mask: UInt32) {
        #expect(Rights(argument: text)?.mask.rawValue == mask)
    }

    @Test("that are denied leave what other rights need, unless it is named")
    func denied() {
        #expect(Rights(argument: "write")?.denied.rawValue == 0x116)
        #expect(Rights(argument: "read")?.denied.rawValue == 0x2_0089)
        #expect(Rights(argument: "write,SYNCHRONIZE")?.denied.rawValue == 0x10_0116)
        #expect(Rights(argument: "full")?.denied.rawValue == 0x1f_01ff)
    }

    @Test(
        "that are no rights are refused",
        arguments: [
            "", ",", "read,", "reed", "0x", "0x1ffffffff", "-1", "+1", "0x+1", "0", "１", "read write",
        ])
    func noRights(text: String) {
        #expect(Rights(argument: text) == nil)
    }

    @Test(
        "of sd that make no sense are refused before anything is asked",
        arguments: [
            ["grant", "alice", "/a"], ["grant", "alice", "reed", "/a"], ["grant", "alice", "maximum", "/a"],
            ["grant", "alice", "read", "/a", "--inherit", "--inherit-only"], ["revoke", "/a"],
            ["inherit", "maybe", "/a"], ["inherit", "on", "/a", "--remove"],
            ["show", "/a", "--sddl", "--hex"],
            ["explain", "/a"], ["import", "posix", "/a", "--file", "x"],
            ["import", "ntacl", "/a", "--file", "x", "--from", "/b"], ["export", "posix", "/a"], ["check"],
        ])
    func nonsenseForSd(arguments: [String]) {
        do {
            _ = try SdCommand.parseAsRoot(arguments)
            Issue.record("accepted")
        } catch {
            #expect(SdCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("that are paths become absolute, and are not resolved")
    func paths() throws {
        #expect(try absolutePath("/a/../b/") == "/a/../b/")
        #expect(try absolutePath("x/../y").hasSuffix("/x/../y"))
        #expect(try absolutePath("x").hasPrefix("/"))
        #expect(throws: ToolError.self) { try absolutePath("") }
    }

    @Test(
        "that name a managed root get its one name, there or not",
        arguments: [
            ("/no/such//folder/", "/no/such/folder"), ("/no/./such/x/../folder", "/no/such/folder"),
            ("/proc/self/root/tmp", "/tmp"), ("/..", "/"),
        ])
    func roots(path: String, expected: String) throws {
        #expect(try canonicalPath(path) == expected)
    }
}
