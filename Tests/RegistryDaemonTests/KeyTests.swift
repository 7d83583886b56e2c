import AccessControl
import RegistryModel
import Testing

@testable import RegistryDaemon

@Suite struct KeyTests {
    let session: RegistrySession
    init() throws { session = RegistrySession(try RegistryEngine(MemoryStorage())) }

    @Test func keysAreMadeAndFoundWhateverTheCase() throws {
        let made = try session.create(
            start("Machine\\Software\\Guise"), .allAccess, className: "c", as: system)
        #expect(made.isNew && made.granted == .allAccess)
        let again = try session.create(start("machine\\SOFTWARE\\guise"), .queryValue, as: system)
        #expect(!again.isNew && again.path.description == "Machine\\Software\\Guise")
        #expect(try session.information(again.handle).className == "c")
        let below = try session.open(
            .init(made.handle, []), .maximumAllowed, as: system)
        #expect(below.granted.isSuperset(of: .allAccess))
        #expect(code { _ = try session.open(start("Machine\\Nothing"), .queryValue, as: system) } == 2)
    }

    @Test func valuesAreSetReadAndDeleted() throws {
        let key = try session.make("Machine\\K")
        #expect(code { _ = try session.value(key, .default) } == 2)
        try session.set(key, .default, .string("default"))
        try session.set(key, value("Path"), .string("a"))
        try session.set(key, value("PATH"), .dword(7))
        #expect(try session.value(key, value("path")).type == .dword)
        #expect(try session.values(key, after: nil).map(\.name.text) == ["", "PATH"])
        #expect(try session.values(key, after: .default).map(\.name.text) == ["PATH"])
        try session.deleteValue(key, value("path"))
        #expect(code { try session.deleteValue(key, value("path")) } == 2)
        #expect(
            code { try session.set(key, .default, .binary([UInt8](repeating: 0, count: 1 << 20 + 1))) } == 122
        )
    }

    @Test func listsComeInPages() throws {
        let key = try session.make("Machine\\List")
        for number in 0..<25 { try session.make("Machine\\List\\k\(number)") }
        var (seen, last): ([String], RegistryKeyName?) = ([], nil)
        while true {
            let page = try session.subkeys(key, after: last, limit: 7)
            guard let end = page.last else { break }
            seen += page.map(\.name.text)
            last = end.name
        }
        #expect(seen == (0..<25).map { "k\($0)" }.sorted())
    }

    @Test func aHandleKeepsWhatItWasGrantedAndNoMore() throws {
        let key = try session.make("Machine\\K", "O:SYD:P(A;;KA;;;SY)(A;;KR;;;\(alice))")
        let user = try caller(alice)
        let reader = try session.open(start("Machine\\K"), .allRead, as: user)
        #expect(code { try session.set(reader.handle, .default, .dword(1)) } == 5)
        #expect(code { _ = try session.open(start("Machine\\K"), .setValue, as: user) } == 5)
        try session.setDescriptor(key, .dacl, to: SecurityDescriptor(sddl: "D:P(A;;KA;;;SY)"), as: system)
        #expect(code { _ = try session.open(start("Machine\\K"), .queryValue, as: user) } == 5)
        #expect(try session.values(reader.handle, after: nil).isEmpty)
        session.close(reader.handle)
        #expect(code { _ = try session.values(reader.handle, after: nil) } == 6)
    }

    /// Every right of keys alone: what takes it is granted, and without it is refused.
    @Test func eachRightGrantsItsOperationsAlone() throws {
        let user = try caller(alice)
        let operations: [(RegistryAccess, (RegistrySession, UInt64) throws -> Void)] = [
            (.queryValue, { _ = try $0.value($1, .default) }),
            (.queryValue, { _ = try $0.values($1, after: nil) }),
            (.queryValue, { _ = try $0.information($1) }),
            (.setValue, { try $0.set($1, .default, .dword(2)) }),
            (.enumerateSubKeys, { _ = try $0.subkeys($1, after: nil) }),
            (.notify, { $0.endWatch(try $0.watch($1, kinds: .all, includingSubtree: true) { _, _ in }) }),
            (.readControl, { _ = try $0.descriptor($1, [.owner, .dacl]) }),
            (
                .writeDAC,
                { try $0.setDescriptor($1, .dacl, to: SecurityDescriptor(sddl: "D:P(A;;KA;;;SY)"), as: user) }
            ),
            (
                .writeOwner,
                { try $0.setDescriptor($1, .owner, to: SecurityDescriptor(sddl: "O:\(alice)"), as: user) }
            ),
            (.delete, { try $0.delete($1, as: user) }),
        ]
        let rights: [RegistryAccess] = [
            .queryValue, .setValue, .createSubKey, .enumerateSubKeys, .notify, .createLink, .delete,
            .readControl,
            .writeDAC, .writeOwner,
        ]
        for (index, (needed, operate)) in operations.enumerated() {
            for right in rights {
                let path = "Machine\\R\(index)\\K\(right.rawValue)"
                let owner = try session.make(
                    path, "O:SYD:P(A;;KA;;;SY)(A;;0x\(String(right.rawValue, radix: 16));;;\(alice))")
                try session.set(owner, .default, .dword(1))
                let key = try session.open(start(path), right, as: user)
                #expect(key.granted == right)
                #expect(
                    (code { try operate(session, key.handle) } == nil) == (right == needed),
                    "\(index) \(right)")
                for other in rights where other != right {
                    let refused = code { _ = try session.open(start(path), other, as: user) }
                    // The key may be gone, or its list without the user, by now.
                    #expect(refused == 5 || right == .delete || right == .writeOwner, "\(other) by \(right)")
                }
            }
        }
    }

    @Test func makingAKeyTakesTheRightOnTheOneAbove() throws {
        let user = try caller(alice)
        try session.make(
            "Machine\\Open",
            "O:SYD:P(A;CI;KA;;;SY)(A;;CCLCSWRPWP;;;\(bob))(A;;0x4;;;\(alice))(A;CIIO;KR;;;\(alice))")
        let made = try session.create(start("Machine\\Open\\A\\B"), .allAccess, as: user)
        #expect(made.granted == .allAccess)
        let descriptor = try session.descriptor(made.handle, .all.subtracting(.sacl))
        #expect(descriptor.owner == alice)
        #expect(descriptor.dacl.aces.allSatisfy { $0.flags.contains(.inherited) })
        #expect(code { _ = try session.create(start("Machine\\Open\\A\\C"), .queryValue, as: user) } == 5)
        #expect(code { _ = try session.create(start("Machine\\New"), .queryValue, as: user) } == 5)
        #expect(
            code {
                _ = try session.create(start("Machine\\Open\\L"), .queryValue, options: .createLink, as: user)
            } == 5)
    }

    @Test func deletingLooksAtEveryKeyOfATree() throws {
        let user = try caller(alice)
        let top = try session.make("Machine\\T", "O:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;\(alice))")
        try session.make("Machine\\T\\A\\B")
        let mine = try session.open(start("Machine\\T"), .allAccess, as: user)
        #expect(code { try session.delete(mine.handle, as: user) } == 1020)
        let inner = try session.make("Machine\\T\\A\\B\\C", "O:SYD:P(A;;KA;;;SY)")
        #expect(code { try session.delete(mine.handle, tree: true, as: user) } == 5)
        #expect(try session.open(start("Machine\\T\\A\\B"), .allAccess, as: user).granted == .allAccess)
        try session.delete(inner, as: system)
        #expect(code { _ = try session.information(inner) } == 1018)
        try session.delete(mine.handle, [name("A")], tree: true, as: user)
        #expect(try session.subkeys(top, after: nil).isEmpty)
        let hive = try session.open(start("Machine"), .allAccess, as: system)
        #expect(code { try session.delete(hive.handle, tree: true, as: system) } == 5)
    }

    @Test func renamingAndCopying() throws {
        let key = try session.make("Machine\\Old")
        try session.make("Machine\\Other")
        try session.make("Machine\\Old\\Sub")
        try session.set(key, value("v"), .string("x"))
        #expect(code { try session.rename(key, to: name("other"), as: system) } == 183)
        try session.rename(key, to: name("OLD"), as: system)
        try session.rename(key, to: name("New"), as: system)
        #expect(try session.text("Machine\\New", "v") == "x")
        #expect(code { _ = try session.text("Machine\\Old", "v") } == 2)

        let copy = try session.make("Machine\\Copy", "O:SYD:P(A;CI;KA;;;SY)")
        try session.copy(key, [], to: copy, as: system)
        #expect(try session.text("Machine\\Copy", "v") == "x")
        let sub = try session.open(start("Machine\\Copy\\sub"), .allAccess, as: system)
        #expect(try session.descriptor(sub.handle, .dacl).dacl.aces.count == 1)
        let inside = try session.make("Machine\\New\\Sub")
        #expect(code { try session.copy(key, [], to: inside, as: system) } == 87)
    }

    @Test func linksAreFollowedWithinTheirReach() throws {
        let target = try session.make("Machine\\Target")
        try session.set(target, value("v"), .string("x"))
        let link = try session.create(
            start("Machine\\Link"), .allAccess, options: .createLink, as: system
        ).handle
        #expect(code { _ = try session.text("Machine\\Link", "v") } == 1921)
        #expect(code { try session.set(link, value("v"), .string("x")) } == 1921)
        #expect(code { try session.set(link, .symbolicLink, .link("nowhere")) } == 1921)
        try session.set(link, .symbolicLink, .link("\\Registry\\Machine\\Target"))
        #expect(try session.text("Machine\\Link", "v") == "x")
        let opened = try session.open(start("Machine\\Link"), .allAccess, as: system)
        #expect(opened.path.description == "Machine\\Target")
        let itself = try session.open(start("Machine\\Link"), .allAccess, options: .openLink, as: system)
        #expect(itself.path.description == "Machine\\Link")

        try session.set(link, .symbolicLink, .link("Machine\\Link\\a"))
        #expect(code { _ = try session.text("Machine\\Link", "v") } == 1921)
        let user = try caller(alice)
        let planted = try session.create(
            start("CurrentUser\\Out"), .allAccess, options: .createLink, as: user
        ).handle
        try session.set(planted, .symbolicLink, .link("Machine\\Target"))
        #expect(code { _ = try session.text("Users\\\(alice)\\Out", "v") } == 1921)
        try session.delete(itself.handle, as: system)
        #expect(code { _ = try session.open(start("Machine\\Link"), .queryValue, as: system) } == 2)
        #expect(try session.text("Machine\\Target", "v") == "x")
    }

    @Test(arguments: ["\\REGISTRY\\machine\\", "\\Registry\\MACHINE\\A\\", "Machine\\A\\"])
    func linksLeadToNamesThatBeginWithAnAccent(_ before: String) throws {
        let isBelow = before.hasSuffix("A\\")
        try session.set(
            session.make((isBelow ? "Machine\\A\\" : "Machine\\") + "\u{301}a"), value("v"), .string("x"))
        let link = try session.create(
            start("Machine\\Link"), .allAccess, options: .createLink, as: system
        ).handle
        try session.set(link, .symbolicLink, .link(before + "\u{301}a"))
        #expect(try session.text("Machine\\Link", "v") == "x")
    }

    @Test func usersHaveHivesOfTheirOwn() throws {
        let (first, second) = (try caller(alice), try caller(bob))
        let key = try session.create(start("CurrentUser\\Editor"), .allAccess, as: first)
        #expect(key.path.description == "Users\\\(alice)\\Editor")
        #expect(code { _ = try session.open(start("Users\\\(alice)\\Editor"), .queryValue, as: second) } == 5)
        #expect(code { _ = try session.open(start("CurrentUser\\Editor"), .queryValue, as: second) } == 2)
        #expect(code { _ = try session.create(start("Users\\\(alice)\\x"), .queryValue, as: second) } == 5)
        #expect(code { _ = try session.create(start("Users\\nobody"), .queryValue, as: system) } == 123)
        let nobody = Caller(token: .anonymous)
        #expect(code { _ = try session.create(start("CurrentUser\\x"), .queryValue, as: nobody) } != nil)
    }

    @Test func volatileKeysHaveVolatileKeysBelow() throws {
        let key = try session.create(start("Machine\\V"), .allAccess, options: .volatile, as: system)
        try session.set(key.handle, value("v"), .string("x"))
        #expect(code { _ = try session.create(start("Machine\\V\\S"), .queryValue, as: system) } == 1021)
        _ = try session.create(start("Machine\\V\\S"), .queryValue, options: .volatile, as: system)
        #expect(try session.subkeys(key.handle, after: nil).count == 1)
        #expect(try session.text("Machine\\V", "v") == "x")
    }

    @Test func limitsAreToldOf() throws {
        let deep = "Machine" + String(repeating: "\\k", count: 511)
        _ = try session.create(start(deep), .queryValue, as: system)
        let last = try session.open(start(deep), .allAccess, as: system)
        #expect(
            code { _ = try session.create(.init(last.handle, [name("k")]), .queryValue, as: system) } == 111)
        var limits = RegistrySession.Limits()
        limits.handles = 2
        let small = RegistrySession(session.engine, limits: limits)
        for _ in 0..<2 { _ = try small.open(start("Machine"), .queryValue, as: system) }
        #expect(code { _ = try small.open(start("Machine"), .queryValue, as: system) } == 1816)
    }

    @Test func aDeadSessionIsRefused() throws {
        let gone = try caller(.system, [.administrators], privileges: .all, isSessionAlive: false)
        #expect(code { _ = try session.open(start("Machine"), .queryValue, as: gone) } == 5)
    }

    @Test func backupReadsWhatNobodyElseMay() throws {
        try session.make("Machine\\Secret", "O:SYD:P(A;;KA;;;SY)")
        let operator_ = try caller(bob, privileges: [.backup])
        #expect(code { _ = try session.open(start("Machine\\Secret"), .allRead, as: operator_) } == 5)
        _ = try session.open(start("Machine\\Secret"), .allRead, options: .backupRestore, as: operator_)
        #expect(
            code {
                _ = try session.open(
                    start("Machine\\Secret"), .allWrite, options: .backupRestore, as: operator_)
            } == 5)
    }
}
