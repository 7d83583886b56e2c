import AccessControl
import RegistryModel
import Synchronization
import Testing

@testable import RegistryDaemon

@Suite struct SecurityTests {
    let session: RegistrySession
    init() throws { session = RegistrySession(try RegistryEngine(MemoryStorage())) }

    private func dacl(_ path: String) throws -> String {
        let key = try session.open(start(path), .readControl, as: system)
        defer { session.close(key.handle) }
        return try session.descriptor(key.handle, .dacl).sddl(domain: domain)
    }

    @Test func whatIsSetReachesTheKeysBelowThatAreNotProtected() throws {
        let top = try session.make("Machine\\T", "O:SYD:P(A;CI;KA;;;SY)")
        try session.make("Machine\\T\\A\\B")
        try session.make("Machine\\T\\P", "O:SYD:P(A;CI;KA;;;SY)")
        try session.make("Machine\\T\\P\\Q")
        let wanted = try SecurityDescriptor(sddl: "D:P(A;CI;KA;;;SY)(A;CI;KR;;;\(alice))", domain: domain)
        try session.setDescriptor(top, .dacl, to: wanted, as: system)
        #expect(try dacl("Machine\\T\\A\\B").contains("\(alice)"))
        #expect(try !dacl("Machine\\T\\P").contains("\(alice)"))
        #expect(try !dacl("Machine\\T\\P\\Q").contains("\(alice)"))
    }

    @Test func aLargeTreeInheritsInParts() throws {
        var limits = RegistryEngine.Limits()
        limits.changes = 40
        let session = RegistrySession(try RegistryEngine(MemoryStorage(), limits: limits))
        let top = try session.make("Machine\\Top", "O:\(alice)D:P(A;CI;KA;;;SY)(A;CI;KA;;;\(alice))")
        var paths = (0..<90).map { "Machine\\Top\\\($0)" }
        paths += (0..<90).map { "Machine\\Top\\7\\\($0)" } + ["Machine\\Top\\7\\3\\deep"]
        for path in paths { session.close(try session.make(path)) }
        session.close(try session.make("Machine\\Top\\8\\Own", "D:P(A;;KA;;;SY)"))
        let user = try caller(alice)
        let opened = try session.open(start("Machine\\Top"), .allAccess, as: user).handle
        let wanted = try SecurityDescriptor(sddl: "D:P(A;CI;KA;;;\(alice))(A;CI;KR;;;\(bob))")
        try session.setDescriptor(opened, .dacl, to: wanted, as: user)
        for path in paths {
            session.close(try session.open(start(path), .allRead, as: try caller(bob)).handle)
        }
        #expect(
            code {
                _ = try session.open(start("Machine\\Top\\8\\Own"), .allRead, as: try caller(bob))
            } == 5)
        // A transaction is all or nothing.
        let transaction = try session.beginTransaction()
        let within = try session.open(start("Machine\\Top", in: transaction), .allAccess, as: user).handle
        #expect(
            code {
                try session.setDescriptor(
                    within, .dacl, to: try SecurityDescriptor(sddl: "D:P(A;CI;KA;;;\(alice))"), as: user)
            } == 6701)
        session.close(try session.open(start(paths[5]), .allRead, as: try caller(bob)).handle)
        session.close(top)
    }

    @Test func whoMayNotChangeAKeyBelowChangesNothingThere() throws {
        let user = try caller(alice)
        let sddl = "O:\(alice)D:P(A;CI;KA;;;SY)(A;CI;KA;;;\(alice))"
        try session.make("Machine\\T", sddl)
        try session.make("Machine\\T\\A", "O:SYD:AI(D;CI;WD;;;\(alice))")
        let top = try session.open(start("Machine\\T"), .writeDAC, as: user)
        let wanted = try SecurityDescriptor(sddl: sddl + "(A;CI;KR;;;\(bob))", domain: domain)
        try session.setDescriptor(top.handle, .dacl, to: wanted, as: user)
        #expect(try dacl("Machine\\T").contains("\(bob)"))
        #expect(try !dacl("Machine\\T\\A").contains("\(bob)"))
    }

    @Test func ownersAndLabelsHaveRules() throws {
        try session.make("Machine\\T", "O:SYD:P(A;;KA;;;SY)(A;;KA;;;\(alice))")
        let user = try caller(alice)
        let key = try session.open(start("Machine\\T"), .allAccess, as: user).handle
        let other = try SecurityDescriptor(sddl: "O:\(bob)", domain: domain)
        #expect(code { try session.setDescriptor(key, .owner, to: other, as: user) } == 1338)
        let high = try SecurityDescriptor(sddl: "S:(ML;;NW;;;HI)")
        #expect(code { try session.setDescriptor(key, .label, to: high, as: user) } == 1338)
        try session.setDescriptor(key, .label, to: SecurityDescriptor(sddl: "S:(ML;;NW;;;LW)"), as: user)
        #expect(try session.descriptor(key, .label).mandatoryLabel?.level == .low)
        #expect(code { _ = try session.descriptor(key, .sacl) } == 5)
        #expect(code { try session.setDescriptor(key, .sacl, to: high, as: user) } == 5)
        #expect(code { try session.setDescriptor(key, .dacl, to: other, as: user) } == 1338)
    }

    @Test func lowIntegrityDoesNotWriteUp() throws {
        try session.make("Machine\\T", "O:SYD:P(A;;KA;;;SY)(A;;KA;;;\(alice))")
        let low = try caller(alice, integrity: .low)
        #expect(code { _ = try session.open(start("Machine\\T"), .setValue, as: low) } == 5)
        _ = try session.open(start("Machine\\T"), .queryValue, as: low)
    }

    @Test func whatTheSACLAsksForGoesOnRecord() throws {
        try session.make("Machine\\T", "O:SYD:P(A;;KA;;;SY)S:(AU;SAFA;KA;;;WD)")
        let records = Mutex<[String]>([])
        let audited = Caller(token: system.token) { path, _, desired, _ in
            records.withLock { $0.append("\(path) \(desired)") }
        }
        _ = try session.open(start("Machine\\T"), .queryValue, as: audited)
        #expect(records.withLock { $0 } == ["Machine\\T KEY_QUERY_VALUE"])
    }
}
