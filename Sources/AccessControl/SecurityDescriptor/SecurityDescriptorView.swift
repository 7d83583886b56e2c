/// A reader over the bytes of a self-relative descriptor (MS-DTYP 2.4.6), validated once, copied never.
///
/// The bytes may be hostile; `init` checks every offset, list, entry and SID, and nothing after it can leave
/// the bounds. The view must not outlive the buffer, and the buffer must not change while it is in use.
public struct SecurityDescriptorView {
    let base: UnsafeRawPointer
    /// The number of bytes.
    public let byteCount: Int
    /// The control bits as stored.
    public let control: SecurityDescriptor.Control
    let ownerOffset: Int
    let groupOffset: Int
    let saclOffset: Int
    let daclOffset: Int

    /// Validates the bytes.
    ///
    /// - Throws: what is wrong, and where.
    public init(_ bytes: UnsafeRawBufferPointer) throws(DescriptorError) { try self.init(inlined: bytes) }

    /// The same, inlined: the access check keeps the fields in registers.
    @inline(__always)
    init(inlined bytes: UnsafeRawBufferPointer) throws(DescriptorError) {
        guard let base = bytes.baseAddress, bytes.count >= 20 else { throw .truncatedHeader }
        guard bytes[0] == 1 else { throw .unknownRevision(bytes[0]) }
        control = SecurityDescriptor.Control(rawValue: bytes.load(UInt16.self, at: 2))
        guard control.contains(.selfRelative) else { throw .notSelfRelative }
        self.base = base
        byteCount = bytes.count
        ownerOffset = Int(bytes.load(UInt32.self, at: 4))
        groupOffset = Int(bytes.load(UInt32.self, at: 8))
        saclOffset = control.contains(.saclPresent) ? Int(bytes.load(UInt32.self, at: 12)) : 0
        daclOffset = control.contains(.daclPresent) ? Int(bytes.load(UInt32.self, at: 16)) : 0
        if ownerOffset != 0 { try Self.validateSID(bytes, at: ownerOffset) }
        if groupOffset != 0 { try Self.validateSID(bytes, at: groupOffset) }
        if saclOffset != 0 { try Self.validateList(bytes, at: saclOffset) }
        if daclOffset != 0 { try Self.validateList(bytes, at: daclOffset) }
    }

    /// Whether a descriptor has a SACL, without validating it: without one it asks for no audit record.
    @inlinable
    public static func hasSACL(_ bytes: UnsafeRawBufferPointer) -> Bool {
        // SE_SACL_PRESENT, 0x0010 of the control bits (MS-DTYP 2.4.6).
        bytes.count >= 20 && bytes[2] & 0x10 != 0
    }

    /// Calls `body` with a view of `bytes`.
    ///
    /// - Throws: what is wrong with the bytes.
    public static func with<Result>(
        _ bytes: RawSpan, _ body: (SecurityDescriptorView) -> Result
    ) throws(DescriptorError) -> Result {
        let outcome: Swift.Result<Result, DescriptorError> = bytes.withUnsafeBytes { buffer in
            do throws(DescriptorError) {
                return .success(body(try SecurityDescriptorView(buffer)))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    /// The owner; `nil` if the descriptor has none.
    public var owner: SID? { rawOwner?.copied }
    /// The primary group; `nil` if the descriptor has none.
    public var group: SID? { groupOffset == 0 ? nil : RawSID(start: base + groupOffset).copied }
    /// The number of entries of the DACL; 0 if it is absent, null or empty.
    public var daclCount: Int { rawDACL?.count ?? 0 }
    /// Whether the DACL is absent or null, so that it grants everything.
    @inline(__always) public var hasNullDACL: Bool { daclOffset == 0 }

    @inline(__always) var rawOwner: RawSID? {
        ownerOffset == 0 ? nil : RawSID(start: base + ownerOffset)
    }
    @inline(__always) var rawDACL: RawACL? { daclOffset == 0 ? nil : RawACL(start: base + daclOffset) }
    @inline(__always) var rawSACL: RawACL? { saclOffset == 0 ? nil : RawACL(start: base + saclOffset) }

    private static func validateSID(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DescriptorError) {
        guard offset >= 20, offset <= bytes.count else { throw .offsetOutOfBounds(offset) }
        guard sidByteCount(bytes, at: offset, end: bytes.count) != nil else { throw .badSID(offset: offset) }
    }

    @inline(__always)
    private static func sidByteCount(_ bytes: UnsafeRawBufferPointer, at offset: Int, end: Int) -> Int? {
        guard end - offset >= 8 else { return nil }
        let header = bytes.load(UInt16.self, at: offset)
        guard header & 0xff == 1, header < 16 << 8 else { return nil }
        let size = 8 + 4 * Int(header >> 8)
        return end - offset >= size ? size : nil
    }

    private static func validateList(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(DescriptorError) {
        guard start >= 20, start <= bytes.count else { throw .offsetOutOfBounds(start) }
        guard bytes.count - start >= 8, (2...4).contains(bytes[start]) else { throw .badList(offset: start) }
        let size = Int(bytes.load(UInt16.self, at: start + 2))
        guard size >= 8, size <= bytes.count - start else { throw .badList(offset: start) }
        let end = start + size
        var offset = start + 8
        var remaining = Int(bytes.load(UInt16.self, at: start + 4))
        while remaining > 0 {
            guard end - offset >= 4 else { throw .badEntry(offset: offset) }
            let header = bytes.load(UInt32.self, at: offset)
            let aceSize = Int(header >> 16)
            guard aceSize >= 4, aceSize <= end - offset else { throw .badEntry(offset: offset) }
            var sid = offset + 8
            switch ACEType(rawValue: UInt8(truncatingIfNeeded: header)).layout {
            case .basic: break
            case .opaque:
                offset += aceSize
                remaining -= 1
                continue
            case .object:
                guard aceSize >= 12 else { throw .badEntry(offset: offset) }
                let flags = bytes.load(UInt32.self, at: offset + 8)
                sid = offset + 12 + Int(flags & 1) << 4 + Int(flags >> 1 & 1) << 4
            }
            guard sidByteCount(bytes, at: sid, end: offset + aceSize) != nil else {
                throw .badEntry(offset: offset)
            }
            offset += aceSize
            remaining -= 1
        }
    }
}
