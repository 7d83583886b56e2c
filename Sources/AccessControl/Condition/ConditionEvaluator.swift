/// Evaluates the bytes of a conditional expression: a stack machine over values that stay where they are.
///
/// Nothing is allocated, everything read is checked against the bounds, and whatever is malformed, too deep or
/// too much work makes the condition unknown.
struct ConditionEvaluator {
    let code: UnsafeRawBufferPointer
    let token: Token.Storage
    let sacl: RawACL?
    /// Which SIDs count for Member_of.
    let roles: SIDTable.Roles
    /// Whether the entry refuses, so that deny-only claims count.
    let denying: Bool

    /// What is on the stack.
    enum Item {
        case nothing
        case truth(Truth)
        /// A literal that is not a composite.
        case literal(Scalar)
        /// The literals of a composite, validated.
        case composite(UnsafeRawBufferPointer)
        case claim(RawClaim)
        /// An attribute that is not there.
        case missing
    }

    /// The value of the expression after its signature; unknown if there is none.
    func evaluate(budget: inout Int) -> Truth {
        guard code.count >= 4, code.load(UInt32.self, at: 0) == ConditionCode.signature else {
            return .unknown
        }
        var stack = InlineArray<64, Item>(repeating: .nothing)
        var depth = 0
        var position = 4
        while position < code.count {
            let byte = code[position]
            if byte == ConditionCode.padding {
                // Padding only ends an expression.
                guard code[position...].allSatisfy({ $0 == 0 }) else { return .unknown }
                break
            }
            if let `operator` = ConditionOperator(rawValue: byte) {
                position += 1
                let operands = `operator`.shape == .comparison || `operator`.shape == .binaryLogic ? 2 : 1
                guard depth >= operands else { return .unknown }
                let last = stack[depth - 1]
                let first = operands == 2 ? stack[depth - 2] : last
                guard let truth = apply(`operator`, first, last, &budget) else { return .unknown }
                depth -= operands - 1
                stack[depth - 1] = .truth(truth)
            } else {
                guard depth < ConditionCode.maximumDepth, let item = operand(byte, &position, &budget) else {
                    return .unknown
                }
                stack[depth] = item
                depth += 1
            }
        }
        guard depth == 1 else { return .unknown }
        return Self.truth(of: stack[0]) ?? .unknown
    }

    /// Applies an operator; `nil` if its operands are not of a kind it takes.
    private func apply(_ operator: ConditionOperator, _ first: Item, _ last: Item, _ budget: inout Int)
        -> Truth?
    {
        switch `operator`.shape {
        case .binaryLogic:
            guard let left = Self.truth(of: first), let right = Self.truth(of: last) else { return nil }
            return `operator` == .and ? left & right : left | right
        case .negation:
            guard let truth = Self.truth(of: last) else { return nil }
            return !truth
        case .existence:
            switch last {
            case .claim: return Truth(`operator` == .exists)
            case .missing: return Truth(`operator` == .notExists)
            default: return nil
            }
        case .membership: return membership(`operator`, last)
        case .comparison: return compare(`operator`, first, last, &budget)
        }
    }

    /// The value of an item as an operand of logic: an attribute counts as yes if it has a value that is not
    /// zero or empty. `nil` for literals, which are no operands of logic.
    private static func truth(of item: Item) -> Truth? {
        switch item {
        case .truth(let truth): return truth
        case .missing: return .unknown
        case .claim(let claim):
            guard claim.count > 0 else { return .unknown }
            for index in 0..<claim.count {
                switch claim.scalar(at: index) {
                case .integer(let value): if value.magnitude != 0 { return .yes }
                case .boolean(let value): if value { return .yes }
                case .string(let value): if value.count != 0 { return .yes }
                case .octets, .sid: return .unknown
                }
            }
            return .no
        default: return nil
        }
    }

