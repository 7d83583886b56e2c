import AccessControl
import CSambaBaseline

private func account(_ rid: UInt32) throws -> SID { try SID(authority: 5, [21, 11, 22, 33, rid]) }

private func token(groups count: Int) throws -> Token {
    try Token(
        user: account(1000), groups: (0..<count).map { Token.Group(try account(2000 + UInt32($0))) },
        logonSession: 1)
}

/// A descriptor whose entries name strangers but for the last, which grants to the token's last group.
private func descriptor(entries: Int, lastGroup: UInt32) throws -> [UInt8] {
    var aces: [ACE] = []
    for index in 0..<entries - 1 { aces.append(.allow(try account(5000 + UInt32(index)), 0x1f01ff)) }
    aces.append(.allow(try account(2000 + lastGroup), 0x120089))
    return SecurityDescriptor(
        owner: try account(1), group: try account(2), dacl: .present(try ACL(aces))
    ).bytes
}

func accessCheckSuite() throws {
    var suite = Suite("access-check")
    typealias Files = AccessCheck<FileKind>
    let small = try descriptor(entries: 3, lastGroup: 7)
    let smallToken = try token(groups: 8)
    try suite.measure("3 entries, 8 groups, from bytes", limit: 100) {
        let decision = try Files.decide(small.span.bytes, token: smallToken, desired: .readData)
        precondition(decision.isAllowed)
    }
    let large = try descriptor(entries: 32, lastGroup: 31)
    let largeToken = try token(groups: 32)
    try suite.measure("32 entries, 32 groups, from bytes", limit: 600) {
        let decision = try Files.decide(large.span.bytes, token: largeToken, desired: .readData)
        precondition(decision.isAllowed)
    }
    for (entries, groups) in [(3, 8), (32, 32)] {
        let baseline = guise_samba_access_check_ns(Int32(entries), Int32(groups))
        suite.note("Samba, \(entries) entries, \(groups) groups, parsed before", baseline)
    }
    let hugeToken = try token(groups: 1000)
    try suite.measure("32 entries, 1000 groups, from bytes", baseline: "32 entries, 32 groups, from bytes") {
        let decision = try Files.decide(large.span.bytes, token: hugeToken, desired: .readData)
        precondition(decision.isAllowed)
    }
    try suite.measure("32 entries, 32 groups, MAXIMUM_ALLOWED") {
        let decision = try Files.decide(large.span.bytes, token: largeToken, desired: .maximumAllowed)
        precondition(decision.isAllowed)
    }
    let text = "O:SYG:SYD:P(A;OICI;FA;;;BA)(A;;FR;;;WD)(D;;CC;;;S-1-5-21-1-2-3-1001)"
    try suite.measure("SDDL parse, short descriptor") { blackHole(try SecurityDescriptor(sddl: text)) }
    let parsed = try SecurityDescriptor(sddl: text)
    suite.measure("SDDL print, short descriptor") { blackHole(parsed.sddl()) }
}

/// What three comparisons of a condition add to a check.
func conditionSuite() throws {
    var suite = Suite("conditions")
    typealias Files = AccessCheck<FileKind>
    var fields = Token.Fields(user: try account(1000), logonSession: 1)
    fields.groups = [Token.Group(.everyone)]
    fields.userClaims = [
        Claim(name: "Title", values: .string(["Manager"])), Claim(name: "Level", values: .int64([7])),
        Claim(name: "Department", values: .string(["Finance"])),
    ]
    let token = try Token(fields)
    let plain = try SecurityDescriptor(sddl: "O:SYD:(A;;FR;;;WD)").bytes
    let condition = "(@User.Title == \"manager\" && @User.Level >= 5 && @User.Department == \"Finance\")"
    let conditional = try SecurityDescriptor(sddl: "O:SYD:(XA;;FR;;;WD;\(condition))").bytes
    let base = try suite.measure("1 entry") {
        let decision = try Files.decide(plain.span.bytes, token: token, desired: .readData)
        precondition(decision.isAllowed)
    }
    try suite.measure("1 entry with three comparisons", limit: base + 500, baseline: "1 entry") {
        let decision = try Files.decide(conditional.span.bytes, token: token, desired: .readData)
        precondition(decision.isAllowed)
    }
}
