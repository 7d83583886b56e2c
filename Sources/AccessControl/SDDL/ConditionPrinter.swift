extension Condition: CustomStringConvertible {
    /// The string form, in its parentheses.
    public func sddl(domain: SID? = nil) -> String {
        var out: [UInt8] = []
        out.append(self, domain)
        return String(decoding: out, as: UTF8.self)
    }

    /// The string form, in its parentheses.
    public var description: String { sddl() }
}

extension Condition {
    /// Whether the text says all there is to say: SDDL has one width of integers, no quotation marks in
    /// strings, and a place for each kind of operand.
    var isFaithful: Bool { stackDepth <= ConditionCode.maximumDepth && Self.isLogic(root, nesting: 1) }

    private static func isLogic(_ node: Node, nesting: Int) -> Bool {
        guard nesting <= ConditionCode.maximumDepth / 2 else { return false }
        switch node {
        case .attribute(_, let name): return isFaithful(name)
        case .unary(.not, let operand): return isLogic(operand, nesting: nesting + 1)
        case .binary(.and, let left, let right), .binary(.or, let left, let right):
            // Chains to the left need no parentheses and may be long.
            return isLogic(left, nesting: nesting + (rank(left) < rank(node) ? 1 : 0))
                && isLogic(right, nesting: nesting + 1)
        case .unary(let `operator`, let operand):
            if `operator`.shape == .existence { return isAttribute(operand) }
            if case .literal(.sid) = operand { return true }
            guard case .composite(let literals) = operand else { return false }
            return literals.allSatisfy { if case .sid = $0 { true } else { false } }
        case .binary(_, let left, let right):
            guard isAttribute(left) else { return false }
            switch right {
            case .literal(let literal): return isFaithful(literal)
            case .composite(let literals): return literals.allSatisfy(isFaithful)
            default: return isAttribute(right)
            }
        default: return false
        }
    }

    /// How tightly a node holds together; what is looser than its surroundings needs parentheses.
    fileprivate static func rank(_ node: Node) -> Int {
        switch node {
        case .binary(.or, _, _): 1
        case .binary(.and, _, _): 2
        default: 3
        }
    }

    private static func isAttribute(_ node: Node) -> Bool {
        if case .attribute(_, let name) = node { isFaithful(name) } else { false }
    }

    private static func isFaithful(_ name: [UInt16]) -> Bool { !name.isEmpty }

    private static func isFaithful(_ literal: Literal) -> Bool {
        switch literal {
        case .integer(_, let width, _, _): width == ConditionCode.int64
        case .string(let units):
            !units.contains(0x22) && Array(String(decoding: units, as: UTF16.self).utf16) == units
        case .octets, .sid: true
        }
    }
}

extension [UInt8] {
    /// Whether the text of an attribute says all there is to say: strings have no way to hold a quotation mark.
    func isFaithful(_ claim: Claim) -> Bool {
        guard case .string(let values) = claim.values else { return true }
        return !values.contains { $0.utf16.contains(0x22) }
    }

    mutating func append(_ condition: Condition, _ domain: SID?) {
        append("(")
        append(condition.root, domain, above: 0)
        append(")")
    }

    private mutating func append(_ node: Condition.Node, _ domain: SID?, above rank: Int) {
        let isLoose = Condition.rank(node) <= rank
        if isLoose { append("(") }
        switch node {
        case .attribute(let scope, let name): append(scope, name)
        case .literal(let literal): append(literal, domain)
        case .composite(let literals):
            append("{")
            for (index, literal) in literals.enumerated() {
                if index > 0 { append(", ") }
                append(literal, domain)
            }
            append("}")
        case .unary(.not, let operand):
            append("!(")
            append(operand, domain, above: 0)
            append(")")
        case .unary(let `operator`, let operand):
            append(`operator`.spelling)
            append(" ")
            append(operand, domain, above: 0)
        case .binary(let `operator`, let left, let right):
            let own = Condition.rank(node)
            append(left, domain, above: own == 3 ? 0 : own - 1)
            append(" ")
            append(`operator`.spelling)
            append(" ")
            append(right, domain, above: own == 3 ? 0 : own)
        }
        if isLoose { append(")") }
    }

    private mutating func append(_ scope: Condition.Scope, _ name: [UInt16]) {
        switch scope {
        case .local: break
        case .user: append("@User.")
        case .device: append("@Device.")
        case .resource: append("@Resource.")
        }
        let text = String(decoding: name, as: UTF16.self)
        let isKeyword = ConditionOperator.allCases.contains {
            $0.spelling.description.lowercased() == text.lowercased()
        }
        for (index, unit) in name.enumerated() {
            let isDigit = (0x30...0x39).contains(unit)
            let isPlain =
                isDigit || (0x41...0x5a).contains(unit) || (0x61...0x7a).contains(unit) || unit == 0x5f
                || (unit < 0x80 && SDDLScanner.namePunctuation.contains(UInt8(unit)))
                || (unit == 0x2d && scope != .local)
            // What would be read as a number or an operator is written so that it is not.
            if isPlain, !(index == 0 && scope == .local && (isDigit || isKeyword)) {
                append(UInt8(unit))
            } else {
                append(escaping: unit)
            }
        }
    }

    /// Appends `%` and the four digits of a code unit.
    mutating func append(escaping unit: UInt16) {
        append("%")
        append(octets: [UInt8(unit >> 8), UInt8(unit & 0xff)])
    }

    private mutating func append(_ literal: Condition.Literal, _ domain: SID?) {
        switch literal {
        case .integer(let bits, _, let sign, let base):
            if sign == 2 { append("-") }
            if sign == 1 { append("+") }
            let magnitude = sign == 2 ? 0 &- bits : bits
            switch base {
            case 1: append(contentsOf: ("0" + String(magnitude, radix: 8)).utf8)
            case 3: append(hex: magnitude)
            default: append(decimal: magnitude)
            }
        case .string(let units):
            append("\"")
            append(contentsOf: String(decoding: units, as: UTF16.self).utf8)
            append("\"")
        case .octets(let octets):
            append("#")
            append(octets: octets)
        case .sid(let sid):
            append("SID(")
            append(sid, domain)
            append(")")
        }
    }
}
