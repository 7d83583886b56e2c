import AccessControl
import Testing

@Suite struct InheritanceTests {
    static let alice = SID("S-1-5-21-1-2-3-1001")!
    static let staff = SID("S-1-5-21-1-2-3-2000")!

    func token(_ privileges: PrivilegeSet = [], integrity: IntegrityLevel = .medium) throws -> Token {
        try Token(
            user: Self.alice, groups: [Token.Group(Self.staff)], privileges: privileges, integrity: integrity,
            logonSession: 1, defaultGroup: Self.staff)
    }

    func child(
        _ parent: String, creator: String? = nil, container: Bool = false,
        options: InheritanceOptions = .init()
    ) throws -> String {
        let made = try SecurityDescriptor.inheriting(
            parent: SecurityDescriptor(sddl: parent),
            creator: creator.map { try SecurityDescriptor(sddl: $0) },
            isContainer: container, token: token(), options: options)
        var text = made.sddl()
        for (sid, name) in [(Self.alice, "ALICE"), (Self.staff, "STAFF")] {
            text = text.split(separator: sid.description, omittingEmptySubsequences: false).joined(
                separator: name)
        }
        return text
    }

    @Test(arguments: [
        ("O:SYD:(A;OICI;FR;;;WD)", false, "D:AI(A;ID;FR;;;WD)"),
        ("O:SYD:(A;OICI;FR;;;WD)", true, "D:AI(A;OICIID;FR;;;WD)"),
        ("O:SYD:(A;OI;FR;;;WD)", true, "D:AI(A;OIIOID;FR;;;WD)"),
        ("O:SYD:(A;OINP;FR;;;WD)(A;CI;FR;;;BA)", false, "D:AI(A;ID;FR;;;WD)"),
        ("O:SYD:(A;OICINP;FR;;;WD)", true, "D:AI(A;ID;FR;;;WD)"),
        ("O:SYD:(A;OICIIO;FR;;;WD)", true, "D:AI(A;OICIID;FR;;;WD)"),
        ("O:SYD:(A;OICIIO;GA;;;CO)", false, "D:AI(A;ID;FA;;;ALICE)"),
        ("O:SYD:(A;OICIIO;GA;;;CO)", true, "D:AI(A;ID;FA;;;ALICE)(A;OICIIOID;GA;;;CO)"),
        ("O:SYD:(A;OICIIO;FR;;;CG)", false, "D:AI(A;ID;FR;;;STAFF)"),
        (
            "O:SYD:(OA;OICI;FR;;bf967aba-0de6-11d0-a285-00aa003049e2;WD)(A;OI;CC;;;WD)", false,
            "D:AI(A;ID;CC;;;WD)"
        ),
        ("O:SYD:(A;;FR;;;WD)", false, "D:(A;;FA;;;ALICE)(A;;FA;;;SY)"),
    ])
    func newObjectsInherit(parent: String, container: Bool, expected: String) throws {
        #expect(try child(parent, container: container) == "O:ALICEG:STAFF" + expected)
    }

    @Test func creatorsMergeProtectAndDefault() throws {
        let parent = "O:SYD:(A;OICI;FR;;;WD)"
        #expect(
            try child(parent, creator: "D:(A;;FW;;;BA)") == "O:ALICEG:STAFFD:AI(A;;FW;;;BA)(A;ID;FR;;;WD)")
        #expect(try child(parent, creator: "D:P(A;;FW;;;BA)") == "O:ALICEG:STAFFD:P(A;;FW;;;BA)")
        #expect(try child(parent, creator: "D:NO_ACCESS_CONTROL") == "O:ALICEG:STAFFD:NO_ACCESS_CONTROL")
        var options = InheritanceOptions()
        options.objectTypes = [try #require(GUID("bf967aba-0de6-11d0-a285-00aa003049e2"))]
        let typed = "O:SYD:(OA;OICI;FR;;bf967aba-0de6-11d0-a285-00aa003049e2;WD)"
        #expect(
            try child(typed, options: options).hasSuffix(
                "D:AI(OA;ID;FR;;bf967aba-0de6-11d0-a285-00aa003049e2;WD)"))
    }

    @Test func creatorsNeedTheRightsForWhatTheyAsk() throws {
        func make(_ sddl: String, _ token: Token) throws {
            _ = try SecurityDescriptor.inheriting(
                parent: nil, creator: SecurityDescriptor(sddl: sddl), isContainer: false, token: token)
        }
        #expect(throws: InheritanceError.ownerNotAllowed(.system)) { try make("O:SY", token()) }
        try make("O:SY", token([.restore]))
        #expect(throws: InheritanceError.auditNotAllowed) { try make("S:(AU;SA;FR;;;WD)", token()) }
        try make("S:(ML;;NW;;;LW)", token())
        #expect(throws: InheritanceError.labelNotAllowed(.high)) { try make("S:(ML;;NW;;;HI)", token()) }
    }

    @Test func whatLowTrustedCodeMakesIsLow() throws {
        let made = try SecurityDescriptor.inheriting(
            parent: nil, isContainer: false, token: token(integrity: .low))
        #expect(made.mandatoryLabel?.level == .low)
    }

    @Test func propagationReplacesWhatWasInheritedOnly() throws {
        let parent = try SecurityDescriptor(sddl: "O:SYD:(A;OICI;FR;;;BA)")
        let child = try SecurityDescriptor(sddl: "O:SYD:AI(D;;FW;;;BG)(A;;FX;;;BU)(A;ID;FA;;;WD)")
        #expect(
            try parent.propagating(to: child, isContainer: false).sddl()
                == "O:SYD:AI(D;;FW;;;BG)(A;;FX;;;BU)(A;ID;FR;;;BA)")
        for fixed in ["O:SYD:P(A;;FX;;;BU)", "O:SYD:NO_ACCESS_CONTROL"] {
            let child = try SecurityDescriptor(sddl: fixed)
            #expect(try parent.propagating(to: child, isContainer: false) == child)
        }
    }
}
