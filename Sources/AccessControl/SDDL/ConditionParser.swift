extension Condition {
    /// Reads the string form, in its parentheses: `(@User.Title=="PM" && Member_of {SID(BA)})`.
    ///
    /// - Throws: where the text stopped making sense, and what was expected there.
    public init(sddl: String, domain: SID? = nil) throws(SDDLError) {
        self = try SDDLScanner.read(sddl, domain: domain) { scanner throws(SDDLFailure) in
            try scanner.condition()
        }
    }
}

extension SDDLScanner {
    /// Reads a condition in its parentheses.
    mutating func condition() throws(SDDLFailure) -> Condition {
        let start = position
        try expect(UInt8(ascii: "("))
        let (root, depth) = try disjunction(nesting: 1)
        try expect(UInt8(ascii: ")"))
        let condition = Condition(root: root)
        guard depth <= Condition.maximumTreeDepth, condition.stackDepth <= ConditionCode.maximumDepth else {
            throw failure("a condition of fewer levels", at: start)
        }
        return condition
    }

    private typealias Part = (node: Condition.Node, depth: Int)

    private mutating func disjunction(nesting: Int) throws(SDDLFailure) -> Part {
        try chain(.or, nesting) { scanner, nesting throws(SDDLFailure) in
            try scanner.chain(.and, nesting) { scanner, nesting throws(SDDLFailure) in
                try scanner.term(nesting: nesting)
            }
        }
    }

    /// Reads operands joined by one operator of logic, the left ones first.
    private mutating func chain(
        _ operator: ConditionOperator, _ nesting: Int,
        _ next: (inout SDDLScanner, Int) throws(SDDLFailure) -> Part
    ) throws(SDDLFailure) -> Part {
        var left = try next(&self, nesting)
        while true {
            skipSpace()
            guard take(`operator`.spelling) else { return left }
            let right = try next(&self, nesting)
            left = (.binary(`operator`, left.node, right.node), max(left.depth, right.depth) + 1)
            guard left.depth <= Condition.maximumTreeDepth else { throw failure("fewer operators") }
        }
    }

    private mutating func term(nesting: Int) throws(SDDLFailure) -> Part {
        guard nesting <= ConditionCode.maximumDepth else { throw failure("fewer levels of parentheses") }
        skipSpace()
        if current == UInt8(ascii: "!"), peek(1) != UInt8(ascii: "=") {
            position += 1
            let operand = try term(nesting: nesting + 1)
            return (.unary(.not, operand.node), operand.depth + 1)
        }
        if take(UInt8(ascii: "(")) {
            let inner = try disjunction(nesting: nesting + 1)
            skipSpace()
            try expect(UInt8(ascii: ")"))
            return inner
        }
        if let `operator` = keyword(where: { $0.shape == .membership || $0.shape == .existence }) {
            skipSpace()
            guard `operator`.shape == .membership else {
                return (.unary(`operator`, try attribute()), 2)
            }
            return (.unary(`operator`, try sids()), 2)
        }
        let left = try attribute()
        skipSpace()
        guard let `operator` = comparison() else { return (left, 1) }
        skipSpace()
        return (.binary(`operator`, left, try operand()), 2)
    }

