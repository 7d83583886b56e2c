/// How much of a client's identity a service may use (`SECURITY_IMPERSONATION_LEVEL`).
public enum ImpersonationLevel: UInt8, Comparable, CaseIterable, Sendable {
    /// Nothing about the client is known.
    case anonymous = 0
    /// The service may read the client's token, not act with it.
    case identification
    /// The service may act as the client on this machine.
    case impersonation
    /// The service may act as the client here and on other machines.
    case delegation

    /// Orders by what is allowed: `.anonymous < .delegation`.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension ImpersonationLevel: CustomStringConvertible {
    /// "Impersonation" and the like.
    public var description: String {
        switch self {
        case .anonymous: "Anonymous"
        case .identification: "Identification"
        case .impersonation: "Impersonation"
        case .delegation: "Delegation"
        }
    }
}
