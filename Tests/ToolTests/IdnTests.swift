import AccessControl
import Foundation
import GuiseProtocol
import Testing
import ToolSupport

@testable import idn

@Suite("idn, as a process")
struct IdnTests {
    private func view(
        thread: UInt32 = 4713, user: String = "alice", sid: String = "S-1-5-21-1-2-3-1013",
        level: WireLevel? = .impersonation, groups: [String: UInt32] = ["S-1-1-0": 7],
        privileges: [String: Bool] = ["SeBackupPrivilege": false, "SeChangeNotifyPrivilege": true]
    ) -> WireThreadView {
        WireThreadView.with {
            $0.process = 4711
            $0.thread = thread
            $0.command = "worker"
            $0.impersonating = level != nil
            $0.level = level ?? .unspecified
            $0.token.user.sid = sid
            $0.token.user.name = user
            $0.token.integrity = 0x2000
            $0.token.session = 1 << 32 | 5
            $0.token.elevation = .default
            $0.token.groups = groups.sorted { $0.key < $1.key }.map { group in
                WireGroupView.with {
                    $0.sid.sid = group.key
                    $0.attributes = group.value
                }
            }
            $0.token.privileges = privileges.sorted { $0.key < $1.key }.map { privilege in
                WirePrivilegeView.with {
                    $0.luid = 17
                    $0.name = privilege.key
                    $0.enabled = privilege.value
                }
            }
        }
    }

    private func connection(_ change: (inout WireConnectionView) -> Void = { _ in }) -> WireConnectionView {
        WireConnectionView.with {
            $0.capture = 7
            $0.process = 4800
            $0.level = .impersonation
            $0.user.sid = "S-1-5-21-1-2-3-1013"
            $0.user.name = "alice"
            $0.captured = 1_700_000_000_123
            $0.threads = [4713]
            $0.acting = 1
            change(&$0)
        }
    }

    @Test("sid prints a SID and nothing else")
    func sid() throws {
        let authority = try StandInAuthority(answers: [.thread(view()), .thread(view())])
        #expect(try authority.run("idn", "sid", "4711/4713").output == "S-1-5-21-1-2-3-1013\n")
        #expect(try authority.run("idn", "sid", "--logon").output == "S-1-5-5-1-5\n")
        guard case .tokenOf(let asked) = authority.requests[0] else {
            Issue.record("\(authority.requests)")
            return
        }
        #expect(asked.process == 4711 && asked.thread == 4713)
    }

