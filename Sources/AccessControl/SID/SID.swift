/// A security identifier: the name of a user, group, logon session, service or integrity level.
///
/// Format (MS-DTYP 2.4.2): revision 1, an identifier authority of 48 bits, and 0 to 15 sub-authorities of
/// 32 bits. The value is stored inline, in the layout of the binary form, so that comparing and hashing
/// touch no heap.
public struct SID: Hashable, Sendable {
    /// The first eight bytes of the binary form, read as a little-endian integer: revision, count, authority.
    @usableFromInline let head: UInt64
    /// The sub-authorities, two to a word, the lower index in the lower half; unused halves are zero.
    @usableFromInline let tail: InlineArray<8, UInt64>

    /// The largest number of sub-authorities a SID can have.
    public static let maximumSubAuthorities = 15

    /// Makes a SID from its parts.
    ///
    /// - Parameters:
    ///   - authority: the identifier authority, 0 to 2⁴⁸−1 (5 = NT, 1 = World, 16 = mandatory label).
    ///   - subAuthorities: at most 15 sub-authorities, the last of which is called the RID.
    /// - Throws: `SIDError.authorityTooLarge`, `SIDError.tooManySubAuthorities`.
    public init(authority: UInt64, _ subAuthorities: [UInt32]) throws(SIDError) {
        guard authority < 1 << 48 else { throw .authorityTooLarge }
        guard subAuthorities.count <= Self.maximumSubAuthorities else { throw .tooManySubAuthorities }
        self.init(uncheckedAuthority: authority, subAuthorities)
    }

    /// Reads the binary form, which must fill `bytes` exactly.
    ///
    /// - Throws: `SIDError.truncated`, `.trailingBytes`, `.unknownRevision`, `.tooManySubAuthorities`.
    public init(bytes: RawSpan) throws(SIDError) {
        guard bytes.byteCount >= 8 else { throw .truncated }
        let sid: SID? = bytes.withUnsafeBytes { SID(validating: $0) }
        guard let sid else {
            let (revision, count) = bytes.withUnsafeBytes { ($0[0], Int($0[1])) }
            if revision != 1 { throw .unknownRevision }
            throw count > Self.maximumSubAuthorities ? .tooManySubAuthorities : .truncated
        }
        guard sid.byteCount == bytes.byteCount else { throw .trailingBytes }
        self = sid
    }

    /// Reads the binary form, which must fill `bytes` exactly.
    ///
    /// - Throws: as the form that takes a span.
    public init(bytes: [UInt8]) throws(SIDError) { try self.init(bytes: bytes.span.bytes) }

    /// The identifier authority, 0 to 2⁴⁸−1.
    public var authority: UInt64 { (head >> 16).byteSwapped >> 16 }

    /// The number of sub-authorities, 0 to 15.
    public var subAuthorityCount: Int { Int(truncatingIfNeeded: head >> 8) & 0xff }

    /// The sub-authorities in order.
    public var subAuthorities: [UInt32] { (0..<subAuthorityCount).map(subAuthority(at:)) }

    /// The last sub-authority, which names the account within its authority or domain; `nil` if there is none.
    public var rid: UInt32? { subAuthorityCount == 0 ? nil : subAuthority(at: subAuthorityCount - 1) }

    /// The SID without its last sub-authority (an account's domain); `nil` if there is none.
    public var domain: SID? {
        let count = subAuthorityCount
        guard count > 0 else { return nil }
        return SID(uncheckedAuthority: authority, (0..<count - 1).map(subAuthority(at:)))
    }

    /// The size of the binary form: 8 to 68 bytes.
    public var byteCount: Int { 8 + 4 * subAuthorityCount }

    /// The binary form (MS-DTYP 2.4.2.2).
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(byteCount)
        append(to: &out)
        return out
    }

    /// This SID with one more sub-authority.
    ///
    /// - Throws: `SIDError.tooManySubAuthorities` if there are 15 already.
    public func appending(_ rid: UInt32) throws(SIDError) -> SID {
        try SID(authority: authority, subAuthorities + [rid])
    }

    /// Whether this SID is `other` with one more sub-authority.
    public func isMember(ofDomain other: SID) -> Bool { domain == other }

    /// The sub-authority at `index`, which must be below `subAuthorityCount`.
    @usableFromInline func subAuthority(at index: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: tail[index >> 1] >> (UInt64(index & 1) * 32))
    }

    func append(to out: inout [UInt8]) {
        out.appendLittleEndian(head)
        for index in 0..<subAuthorityCount { out.appendLittleEndian(subAuthority(at: index)) }
    }

    /// Makes a SID from parts known to be in range.
    init(uncheckedAuthority authority: UInt64, _ subAuthorities: [UInt32]) {
        head = (authority << 16).byteSwapped << 16 | UInt64(subAuthorities.count) << 8 | 1
        var tail = InlineArray<8, UInt64>(repeating: 0)
        for (index, sub) in subAuthorities.enumerated() {
            tail[index >> 1] |= UInt64(sub) << (UInt64(index & 1) * 32)
        }
        self.tail = tail
    }

    /// Reads a SID at the start of `bytes`; `nil` if it does not fit or its header is not a SID's.
    init?(validating bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 8, bytes[0] == 1 else { return nil }
        let count = Int(bytes[1])
        guard count <= Self.maximumSubAuthorities, bytes.count >= 8 + 4 * count else { return nil }
        head = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        var tail = InlineArray<8, UInt64>(repeating: 0)
        for index in 0..<count {
            let sub = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 8 + 4 * index, as: UInt32.self))
            tail[index >> 1] |= UInt64(sub) << (UInt64(index & 1) * 32)
        }
        self.tail = tail
    }

    /// Whether both SIDs have the same authority and sub-authorities.
    public static func == (lhs: SID, rhs: SID) -> Bool {
        guard lhs.head == rhs.head else { return false }
        let words = (lhs.subAuthorityCount + 1) >> 1
        for index in 0..<words where lhs.tail[index] != rhs.tail[index] { return false }
        return true
    }

    /// Feeds the SID into a hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(head)
        for index in 0..<(subAuthorityCount + 1) >> 1 { hasher.combine(tail[index]) }
    }
}

/// Why a SID could not be made.
public enum SIDError: Error, Hashable, Sendable {
    /// The identifier authority does not fit in 48 bits.
    case authorityTooLarge
    /// More than 15 sub-authorities.
    case tooManySubAuthorities
    /// The bytes end before the SID does.
    case truncated
    /// There are bytes after the end of the SID.
    case trailingBytes
    /// The revision is not 1, the only one there is.
    case unknownRevision
}

extension SID: Comparable {
    /// Orders by authority, then by sub-authorities; a SID comes before its own extensions.
    public static func < (lhs: SID, rhs: SID) -> Bool {
        if lhs.authority != rhs.authority { return lhs.authority < rhs.authority }
        for index in 0..<min(lhs.subAuthorityCount, rhs.subAuthorityCount) {
            let (left, right) = (lhs.subAuthority(at: index), rhs.subAuthority(at: index))
            if left != right { return left < right }
        }
        return lhs.subAuthorityCount < rhs.subAuthorityCount
    }
}
