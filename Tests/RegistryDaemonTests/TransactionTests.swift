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

    /// Keys in memory, of which something is done before each commit is seen.
    private final class HookedStorage: RegistryStorage {
        let memory = MemoryStorage()
        let hook = Mutex<(@Sendable () -> Void)?>(nil)

        func largestID() -> KeyID { memory.largestID() }
        func key(_ id: KeyID) -> KeyRecord? { memory.key(id) }
        func child(of parent: KeyID, named folded: [UInt8]) -> KeyRecord? {
            memory.child(of: parent, named: folded)
        }
        func children(of parent: KeyID, after folded: [UInt8]?, limit: Int) -> [KeyRecord] {
            memory.children(of: parent, after: folded, limit: limit)
        }
        func value(of key: KeyID, named folded: [UInt8]) -> ValueRecord? {
            memory.value(of: key, named: folded)
        }
        func values(of key: KeyID, after folded: [UInt8]?, limit: Int, bytes: Int) -> [ValueRecord] {
            memory.values(of: key, after: folded, limit: limit, bytes: bytes)
        }
        func apply(_ changes: RegistryChanges) {
            hook.withLock { $0 }?()
            memory.apply(changes)
        }
        func backup(to path: String) {}
        func complaints() -> [String] { [] }
        func flush() {}
    }

    @Test(arguments: [false, true])
    func whoBeginsToWatchWhileACommitIsWrittenIsToldOfIt(includingSubtree: Bool) throws {
        let storage = HookedStorage()
        let engine = try RegistryEngine(storage)
        let session = RegistrySession(engine)
        let top = try session.make("Machine\\K")
        let key = try session.make("Machine\\K\\L")
        let told = Mutex<[RegistryChangeKinds]>([])
        let watches = Mutex<[Watches.Watch]>([])
        let watched = try session.record(
            session.open(includingSubtree ? top : key), RegistryView(engine, .alone)
        ).id
        storage.hook.withLock {
            $0 = {
                // Nobody watched when the commit began.
                let watch = Watches.Watch(key: watched, includesSubtree: includingSubtree, kinds: .all) {
                    kinds in
                    told.withLock { $0.append(kinds) }
                }
                engine.watches.add(watch)
                watches.withLock { $0.append(watch) }
            }
        }
        try session.set(key, value("v"), .string("new"))
        engine.watches.settle()
        #expect(told.withLock { $0 } == [.values])
    }

    @Test func watchersAreToldOfWhatTheyAskedFor() throws {
        let told = Mutex<[RegistryChangeKinds]>([])
        func taken() -> [RegistryChangeKinds] {
            session.engine.watches.settle()
            return told.withLock { told in
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

    @Test func whatIsReadIsAllOfOneMoment() throws {
        let key = try session.make("Machine\\K")
        for name in ["a", "b", "c"] { try session.set(key, value(name), .dword(1)) }
        let transaction = try session.beginTransaction()
        let read = try session.open(start("Machine\\K", in: transaction), .allAccess, as: system).handle
        _ = try session.value(read, value("a"))
        let others = try other.beginTransaction()
        let theirs = try other.open(start("Machine\\K", in: others), .allAccess, as: system).handle
        try other.set(theirs, value("a"), .dword(0))
        try other.set(theirs, value("b"), .dword(2))
        _ = try session.value(read, value("b"))
        try other.commit(others)
        _ = try session.value(read, value("c"))
        #expect(code { _ = try session.value(read, value("b")) } == 6800)
        #expect(code { _ = try session.values(read, after: nil) } == 6800)
        #expect(code { try session.commit(transaction) } == 6800)
    }

    @Test func whoeverWritesSecondWithoutLookingBeginsAnew() throws {
        let key = try session.make("Machine\\K")
        let transaction = try session.beginTransaction()
        let mine = try session.open(start("Machine\\K", in: transaction), .allAccess, as: system).handle
        try session.set(mine, value("v"), .dword(1))
        let theirs = try other.open(start("Machine\\K"), .allAccess, as: system).handle
        try other.set(theirs, value("v"), .dword(2))
        #expect(code { try session.commit(transaction) } == 6800)
        #expect(try session.value(key, value("v")).bytes == [2, 0, 0, 0])
    }

    @Test func descriptorsThatWereSetMeanwhileStay() throws {
        let top = try session.make("Machine\\K", "O:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;\(alice))")
        try session.make("Machine\\K\\Old")
        let below = try session.open(start("Machine\\K\\Old"), .allAccess, as: system).handle
        let (deleting, making) = (try session.beginTransaction(), try session.beginTransaction())
        let old = try session.open(.init(below, [], transaction: deleting), .delete, as: system).handle
        try session.delete(old, as: system)
        let user = try caller(alice)
        _ = try session.create(start("Machine\\K\\New", in: making), .allAccess, as: user)
        let theirs = try other.open(start("Machine\\K"), .allAccess, as: system).handle
        try other.setDescriptor(theirs, .dacl, to: SecurityDescriptor(sddl: "D:P(A;;KA;;;SY)"), as: system)
        // Whoever made a key was let do so by a descriptor that is not there any more.
        #expect(code { try session.commit(making) } == 6800)
        #expect(code { try session.commit(deleting) } == 6800)
        #expect(try session.descriptor(top, .dacl).sddl() == "D:P(A;;KA;;;SY)")
        try session.make("Machine\\K\\Own", "O:SYD:P(A;;KA;;;SY)")
        let own = try session.open(start("Machine\\K\\Own"), .allAccess, as: system).handle
        // By a handle the key above is not looked at.
        let again = try session.beginTransaction()
        let gone = try session.open(.init(own, [], transaction: again), .delete, as: system).handle
        try session.delete(gone, as: system)
        try other.setDescriptor(theirs, .dacl, to: SecurityDescriptor(sddl: "D:P(A;;KR;;;SY)"), as: system)
        try session.commit(again)
        #expect(try session.descriptor(top, .dacl).sddl() == "D:P(A;;KR;;;SY)")
    }

    @Test func aHiveThatIsDeletedInATransactionIsMadeThereAnew() throws {
        let user = try caller(alice)
        let hive = try session.create(start("CurrentUser\\Old"), .allAccess, as: user)
        session.close(hive.handle)
        let transaction = try session.beginTransaction()
        let top = try session.open(start("CurrentUser", in: transaction), .allAccess, as: user).handle
        try session.delete(top, tree: true, as: user)
        _ = try session.open(start("CurrentUser", in: transaction), .allAccess, as: user)
        _ = try session.create(start("CurrentUser\\New", in: transaction), .allAccess, as: user)
        #expect(
            code { _ = try session.open(start("CurrentUser\\Old", in: transaction), .allRead, as: user) } == 2
        )
        _ = try session.open(start("CurrentUser\\Old"), .allRead, as: user)
        try session.commit(transaction)
        _ = try session.open(start("CurrentUser\\New"), .allRead, as: user)
        #expect(code { _ = try session.open(start("CurrentUser\\Old"), .allRead, as: user) } == 2)
    }

    @Test func theFirstLookAtOnesHiveIsNoConflict() throws {
        let transaction = try session.beginTransaction()
        let user = try caller(alice)
        let key = try session.create(start("CurrentUser\\K", in: transaction), .allAccess, as: user).handle
        try session.set(key, value("v"), .dword(1))
        try session.commit(transaction)
        _ = try session.value(key, value("v"))
    }

    @Test func whatOthersChangedIsNotRememberedWithoutEnd() throws {
        var limits = RegistryEngine.Limits()
        limits.historyBytes = 100_000
        let session = RegistrySession(try RegistryEngine(MemoryStorage(), limits: limits))
        let other = RegistrySession(session.engine)
        let key = try other.make("Machine\\K")
        let left = try session.beginTransaction()
        let mine = try session.open(start("Machine\\K", in: left), .allAccess, as: system).handle
        try session.set(mine, value("mine"), .dword(1))
        var largest = 0
        for number in 0..<3000 {
            try other.set(key, value("v\(number)"), .dword(1))
            largest = max(largest, session.engine.history.size)
        }
        #expect(largest > 50_000 && largest < 110_000)
        #expect(code { try session.commit(left) } == 6800)
        let next = try session.beginTransaction()
        let again = try session.open(start("Machine\\K", in: next), .allAccess, as: system).handle
        try session.set(again, value("mine"), .dword(1))
        try session.commit(next)
        try other.set(key, value("v"), .dword(1))
        #expect(session.engine.history.size == 0)
    }

    @Test func openTransactionsOfOneUserHoldSoMuch() throws {
        var limits = RegistryEngine.Limits()
        limits.transactionBytes = 1_000_000
        let engine = try RegistryEngine(MemoryStorage(), limits: limits)
        let share = UserShare()
        let sessions = (0..<3).map { _ in RegistrySession(engine, share: share) }
        _ = try sessions[0].make("Machine\\K")
        func fill(_ session: RegistrySession) throws {
            let transaction = try session.beginTransaction()
            let key = try session.open(start("Machine\\K", in: transaction), .allAccess, as: system).handle
            for number in 0..<4 {
                let bytes = [UInt8](repeating: 7, count: 100_000)
                try session.set(key, value("v\(number)"), RegistryValue(type: .binary, bytes: bytes))
            }
        }
        try fill(sessions[0])
        try fill(sessions[1])
        #expect(code { try fill(sessions[2]) } == 6701)
        // Reading counts as well: what was asked for is kept until the commit.
        let transaction = try sessions[2].beginTransaction()
        let key = try sessions[2].open(start("Machine\\K", in: transaction), .allAccess, as: system).handle
        let refused = (0..<100).compactMap { number in
            code {
                _ = try sessions[2].value(key, value("\(number)" + String(repeating: "x", count: 16_000)))
            }
        }
        #expect(refused.contains(1816))
        for session in sessions { session.end() }
        #expect(share.transactionBytes == 0)
        try fill(sessions[2])
    }

    @Test func largeChangesOfOneUserAndSmallOnesGoTogether() async throws {
        let engine = try RegistryEngine(MemoryStorage())
        let share = UserShare()
        let first = RegistrySession(engine, share: share)
        try first.make("Machine\\From")
        for number in 0..<600 { try first.make("Machine\\From\\\(number)") }
        await withTaskGroup(of: UInt32?.self) { group in
            for number in 0..<4 {
                group.addTask {
                    let session = RegistrySession(engine, share: share)
                    return code {
                        let goal = try session.make("Machine\\To\(number)")
                        let source = try session.open(start("Machine\\From"), .allRead, as: system).handle
                        for _ in 0..<3 {
                            try session.copy(source, [], to: goal, as: system)
                            let made = try session.open(start("Machine\\To\(number)"), .allAccess, as: system)
                            #expect(try session.subkeys(made.handle, after: nil).count == 600)
                            for name in try session.subkeys(made.handle, after: nil).prefix(300) {
                                try session.delete(made.handle, [name.name], as: system)
                            }
                        }
                    }
                }
            }
            for await refused in group { #expect(refused == nil) }
        }
    }

    @Test func whatIsAlwaysOvertakenIsDoneWhileNobodyCommitsIfItIsLittle() throws {
        let engine = session.engine
        let key = try session.make("Machine\\Busy")
        let top = try session.make("Machine\\Goal")
        let (busy, goal) = (try session.information(key).id, try session.information(top).id)
        func change(_ count: Int) throws -> Int {
            var attempts = 0
            try engine.change { view throws(RegistryError) in
                attempts += 1
                _ = try view.value(of: busy, named: .init("v"))
                // Nobody gets in the way of the fifth.
                if !attempts.isMultiple(of: 5) {
                    try session.set(key, .init("v"), .string("\(attempts)"))
                }
                for number in 0..<count {
                    let record = ValueRecord(name: try .init("\(number)"), type: .string, bytes: [])
                    try view.set(record, of: goal)
                }
            }
            return attempts
        }
        #expect(try change(256) == 5)
        // Whoever wants to commit would wait for this.
        #expect(code { _ = try change(257) } == 6800)
        #expect(try session.values(top, after: nil).count == 256)
    }
}
