/// How far the system trusts the code behind a token, or how far an object must be protected from it.
///
/// Any 32-bit value is a level (`S-1-16-value`); the named ones are those of MS-DTYP 2.4.4.13.
public struct IntegrityLevel: RawRepresentable, Hashable, Comparable, Sendable {
    /// The RID of the label SID.
    public var rawValue: UInt32

    /// Makes the level with this RID.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// 0: anonymous clients.
    public static let untrusted = IntegrityLevel(rawValue: 0)
    /// 0x1000: code that meets hostile input, such as a browser's renderer.
    public static let low = IntegrityLevel(rawValue: 0x1000)
    /// 0x2000: ordinary users; what an object without a label has.
    public static let medium = IntegrityLevel(rawValue: 0x2000)
    /// 0x2100: between ordinary users and administrators.
    public static let mediumPlus = IntegrityLevel(rawValue: 0x2100)
    /// 0x3000: administrators.
    public static let high = IntegrityLevel(rawValue: 0x3000)
    /// 0x4000: the system and its services.
    public static let system = IntegrityLevel(rawValue: 0x4000)

    /// Orders by trust: `.low < .medium`.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension IntegrityLevel: CustomStringConvertible {
    /// "Medium" and the like for the named levels, the number in hexadecimal for others.
    public var description: String {
        switch self {
        case .untrusted: "Untrusted"
        case .low: "Low"
        case .medium: "Medium"
        case .mediumPlus: "Medium Plus"
        case .high: "High"
        case .system: "System"
        default: "0x" + String(rawValue, radix: 16)
        }
    }
}
