import AccessControl
import Foundation
import Testing

@testable import GuiseDaemon

@Suite("The account store")
struct AccountStoreTests {
    let state: ScratchState

    init() throws { state = try ScratchState() }

    @Test("keeps everything over a restart")
    func restart() throws {
        let machine: SID
        let accounts: [Account]
        do {
            let store = try state.open()
            try store.add(.init(.group, named: "staff-of-test", unixID: 61000))
            try store.add(.init(.user, named: "alice-of-test", unixID: 61001, groups: ["Staff-Of-Test"]))
            try store.add(
                .init(
                    .service, named: "files", unixID: 61002, unixGroup: 61003, privileges: [.impersonate]))
            try store.change(name: "files", integrity: .medium)
            try store.addRoot(ManagedRoot(path: "/srv/test", sddl: "O:SYG:SYD:"))
            machine = store.machine
            accounts = store.list()
        }
        let again = try state.open()
        #expect(again.machine == machine)
        #expect(again.list() == accounts)
        #expect(again.roots() == [ManagedRoot(path: "/srv/test", sddl: "O:SYG:SYD:")])
        let files = try #require(again.account(named: "FILES"))
        #expect(files.sid == .service(named: "files"))
        #expect(files.privileges == [.impersonate])
        #expect(files.unixGroup == 61003)
        #expect(files.integrity == .medium)
        #expect(try again.change(name: "files", integrity: .some(nil)).integrity == nil)
    }

