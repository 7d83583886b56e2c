import AccessControl

/// A generator of random numbers that gives the same ones for the same seed (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

/// Random values of the model, small enough that SIDs and bits meet.
enum Generate {
    static let sids: [SID] =
        [
            .everyone, .creatorOwner, .creatorGroup, .ownerRights, .principalSelf, .system, .administrators,
            .users,
        ]
        + (1000..<1006).map { SID("S-1-5-21-1-2-3-\($0)")! }

    static let conditions = [
        "(Member_of {SID(BA)})", "(@User.A == 1)", "(@User.Gone == 1)", "(Exists @User.A && !(@User.A > 3))",
        "(@User.T Contains {\"x\", \"y\"} || Not_Member_of {SID(WD)})",
    ].map { try! Condition(sddl: $0) }

    static let guids = [
        GUID("bf967aba-0de6-11d0-a285-00aa003049e2")!, GUID("00299570-246d-11d0-a768-00aa006e0529")!,
    ]

    static func sid(_ rng: inout Seeded) -> SID { sids.randomElement(using: &rng)! }

    static func mask(_ rng: inout Seeded) -> UInt32 {
        switch Int.random(in: 0..<4, using: &rng) {
        case 0: 1 << UInt32.random(in: 0..<21, using: &rng)
        case 1: [0x1000_0000, 0x8000_0000, 0x4000_0000, 0x2000_0000].randomElement(using: &rng)!
        default: UInt32.random(in: 0...0x1f_ffff, using: &rng)
        }
    }

    static func ace(_ rng: inout Seeded, inheritable: Bool = true) -> ACE {
        var flags = ACEFlags(rawValue: inheritable ? UInt8.random(in: 0..<32, using: &rng) : 0)
        if Bool.random(using: &rng) { flags.subtract(.inheritOnly) }
        let (sid, mask) = (sid(&rng), mask(&rng))
        switch Int.random(in: 0..<8, using: &rng) {
        case 0...2: return .allow(sid, mask, flags: flags)
        case 3, 4: return .deny(sid, mask, flags: flags)
        case 5:
            let type: ACEType = Bool.random(using: &rng) ? .allowCallback : .denyCallback
            return ACE.conditional(type, sid, mask, conditions.randomElement(using: &rng)!, flags: flags)!
        case 6:
            let type: ACEType = Bool.random(using: &rng) ? .allowObject : .denyObject
            let object = ACE.ObjectPart(
                objectType: (guids.map { $0 as GUID? } + [nil]).randomElement(using: &rng)!,
                inheritedObjectType: Bool.random(using: &rng) ? guids[0] : nil)
            return ACE(type: type, flags: flags, mask: mask, sid: sid, object: object)!
        default:
            return ACE(
                unknownType: ACEType(rawValue: 0x40), flags: flags, body: [1, 2, 3, UInt8(mask & 0xff)])!
        }
    }

    static func descriptor(_ rng: inout Seeded, inheritable: Bool = true) -> SecurityDescriptor {
        let aces = (0..<Int.random(in: 0..<8, using: &rng)).map { _ in ace(&rng, inheritable: inheritable) }
        let dacl: SecurityDescriptor.List =
            switch Int.random(in: 0..<20, using: &rng) {
            case 0: .absent
            case 1: .null
            default: .present(try! ACL(aces))
            }
        var sacl: [ACE] = []
        if Int.random(in: 0..<3, using: &rng) == 0 {
            let levels: [IntegrityLevel] = [.low, .medium, .high]
            let policy = MandatoryPolicy(rawValue: UInt32.random(in: 0..<8, using: &rng))
            sacl.append(.mandatoryLabel(levels.randomElement(using: &rng)!, policy))
        }
        if Int.random(in: 0..<4, using: &rng) == 0 {
            sacl.append(ACE(type: .audit, flags: [.successfulAccess], mask: mask(&rng), sid: sid(&rng))!)
        }
        return SecurityDescriptor(
            owner: sid(&rng), group: sid(&rng), dacl: dacl,
            sacl: sacl.isEmpty ? .absent : .present(try! ACL(sacl)),
            control: SecurityDescriptor.Control(rawValue: UInt16.random(in: 0...0x3f, using: &rng) << 8))
    }

    static func fields(_ rng: inout Seeded) -> Token.Fields {
        let levels: [IntegrityLevel] = [.low, .medium, .high, .system]
        var fields = Token.Fields(
            user: sids[6 + Int.random(in: 0..<8, using: &rng)], integrity: levels.randomElement(using: &rng)!,
            logonSession: 1)
        let attributes: [Token.Group.Attributes] = [.usual, .usual, .usual, .denyOnly, []]
        fields.groups = (0..<Int.random(in: 0..<5, using: &rng)).map { _ in
            Token.Group(sid(&rng), attributes.randomElement(using: &rng)!)
        }
        let held = PrivilegeSet(
            [Privilege.security, .takeOwnership, .backup, .restore, .relabel].filter { _ in
                Int.random(in: 0..<5, using: &rng) == 0
            })
        fields.privileges = Token.Privileges(present: held, enabled: held)
        if Int.random(in: 0..<5, using: &rng) == 0 {
            fields.restrictingSIDs = (0..<3).map { _ in Token.Group(sid(&rng)) }
            fields.isWriteRestricted = Bool.random(using: &rng)
        }
        if Int.random(in: 0..<8, using: &rng) == 0 { fields.appContainer = sid(&rng) }
        if Bool.random(using: &rng) { fields.userClaims = [Claim(name: "A", values: .int64([1]))] }
        return fields
    }

    static func desired(_ rng: inout Seeded) -> AccessMask<FileKind> {
        var bits = mask(&rng)
        if Int.random(in: 0..<4, using: &rng) == 0 { bits |= 0x0200_0000 }
        if Int.random(in: 0..<8, using: &rng) == 0 { bits |= 0x0100_0000 }
        return AccessMask(rawValue: bits)
    }
}
