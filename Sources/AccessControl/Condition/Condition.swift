/// A conditional expression: what a callback entry asks of user, device and resource before it counts
/// (MS-DTYP 2.4.4.17).
public struct Condition: Hashable, Sendable {
    let root: Node

    /// A part of an expression.
    indirect enum Node: Hashable, Sendable {
        case attribute(Scope, [UInt16])
        case literal(Literal)
        case composite([Literal])
        case unary(ConditionOperator, Node)
        case binary(ConditionOperator, Node, Node)
    }

    /// Whose attribute is meant, by the byte that says so.
    enum Scope: UInt8, Sendable {
        case local = 0xf8
        case user = 0xf9
        case resource = 0xfa
        case device = 0xfb
    }

    /// A value as it stands in the expression, with what is needed to write it as it was.
    enum Literal: Hashable, Sendable {
        /// The bits, the byte of the width, and how the number was written.
        case integer(UInt64, width: UInt8, sign: UInt8, base: UInt8)
        case string([UInt16])
        case octets([UInt8])
        case sid(SID)
    }

    /// How deep the tree of an expression may be.
    static let maximumTreeDepth = 512

    init(root: Node) { self.root = root }

    /// The binary form, signature and padding included, as it follows the SID of an entry.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.appendLittleEndian(ConditionCode.signature)
        Self.append(root, to: &out)
        out.pad(to: 4)
        return out
    }

    /// Reads the binary form; `nil` if it is malformed, or deeper than 512.
    public init?(bytes: [UInt8]) {
        let node: Node? = bytes.withUnsafeBytes { Self.read($0) }
        guard let node else { return nil }
        root = node
    }

    /// The value of the condition for a token, on an object with these resource attributes.
    ///
    /// - Parameter denying: whether it stands in an entry that refuses, so that deny-only groups and claims count.
    public func evaluate(for token: Token, resource: SecurityDescriptor? = nil, denying: Bool = false)
        -> Truth
    {
        let code = bytes
        let sacl = resource?.sacl.acl?.bytes
        return code.withUnsafeBytes { code in
            (sacl ?? []).withUnsafeBytes { list in
                var budget = ConditionCode.workBudget
                let raw = sacl == nil ? nil : list.baseAddress.map { RawACL(start: $0) }
                return ConditionEvaluator(
                    code: code, token: token.storage, sacl: raw, roles: denying ? .deny : .allow,
                    denying: denying
                ).evaluate(budget: &budget)
            }
        }
    }

    /// How many values are on the evaluator's stack at most.
    var stackDepth: Int { Self.stackDepth(root) }

    private static func stackDepth(_ node: Node) -> Int {
        switch node {
        case .attribute, .literal, .composite: 1
        case .unary(_, let operand): stackDepth(operand)
        case .binary(_, let left, let right): max(stackDepth(left), 1 + stackDepth(right))
        }
    }
}

extension Condition {
    private static func append(_ node: Node, to out: inout [UInt8]) {
        switch node {
        case .attribute(let scope, let name):
            out.append(scope.rawValue)
            append(name, to: &out)
        case .literal(let literal): append(literal, to: &out)
        case .composite(let literals):
            var body: [UInt8] = []
            for literal in literals { append(literal, to: &body) }
            out.append(ConditionCode.composite)
            out.appendLittleEndian(UInt32(truncatingIfNeeded: body.count))
            out += body
        case .unary(let `operator`, let operand):
            append(operand, to: &out)
            out.append(`operator`.rawValue)
        case .binary(let `operator`, let left, let right):
            append(left, to: &out)
            append(right, to: &out)
            out.append(`operator`.rawValue)
        }
    }

