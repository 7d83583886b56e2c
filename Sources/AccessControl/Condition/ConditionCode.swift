/// The bytes of a conditional expression (MS-DTYP 2.4.4.17.4 to .7).
enum ConditionCode {
    /// What the application data of a conditional entry starts with: "artx".
    static let signature: UInt32 = 0x7874_7261

    /// The deepest nesting that is evaluated or read; what is deeper is unknown.
    static let maximumDepth = 64
    /// How much work the conditions of one pass may be, in values and pieces of eight bytes, before they become
    /// unknown.
    static let workBudget = 1 << 18

    static let padding: UInt8 = 0x00
    static let int8: UInt8 = 0x01
    static let int64: UInt8 = 0x04
    static let string: UInt8 = 0x10
    static let octets: UInt8 = 0x18
    static let composite: UInt8 = 0x50
    static let sid: UInt8 = 0x51
    static let localAttribute: UInt8 = 0xf8
    static let userAttribute: UInt8 = 0xf9
    static let resourceAttribute: UInt8 = 0xfa
    static let deviceAttribute: UInt8 = 0xfb
}

/// The operators of a conditional expression, by their byte.
enum ConditionOperator: UInt8, Sendable, CaseIterable {
    case equal = 0x80
    case notEqual = 0x81
    case less = 0x82
    case lessOrEqual = 0x83
    case greater = 0x84
    case greaterOrEqual = 0x85
    case contains = 0x86
    case exists = 0x87
    case anyOf = 0x88
    case memberOf = 0x89
    case deviceMemberOf = 0x8a
    case memberOfAny = 0x8b
    case deviceMemberOfAny = 0x8c
    case notExists = 0x8d
    case notContains = 0x8e
    case notAnyOf = 0x8f
    case notMemberOf = 0x90
    case notDeviceMemberOf = 0x91
    case notMemberOfAny = 0x92
    case notDeviceMemberOfAny = 0x93
    case and = 0xa0
    case or = 0xa1
    case not = 0xa2

    /// How many operands it takes and what they are.
    enum Shape { case comparison, existence, membership, binaryLogic, negation }

    var shape: Shape {
        switch self {
        case .exists, .notExists: .existence
        case .memberOf, .deviceMemberOf, .memberOfAny, .deviceMemberOfAny, .notMemberOf, .notDeviceMemberOf,
            .notMemberOfAny, .notDeviceMemberOfAny:
            .membership
        case .and, .or: .binaryLogic
        case .not: .negation
        default: .comparison
        }
    }

    /// The spelling in SDDL.
    var spelling: StaticString {
        switch self {
        case .equal: "=="
        case .notEqual: "!="
        case .less: "<"
        case .lessOrEqual: "<="
        case .greater: ">"
        case .greaterOrEqual: ">="
        case .contains: "Contains"
        case .exists: "Exists"
        case .anyOf: "Any_of"
        case .memberOf: "Member_of"
        case .deviceMemberOf: "Device_Member_of"
        case .memberOfAny: "Member_of_Any"
        case .deviceMemberOfAny: "Device_Member_of_Any"
        case .notExists: "Not_Exists"
        case .notContains: "Not_Contains"
        case .notAnyOf: "Not_Any_of"
        case .notMemberOf: "Not_Member_of"
        case .notDeviceMemberOf: "Not_Device_Member_of"
        case .notMemberOfAny: "Not_Member_of_Any"
        case .notDeviceMemberOfAny: "Not_Device_Member_of_Any"
        case .and: "&&"
        case .or: "||"
        case .not: "!"
        }
    }
}