    @Test("groups are listed with their attributes")
    func groups() throws {
        let some = view(groups: ["S-1-1-0": 7, "S-1-5-32-544": 0x10])
        let authority = try StandInAuthority(answers: [.thread(some)])
        #expect(
            try authority.run("idn", "groups").output == """
                SID           NAME  ATTRIBUTES
                S-1-1-0       -     mandatory, enabled by default, enabled
                S-1-5-32-544  -     deny only

                """)
    }

    @Test("privileges that are not enabled can be left out")
    func privileges() throws {
        let authority = try StandInAuthority(answers: [.thread(view()), .thread(view()), .thread(view())])
        let all = try authority.run("idn", "privileges").output
        #expect(all.contains("SeBackupPrivilege        disabled  disabled\n"))
        let enabled = try authority.run("idn", "privileges", "--enabled").output
        #expect(enabled.contains("SeChangeNotifyPrivilege") && !enabled.contains("SeBackupPrivilege"))
        let json = try authority.run("idn", "privileges", "--enabled", "--json").output
        let parsed = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]]
        #expect(parsed?.map { $0["name"] as? String } == ["SeChangeNotifyPrivilege"])
    }

    @Test(
        "elevated is the full half of a pair, or an administrator without one",
        arguments: [
            (.default, [:], "no", "Default"), (.default, ["S-1-5-32-544": 0xf], "yes", "Default"),
            (.default, ["S-1-5-32-544": 0x10], "no", "Default"), (.full, [:], "yes", "Full"),
            (.limited, ["S-1-5-32-544": 0x10], "no", "Limited"),
        ] as [(WireElevation, [String: UInt32], String, String)])
    func elevation(type: WireElevation, groups: [String: UInt32], elevated: String, name: String) throws {
        var some = view(groups: groups)
        some.token.elevation = type
        some.token.linked = type != .default
        some.token.restricting = [WireGroupView.with { $0.sid.sid = "S-1-5-12" }]
        let authority = try StandInAuthority(answers: [.thread(some)])
        #expect(
            try authority.run("idn", "elevation", "4711").output == """
                User: S-1-5-21-1-2-3-1013 (alice)
                Elevated: \(elevated)
                Type: \(name)
                Linked Token: \(type == .default ? "no" : "yes")
                Restricted: yes
                Integrity: Medium

                """)
    }

    @Test("an authority that does not know about elevation is not guessed for")
    func oldAuthority() throws {
        var some = view()
        some.token.elevation = .unspecified
        let authority = try StandInAuthority(answers: [.thread(some)])
        #expect(try authority.run("idn", "elevation").status == 1)
    }

    @Test("compare tells what each alone has, and ends with 1 when they differ")
    func compare() throws {
        let bob = view(
            user: "bob", sid: "S-1-5-21-1-2-3-1014", level: nil, groups: ["S-1-1-0": 7, "S-1-5-32-545": 7],
            privileges: ["SeChangeNotifyPrivilege": false])
        let authority = try StandInAuthority(
            answers: [.thread(view()), .thread(bob), .thread(view()), .thread(view())])
        let different = try authority.run("idn", "compare", "4711", "4711/4713")
        #expect(different.status == 1)
        #expect(
            different.output == """
                - User: S-1-5-21-1-2-3-1013 (alice)
                + User: S-1-5-21-1-2-3-1014 (bob)
                - Impersonation Level: Impersonation
                + Group: S-1-5-32-545
                - Privilege: SeBackupPrivilege [disabled]
                - Privilege: SeChangeNotifyPrivilege
                + Privilege: SeChangeNotifyPrivilege [disabled]

                """)
        let same = try authority.run("idn", "compare", "4711", "4711", "--json")
        #expect(same.status == 0)
        #expect(same.output.contains("\"same\" : true"))
    }

    @Test("connections say who, at which level, since when, and which threads act as it")
    func connections() throws {
        let many = connection {
            $0.capture = 9
            $0.threads = [1, 2, 3, 4, 5]
            $0.acting = 900
            $0.user.name = "evil\u{1b}[2J"
        }
        let nobody = connection {
            $0.capture = 10
            $0.process = 0
            $0.level = .anonymous
            $0.user = WireSidName.with { $0.sid = "S-1-5-7" }
            $0.threads = []
            $0.acting = 0
        }
        let first = WireConnectionList.with {
            $0.connections = [connection()]
            $0.more = true
        }
        let second = WireConnectionList.with { $0.connections = [many, nobody] }
        let authority = try StandInAuthority(
            answers: [.connections(first), .connections(second), .connections(first), .connections(second)])
        let shown = try authority.run("idn", "connections", "4711/4713").output
        let lines = shown.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines[1].hasPrefix("4800    Impersonation  20"))
        #expect(lines[1].hasSuffix("4713                  S-1-5-21-1-2-3-1013 (alice)"))
        #expect(lines[2].contains("1 2 3 4 and 896 more"))
        #expect(
            lines[3].hasPrefix("-       Anonymous      ")
                && lines[3].hasSuffix("-                     S-1-5-7"))
        #expect(!shown.contains("\u{1b}"))
        guard case .connections(let asked) = authority.requests[1] else {
            Issue.record("\(authority.requests)")
            return
        }
        #expect(asked.process == 4711 && asked.thread == 4713 && asked.after == 7)
        let json = try authority.run("idn", "connections", "4711", "--json").output
        #expect(json.contains("\"captured\" : \"2023-11-14T22:13:20.123Z\""))
        #expect(json.contains("\"acting\" : 900"))
    }

    @Test("sessions are listed with what they are, and those of a process alone when it is named")
    func sessions() throws {
        let sessions = WireSessionList.with {
            $0.sessions = [
                WireSessionView.with {
                    $0.id = 1 << 32 | 4
                    $0.sid = "S-1-5-5-1-4"
                    $0.user.sid = "S-1-5-18"
                    $0.kind = .unix
                    $0.since = .max
                },
                WireSessionView.with {
                    $0.id = 1 << 32 | 5
                    $0.sid = "S-1-5-5-1-5"
                    $0.user.sid = "S-1-5-80-1"
                    $0.kind = .service
                    $0.since = 1_700_000_000_000
                },
            ]
        }
        let authority = try StandInAuthority(
            answers: [.sessions(sessions), .thread(view()), .sessions(sessions)])
        let all = try authority.run("idn", "sessions").output.split(separator: "\n")
        #expect(all.count == 3)
        #expect(all[1].hasPrefix("S-1-5-5-1-4  unix     -"))
        let one = try authority.run("idn", "sessions", "4711", "--json").output
        #expect(one.contains("S-1-5-5-1-5") && !one.contains("S-1-5-5-1-4"))
        #expect(one.contains("\"type\" : \"service\""))
        #expect(one.contains("\"since\" : \"2023-11-14T22:13:20.000Z\""))
    }

    @Test("what is watched is told once for each change")
    func changes() {
        let time = Moment(milliseconds: 0)
        var changes = ThreadChanges()
        let (one, other) = (Identity(view(thread: 1, level: nil)), Identity(view(thread: 2, level: nil)))
        #expect(changes.take([one, other], at: time).map(\.change) == [.present, .present])
        #expect(changes.take([one, other], at: time).isEmpty)
        let acting = Identity(view(thread: 2, user: "bob", sid: "S-1-5-21-1-2-3-1014", level: .impersonation))
        let third = Identity(view(thread: 3, level: nil))
        let news = changes.take([acting, third], at: time)
        #expect(news.map(\.change) == [.changed, .started, .ended])
        #expect(news.map(\.thread) == [2, 3, 1])
        #expect(news[0].line.hasSuffix("  2  worker  acts as S-1-5-21-1-2-3-1014 (bob) at Impersonation"))
        #expect(news[2].line.hasSuffix("  1  worker  ended"))
        #expect(changes.take([], at: time).map(\.change) == [.ended, .ended])
    }

    @Test("the picture of a watched process fits its terminal, those who act as somebody first")
    func picture() {
        let threads = (1...50).map { Identity(view(thread: $0, level: $0 == 50 ? .impersonation : nil)) }
        let lines = WatchScreen.picture(
            title: "Process 4711", threads, at: Moment(milliseconds: 0), (rows: 10, columns: 40))
        #expect(lines.count == 10)
        #expect(lines.allSatisfy { $0.count <= 40 })
        #expect(lines[2].hasPrefix("50 "))
        #expect(lines[9] == "… and 43 more")
        let all = WatchScreen.picture(
            title: "Process 4711", Array(threads.prefix(3)), at: Moment(milliseconds: 0),
            (rows: 10, columns: 200))
        #expect(all.count == 5)
        #expect(all[0].contains("0 of 3 threads impersonate"))
    }
}
