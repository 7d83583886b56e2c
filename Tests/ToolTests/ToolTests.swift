import AccessControl
import Foundation
import GuiseDaemon
import GuiseProtocol
import Testing

@Suite("The tools, as processes")
struct ToolTests {
    @Test("keep accounts")
    func accounts() throws {
        let authority = try StandInAuthority()
        #expect(try authority.run("guise", "account", "add", "crew", "--group").status == 0)
        let added = try authority.run(
            "guise", "account", "add", "alice-of-test", "--uid", "61001", "--join", "crew")
        #expect(added.status == 0)
        let sid = try #require(authority.accounts.account(named: "alice-of-test")).sid
        #expect(
            added.output == """
                Name: alice-of-test
                Kind: user
                SID: \(sid)
                Unix User: 61001
                Unix Group: 61001
                Groups: crew

                """)

        let granted = try authority.run(
            "guise", "account", "grant", "alice-of-test", "SeImpersonatePrivilege", "--json")
        let account = try JSONDecoder().decode(Account.self, from: Data(granted.output.utf8))
        #expect(account == Account(name: "alice-of-test", uid: 61001, privileges: ["SeImpersonatePrivilege"]))

        let list = try authority.run("guise", "account", "list")
        #expect(list.output.contains("alice-of-test     user   61001  61001  \(sid)\n"))
        #expect(!list.output.contains("\u{1b}"))

        let shown = try authority.run("guise", "account", "show", sid.description)
        #expect(shown.output.hasPrefix("Name: alice-of-test\n"))

        #expect(try authority.run("guise", "account", "remove", "ALICE-OF-TEST").status == 0)
        #expect(authority.accounts.account(named: "alice-of-test") == nil)
    }

    private struct Account: Decodable, Equatable {
        let name: String
        let uid: UInt32
        let privileges: [String]
    }

    @Test("say in one line on standard error what was refused")
    func refusal() throws {
        let authority = try StandInAuthority()
        let refused = try authority.run("guise", "account", "remove", "Administrators")
        #expect(refused.status == 1)
        #expect(refused.output.isEmpty)
        #expect(refused.errors == "guise: \"Administrators\" is built in and cannot be removed\n")
        let unknown = try authority.run("guise", "account", "show", "nobody-here")
        #expect(unknown.status == 1)
        #expect(unknown.errors == "guise: nobody here is called \"nobody-here\"\n")
    }

    @Test("end with 64 when they are called wrongly, with 0 when asked for help")
    func usage() throws {
        let authority = try StandInAuthority()
        let wrong = try authority.run("idn", "show", "1//2")
        #expect(wrong.status == 64)
        #expect(wrong.errors.hasPrefix("idn: "))
        let help = try authority.run("sd", "--help")
        #expect(help.status == 0)
        #expect(help.output.contains("Examples:"))
        #expect(help.errors.isEmpty)
    }

    private var threadOfAlice: WireThreadView {
        WireThreadView.with {
            $0.process = 4711
            $0.thread = 4713
            $0.command = "evil\u{1b}[2J"
            $0.impersonating = true
            $0.level = .impersonation
            $0.token.user.sid = "S-1-5-21-1-2-3-1013"
            $0.token.user.name = "alice"
            $0.token.integrity = 0x2000
            $0.token.unixUser = 1001
            $0.token.groups = [
                WireGroupView.with {
                    $0.sid.sid = "S-1-1-0"
                    $0.sid.name = "Everyone"
                    $0.attributes = 7
                }
            ]
            $0.token.privileges = [
                WirePrivilegeView.with {
                    $0.luid = 17
                    $0.name = "SeBackupPrivilege"
                }
            ]
        }
    }

    @Test("show an identity as the documentation does")
    func identity() throws {
        let authority = try StandInAuthority(answers: [.thread(threadOfAlice), .thread(threadOfAlice)])
        let shown = try authority.run("idn", "show", "4711/4713")
        #expect(
            shown.output == """
                User: S-1-5-21-1-2-3-1013 (alice)
                Impersonating: yes
                Impersonation Level: Impersonation

                """)
        let all = try authority.run("idn", "show", "4711/4713", "--all")
        #expect(all.output.hasPrefix(shown.output))
        #expect(all.output.contains("\nIntegrity: Medium\n"))
        #expect(all.output.contains("\n  S-1-1-0 (Everyone)\n"))
        #expect(all.output.contains("\n  SeBackupPrivilege [disabled]\n"))
    }

    @Test("show whoever does not impersonate without a level")
    func notImpersonating() throws {
        var view = threadOfAlice
        view.impersonating = false
        view.token.user.name = ""
        let authority = try StandInAuthority(answers: [.thread(view)])
        #expect(
            try authority.run("idn", "show").output == """
                User: S-1-5-21-1-2-3-1013
                Impersonating: no

                """)
    }

    @Test("show names from elsewhere without what a terminal would obey")
    func controlCharacters() throws {
        let list = WireThreadList.with { $0.threads = [threadOfAlice] }
        let authority = try StandInAuthority(answers: [.threads(list)])
        let shown = try authority.run("idn", "threads", "4711")
        #expect(shown.status == 0)
        #expect(!shown.output.contains("\u{1b}"))
        #expect(shown.output.contains("yes"))
    }

    @Test("show a descriptor entry by entry, with names")
    func descriptor() throws {
        let sddl = "O:BAG:SYD:(D;;FW;;;BU)(A;OICI;FA;;;SY)S:(ML;;NW;;;HI)"
        let descriptor = try SecurityDescriptor(sddl: sddl)
        let answer = WireDescriptor.with {
            $0.path = "/tmp"
            $0.binary = Data(descriptor.bytes)
            $0.sddl = sddl
            $0.managed = true
        }
        let authority = try StandInAuthority(answers: [.descriptor(answer), .descriptor(answer)])
        let shown = try authority.run("sd", "show", "/tmp").output
        #expect(shown.contains("Owner: S-1-5-32-544 (BUILTIN\\Administrators)\n"))
        #expect(shown.contains("NT AUTHORITY\\SYSTEM"))
        #expect(shown.contains("DACL  deny   write        -      S-1-5-32-545 (BUILTIN\\Users)\n"))
        #expect(shown.contains("DACL  allow  full access  OI CI  S-1-5-18 (NT AUTHORITY\\SYSTEM)\n"))
        #expect(shown.contains("no write up"))
        #expect(try authority.run("sd", "show", "/tmp", "--sddl").output == sddl + "\n")
    }

    @Test("say so when no authority answers")
    func noAuthority() throws {
        let authority = try StandInAuthority()
        let alone = try authority.run("idn", "show", "--runtime", "/nowhere")
        #expect(alone.status == 1)
        #expect(alone.errors.contains("is guised running"))
    }
}
