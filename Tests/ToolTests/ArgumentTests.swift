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

    @Test(
        "that make no sense are refused before anything is asked",
        arguments: [
            ["account", "add"], ["account", "add", "x", "--group", "--uid", "3"],
            ["account", "add", "x", "--service"], ["account", "add", "x", "--user", "--group"],
            ["account", "add", "x", "--gid", "3"], ["account", "add", "x", "--uid", "-1"],
            ["account", "add", "x", "--uid", "4294967296"], ["account", "grant", "x"],
            ["account", "frobnicate"],
            ["root", "add"], ["root", "add", "/a", "/b"],
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
        #expect(mine.target == nil)
        let thread = try #require(try IdnCommand.parseAsRoot(["show", "7/8", "--json"]) as? IdnCommand.Show)
        #expect(thread.target?.thread == 8 && thread.output.json)
    }

    @Test("of sd may look like anything")
    func sd() throws {
        let set = try #require(
            try SdCommand.parseAsRoot(["set", "/a b", "D:P(A;;FA;;;SY)"]) as? SdCommand.Set)
        #expect(set.path == "/a b" && set.sddl == "D:P(A;;FA;;;SY)")
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
