/// What a value holds: the cases are the types of Windows.
///
/// Its stored form is a type's number and bytes, as on Windows: texts in UTF-16, little-endian, with a NUL at the end. A
/// value whose bytes are not of that form for its type is ``other(type:bytes:)``, so that reading and writing a value again
/// changes nothing.
public enum RegistryValue: Hashable, Sendable {
    /// REG_NONE: bytes without a meaning that is known; usually none.
    case none([UInt8])
    /// REG_SZ: a text.
    case string(String)
    /// REG_EXPAND_SZ: a text with variables in it, which the reader expands.
    case expandString(String)
    /// REG_BINARY: bytes.
    case binary([UInt8])
    /// REG_DWORD.
    case dword(UInt32)
    /// REG_DWORD_BIG_ENDIAN.
    case dwordBigEndian(UInt32)
    /// REG_LINK: the path that a symbolic-link key leads to. It has no NUL at the end.
    case link(String)
    /// REG_MULTI_SZ: texts, none of them empty.
    case multiString([String])
    /// REG_QWORD.
    case qword(UInt64)
    /// Any other type, and bytes that are not what their type says.
    case other(type: RegistryValueType, bytes: [UInt8])

    /// Whether the stored forms are the same: texts that only look alike are not.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.type == rhs.type && lhs.bytes == rhs.bytes }

    /// Hashes the stored form.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        hasher.combine(bytes)
    }

    /// Reads the stored form. Never fails: what is not of its type's form is ``other(type:bytes:)``.
    public init(type: RegistryValueType, bytes: [UInt8]) {
        self =
            Self.typed(type, bytes).flatMap { $0.bytes == bytes ? $0 : nil }
            ?? .other(type: type, bytes: bytes)
    }

    private static func typed(_ type: RegistryValueType, _ bytes: [UInt8]) -> RegistryValue? {
        switch type {
        case .none: .none(bytes)
        case .string: UTF16Bytes.terminated(bytes).map { .string($0) }
        case .expandString: UTF16Bytes.terminated(bytes).map { .expandString($0) }
        case .binary: .binary(bytes)
        case .dword: bytes.count == 4 ? .dword(UInt32(truncatingIfNeeded: number(bytes.reversed()))) : nil
        case .dwordBigEndian:
            bytes.count == 4 ? .dwordBigEndian(UInt32(truncatingIfNeeded: number(bytes))) : nil
        case .link: UTF16Bytes.text(bytes).map { .link($0) }
        case .multiString: UTF16Bytes.list(bytes).map { .multiString($0) }
        case .qword: bytes.count == 8 ? .qword(number(bytes.reversed())) : nil
        default: nil
        }
    }

    private static func number(_ bigEndian: [UInt8]) -> UInt64 {
        bigEndian.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The type.
    public var type: RegistryValueType {
        switch self {
        case .none: .none
        case .string: .string
        case .expandString: .expandString
        case .binary: .binary
        case .dword: .dword
        case .dwordBigEndian: .dwordBigEndian
        case .link: .link
        case .multiString: .multiString
        case .qword: .qword
        case .other(let type, _): type
        }
    }

    /// The stored form's bytes.
    public var bytes: [UInt8] {
        switch self {
        case .none(let bytes), .binary(let bytes), .other(_, let bytes): bytes
        case .string(let text), .expandString(let text): UTF16Bytes.encode(text) + [0, 0]
        case .link(let text): UTF16Bytes.encode(text)
        case .multiString(let texts):
            texts.reduce(into: []) { $0 += UTF16Bytes.encode($1) + [0, 0] } + [0, 0]
        case .dword(let number): withUnsafeBytes(of: number.littleEndian) { Array($0) }
        case .dwordBigEndian(let number): withUnsafeBytes(of: number.bigEndian) { Array($0) }
        case .qword(let number): withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }
    }

    /// The text of REG_SZ, REG_EXPAND_SZ or REG_LINK, also of one that lacks its NUL; nil for another type.
    public var text: String? {
        switch self {
        case .string(let text), .expandString(let text), .link(let text): text
        case .other(.string, let bytes), .other(.expandString, let bytes), .other(.link, let bytes):
            UTF16Bytes.lenient(bytes)
        default: nil
        }
    }

    /// The number of REG_DWORD, REG_DWORD_BIG_ENDIAN or REG_QWORD; nil for another type.
    public var number: UInt64? {
        switch self {
        case .dword(let number), .dwordBigEndian(let number): UInt64(number)
        case .qword(let number): number
        default: nil
        }
    }

    /// The texts of REG_MULTI_SZ, also of one that lacks NULs at its end; nil for another type.
    public var texts: [String]? {
        switch self {
        case .multiString(let texts): texts
        case .other(.multiString, let bytes): UTF16Bytes.lenientList(bytes)
        default: nil
        }
    }
}

/// Texts in stored values: UTF-16, little-endian.
enum UTF16Bytes {
    static func encode(_ text: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(2 * text.utf16.count)
        for unit in text.utf16 {
            out.append(UInt8(truncatingIfNeeded: unit))
            out.append(UInt8(truncatingIfNeeded: unit >> 8))
        }
        return out
    }

    private static func units(_ bytes: some BidirectionalCollection<UInt8>) -> [UInt16] {
        var out: [UInt16] = []
        out.reserveCapacity(bytes.count / 2)
        var low: UInt8?
        for byte in bytes {
            if let first = low {
                out.append(UInt16(byte) << 8 | UInt16(first))
                low = nil
            } else {
                low = byte
            }
        }
        return out
    }

    /// All of the bytes as a text; nil if they are none. Whether they come out the same the caller compares.
    static func text(_ bytes: [UInt8]) -> String? {
        guard bytes.count.isMultiple(of: 2) else { return nil }
        return String(decoding: units(bytes), as: UTF16.self)
    }

    /// A text with one NUL, its last character.
    static func terminated(_ bytes: [UInt8]) -> String? {
        guard bytes.count.isMultiple(of: 2), bytes.count >= 2 else { return nil }
        let units = units(bytes)
        guard units.firstIndex(of: 0) == units.count - 1 else { return nil }
        return String(decoding: units.dropLast(), as: UTF16.self)
    }

    /// Texts that each end with a NUL, and one more NUL.
    static func list(_ bytes: [UInt8]) -> [String]? {
        guard bytes.count.isMultiple(of: 2), bytes.suffix(2) == [0, 0] else { return nil }
        let units = units(bytes)
        let parts = units.dropLast().split(separator: 0, omittingEmptySubsequences: false).dropLast()
        return parts.contains { $0.isEmpty } ? nil : parts.map { String(decoding: $0, as: UTF16.self) }
    }

    static func lenient(_ bytes: [UInt8]) -> String {
        String(decoding: units(bytes).prefix { $0 != 0 }, as: UTF16.self)
    }

    static func lenientList(_ bytes: [UInt8]) -> [String] {
        units(bytes).split(separator: 0).map { String(decoding: $0, as: UTF16.self) }
    }
}
