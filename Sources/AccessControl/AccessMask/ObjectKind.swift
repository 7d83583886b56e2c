/// A kind of object that can carry a security descriptor: what its specific rights are called and what the
/// generic ones stand for.
public protocol ObjectKind: Sendable {
    /// What the generic rights stand for.
    static var genericMapping: GenericMapping { get }
    /// The names of the specific rights (the low 16 bits), in the order in which to show them.
    static var rightNames: [(name: String, mask: UInt32)] { get }
}

/// The rights every kind of object has (MS-DTYP 2.4.3), as raw bits.
public enum StandardRights {
    /// DELETE.
    public static let delete: UInt32 = 0x0001_0000
    /// READ_CONTROL: read the descriptor, but not its SACL.
    public static let readControl: UInt32 = 0x0002_0000
    /// WRITE_DAC: change the DACL.
    public static let writeDAC: UInt32 = 0x0004_0000
    /// WRITE_OWNER: change the owner.
    public static let writeOwner: UInt32 = 0x0008_0000
    /// SYNCHRONIZE: wait on the object.
    public static let synchronize: UInt32 = 0x0010_0000
    /// ACCESS_SYSTEM_SECURITY: read and change the SACL.
    public static let accessSystemSecurity: UInt32 = 0x0100_0000
    /// MAXIMUM_ALLOWED: whatever can be granted.
    public static let maximumAllowed: UInt32 = 0x0200_0000

    /// The names of the standard rights, in the order in which to show them.
    public static var names: [(name: String, mask: UInt32)] {
        [
            ("DELETE", delete), ("READ_CONTROL", readControl), ("WRITE_DAC", writeDAC),
            ("WRITE_OWNER", writeOwner), ("SYNCHRONIZE", synchronize),
            ("ACCESS_SYSTEM_SECURITY", accessSystemSecurity), ("MAXIMUM_ALLOWED", maximumAllowed),
            ("GENERIC_ALL", 0x1000_0000), ("GENERIC_EXECUTE", 0x2000_0000),
            ("GENERIC_WRITE", 0x4000_0000), ("GENERIC_READ", 0x8000_0000),
        ]
    }
}
