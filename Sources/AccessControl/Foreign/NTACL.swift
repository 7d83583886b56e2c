/// A security descriptor as Samba keeps it in the extended attribute `security.NTACL`, NDR versions 1 to 4.
///
/// The versions above 1 carry hashes by which Samba notices that someone changed the POSIX permissions behind its
/// back. They are kept as they were read; who changes the descriptor writes version 1, or the hashes anew.
public struct NTACL: Hashable, Sendable {
    /// 1 to 4.
    public let version: UInt16
    /// The descriptor.
    public var descriptor: SecurityDescriptor
    /// What the hash is: 0 none, 1 SHA-256; versions 3 and 4.
    public var hashType: UInt16 = 0
    /// The hash of the descriptor: 16 bytes in version 2, 64 in versions 3 and 4.
    public var hash: [UInt8] = []
    /// How the POSIX side was hashed, in UTF-8; version 4.
    public var hashDescription: [UInt8] = []
    /// When the attribute was written, in units of 100 ns since 1601; version 4.
    public var time: UInt64 = 0
    /// The hash of the POSIX side, 64 bytes; version 4.
    public var systemACLHash: [UInt8] = []

    /// Makes an attribute of version 1, which has no hashes.
    public init(_ descriptor: SecurityDescriptor) {
        version = 1
        self.descriptor = descriptor
    }

    /// Why bytes are not such an attribute.
    public enum ImportError: Error, Hashable, Sendable {
        /// The bytes end too early.
        case truncated
        /// The version is not 1 to 4, or not the same in both places.
        case unknownVersion(UInt16)
        /// There is no descriptor in the attribute.
        case noDescriptor
        /// The descriptor is malformed.
        case descriptor(DescriptorError)
    }

    /// Reads the attribute's value.
    ///
    /// - Throws: what is wrong with it.
    public init(bytes: [UInt8]) throws(ImportError) {
        var reader = NDRReader(bytes: bytes)
        version = try reader.integer(UInt16.self)
        guard (1...4).contains(version), try reader.integer(UInt16.self) == version else {
            throw .unknownVersion(version)
        }
        guard try reader.integer(UInt32.self) != 0 else { throw .noDescriptor }
        if version > 1 {
            guard try reader.integer(UInt32.self) != 0 else { throw .noDescriptor }
            if version > 2 { hashType = try reader.integer(UInt16.self) }
            hash = try reader.bytes(version == 2 ? 16 : 64)
            if version == 4 {
                hashDescription = try reader.string()
                reader.align(4)
                time = try reader.integer(UInt64.self)
                systemACLHash = try reader.bytes(64)
            }
            reader.align(4)
        }
        let rest = try reader.rest(atLeast: 20)
        do throws(DescriptorError) {
            descriptor = try SecurityDescriptor(bytes: Self.moving(rest, by: -reader.position))
        } catch {
            throw .descriptor(error)
        }
    }

    /// The attribute's value.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.appendLittleEndian(version)
        out.appendLittleEndian(version)
        out.appendLittleEndian(UInt32(0x2_0000))
        if version > 1 {
            out.appendLittleEndian(UInt32(0x2_0004))
            if version > 2 { out.appendLittleEndian(hashType) }
            out += Self.sized(hash, version == 2 ? 16 : 64)
            if version == 4 {
                out += hashDescription.prefix { $0 != 0 } + [0]
                out.pad(to: 4)
                out.appendLittleEndian(time)
                out += Self.sized(systemACLHash, 64)
            }
            out.pad(to: 4)
        }
        return out + Self.moving(descriptor.bytes, by: out.count)
    }

    private static func sized(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
        Array(bytes.prefix(count)) + [UInt8](repeating: 0, count: max(0, count - bytes.count))
    }

    /// Changes the four offsets of a descriptor: in the attribute they count from the attribute's start.
    private static func moving(_ descriptor: [UInt8], by distance: Int) -> [UInt8] {
        var out = descriptor
        for field in stride(from: 4, through: 16, by: 4) {
            let offset = out.withUnsafeBytes { Int($0.load(UInt32.self, at: field)) }
            guard offset != 0 else { continue }
            // What would leave the range points into the header instead, where it is found out of bounds.
            out.storeLittleEndian(UInt32(exactly: offset + distance) ?? 1, at: field)
        }
        return out
    }
}

/// Reads little-endian NDR from the start on; every read is checked.
private struct NDRReader {
    let bytes: [UInt8]
    private(set) var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func bytes(_ count: Int) throws(NTACL.ImportError) -> [UInt8] {
        guard bytes.count - position >= count else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws(NTACL.ImportError) -> T {
        var value: T = 0
        for (index, byte) in try bytes(T.bitWidth / 8).enumerated() { value |= T(byte) << T(8 * index) }
        return value
    }

    mutating func string() throws(NTACL.ImportError) -> [UInt8] {
        guard let end = bytes[position...].firstIndex(of: 0) else { throw .truncated }
        defer { position = end + 1 }
        return Array(bytes[position..<end])
    }

    mutating func align(_ alignment: Int) {
        position = min(bytes.count, (position + alignment - 1) / alignment * alignment)
    }

    func rest(atLeast count: Int) throws(NTACL.ImportError) -> [UInt8] {
        guard bytes.count - position >= count else { throw .truncated }
        return Array(bytes[position...])
    }
}