    private func membership(_ operator: ConditionOperator, _ operand: Item) -> Truth? {
        let wanted: SIDTable.Roles
        let any: Bool
        let negated = `operator`.rawValue >= ConditionOperator.notMemberOf.rawValue
        switch `operator` {
        case .deviceMemberOf, .deviceMemberOfAny, .notDeviceMemberOf, .notDeviceMemberOfAny: wanted = .device
        default: wanted = roles
        }
        switch `operator` {
        case .memberOfAny, .deviceMemberOfAny, .notMemberOfAny, .notDeviceMemberOfAny: any = true
        default: any = false
        }
        var values = ValueCursor(operand)
        guard values.count > 0 else { return nil }
        var found = 0
        while let value = values.next() {
            guard case .sid(let sid) = value else { return .unknown }
            if !token.table.roles(of: sid).isDisjoint(with: wanted) { found += 1 }
        }
        let holds = any ? found > 0 : found == values.count
        return Truth(holds != negated)
    }

    private func compare(
        _ operator: ConditionOperator, _ first: Item, _ last: Item, _ budget: inout Int
    ) -> Truth? {
        let caseSensitive: Bool
        switch first {
        case .missing: return .unknown
        case .claim(let claim): caseSensitive = claim.flags.contains(.caseSensitive)
        default: return nil
        }
        switch last {
        case .missing: return .unknown
        case .truth, .nothing: return nil
        default: break
        }
        let left = ValueCursor(first)
        let right = ValueCursor(last)
        guard left.count > 0, right.count > 0 else { return .unknown }
        switch `operator` {
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return order(`operator`, left, right, caseSensitive)
        case .equal: return Self.equal(left, right, caseSensitive, &budget)
        case .notEqual: return !Self.equal(left, right, caseSensitive, &budget)
        case .contains: return Self.every(of: right, isIn: left, caseSensitive, &budget)
        case .notContains: return !Self.every(of: right, isIn: left, caseSensitive, &budget)
        case .anyOf: return Self.any(of: left, isIn: right, caseSensitive, &budget)
        case .notAnyOf: return !Self.any(of: left, isIn: right, caseSensitive, &budget)
        default: return nil
        }
    }

    private func order(
        _ operator: ConditionOperator, _ left: ValueCursor, _ right: ValueCursor, _ caseSensitive: Bool
    ) -> Truth {
        var (left, right) = (left, right)
        guard left.count == 1, right.count == 1, let one = left.next(), let other = right.next(),
            Scalar.isOrdered(one, other), let order = one.compare(other, caseSensitive: caseSensitive)
        else { return .unknown }
        switch `operator` {
        case .less: return Truth(order < 0)
        case .lessOrEqual: return Truth(order <= 0)
        case .greater: return Truth(order > 0)
        default: return Truth(order >= 0)
        }
    }

    /// Equality of sets: each value of one is in the other.
    private static func equal(
        _ left: ValueCursor, _ right: ValueCursor, _ caseSensitive: Bool, _ budget: inout Int
    ) -> Truth {
        every(of: left, isIn: right, caseSensitive, &budget)
            & every(of: right, isIn: left, caseSensitive, &budget)
    }

    private static func every(
        of some: ValueCursor, isIn others: ValueCursor, _ caseSensitive: Bool, _ budget: inout Int
    ) -> Truth {
        var some = some
        var out = Truth.yes
        while let value = some.next() {
            switch contains(others, value, caseSensitive, &budget) {
            case .yes: break
            case .no: out = .no
            case .unknown: return .unknown
            }
        }
        return out
    }

    private static func any(
        of some: ValueCursor, isIn others: ValueCursor, _ caseSensitive: Bool, _ budget: inout Int
    ) -> Truth {
        var some = some
        var out = Truth.no
        while let value = some.next() {
            switch contains(others, value, caseSensitive, &budget) {
            case .yes: out = .yes
            case .no: break
            case .unknown: return .unknown
            }
        }
        return out
    }

    /// Whether `value` is among `values`; unknown if one of them cannot be compared with it.
    private static func contains(
        _ values: ValueCursor, _ value: Scalar, _ caseSensitive: Bool, _ budget: inout Int
    ) -> Truth {
        var values = values
        var out = Truth.no
        while let other = values.next() {
            budget -= 1 + (value.byteCount + other.byteCount) >> 3
            guard budget > 0, let order = value.compare(other, caseSensitive: caseSensitive) else {
                return .unknown
            }
            if order == 0 { out = .yes }
        }
        return out
    }
}
