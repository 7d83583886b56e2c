/// The value of a condition: three-valued logic, in which what cannot be known stays apart from what is false.
public enum Truth: UInt8, Hashable, Sendable {
    /// The condition does not hold.
    case no = 0
    /// The condition holds.
    case yes = 1
    /// Whether the condition holds cannot be known: an attribute is missing, or values cannot be compared.
    case unknown = 2

    init(_ value: Bool) { self = value ? .yes : .no }

    /// Negation; unknown stays unknown.
    public static prefix func ! (value: Truth) -> Truth {
        switch value {
        case .no: .yes
        case .yes: .no
        case .unknown: .unknown
        }
    }

    /// And: no as soon as one side is no.
    public static func & (lhs: Truth, rhs: Truth) -> Truth {
        if lhs == .no || rhs == .no { return .no }
        return lhs == .yes && rhs == .yes ? .yes : .unknown
    }

    /// Or: yes as soon as one side is yes.
    public static func | (lhs: Truth, rhs: Truth) -> Truth {
        if lhs == .yes || rhs == .yes { return .yes }
        return lhs == .no && rhs == .no ? .no : .unknown
    }
}
