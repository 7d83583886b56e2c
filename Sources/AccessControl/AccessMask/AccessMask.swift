/// A set of rights on one kind of object (`ACCESS_MASK`, MS-DTYP 2.4.3).
///
/// Bits 0–15 are specific to the kind, 16–20 standard, 24 ACCESS_SYSTEM_SECURITY, 25 MAXIMUM_ALLOWED,
/// 28–31 generic. A mask for a file is not one for a registry key: the compiler keeps them apart.
public struct AccessMask<Kind: ObjectKind>: OptionSet, Hashable, Sendable {
    /// The 32 bits.
    public var rawValue: UInt32

    /// Makes a mask of these bits.
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// DELETE.
    public static var delete: Self { Self(rawValue: StandardRights.delete) }
    /// READ_CONTROL: read the descriptor, but not its SACL.
    public static var readControl: Self { Self(rawValue: StandardRights.readControl) }
    /// WRITE_DAC: change the DACL.
    public static var writeDAC: Self { Self(rawValue: StandardRights.writeDAC) }
    /// WRITE_OWNER: change the owner.
    public static var writeOwner: Self { Self(rawValue: StandardRights.writeOwner) }
    /// SYNCHRONIZE: wait on the object.
    public static var synchronize: Self { Self(rawValue: StandardRights.synchronize) }
    /// ACCESS_SYSTEM_SECURITY: read and change the SACL; only ever granted by `SeSecurityPrivilege`.
    public static var accessSystemSecurity: Self { Self(rawValue: StandardRights.accessSystemSecurity) }
    /// MAXIMUM_ALLOWED: whatever can be granted.
    public static var maximumAllowed: Self { Self(rawValue: StandardRights.maximumAllowed) }
    /// GENERIC_ALL.
    public static var genericAll: Self { Self(rawValue: 0x1000_0000) }
    /// GENERIC_EXECUTE.
    public static var genericExecute: Self { Self(rawValue: 0x2000_0000) }
    /// GENERIC_WRITE.
    public static var genericWrite: Self { Self(rawValue: 0x4000_0000) }
    /// GENERIC_READ.
    public static var genericRead: Self { Self(rawValue: 0x8000_0000) }
    /// STANDARD_RIGHTS_REQUIRED: DELETE, READ_CONTROL, WRITE_DAC and WRITE_OWNER.
    public static var standardRightsRequired: Self { Self(rawValue: 0x000f_0000) }

    /// What `genericRead` stands for on this kind.
    public static var allRead: Self { Self(rawValue: Kind.genericMapping.read) }
    /// What `genericWrite` stands for on this kind.
    public static var allWrite: Self { Self(rawValue: Kind.genericMapping.write) }
    /// What `genericExecute` stands for on this kind.
    public static var allExecute: Self { Self(rawValue: Kind.genericMapping.execute) }
    /// What `genericAll` stands for on this kind.
    public static var allAccess: Self { Self(rawValue: Kind.genericMapping.all) }

    /// This mask with the generic bits replaced by what they stand for.
    public var mapped: Self { Self(rawValue: Kind.genericMapping.map(rawValue)) }
}

extension AccessMask: CustomStringConvertible {
    /// The names of the rights, joined by ` | `; bits without a name are given in hexadecimal.
    public var description: String { Self.describe(rawValue, names: Kind.rightNames) }

    static func describe(_ mask: UInt32, names: [(name: String, mask: UInt32)]) -> String {
        var rest = mask
        var out: [String] = []
        for (name, bits) in names + StandardRights.names where bits & ~mask == 0 && bits & rest != 0 {
            out.append(name)
            rest &= ~bits
        }
        if rest != 0 || out.isEmpty { out.append("0x" + String(rest, radix: 16)) }
        return out.joined(separator: " | ")
    }
}
