/// What a value's bytes are (`REG_SZ` and its like of winnt.h). Numbers without a name are kept as they are.
public struct RegistryValueType: RawRepresentable, Hashable, Sendable {
    /// The number of winnt.h.
    public let rawValue: UInt32
    /// Makes a type of this number.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// REG_NONE: no type.
    public static let none = RegistryValueType(rawValue: 0)
    /// REG_SZ: a text.
    public static let string = RegistryValueType(rawValue: 1)
    /// REG_EXPAND_SZ: a text with variables in it, which the reader expands.
    public static let expandString = RegistryValueType(rawValue: 2)
    /// REG_BINARY: bytes.
    public static let binary = RegistryValueType(rawValue: 3)
    /// REG_DWORD: a number of 32 bits, little-endian.
    public static let dword = RegistryValueType(rawValue: 4)
    /// REG_DWORD_BIG_ENDIAN: a number of 32 bits, big-endian.
    public static let dwordBigEndian = RegistryValueType(rawValue: 5)
    /// REG_LINK: the path that a symbolic-link key leads to.
    public static let link = RegistryValueType(rawValue: 6)
    /// REG_MULTI_SZ: texts.
    public static let multiString = RegistryValueType(rawValue: 7)
    /// REG_RESOURCE_LIST: a list of hardware resources, kept as bytes.
    public static let resourceList = RegistryValueType(rawValue: 8)
    /// REG_FULL_RESOURCE_DESCRIPTOR: hardware resources, kept as bytes.
    public static let fullResourceDescriptor = RegistryValueType(rawValue: 9)
    /// REG_RESOURCE_REQUIREMENTS_LIST: hardware resources, kept as bytes.
    public static let resourceRequirementsList = RegistryValueType(rawValue: 10)
    /// REG_QWORD: a number of 64 bits, little-endian.
    public static let qword = RegistryValueType(rawValue: 11)

    private static let names = [
        "REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_DWORD_BIG_ENDIAN", "REG_LINK",
        "REG_MULTI_SZ", "REG_RESOURCE_LIST", "REG_FULL_RESOURCE_DESCRIPTOR",
        "REG_RESOURCE_REQUIREMENTS_LIST", "REG_QWORD",
    ]

    /// The type of this name of winnt.h, such as `REG_SZ`, in any case; nil for another.
    public init?(name: String) {
        let folded = FoldedText(name)
        guard let index = Self.names.firstIndex(where: { FoldedText($0) == folded }) else { return nil }
        self.init(rawValue: UInt32(index))
    }
}

extension RegistryValueType: CustomStringConvertible {
    /// The name of winnt.h, such as `REG_SZ`; the number in hexadecimal if there is none.
    public var description: String {
        Int(rawValue) < Self.names.count
            ? Self.names[Int(rawValue)] : "0x" + String(rawValue, radix: 16)
    }
}
