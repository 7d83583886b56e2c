import AccessControl
import Testing

@testable import sd

@Suite("Changing entries")
struct EntriesTests {
    private func list(_ sddl: String) throws -> SecurityDescriptor.List {
        try SecurityDescriptor(sddl: sddl).dacl
    }

    private func text(_ list: SecurityDescriptor.List) -> String {
        SecurityDescriptor(owner: nil, group: nil, dacl: list).sddl()
    }

    @Test("adds what denies before what allows, and both before what is inherited")
    func order() throws {
        let before = try list("D:(A;;FR;;;SY)(A;ID;FA;;;BA)")
        let allowed = try Entries.adding(1, for: .users, type: .allow, .none, to: before)
        #expect(text(allowed) == text(try list("D:(A;;FR;;;SY)(A;;0x1;;;BU)(A;ID;FA;;;BA)")))
        let denied = try Entries.adding(2, for: .guests, type: .deny, .none, to: allowed)
        #expect(text(denied) == text(try list("D:(D;;0x2;;;BG)(A;;FR;;;SY)(A;;0x1;;;BU)(A;ID;FA;;;BA)")))
    }

    @Test("adds to the entry there is, if it is passed on in the same way")
    func merging() throws {
        let before = try list("D:(A;;0x1;;;BU)")
        let more = try Entries.adding(2, for: .users, type: .allow, .none, to: before)
        #expect(text(more) == text(try list("D:(A;;0x3;;;BU)")))
        let below = try Entries.adding(2, for: .users, type: .allow, .below, to: before)
        #expect(text(below) == text(try list("D:(A;;0x1;;;BU)(A;OICI;0x2;;;BU)")))
        let inherited = try Entries.adding(2, for: .users, type: .allow, .none, to: list("D:(A;ID;0x1;;;BU)"))
        #expect(text(inherited) == text(try list("D:(A;;0x2;;;BU)(A;ID;0x1;;;BU)")))
    }

    @Test("does not make a list where there is none, which would shut everybody else out")
    func withoutList() throws {
        for before in [SecurityDescriptor.List.absent, .null] {
            #expect(throws: (any Error).self) {
                try Entries.adding(1, for: .users, type: .allow, .none, to: before)
            }
        }
        let first = try Entries.adding(1, for: .users, type: .allow, .none, to: .present(.empty))
        #expect(text(first) == text(try list("D:(A;;0x1;;;BU)")))
    }

    @Test("takes back what the object has itself, and says so when that is nothing")
    func removing() throws {
        let before = try list("D:(D;;0x2;;;BU)(A;;0x1;;;BU)(A;;FA;;;SY)(A;ID;0x1;;;BU)")
        let after = try Entries.removing(.users, from: before)
        #expect(text(after) == text(try list("D:(A;;FA;;;SY)(A;ID;0x1;;;BU)")))
        #expect(throws: (any Error).self) { try Entries.removing(.users, from: after) }
        #expect(throws: (any Error).self) { try Entries.removing(.guests, from: after) }
    }

    @Test("stops inheriting with or without what was inherited, and starts again")
    func inheritance() throws {
        let parent = try SecurityDescriptor(sddl: "O:SYD:(A;OICI;FA;;;BA)S:(AU;OISA;FA;;;WD)")
        let before = try SecurityDescriptor(sddl: "O:SYD:AI(A;;0x1;;;BU)(A;ID;FR;;;BA)")
        let own = try before.protected(keepingInherited: true)
        #expect(own.sddl() == (try SecurityDescriptor(sddl: "O:SYD:P(A;;0x1;;;BU)(A;;FR;;;BA)").sddl()))
        let alone = try before.protected(keepingInherited: false)
        #expect(alone.sddl() == (try SecurityDescriptor(sddl: "O:SYD:P(A;;0x1;;;BU)").sddl()))
        let again = try alone.inheriting(from: parent, isContainer: false)
        #expect(again.sddl() == (try SecurityDescriptor(sddl: "O:SYD:AI(A;;0x1;;;BU)(A;ID;FA;;;BA)").sddl()))
    }

    @Test("tells two descriptors apart by their parts and entries")
    func differences() throws {
        let one = try SecurityDescriptor(sddl: "O:SYD:(A;;FA;;;SY)(A;;FR;;;BU)")
        let other = try SecurityDescriptor(sddl: "O:BAD:P(A;;FA;;;SY)(A;;FW;;;BU)")
        #expect(DescriptorDifference.between(one, one).isEmpty)
        let lines = DescriptorDifference.between(one, other).flatMap(\.lines)
        #expect(
            lines == [
                "- Owner: S-1-5-18", "+ Owner: S-1-5-32-544", "- Control: 0x0", "+ Control: 0x1000",
                "- DACL entry 1: (A;;FR;;;BU)", "+ DACL entry 1: (A;;FW;;;BU)",
            ])
        let null = try SecurityDescriptor(sddl: "O:SYD:NO_ACCESS_CONTROL")
        #expect(DescriptorDifference.between(null, try SecurityDescriptor(sddl: "O:SYD:")).count == 1)
    }
}
