import AccessControl
import RegistryModel
import Synchronization
import Testing

@testable import RegistryDaemon

@Suite struct TransactionTests {
    let session: RegistrySession
    let other: RegistrySession
    init() throws {
        session = RegistrySession(try RegistryEngine(MemoryStorage()))
        other = RegistrySession(session.engine)
    }

    @Test func othersSeeAllOfItOrNothing() throws {
        let transaction = try session.beginTransaction()
        let made = try session.create(start("Machine\\A\\B", in: transaction), .allAccess, as: system).handle
        try session.set(made, value("v"), .string("x"))
        #expect(try session.value(made, value("v")).type == .string)
        #expect(code { _ = try other.open(start("Machine\\A"), .queryValue, as: system) } == 2)
        try session.commit(transaction)
        #expect(try other.text("Machine\\A\\B", "v") == "x")
        #expect(try session.value(made, value("v")).type == .string)
        #expect(code { try session.commit(transaction) } == 6701)
    }

    @Test func whatIsRolledBackWasNever() throws {
        let transaction = try session.beginTransaction()
        let made = try session.create(start("Machine\\A", in: transaction), .allAccess, as: system).handle
        try session.rollBack(transaction)
        #expect(code { _ = try session.information(made) } == 1018)
        #expect(
            code { _ = try session.open(start("Machine\\A", in: transaction), .queryValue, as: system) }
                == 6701)
    }

    @Test func whoeverComesSecondBeginsAnew() throws {
        let shared = try session.make("Machine\\K")
        try session.set(shared, value("n"), .dword(1))
        let transaction = try session.beginTransaction()
        let key = try session.open(start("Machine\\K", in: transaction), .allAccess, as: system).handle
        _ = try session.value(key, value("n"))
        try session.set(key, value("sum"), .dword(2))
        let theirs = try other.open(start("Machine\\K"), .allAccess, as: system).handle
        try other.set(theirs, value("n"), .dword(5))
        #expect(code { try session.commit(transaction) } == 6800)
        #expect(code { _ = try other.value(theirs, value("sum")) } == 2)
    }

    @Test func whoTouchesSomethingElseDoesNotClash() throws {
        try session.make("Machine\\K")
        let transaction = try session.beginTransaction()
        let key = try session.open(start("Machine\\K", in: transaction), .allAccess, as: system).handle
        try session.set(key, value("mine"), .dword(2))
        try session.make("Machine\\K\\S")
        let theirs = try other.open(start("Machine\\K"), .allAccess, as: system).handle
        try other.set(theirs, value("theirs"), .dword(5))
        try session.commit(transaction)
        #expect(try other.values(theirs, after: nil).count == 2)
    }

    @Test func listsShowWhatTheTransactionDid() throws {
        for name in ["a", "c", "e", "g"] { try session.make("Machine\\L\\\(name)") }
        let transaction = try session.beginTransaction()
        let list = try session.open(start("Machine\\L", in: transaction), .allAccess, as: system).handle
        _ = try session.create(.init(list, [name("b")]), .allAccess, as: system)
        try session.delete(list, [name("c")], as: system)
        let e = try session.open(.init(list, [name("e")]), .allAccess, as: system).handle
        try session.rename(e, to: name("z"), as: system)
        _ = try session.create(.init(list, [name("e")]), .allAccess, as: system)
        #expect(try session.subkeys(list, after: nil).map(\.name.text) == ["a", "b", "e", "g", "z"])
        #expect(try session.subkeys(list, after: name("a"), limit: 2).map(\.name.text) == ["b", "e"])
        for text in ["v", "w", "x"] { try session.set(list, value(text), .dword(1)) }
        try session.commit(transaction)
        let plain = try other.open(start("Machine\\L"), .allAccess, as: system).handle
        #expect(try other.subkeys(plain, after: nil).map(\.name.text) == ["a", "b", "e", "g", "z"])
        #expect(try other.values(plain, after: value("v")).map(\.name.text) == ["w", "x"])
    }

    @Test func watchersAreToldOfWhatTheyAskedFor() throws {
        let told = Mutex<[RegistryChangeKinds]>([])
        func taken() -> [RegistryChangeKinds] {
            told.withLock { told in
                defer { told = [] }
                return told
            }
        }
        let key = try session.make("Machine\\W")
        let watch = try session.watch(key, kinds: [.names, .values], includingSubtree: false) { _, kinds in
            told.withLock { $0.append(kinds) }
        }
        try session.set(key, .default, .dword(1))
        #expect(taken() == [.values])
        let below = try session.make("Machine\\W\\S")
        #expect(taken() == [.names])
        try session.set(below, .default, .dword(1))
        try session.setDescriptor(key, .dacl, to: SecurityDescriptor(sddl: "D:P(A;CI;KA;;;SY)"), as: system)
        #expect(taken() == [])
        session.endWatch(watch)
        let deep = try session.watch(key, kinds: .all, includingSubtree: true) { _, kinds in
            told.withLock { $0.append(kinds) }
        }
        try session.make("Machine\\W\\S\\T\\U")
        #expect(taken() == [.names])
        try session.setDescriptor(below, .dacl, to: SecurityDescriptor(sddl: "D:P(A;CI;KA;;;SY)"), as: system)
        #expect(taken() == [.security])
        let transaction = try session.beginTransaction()
        _ = try session.create(start("Machine\\W\\X", in: transaction), .allAccess, as: system)
        #expect(taken() == [])
        try session.commit(transaction)
        #expect(taken() == [.names])
        try session.delete(key, tree: true, as: system)
        #expect(taken() == [.names])
        session.endWatch(deep)
    }
}
