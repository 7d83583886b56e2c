extension ConditionEvaluator {
    /// Reads an operand at `position` and moves past it; `nil` if it is malformed.
    func operand(_ byte: UInt8, _ position: inout Int, _ budget: inout Int) -> Item? {
        switch byte {
        case ConditionCode.int8...ConditionCode.int64, ConditionCode.string, ConditionCode.octets,
            ConditionCode.sid:
            return Self.literal(code, &position).map { .literal($0) }
        case ConditionCode.composite:
            guard let body = Self.counted(code, &position), Self.count(body) != nil else { return nil }
            return .composite(body)
        case ConditionCode.localAttribute, ConditionCode.userAttribute, ConditionCode.resourceAttribute,
            ConditionCode.deviceAttribute:
            guard let body = Self.counted(code, &position), body.count & 1 == 0, body.count > 0 else {
                return nil
            }
            guard budget > 0 else { return nil }
            return attribute(byte, RawString(bytes: body), &budget).map { .claim($0) } ?? .missing
        default: return nil
        }
    }

    private func attribute(_ byte: UInt8, _ name: RawString, _ budget: inout Int) -> RawClaim? {
        switch byte {
        case ConditionCode.userAttribute: token.userClaims?.claim(named: name, denying: denying)
        case ConditionCode.deviceAttribute: token.deviceClaims?.claim(named: name, denying: denying)
        case ConditionCode.localAttribute: token.localClaims?.claim(named: name, denying: denying)
        default: resourceAttribute(name, &budget)
        }
    }

    /// The first attribute of this name among the resource attributes of the SACL.
    private func resourceAttribute(_ name: RawString, _ budget: inout Int) -> RawClaim? {
        guard let sacl else { return nil }
        var cursor = sacl.makeCursor()
        while let ace = cursor.next() {
            budget -= 1
            guard ace.type == .resourceAttribute, !ace.flags.contains(.inheritOnly) else { continue }
            budget -= ace.size >> 3
            guard budget > 0 else { return nil }
            guard let claim = RawClaim(ace.applicationData), !claim.flags.contains(.disabled),
                claim.name.compare(name, caseSensitive: false) == 0
            else { continue }
            return claim
        }
        return nil
    }

    /// The bytes after a token byte and a length, past which `position` moves; `nil` if they do not fit.
    static func counted(_ code: UnsafeRawBufferPointer, _ position: inout Int) -> UnsafeRawBufferPointer? {
        guard code.count - position >= 5 else { return nil }
        let length = Int(code.load(UInt32.self, at: position + 1))
        guard length <= code.count - position - 5 else { return nil }
        let body = code.part(position + 5..<position + 5 + length)
        position += 5 + length
        return body
    }

    /// Reads a literal that is not a composite; `nil` if it is malformed.
    static func literal(_ code: UnsafeRawBufferPointer, _ position: inout Int) -> Scalar? {
        guard position < code.count else { return nil }
        switch code[position] {
        case ConditionCode.int8...ConditionCode.int64:
            guard code.count - position >= 11 else { return nil }
            let value = code.load(UInt64.self, at: position + 1)
            let (sign, base) = (code[position + 9], code[position + 10])
            guard (1...3).contains(sign), (1...3).contains(base) else { return nil }
            position += 11
            // Sign 2 says that the value is negative; otherwise the top bit is a digit like the others.
            if sign != 2 { return .integer(SignedMagnitude(value)) }
            return Int64(bitPattern: value) <= 0 ? .integer(SignedMagnitude(Int64(bitPattern: value))) : nil
        case ConditionCode.string:
            guard let body = counted(code, &position), body.count & 1 == 0 else { return nil }
            return .string(RawString(bytes: body))
        case ConditionCode.octets:
            guard let body = counted(code, &position) else { return nil }
            return .octets(body)
        case ConditionCode.sid:
            guard let body = counted(code, &position), let sid = RawSID(validating: body),
                sid.byteCount == body.count
            else { return nil }
            return .sid(sid)
        default: return nil
        }
    }

    /// The number of literals in a composite; `nil` if one is malformed.
    static func count(_ composite: UnsafeRawBufferPointer) -> Int? {
        var position = 0
        var count = 0
        while position < composite.count {
            guard literal(composite, &position) != nil else { return nil }
            count += 1
        }
        return count
    }
}

/// Walks the values of an operand.
struct ValueCursor {
    private let item: ConditionEvaluator.Item
    /// How many there are in all.
    let count: Int
    private var index = 0
    private var position = 0

    init(_ item: ConditionEvaluator.Item) {
        self.item = item
        switch item {
        case .literal: count = 1
        case .composite(let body): count = ConditionEvaluator.count(body) ?? 0
        case .claim(let claim): count = claim.count
        default: count = 0
        }
    }

    mutating func next() -> Scalar? {
        guard index < count else { return nil }
        index += 1
        switch item {
        case .literal(let scalar): return scalar
        case .composite(let body): return ConditionEvaluator.literal(body, &position)
        case .claim(let claim): return claim.scalar(at: index - 1)
        default: return nil
        }
    }
}
