/// The type of an access control entry (MS-DTYP 2.4.4.1). Types not named here are carried through untouched.
public struct ACEType: RawRepresentable, Hashable, Sendable {
    /// The first byte of the entry.
    public let rawValue: UInt8

    /// The type with this number; every number is a type.
    @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// ACCESS_ALLOWED.
    public static let allow = ACEType(rawValue: 0x00)
    /// ACCESS_DENIED.
    public static let deny = ACEType(rawValue: 0x01)
    /// SYSTEM_AUDIT.
    public static let audit = ACEType(rawValue: 0x02)
    /// SYSTEM_ALARM (reserved).
    public static let alarm = ACEType(rawValue: 0x03)
    /// ACCESS_ALLOWED_COMPOUND (reserved).
    public static let allowCompound = ACEType(rawValue: 0x04)
    /// ACCESS_ALLOWED_OBJECT.
    public static let allowObject = ACEType(rawValue: 0x05)
    /// ACCESS_DENIED_OBJECT.
    public static let denyObject = ACEType(rawValue: 0x06)
    /// SYSTEM_AUDIT_OBJECT.
    public static let auditObject = ACEType(rawValue: 0x07)
    /// SYSTEM_ALARM_OBJECT (reserved).
    public static let alarmObject = ACEType(rawValue: 0x08)
    /// ACCESS_ALLOWED_CALLBACK: allow if the condition holds.
    public static let allowCallback = ACEType(rawValue: 0x09)
    /// ACCESS_DENIED_CALLBACK: deny unless the condition is known not to hold.
    public static let denyCallback = ACEType(rawValue: 0x0a)
    /// ACCESS_ALLOWED_CALLBACK_OBJECT.
    public static let allowCallbackObject = ACEType(rawValue: 0x0b)
    /// ACCESS_DENIED_CALLBACK_OBJECT.
    public static let denyCallbackObject = ACEType(rawValue: 0x0c)
    /// SYSTEM_AUDIT_CALLBACK.
    public static let auditCallback = ACEType(rawValue: 0x0d)
    /// SYSTEM_ALARM_CALLBACK (reserved).
    public static let alarmCallback = ACEType(rawValue: 0x0e)
    /// SYSTEM_AUDIT_CALLBACK_OBJECT.
    public static let auditCallbackObject = ACEType(rawValue: 0x0f)
    /// SYSTEM_ALARM_CALLBACK_OBJECT (reserved).
    public static let alarmCallbackObject = ACEType(rawValue: 0x10)
    /// SYSTEM_MANDATORY_LABEL.
    public static let mandatoryLabel = ACEType(rawValue: 0x11)
    /// SYSTEM_RESOURCE_ATTRIBUTE.
    public static let resourceAttribute = ACEType(rawValue: 0x12)
    /// SYSTEM_SCOPED_POLICY_ID.
    public static let scopedPolicyID = ACEType(rawValue: 0x13)
    /// SYSTEM_PROCESS_TRUST_LABEL.
    public static let processTrustLabel = ACEType(rawValue: 0x14)
    /// SYSTEM_ACCESS_FILTER.
    public static let accessFilter = ACEType(rawValue: 0x15)

    /// How the bytes after the header are laid out.
    enum Layout: UInt8 {
        /// Mask, SID, application data.
        case basic
        /// Mask, object flags, up to two GUIDs, SID, application data.
        case object
        /// Nothing known.
        case opaque
    }

    @inline(__always) var layout: Layout {
        switch rawValue {
        case 0x00...0x03, 0x09, 0x0a, 0x0d, 0x0e, 0x11...0x15: .basic
        case 0x05...0x08, 0x0b, 0x0c, 0x0f, 0x10: .object
        default: .opaque
        }
    }

    /// Whether the entry's application data may hold a conditional expression.
    public var isCallback: Bool { (0x09...0x10).contains(rawValue) || self == .accessFilter }

    /// Whether the entry may carry object GUIDs.
    public var isObject: Bool { layout == .object }

    /// Whether entries of this type grant.
    public var isAllow: Bool { [0x00, 0x05, 0x09, 0x0b].contains(rawValue) }

    /// Whether entries of this type refuse.
    public var isDeny: Bool { [0x01, 0x06, 0x0a, 0x0c].contains(rawValue) }

    /// Whether entries of this type ask for an audit record.
    public var isAudit: Bool { [0x02, 0x07, 0x0d, 0x0f].contains(rawValue) }

    /// Whether it raises an alarm: reserved, and never done (MS-DTYP 2.4.4).
    public var isAlarm: Bool { [0x03, 0x08, 0x0e, 0x10].contains(rawValue) }
}

/// The flags of an access control entry (MS-DTYP 2.4.4.1).
public struct ACEFlags: OptionSet, Hashable, Sendable {
    /// The second byte of the entry.
    public let rawValue: UInt8

    /// Makes flags of these bits.
    @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// OI: children that are not containers inherit the entry.
    public static let objectInherit = ACEFlags(rawValue: 0x01)
    /// CI: children that are containers inherit the entry.
    public static let containerInherit = ACEFlags(rawValue: 0x02)
    /// NP: children do not pass the entry on.
    public static let noPropagateInherit = ACEFlags(rawValue: 0x04)
    /// IO: the entry does not apply to the object it is on.
    public static let inheritOnly = ACEFlags(rawValue: 0x08)
    /// ID: the entry was inherited.
    public static let inherited = ACEFlags(rawValue: 0x10)
    /// CR: an allow entry that may not be skipped.
    public static let critical = ACEFlags(rawValue: 0x20)
    /// SA: audit when access is granted.
    public static let successfulAccess = ACEFlags(rawValue: 0x40)
    /// FA: audit when access is refused.
    public static let failedAccess = ACEFlags(rawValue: 0x80)

    /// The four flags that say how the entry is inherited.
    static let inheritance: ACEFlags = [.objectInherit, .containerInherit, .noPropagateInherit, .inheritOnly]
}