    @Test("holds in memory what is on disk, after any mix of changes")
    func memoryIsTheDatabase() throws {
        var random = SystemRandomNumberGenerator()
        let before: [Account]
        do {
            let store = try state.open()
            let names = (0..<12).map { "Account \($0)" }
            for _ in 0..<400 {
                guard let name = names.randomElement(using: &random),
                    let other = names.randomElement(using: &random),
                    let kind = Account.Kind.allCases.randomElement(using: &random)
                else { continue }
                let id = UInt32.random(in: 61000..<61020, using: &random)
                switch Int.random(in: 0..<6, using: &random) {
                case 0, 1: _ = try? store.add(.init(kind, named: name, unixID: id, groups: [other]))
                case 2: _ = try? store.add(.init(.group, named: name, privileges: [.backup]))
                case 3: _ = try? store.remove(name: name)
                case 4: _ = try? store.change(name: name, grant: [.audit], join: [other])
                default: _ = try? store.change(name: name, revoke: [.backup], leave: [other])
                }
            }
            before = store.list()
            for account in before {
                #expect(store.account(named: account.name.uppercased()) == account)
                #expect(store.account(sid: account.sid) == account)
                guard let id = account.unixID else { continue }
                #expect(
                    (account.kind == .group ? store.group(unixGroup: id) : store.account(unixUser: id))
                        == account)
            }
        }
        #expect(try state.open().list() == before)
    }

    @Test("makes one machine SID in the NT authority")
    func machineSID() throws {
        let store = try state.open()
        #expect(store.machine.authority == 5)
        #expect(store.machine.subAuthorities.first == 21)
        #expect(store.machine.subAuthorityCount == 4)
        #expect(try ScratchState().open().machine != store.machine)
    }

    @Test("never gives a RID out twice, not even after a restart")
    func ridsAreNotReused() throws {
        let first: SID
        do {
            let store = try state.open()
            first = try store.add(.init(.user, named: "first", unixID: 61001)).sid
            #expect(first.rid == 1000)
            try store.remove(name: "first")
        }
        let store = try state.open()
        let second = try store.add(.init(.user, named: "first", unixID: 61001)).sid
        #expect(second.rid == 1001)
        #expect(store.account(sid: first) == nil)
    }

    @Test("finds accounts by name, SID, uid and gid")
    func lookUps() throws {
        let store = try state.open()
        let user = try store.add(.init(.user, named: "Zoë", unixID: 61001))
        let group = try store.add(.init(.group, named: "crew", unixID: 61001))
        #expect(store.account(named: "zoë") == user)
        #expect(store.account(sid: user.sid) == user)
        #expect(store.account(unixUser: 61001) == user)
        #expect(store.group(unixGroup: 61001) == group)
        #expect(store.account(unixUser: 61002) == nil)
        #expect(store.group(unixGroup: 61002) == nil)
    }

    @Test("follows groups in groups and refuses a circle")
    func groupsInGroups() throws {
        let store = try state.open()
        let inner = try store.add(.init(.group, named: "inner"))
        let outer = try store.add(.init(.group, named: "outer"))
        let user = try store.add(.init(.user, named: "member", unixID: 61001, groups: ["inner"]))
        try store.change(name: "inner", join: ["outer"])
        #expect(store.directory.groups(holding: [user.sid]).map(\.sid) == [inner.sid, outer.sid])
        #expect(throws: AccountError.cycle(member: "outer", group: "inner")) {
            try store.change(name: "outer", join: ["inner"])
        }
        #expect(throws: AccountError.cycle(member: "inner", group: "inner")) {
            try store.change(name: "inner", join: ["inner"])
        }
        try store.change(name: "inner", leave: ["outer"])
        try store.change(name: "outer", join: ["inner"])
    }

    @Test("changes all or nothing")
    func changesAreWhole() throws {
        let store = try state.open()
        try store.add(.init(.user, named: "member", unixID: 61001))
        #expect(throws: AccountError.unknownAccount(name: "nobody-knows")) {
            try store.change(name: "member", grant: [.backup], join: ["Administrators", "nobody-knows"])
        }
        let account = try #require(store.account(named: "member"))
        #expect(account.privileges == [] && account.groups == [])
    }

    @Test("forgets memberships and privileges with the account")
    func removal() throws {
        let store = try state.open()
        try store.add(.init(.group, named: "crew"))
        try store.add(.init(.user, named: "member", unixID: 61001, privileges: [.backup], groups: ["crew"]))
        try store.remove(name: "crew")
        #expect(store.account(named: "member")?.groups == [])
        try store.remove(name: "member")
        #expect(store.account(unixUser: 61001) == nil)
        #expect(throws: AccountError.unknownAccount(name: "member")) { try store.remove(name: "member") }
        #expect(throws: AccountError.builtIn(name: "Administrators")) {
            try store.remove(name: "administrators")
        }
    }

    @Test(
        "refuses names that would be taken for something else",
        arguments: [
            "", "-x", " x", "x ", "..", "123", "S-1-5-18", "a/b", "a\\b", "a:b", "a*b", "a?b", "a\"b", "a<b",
            "a>b", "a|b", "a\nb", "a\u{7f}b", "a\u{202e}b", "a\u{0}b", "SYSTEM", "everyone", "NETWORK",
            String(repeating: "x", count: 65), String(repeating: "é", count: 33),
        ])
    func badNames(name: String) throws {
        let store = try state.open()
        #expect {
            try store.add(.init(.user, named: name, unixID: 61001))
        } throws: { error in
            guard case AccountError.invalidName = error else { return false }
            return true
        }
    }

    @Test("takes names that people have", arguments: ["alice", "O'Neil, J.", "web-1", "日本", "a.b_c$"])
    func goodNames(name: String) throws {
        let store = try state.open()
        let account = try store.add(.init(.user, named: name, unixID: 61001))
        #expect(store.sid(named: name) == account.sid)
        #expect(store.name(of: account.sid) == name)
    }

    @Test("refuses a name or an id that is taken, whatever the kind")
    func taken() throws {
        let store = try state.open()
        try store.add(.init(.user, named: "Alice", unixID: 61001))
        try store.add(.init(.group, named: "crew", unixID: 61001))
        for kind in Account.Kind.allCases {
            #expect(throws: AccountError.taken(what: "the name \"aLICE\"", by: "Alice")) {
                try store.add(.init(kind, named: "aLICE", unixID: 61009))
            }
        }
        #expect(throws: AccountError.taken(what: "uid 61001", by: "Alice")) {
            try store.add(.init(.service, named: "other", unixID: 61001))
        }
        #expect(throws: AccountError.taken(what: "gid 61001", by: "crew")) {
            try store.add(.init(.group, named: "others", unixID: 61001))
        }
    }

    @Test("refuses Unix ids that mean something else", arguments: [0, 65534, UInt32.max])
    func badUnixIDs(id: UInt32) throws {
        let store = try state.open()
        for kind in Account.Kind.allCases {
            #expect(throws: AccountError.self) { try store.add(.init(kind, named: "odd", unixID: id)) }
        }
        #expect(throws: AccountError.self) {
            try store.add(.init(.service, named: "odd", unixID: 61001, unixGroup: id))
        }
        #expect(store.account(named: "odd") == nil)
    }

    @Test("wants to be told when the machine has a user of that name")
    func nativeNames() throws {
        let store = try state.open()
        let daemon = try #require(UnixNames.userID(named: "daemon"))
        #expect(throws: AccountError.ambiguousUnixName(name: "daemon", id: daemon, isGroup: false)) {
            try store.add(.init(.user, named: "daemon"))
        }
        try store.add(.init(.user, named: "daemon", unixID: 61001))
        #expect(throws: AccountError.unixIDNeeded(name: "files-of-test")) {
            try store.add(.init(.service, named: "files-of-test"))
        }
    }

    @Test("names SIDs and finds names again")
    func names() throws {
        let store = try state.open()
        try store.add(.init(.service, named: "files", unixID: 61002))
        let pairs: [(SID, String)] = [
            (.system, "NT AUTHORITY\\SYSTEM"), (.everyone, "Everyone"),
            (.anonymous, "NT AUTHORITY\\ANONYMOUS LOGON"), (.administrators, "BUILTIN\\Administrators"),
            (.users, "BUILTIN\\Users"), (.service(named: "files"), "NT SERVICE\\files"),
            (.unixUser(0), "Unix User\\root"), (.unixGroup(0), "Unix Group\\root"),
        ]
        for (sid, name) in pairs {
            #expect(store.name(of: sid) == name)
            #expect(store.sid(named: name) == sid)
            #expect(store.sid(named: name.uppercased()) == sid || name.hasPrefix("Unix"))
        }
        #expect(store.sid(named: "SYSTEM") == .system)
        #expect(store.sid(named: "files") == .service(named: "files"))
        #expect(store.sid(named: "BUILTIN\\files") == nil)
        #expect(store.sid(named: "S-1-5-18") == .system)
        #expect(store.name(of: .unixUser(4_000_000_000)) == nil)
    }

    @Test(
        "keeps managed roots in their shortest form",
        arguments: ["srv", "/", "/a/", "/a//b", "/a/../b", "/./a", ""])
    func badRoots(path: String) throws {
        let store = try state.open()
        #expect(throws: AccountError.self) { try store.addRoot(ManagedRoot(path: path, sddl: "")) }
        #expect(throws: AccountError.unknownRoot(path: path)) { try store.removeRoot(path: path) }
    }

    @Test("shows readers only whole changes while many write")
    func concurrency() async throws {
        let store = try state.open()
        try store.add(.init(.user, named: "member", unixID: 61001))
        await withTaskGroup(of: Void.self) { tasks in
            for _ in 0..<4 {
                tasks.addTask {
                    for _ in 0..<20 {
                        _ = try? store.change(name: "member", grant: [.backup, .restore])
                        _ = try? store.change(name: "member", revoke: [.backup, .restore])
                    }
                }
                tasks.addTask {
                    var last: UInt64 = 0
                    for _ in 0..<2000 {
                        let directory = store.directory
                        let privileges = directory.account(unixUser: 61001)?.privileges
                        #expect(privileges == [] || privileges == [.backup, .restore])
                        #expect(directory.generation >= last)
                        last = directory.generation
                    }
                }
            }
        }
        #expect(store.directory.generation == 161)
    }
}
