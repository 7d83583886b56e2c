import AccessControl
import Testing

/// One test for each rule of the access check that implementations get wrong.
@Suite struct AccessCheckRules {
    typealias Files = AccessCheck<FileKind>
    static let alice = SID("S-1-5-21-1-2-3-1001")!

    func token(_ change: (inout Token.Fields) -> Void = { _ in }) throws -> Token {
        var fields = Token.Fields(user: Self.alice, logonSession: 1)
        fields.groups = [Token.Group(.everyone)]
        change(&fields)
        return try Token(fields)
    }

    func maximum(
        _ sddl: String, _ token: Token, _ context: AccessContext = .plain
    ) throws -> AccessMask<FileKind> {
        let descriptor = try SecurityDescriptor(sddl: sddl)
        let decision = try Files.decide(descriptor, token: token, desired: .maximumAllowed, context: context)
        return decision.granted
    }

    func holding(_ privileges: PrivilegeSet) -> Token.Privileges {
        Token.Privileges(present: privileges, enabled: privileges)
    }

    @Test func stage0_aDeadSessionIsRefusedEverything() throws {
        let context = AccessContext(isSessionAlive: false)
        #expect(try maximum("O:SYD:NO_ACCESS_CONTROL", token(), context) == [])
    }

    @Test func stage0_theIdentificationLevelDecidesAsAnonymousButCanBeAskedAbout() throws {
        let alice = try token()
        let client = Token.Impersonation(alice, level: .identification)
        let bytes = try SecurityDescriptor(sddl: "O:SYD:(A;;CC;;;WD)").bytes
        #expect(try !Files.decide(bytes.span.bytes, token: client.deciding, desired: .readData).isAllowed)
        #expect(try Files.decide(bytes.span.bytes, client: client, desired: .readData).isAllowed)
        let nobody = Token.Impersonation(alice, level: .anonymous)
        #expect(throws: AccessCheckError.anonymousLevel) {
            try Files.decide(bytes.span.bytes, client: nobody, desired: .readData)
        }
    }

    @Test func stage2_accessSystemSecurityTakesThePrivilegeEvenWithoutADACL() throws {
        let descriptor = try SecurityDescriptor(sddl: "O:SYD:NO_ACCESS_CONTROL")
        let without = try Files.decide(descriptor, token: token(), desired: .accessSystemSecurity)
        #expect(!without.isAllowed && without.missingPrivilege == .security)
        let with = try Files.decide(
            descriptor, token: token { $0.privileges = holding([.security]) }, desired: .accessSystemSecurity)
        #expect(with.isAllowed && with.privilegesUsed.contains(.security))
        let entry = try SecurityDescriptor(sddl: "O:SYD:(A;;0x1ffffff;;;WD)")
        #expect(try !Files.decide(entry, token: token(), desired: .accessSystemSecurity).isAllowed)
    }

    @Test func stage2_backupAndRestoreCountOnlyWithTheIntentAndAreUsedOnlyWhenNeeded() throws {
        let holder = try token { $0.privileges = holding([.backup, .restore]) }
        #expect(try maximum("O:SYD:", holder) == [])
        #expect(try maximum("O:SYD:", holder, AccessContext(intent: .backup)) == .allRead)
        let written = try maximum("O:SYD:", holder, AccessContext(intent: .restore))
        #expect(written == AccessMask.allWrite.union([.writeDAC, .writeOwner, .delete]))
        let readable = try SecurityDescriptor(sddl: "O:SYD:(A;;FR;;;WD)")
        let decision = try Files.decide(
            readable, token: holder, desired: .readData, context: AccessContext(intent: .backup))
        #expect(decision.isAllowed && decision.privilegesUsed.isEmpty)
    }

    @Test(arguments: [
        ("NW", AccessMask<FileKind>.allRead.union(.allExecute)),
        ("NR", AccessMask<FileKind>.allAccess.subtracting([.readData, .readEA])),
        ("NX", AccessMask<FileKind>.allAccess.subtracting([.execute])),
        ("NWNR", AccessMask<FileKind>.allExecute), ("NWNRNX", AccessMask<FileKind>()),
        ("", AccessMask<FileKind>.allAccess),
    ])
    func stage3_policiesOfALabelRefuseWhatTheySay(policy: String, expected: AccessMask<FileKind>) throws {
        let sddl = "O:SYD:(A;;FA;;;WD)S:(ML;;\(policy);;;S-1-16-12345)"
        #expect(try maximum(sddl, token()) == expected)
        #expect(try maximum(sddl, token { $0.integrity = .system }) == .allAccess)
    }

    @Test func stage3_aLabelRefusesPrivilegesTooButForRelabel() throws {
        let sddl = "O:SYD:S:(ML;;NW;;;HI)"
        let restorer = try token { $0.privileges = holding([.restore, .takeOwnership]) }
        #expect(try !maximum(sddl, restorer, AccessContext(intent: .restore)).contains(.writeData))
        #expect(try !maximum(sddl, restorer).contains(.writeOwner))
        let relabeler = try token { $0.privileges = holding([.takeOwnership, .relabel]) }
        #expect(try maximum(sddl, relabeler) == .writeOwner)
    }

    @Test func stage4_anOwnerByDenyOnlyOrDisabledSIDHasNoOwnersRights() throws {
        for attributes: Token.Group.Attributes in [.denyOnly, []] {
            let token = try token { $0.groups.append(Token.Group(.administrators, attributes)) }
            #expect(try maximum("O:BAD:", token) == [])
        }
        #expect(
            try maximum("O:BAD:", token { $0.groups.append(Token.Group(.administrators)) }) == [
                .readControl, .writeDAC,
            ])
    }

    @Test func stage4_denyOnlyGroupsMatchDenyEntriesOnly() throws {
        let token = try token { $0.groups.append(Token.Group(.users, .denyOnly)) }
        #expect(try maximum("O:SYD:(A;;CC;;;BU)(D;;DC;;;BU)(A;;CCDC;;;WD)", token) == .readData)
        #expect(try maximum("O:SYD:(A;;CC;;;BU)", token) == [])
    }

    @Test func stage4_genericAndReservedBitsOfEntriesAreTolerated() throws {
        #expect(try maximum("O:SYD:(A;;GR;;;WD)", token()) == .allRead)
        let reserved = try SecurityDescriptor(sddl: "O:SYD:(A;;0x0ce00001;;;WD)")
        #expect(try Files.decide(reserved, token: token(), desired: .readData).isAllowed)
    }

    @Test func stage4_principalSelfIsTheObject() throws {
        #expect(
            try maximum("O:SYD:(A;;CC;;;PS)", token(), AccessContext(principalSelf: Self.alice)) == .readData)
        #expect(try maximum("O:SYD:(A;;CC;;;PS)", token()) == [])
        #expect(
            try maximum("O:SYD:(D;;CC;;;PS)(A;;CC;;;WD)", token(), AccessContext(principalSelf: Self.alice))
                == [])
    }

    @Test func stage4_objectEntriesWithoutATree() throws {
        let guid = "bf967aba-0de6-11d0-a285-00aa003049e2"
        #expect(try maximum("O:SYD:(OA;;CC;\(guid);;WD)", token()) == [])
        #expect(try maximum("O:SYD:(OA;;CC;;;WD)", token()) == .readData)
        #expect(try maximum("O:SYD:(OD;;CC;\(guid);;WD)(A;;CC;;;WD)", token()) == [])
    }

    @Test func stage4_objectTreesAreDecidedNodeByNode() throws {
        let (root, set, one, two) = (
            "11111111-0de6-11d0-a285-00aa003049e2", "22222222-0de6-11d0-a285-00aa003049e2",
            "33333333-0de6-11d0-a285-00aa003049e2", "44444444-0de6-11d0-a285-00aa003049e2"
        )
        let nodes = zip([0, 1, 2, 2], [root, set, one, two]).compactMap { level, guid in
            GUID(guid).map { ObjectTree.Node(level: level, type: $0) }
        }
        let tree = try #require(ObjectTree(nodes))
        func each(_ sddl: String) throws -> [Bool] {
            let bytes = try SecurityDescriptor(sddl: sddl).bytes
            return try Files.decideEach(bytes.span.bytes, token: token(), desired: .readData, tree: tree).map(
                \.isAllowed)
        }
        #expect(try each("O:SYD:(OA;;CC;\(one);;WD)") == [false, false, true, false])
        // What all children have, the parent has too.
        #expect(try each("O:SYD:(OA;;CC;\(one);;WD)(OA;;CC;\(two);;WD)") == [true, true, true, true])
        #expect(try each("O:SYD:(OA;;CC;\(set);;WD)") == [true, true, true, true])
        // What one child is refused, the parents are refused.
        #expect(try each("O:SYD:(OD;;CC;\(two);;WD)(A;;CC;;;WD)") == [false, false, true, false])
        #expect(try each("O:SYD:(A;;CC;;;WD)(OD;;CC;\(two);;WD)") == [true, true, true, true])
        #expect(ObjectTree([nodes[0], nodes[2]]) == nil && ObjectTree([nodes[0], nodes[0]]) == nil)
    }

    @Test func stage5_takeOwnershipGrantsWriteOwner() throws {
        let taker = try token { $0.privileges = holding([.takeOwnership]) }
        let decision = try Files.decide(
            SecurityDescriptor(sddl: "O:SYD:"), token: taker, desired: .writeOwner)
        #expect(decision.isAllowed && decision.privilegesUsed.contains(.takeOwnership))
    }

    @Test func stage6_restrictingSIDsMustBeGrantedToo() throws {
        let restricted = try token().filtered(restrictingTo: [.restrictedCode])
        #expect(try maximum("O:SYD:(A;;FA;;;WD)", restricted) == [])
        #expect(try maximum("O:SYD:(A;;FA;;;WD)(A;;FR;;;RC)", restricted) == .allRead)
        let writeRestricted = try token().filtered(restrictingTo: [.restrictedCode], writeOnly: true)
        #expect(try maximum("O:SYD:(A;;FA;;;WD)", writeRestricted) == AccessMask.allRead.union(.allExecute))
    }

    @Test func stage6_confinedTokensNeedAnEntryForTheContainer() throws {
        let package = try #require(SID("S-1-15-2-1-2-3"))
        let confined = try token { $0.appContainer = package }
        #expect(try maximum("O:SYD:(A;;FA;;;WD)", confined) == [])
        #expect(try maximum("O:SYD:(A;;FA;;;WD)(A;;FR;;;AC)", confined) == .allRead)
        let lowPrivilege = try token { ($0.appContainer, $0.isLowPrivilegeContainer) = (package, true) }
        #expect(try maximum("O:SYD:(A;;FA;;;WD)(A;;FR;;;AC)", lowPrivilege) == [])
    }

    @Test func stage7_centralPoliciesNarrowAndStagedOnesReport() throws {
        let id = try #require(SID("S-1-17-1"))
        func list(_ sddl: String) throws -> ACL { try #require(SecurityDescriptor(sddl: sddl).dacl.acl) }
        let rule = CentralPolicy.Rule(
            name: "finance", appliesTo: try Condition(sddl: "(@Resource.Dept == \"finance\")"),
            dacl: try list("D:(A;;FR;;;WD)"), stagedDACL: try list("D:(A;;CC;;;WD)"))
        let context = AccessContext(policies: [CentralPolicy(id: id, rules: [rule])])
        let plain = "O:SYD:(A;;FA;;;WD)S:(SP;;;;;S-1-17-1)"
        let labelled = plain + "(RA;;;;;WD;(\"Dept\",TS,0x0,\"Finance\"))"
        #expect(try maximum(plain, token(), context) == .allAccess)
        #expect(try maximum(labelled, token(), context) == .allRead)
        let decision = try Files.decide(
            SecurityDescriptor(sddl: labelled), token: token(), desired: .maximumAllowed, context: context)
        #expect(decision.staged == .readData)
        // Who does not know the policy leaves access to the administrators.
        #expect(try maximum(plain, token()) == [])
        #expect(try maximum(plain, token { $0.groups.append(Token.Group(.administrators)) }) == .allAccess)
    }

    @Test func stage8_explicitBitsMustBeGrantedBesideTheMaximum() throws {
        let descriptor = try SecurityDescriptor(sddl: "O:SYD:(A;;FR;;;WD)")
        #expect(
            try !Files.decide(descriptor, token: token(), desired: [.maximumAllowed, .writeData]).isAllowed)
        #expect(
            try Files.decide(descriptor, token: token(), desired: [.maximumAllowed, .readData]).granted
                == .allRead)
    }

    @Test func stage9_auditEntriesAskBySuccessAndFailure() throws {
        let bytes = try SecurityDescriptor(
            sddl:
                "O:SYD:(A;;FR;;;WD)S:(AU;SA;FR;;;WD)(AU;FA;FW;;;WD)(AU;SA;CC;;;BA)(XU;SA;CC;;;WD;(Exists x))"
                + "(XU;SA;CC;;;WD;(x == 1))"
        ).bytes
        func records(_ desired: AccessMask<FileKind>) throws -> [Int] {
            let decision = try Files.decide(bytes.span.bytes, token: token(), desired: desired)
            return try Files.auditEntries(
                bytes.span.bytes, token: token(), desired: desired, decision: decision)
        }
        #expect(try records(.readData) == [0, 4])
        #expect(try records(.writeData) == [1])
    }

    @Test func explanationsNameTheEntryAndTheRemedy() throws {
        let descriptor = try SecurityDescriptor(sddl: "O:SYD:(D;;CC;;;WD)(A;;FR;;;WD)")
        let why = try Files.explain(descriptor, token: token(), desired: [.readData, .readEA])
        #expect(why.rights.map(\.isGranted) == [false, true])
        #expect(why.rights[0].cause == .entry(0, text: "(D;;CC;;;WD)"))
        #expect(why.description.contains("- READ_DATA: entry 0 (D;;CC;;;WD) (needs"))
        #expect(why.json.contains(#""right":"READ_DATA","mask":1,"granted":false,"by":"entry","index":0"#))
    }

    @Test func explanationsOfObjectEntriesAgreeWithTheDecision() throws {
        let guid = "bf967aba-0de6-11d0-a285-00aa003049e2"
        let cases: [(String, Bool, AccessExplanation<FileKind>.Cause)] = [
            // Asked about the whole object: what allows a part of it does not count, what refuses one does.
            ("(OA;;CC;\(guid);;WD)", false, .noEntry),
            ("(OA;;CC;\(guid);;WD)(A;;CC;;;WD)", true, .entry(1, text: "(A;;CC;;;WD)")),
            ("(OD;;CC;\(guid);;WD)(A;;CC;;;WD)", false, .entry(0, text: "(OD;;CC;\(guid);;WD)")),
            ("(OA;;CC;;;WD)", true, .entry(0, text: "(OA;;CC;;;WD)")),
            ("(OA;;CC;;\(guid);WD)", true, .entry(0, text: "(OA;;CC;;\(guid);WD)")),
        ]
        for (dacl, isGranted, cause) in cases {
            let descriptor = try SecurityDescriptor(sddl: "O:SYD:" + dacl)
            let why = try Files.explain(descriptor, token: token(), desired: .readData)
            #expect(why.decision.isAllowed == isGranted, "\(dacl)")
            #expect(
                why.rights.map(\.isGranted) == [isGranted] && why.rights.map(\.cause) == [cause], "\(dacl)")
        }
    }

    @Test func limitsAreExplicit() throws {
        let many = (0..<1025).map { Token.Group(SID.unixGroup($0)) }
        #expect(throws: TokenError.tooManyGroups) { try Token(user: .system, groups: many, logonSession: 1) }
        let most = try Token(user: .system, groups: Array(many.dropLast()), logonSession: 1)
        #expect(try maximum("O:SYD:(A;;CC;;;S-1-22-2-1023)", most).contains(.readData))
        let entries = Array(repeating: ACE.allow(.everyone, 1), count: 3277)
        #expect(throws: DescriptorError.listTooLarge) { try ACL(entries) }
        #expect(try ACL(Array(entries.dropLast())).byteCount == 65_528)
    }
}
