// The two-letter words of SDDL for types, flags and rights (MS-DTYP 2.5.1.1), each table in the order in which
// Windows writes them.

enum SDDLWords {
    static let types: [(StaticString, ACEType)] = [
        ("A", .allow), ("D", .deny), ("OA", .allowObject), ("OD", .denyObject), ("AU", .audit),
        ("AL", .alarm),
        ("OU", .auditObject), ("OL", .alarmObject), ("XA", .allowCallback), ("XD", .denyCallback),
        ("ZA", .allowCallbackObject), ("XU", .auditCallback), ("ML", .mandatoryLabel),
        ("RA", .resourceAttribute), ("SP", .scopedPolicyID), ("TL", .processTrustLabel),
        ("FL", .accessFilter),
    ]

    static let flags: [(StaticString, UInt8)] = [
        ("OI", 0x01), ("CI", 0x02), ("NP", 0x04), ("IO", 0x08), ("ID", 0x10), ("CR", 0x20), ("SA", 0x40),
        ("FA", 0x80),
    ]

    /// The words that stand for one bit; any mask made of them alone is written with them.
    static let bits: [(StaticString, UInt32)] = [
        ("GA", 0x1000_0000), ("GR", 0x8000_0000), ("GW", 0x4000_0000), ("GX", 0x2000_0000), ("CC", 0x1),
        ("DC", 0x2), ("LC", 0x4), ("SW", 0x8), ("RP", 0x10), ("WP", 0x20), ("DT", 0x40), ("LO", 0x80),
        ("CR", 0x100), ("SD", 0x1_0000), ("RC", 0x2_0000), ("WD", 0x4_0000), ("WO", 0x8_0000),
        ("AS", 0x100_0000), ("MA", 0x200_0000),
    ]
    /// Those of the bits that are written as words; Samba reads no words for the last two.
    static let allBits: UInt32 = 0xf00f_01ff

    /// The words that stand for a whole mask; for writing they must match exactly.
    static let masks: [(StaticString, UInt32)] = [
        ("FA", 0x1f01ff), ("FR", 0x120089), ("FW", 0x120116), ("FX", 0x1200a0), ("KA", 0xf003f),
        ("KR", 0x20019), ("KW", 0x20006), ("KX", 0x20019),
    ]

    /// The policies of a mandatory label.
    static let policies: [(StaticString, UInt32)] = [("NW", 1), ("NR", 2), ("NX", 4)]

    /// What a right's two letters, as one big-endian number, stand for; `nil` if nothing.
    static func right(_ pair: UInt16) -> UInt32? {
        if let found = rights[Int(pair >> 8 &- 0x41) * 26 + Int(pair & 0xff &- 0x41)] as UInt32?, found != 0 {
            return found
        }
        return nil
    }

    private static let rights: [UInt32] = {
        var out = [UInt32](repeating: 0, count: 26 * 26)
        for (word, mask) in bits + masks + policies {
            out[Int(word.utf8Start[0] - 0x41) * 26 + Int(word.utf8Start[1] - 0x41)] = mask
        }
        return out
    }()
}