    /// Moves past a whole word that is one of the operators wanted.
    private mutating func keyword(where wanted: (ConditionOperator) -> Bool) -> ConditionOperator? {
        var end = position
        while end < utf8.count, Self.isWord(utf8[end]) { end += 1 }
        for `operator` in ConditionOperator.allCases where wanted(`operator`) {
            let word = `operator`.spelling
            guard word.utf8CodeUnitCount == end - position else { continue }
            let matches = (0..<word.utf8CodeUnitCount).allSatisfy {
                Self.upper(utf8[position + $0]) == Self.upper(word.utf8Start[$0])
            }
            guard matches else { continue }
            position = end
            return `operator`
        }
        return nil
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"): true
        default: false
        }
    }

    private mutating func comparison() -> ConditionOperator? {
        // The longer spellings first, or "<=" would be read as "<".
        for `operator` in [.equal, .notEqual, .lessOrEqual, .greaterOrEqual, .less, .greater]
            as [ConditionOperator]
        where take(`operator`.spelling) { return `operator` }
        return keyword { [.contains, .anyOf, .notContains, .notAnyOf].contains($0) }
    }

    private mutating func attribute() throws(SDDLFailure) -> Condition.Node {
        var scope = Condition.Scope.local
        if take("@USER.") {
            scope = .user
        } else if take("@DEVICE.") {
            scope = .device
        } else if take("@RESOURCE.") {
            scope = .resource
        } else if take("@LOCAL.") {
            scope = .local
        }
        let name = try attributeName(isSimple: scope == .local)
        guard !name.isEmpty else { throw failure("an attribute such as Title or @User.Title") }
        return .attribute(scope, name)
    }

    /// Reads an attribute's name; `%` and four digits stand for a code unit.
    private mutating func attributeName(isSimple: Bool) throws(SDDLFailure) -> [UInt16] {
        var units: [UInt16] = []
        while let byte = current {
            if byte == UInt8(ascii: "%") {
                units.append(try escapedUnit())
            } else if byte >= 0x80 {
                units += try character()
            } else if Self.isWord(byte) || Self.namePunctuation.contains(byte)
                || (!isSimple && Self.scopedPunctuation.contains(byte))
                || (byte == UInt8(ascii: "@") && !units.isEmpty)
            {
                units.append(UInt16(byte))
                position += 1
            } else {
                break
            }
        }
        return units
    }

    static let namePunctuation = Array(":./".utf8)
    private static let scopedPunctuation = Array("#$'*+-;?[\\]^`{}~".utf8)

    /// Reads `%` and four hexadecimal digits.
    mutating func escapedUnit() throws(SDDLFailure) -> UInt16 {
        var value: UInt16 = 0
        for distance in 1...4 {
            guard let digit = peek(distance)?.hexDigit else {
                throw failure("four hexadecimal digits", at: position + distance)
            }
            value = value << 4 | UInt16(digit)
        }
        position += 5
        return value
    }

    /// Reads one character beyond ASCII.
    private mutating func character() throws(SDDLFailure) -> [UInt16] {
        let end = utf8[(position + 1)...].firstIndex { $0 & 0xc0 != 0x80 } ?? utf8.count
        let units = Array(String(decoding: utf8[position..<end], as: UTF8.self).utf16)
        position = end
        return units
    }

    private mutating func operand() throws(SDDLFailure) -> Condition.Node {
        guard let byte = current else { throw failure("a value or an attribute") }
        if byte == UInt8(ascii: "{") { return .composite(try composite()) }
        if let literal = try literal() { return .literal(literal) }
        return try attribute()
    }

    private mutating func sids() throws(SDDLFailure) -> Condition.Node {
        let start = position
        guard current == UInt8(ascii: "{") else {
            guard case .sid(let sid)? = try literal() else {
                throw failure("SID(…) or {SID(…), …}", at: start)
            }
            return .literal(.sid(sid))
        }
        let literals = try composite()
        for case .sid in literals { continue }
        guard literals.allSatisfy({ if case .sid = $0 { true } else { false } }) else {
            throw failure("SIDs only", at: start)
        }
        return .composite(literals)
    }

    private mutating func composite() throws(SDDLFailure) -> [Condition.Literal] {
        try expect(UInt8(ascii: "{"))
        var out: [Condition.Literal] = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return out }
        while true {
            skipSpace()
            guard let literal = try literal() else { throw failure("a value") }
            out.append(literal)
            skipSpace()
            if take(UInt8(ascii: "}")) { return out }
            guard take(UInt8(ascii: ",")) else { throw failure("\",\" or \"}\"") }
        }
    }

    /// Reads a value; `nil` if none starts here.
    private mutating func literal() throws(SDDLFailure) -> Condition.Literal? {
        guard let byte = current else { return nil }
        switch byte {
        case UInt8(ascii: "\""): return .string(try quoted())
        case UInt8(ascii: "#"):
            position += 1
            return .octets(try octets())
        case UInt8(ascii: "+"), UInt8(ascii: "-"), 0x30...0x39: return try integer()
        default:
            guard Self.upper(byte) == UInt8(ascii: "S"), take("SID(") else { return nil }
            skipSpace()
            let sid = try sid()
            skipSpace()
            try expect(UInt8(ascii: ")"))
            return .sid(sid)
        }
    }

    private mutating func integer() throws(SDDLFailure) -> Condition.Literal {
        let isNegative = current == UInt8(ascii: "-")
        let hasSign = isNegative || current == UInt8(ascii: "+")
        if hasSign { position += 1 }
        let start = position
        let magnitude = try number(below: isNegative ? 1 << 63 : .max)
        let isPrefixed = utf8[start] == UInt8(ascii: "0") && position - start > 1
        let base: UInt8 = !isPrefixed ? 2 : utf8[start + 1] | 0x20 == UInt8(ascii: "x") ? 3 : 1
        return .integer(
            isNegative ? 0 &- magnitude : magnitude, width: ConditionCode.int64,
            sign: isNegative ? 2 : hasSign ? 1 : 3, base: base)
    }

    /// Reads a string in quotation marks, in which nothing is special.
    mutating func quoted() throws(SDDLFailure) -> [UInt16] {
        let start = position
        try expect(UInt8(ascii: "\""))
        guard let end = utf8[position...].firstIndex(of: UInt8(ascii: "\"")) else {
            throw failure("the end of the string", at: start)
        }
        let units = Array(String(decoding: utf8[position..<end], as: UTF8.self).utf16)
        position = end + 1
        return units
    }
}
