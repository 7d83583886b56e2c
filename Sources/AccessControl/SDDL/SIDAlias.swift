/// The two-letter names that SDDL has for well-known SIDs (MS-DTYP 2.5.1.1).
enum SIDAlias {
    /// What an alias stands for.
    enum Target: Sendable {
        /// One SID everywhere.
        case sid(SID)
        /// The account with this RID in the domain at hand.
        case inDomain(UInt32)
    }

    /// What each alias stands for, by its two letters as one big-endian number.
    static let byCode: [UInt16: Target] = {
        var out: [UInt16: Target] = [:]
        for (code, authority, subs) in fixed {
            out[number(code)] = .sid(SID(uncheckedAuthority: authority, subs))
        }
        for (code, rid) in inDomain { out[number(code)] = .inDomain(rid) }
        return out
    }()

    /// The alias of `sid`; `nil` if it has none.
    static func alias(of sid: SID, domain: SID?) -> StaticString? {
        if let alias = bySID[sid] { return alias }
        guard let domain, let rid = sid.rid, rid < 1000, sid.isMember(ofDomain: domain) else { return nil }
        return inDomain.first { $0.1 == rid }?.0
    }

    private static let bySID: [SID: StaticString] = {
        var out: [SID: StaticString] = [:]
        for (code, authority, subs) in fixed { out[SID(uncheckedAuthority: authority, subs)] = code }
        return out
    }()

    private static func number(_ code: StaticString) -> UInt16 {
        UInt16(code.utf8Start[0]) << 8 | UInt16(code.utf8Start[1])
    }

    private static let fixed: [(StaticString, UInt64, [UInt32])] = [
        ("WD", 1, [0]), ("CO", 3, [0]), ("CG", 3, [1]),
        ("OW", 3, [4]), ("NU", 5, [2]), ("IU", 5, [4]),
        ("SU", 5, [6]), ("AN", 5, [7]), ("ED", 5, [9]),
        ("PS", 5, [10]), ("AU", 5, [11]), ("RC", 5, [12]),
        ("SY", 5, [18]), ("LS", 5, [19]), ("NS", 5, [20]),
        ("WR", 5, [33]), ("BA", 5, [32, 544]), ("BU", 5, [32, 545]),
        ("BG", 5, [32, 546]), ("PU", 5, [32, 547]), ("AO", 5, [32, 548]),
        ("SO", 5, [32, 549]), ("PO", 5, [32, 550]), ("BO", 5, [32, 551]),
        ("RE", 5, [32, 552]), ("RU", 5, [32, 554]), ("RD", 5, [32, 555]),
        ("NO", 5, [32, 556]), ("MU", 5, [32, 558]), ("LU", 5, [32, 559]),
        ("IS", 5, [32, 568]), ("CY", 5, [32, 569]), ("ER", 5, [32, 573]),
        ("CD", 5, [32, 574]), ("RA", 5, [32, 575]), ("ES", 5, [32, 576]),
        ("MS", 5, [32, 577]), ("HA", 5, [32, 578]), ("AA", 5, [32, 579]),
        ("RM", 5, [32, 580]), ("UD", 5, [84, 0, 0, 0, 0, 0]), ("AC", 15, [2, 1]),
        ("LW", 16, [0x1000]), ("ME", 16, [0x2000]), ("MP", 16, [0x2100]),
        ("HI", 16, [0x3000]), ("SI", 16, [0x4000]), ("AS", 18, [1]),
        ("SS", 18, [2]),
    ]

    private static let inDomain: [(StaticString, UInt32)] = [
        ("RO", 498), ("LA", 500), ("LG", 501), ("DA", 512), ("DU", 513), ("DG", 514),
        ("DC", 515), ("DD", 516), ("CA", 517), ("SA", 518), ("EA", 519), ("PA", 520),
        ("CN", 522), ("AP", 525), ("KA", 526), ("EK", 527), ("RS", 553),
    ]
}
