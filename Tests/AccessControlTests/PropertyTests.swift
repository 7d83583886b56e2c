import AccessControl
import Testing

@Suite struct PropertyTests {
    typealias Files = AccessCheck<FileKind>

    static let seed = UInt64.random(in: 0...UInt64.max)
    static let count = 3000

    func forAll(_ body: (inout Seeded) throws -> Void) rethrows {
        var rng = Seeded(state: Self.seed)
        for _ in 0..<Self.count { try body(&rng) }
    }

    @Test func bytesAndTextAreReadAsTheyWereWritten() throws {
        try forAll { rng in
            let descriptor = Generate.descriptor(&rng)
            let again = try SecurityDescriptor(bytes: descriptor.bytes)
            #expect(again == descriptor && again.bytes == descriptor.bytes, "seed \(Self.seed)")
            let text = descriptor.sddl()
            let parsed = try SecurityDescriptor(sddl: text)
            // SDDL has words for the flags of inheritance only.
            #expect(parsed.owner == descriptor.owner && parsed.group == descriptor.group, "\(text)")
            #expect(parsed.dacl.aces == descriptor.dacl.aces && parsed.sacl == descriptor.sacl, "\(text)")
            #expect(parsed.sddl() == text)
        }
    }

    @Test func explanationAgreesWithTheDecisionOnEveryBit() throws {
        try forAll { rng in
            let (descriptor, token) = (Generate.descriptor(&rng), try Token(Generate.fields(&rng)))
            let desired = Generate.desired(&rng)
            let context = AccessContext(
                intent: AccessIntent(rawValue: UInt8.random(in: 0..<4, using: &rng)),
                principalSelf: Generate.sid(&rng))
            let decision = try Files.decide(descriptor, token: token, desired: desired, context: context)
            let why = try Files.explain(descriptor, token: token, desired: desired, context: context)
            let asked = desired.mapped.subtracting(.maximumAllowed)
            let granted = why.rights.filter(\.isGranted).reduce(into: AccessMask<FileKind>()) {
                $0.formUnion($1.mask)
            }
            let isAllowed = asked.isSubset(of: granted) && !(granted.isEmpty && !desired.isEmpty)
            #expect(
                isAllowed == decision.isAllowed, "seed \(Self.seed): \(descriptor.sddl()) \(desired) \(why)")
            if decision.isAllowed {
                #expect(decision.granted.intersection(.allAccess.union(asked)) == granted)
            }
        }
    }

    @Test func maximumAllowedIsWhatIsGrantedBitByBit() throws {
        try forAll { rng in
            let (descriptor, token) = (Generate.descriptor(&rng), try Token(Generate.fields(&rng)))
            let most = try Files.decide(descriptor, token: token, desired: .maximumAllowed)
            for bit in 0..<21 {
                let right = AccessMask<FileKind>(rawValue: 1 << UInt32(bit))
                // What the kind does not have is not asked for by MAXIMUM_ALLOWED where there is no DACL.
                if descriptor.dacl.acl == nil, !right.isSubset(of: .allAccess) { continue }
                let single = try Files.decide(descriptor, token: token, desired: right)
                #expect(
                    single.isAllowed == right.isSubset(of: most.granted),
                    "seed \(Self.seed): \(descriptor.sddl())")
            }
        }
    }

    @Test func moreGroupsNeverLoseAnAllowButByADeny() throws {
        try forAll { rng in
            var descriptor = Generate.descriptor(&rng)
            guard let acl = descriptor.dacl.acl else { return }
            // Without refusals, and without conditions that ask for absence, groups only add; OWNER RIGHTS replaces.
            let kept = acl.aces.filter { $0.type == .allow && $0.sid != .ownerRights }
            descriptor.dacl = .present(try ACL(kept))
            var fields = Generate.fields(&rng)
            let before = try Files.decide(descriptor, token: Token(fields), desired: .maximumAllowed)
            fields.groups.append(Token.Group(Generate.sid(&rng)))
            let after = try Files.decide(descriptor, token: Token(fields), desired: .maximumAllowed)
            #expect(before.granted.isSubset(of: after.granted), "seed \(Self.seed): \(descriptor.sddl())")
        }
    }

    @Test func restrictionsAndConfinementOnlyNarrow() throws {
        try forAll { rng in
            let descriptor = Generate.descriptor(&rng)
            var fields = Generate.fields(&rng)
            let narrow = try Files.decide(descriptor, token: Token(fields), desired: .maximumAllowed)
            (fields.restrictingSIDs, fields.appContainer) = ([], nil)
            let wide = try Files.decide(descriptor, token: Token(fields), desired: .maximumAllowed)
            #expect(narrow.granted.isSubset(of: wide.granted), "seed \(Self.seed): \(descriptor.sddl())")
        }
    }

    @Test func theOrderOfEqualEntriesIsIrrelevant() throws {
        try forAll { rng in
            var descriptor = Generate.descriptor(&rng)
            let token = try Token(Generate.fields(&rng))
            let allows = descriptor.dacl.aces.filter(\.type.isAllow)
            descriptor.dacl = .present(try ACL(allows))
            let one = try Files.decide(descriptor, token: token, desired: .maximumAllowed)
            descriptor.dacl = .present(try ACL(allows.shuffled(using: &rng)))
            #expect(
                try Files.decide(descriptor, token: token, desired: .maximumAllowed).granted == one.granted)
        }
    }

    @Test func propagatingTwiceIsPropagatingOnce() throws {
        try forAll { rng in
            let (parent, child) = (Generate.descriptor(&rng), Generate.descriptor(&rng))
            let isContainer = Bool.random(using: &rng)
            let once = try parent.propagating(to: child, isContainer: isContainer)
            #expect(try parent.propagating(to: once, isContainer: isContainer) == once, "seed \(Self.seed)")
            let explicit = { (descriptor: SecurityDescriptor) in
                descriptor.dacl.aces.filter { !$0.flags.contains(.inherited) }
            }
            #expect(explicit(once) == explicit(child))
        }
    }

    @Test func aNewChildIsLikeAPropagatedOne() throws {
        try forAll { rng in
            var parent = Generate.descriptor(&rng, inheritable: true)
            parent.control = []
            let token = try Token(Generate.fields(&rng))
            let isContainer = Bool.random(using: &rng)
            let child = try SecurityDescriptor.inheriting(
                parent: parent, isContainer: isContainer, token: token)
            guard child.control.contains(.daclAutoInherited) else { return }
            #expect(try parent.propagating(to: child, isContainer: isContainer).dacl == child.dacl)
        }
    }

    @Test func theRootOfATreeIsGrantedWhatAllItsNodesAre() throws {
        let tree = try #require(
            ObjectTree([.init(level: 0, type: Generate.guids[0]), .init(level: 1, type: Generate.guids[1])]))
        try forAll { rng in
            let (descriptor, token) = (Generate.descriptor(&rng), try Token(Generate.fields(&rng)))
            let bytes = descriptor.bytes
            let each = try Files.decideEach(
                bytes.span.bytes, token: token, desired: .maximumAllowed, tree: tree)
            #expect(each[0].granted.isSubset(of: each[1].granted), "seed \(Self.seed): \(descriptor.sddl())")
        }
    }
}