    private static func append(_ literal: Literal, to out: inout [UInt8]) {
        switch literal {
        case .integer(let bits, let width, let sign, let base):
            out.append(width)
            out.appendLittleEndian(bits)
            out += [sign, base]
        case .string(let units):
            out.append(ConditionCode.string)
            append(units, to: &out)
        case .octets(let octets):
            out.append(ConditionCode.octets)
            out.appendLittleEndian(UInt32(truncatingIfNeeded: octets.count))
            out += octets
        case .sid(let sid):
            out.append(ConditionCode.sid)
            out.appendLittleEndian(UInt32(sid.byteCount))
            sid.append(to: &out)
        }
    }

    private static func append(_ units: [UInt16], to out: inout [UInt8]) {
        out.appendLittleEndian(UInt32(truncatingIfNeeded: units.count * 2))
        for unit in units { out.appendLittleEndian(unit) }
    }

    private static func read(_ code: UnsafeRawBufferPointer) -> Node? {
        guard code.count >= 4, code.load(UInt32.self, at: 0) == ConditionCode.signature else { return nil }
        var stack: [(node: Node, depth: Int)] = []
        var position = 4
        while position < code.count {
            let byte = code[position]
            if byte == ConditionCode.padding {
                guard code[position...].allSatisfy({ $0 == 0 }) else { return nil }
                break
            }
            guard let `operator` = ConditionOperator(rawValue: byte) else {
                guard let node = operand(code, byte, &position) else { return nil }
                stack.append((node, 1))
                continue
            }
            position += 1
            guard let right = stack.popLast() else { return nil }
            switch `operator`.shape {
            case .comparison, .binaryLogic:
                guard let left = stack.popLast() else { return nil }
                stack.append((.binary(`operator`, left.node, right.node), max(left.depth, right.depth) + 1))
            default: stack.append((.unary(`operator`, right.node), right.depth + 1))
            }
            guard let last = stack.last, last.depth <= maximumTreeDepth else { return nil }
        }
        return stack.count == 1 ? stack.first?.node : nil
    }

    private static func operand(_ code: UnsafeRawBufferPointer, _ byte: UInt8, _ position: inout Int) -> Node?
    {
        if let scope = Scope(rawValue: byte) {
            guard let body = ConditionEvaluator.counted(code, &position), body.count & 1 == 0, body.count > 0
            else { return nil }
            return .attribute(scope, RawString(bytes: body).units)
        }
        guard byte == ConditionCode.composite else { return literal(code, &position).map { .literal($0) } }
        guard let body = ConditionEvaluator.counted(code, &position) else { return nil }
        var literals: [Literal] = []
        var inner = 0
        while inner < body.count {
            guard let literal = literal(body, &inner) else { return nil }
            literals.append(literal)
        }
        return .composite(literals)
    }

    private static func literal(_ code: UnsafeRawBufferPointer, _ position: inout Int) -> Literal? {
        let start = position
        guard let scalar = ConditionEvaluator.literal(code, &position) else { return nil }
        switch scalar {
        case .integer:
            return .integer(
                code.load(UInt64.self, at: start + 1), width: code[start], sign: code[start + 9],
                base: code[start + 10])
        case .string(let string): return .string(string.units)
        case .octets(let octets): return .octets(Array(octets))
        case .sid(let sid): return .sid(sid.copied)
        case .boolean: return nil
        }
    }
}

extension RawString {
    /// The code units.
    var units: [UInt16] { (0..<count).map { self[$0] } }
}

extension ACE {
    /// An entry that counts only where a condition holds.
    ///
    /// - Returns: `nil` if `type` is not a callback type.
    public static func conditional(
        _ type: ACEType, _ sid: SID, _ mask: UInt32, _ condition: Condition, flags: ACEFlags = []
    ) -> ACE? {
        guard type.isCallback else { return nil }
        return ACE(type: type, flags: flags, mask: mask, sid: sid, applicationData: condition.bytes)
    }

    /// The condition of a callback entry; `nil` for other entries, and for data that is no condition.
    public var condition: Condition? {
        guard type.isCallback, let entry else { return nil }
        return Condition(bytes: entry.applicationData)
    }
}
