/// Something stated about a user, a device or a resource: a name with values of one type
/// (`CLAIM_SECURITY_ATTRIBUTE_RELATIVE_V1`, MS-DTYP 2.4.10.1).
public struct Claim: Hashable, Sendable {
    /// The name; compared without regard to case.
    public var name: String
    /// How the claim counts and travels.
    public var flags: Flags
    /// The values.
    public var values: Values

    /// Makes a claim.
    public init(name: String, flags: Flags = [], values: Values) {
        (self.name, self.flags, self.values) = (name, flags, values)
    }

    /// The flags of a claim.
    public struct Flags: OptionSet, Hashable, Sendable {
        /// The 32 bits.
        public let rawValue: UInt32
        /// Makes flags of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Children do not inherit the attribute.
        public static let nonInheritable = Flags(rawValue: 0x1)
        /// Strings are compared with regard to case.
        public static let caseSensitive = Flags(rawValue: 0x2)
        /// The claim counts where it refuses only.
        public static let denyOnly = Flags(rawValue: 0x4)
        /// The claim is disabled by default.
        public static let disabledByDefault = Flags(rawValue: 0x8)
        /// The claim is disabled: as if it were not there.
        public static let disabled = Flags(rawValue: 0x10)
        /// The claim cannot be changed by its holder.
        public static let mandatory = Flags(rawValue: 0x20)
    }

    /// The values of a claim, all of one type.
    public enum Values: Hashable, Sendable {
        /// Signed integers (type 1, `TI`).
        case int64([Int64])
        /// Unsigned integers (type 2, `TU`).
        case uint64([UInt64])
        /// Strings (type 3, `TS`).
        case string([String])
        /// SIDs (type 5, `TD`).
        case sid([SID])
        /// Booleans (type 6, `TB`).
        case boolean([Bool])
        /// Octet strings (type 16, `TX`).
        case octets([[UInt8]])

        /// The number of values.
        public var count: Int {
            switch self {
            case .int64(let values): values.count
            case .uint64(let values): values.count
            case .string(let values): values.count
            case .sid(let values): values.count
            case .boolean(let values): values.count
            case .octets(let values): values.count
            }
        }

        /// The number of the type in the binary form.
        public var typeNumber: UInt16 {
            switch self {
            case .int64: 1
            case .uint64: 2
            case .string: 3
            case .sid: 5
            case .boolean: 6
            case .octets: 16
            }
        }
    }
}
