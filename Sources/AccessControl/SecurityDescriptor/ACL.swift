/// An access control list: entries in the order in which they are judged.
///
/// A list always fits its binary form (MS-DTYP 2.4.5): 64 KiB with its header of eight bytes.
public struct ACL: Hashable, Sendable {
    /// The entries in order.
    public let aces: [ACE]
    /// The revision: 2, or 4 if there are object entries.
    public let revision: UInt8
    /// The header's reserved bytes and what follows the last entry, kept as they were read.
    let reserved: Reserved

    struct Reserved: Hashable, Sendable {
        var first: UInt8 = 0
        var second: UInt16 = 0
        var slack: [UInt8] = []
    }

    /// The largest size of the binary form, header included.
    public static let maximumByteCount = 65_535

    /// Makes a list.
    ///
    /// - Throws: `DescriptorError.listTooLarge` if the binary form would be over 65,535 bytes.
    public init(_ aces: [ACE] = []) throws(DescriptorError) {
        try self.init(aces, revision: aces.contains { $0.type.isObject } ? 4 : 2, reserved: Reserved())
    }

    init(_ aces: [ACE], revision: UInt8, reserved: Reserved) throws(DescriptorError) {
        let size = aces.reduce(8 + reserved.slack.count) { $0 + $1.byteCount }
        guard size <= Self.maximumByteCount else { throw .listTooLarge }
        (self.aces, self.revision, self.reserved) = (aces, revision, reserved)
    }

    /// The list without entries: as a DACL it grants nothing.
    public static let empty = ACL()

    private init() { (aces, revision, reserved) = ([], 2, Reserved()) }

    /// This list with other entries; the revision is raised if they need it.
    ///
    /// - Throws: `DescriptorError.listTooLarge`.
    public func replacing(_ aces: [ACE]) throws(DescriptorError) -> ACL {
        try ACL(
            aces, revision: max(revision, aces.contains { $0.type.isObject } ? 4 : 2), reserved: Reserved())
    }

    /// The size of the binary form.
    public var byteCount: Int { aces.reduce(8 + reserved.slack.count) { $0 + $1.byteCount } }

    /// Whether the entries are in canonical order: explicit before inherited, deny before allow in each.
    public var isCanonical: Bool {
        var rank = 0
        for ace in aces where ace.type.isAllow || ace.type.isDeny {
            let inherited = ace.flags.contains(.inherited)
            // Among inherited entries nearer ancestors come first, so a deny may follow an allow there.
            let next = inherited ? 2 : ace.type.isAllow ? 1 : 0
            guard next >= rank else { return false }
            rank = next
        }
        return true
    }

    /// This list in canonical order; the order of entries of equal rank stays.
    public var canonical: ACL {
        var ranks: [[ACE]] = [[], [], []]
        for ace in aces {
            ranks[ace.flags.contains(.inherited) ? 2 : ace.type.isDeny ? 0 : 1].append(ace)
        }
        return ACL(sameSize: ranks.flatMap(\.self), as: self)
    }

    private init(sameSize aces: [ACE], as other: ACL) {
        (self.aces, revision, reserved) = (aces, other.revision, other.reserved)
    }

    /// The binary form.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        append(to: &out)
        return out
    }

    func append(to out: inout [UInt8]) {
        out.append(revision)
        out.append(reserved.first)
        out.appendLittleEndian(UInt16(truncatingIfNeeded: byteCount))
        out.appendLittleEndian(UInt16(truncatingIfNeeded: aces.count))
        out.appendLittleEndian(reserved.second)
        for ace in aces { ace.append(to: &out) }
        out += reserved.slack
    }

    /// Copies a validated list.
    init(_ raw: RawACL) {
        var aces: [ACE] = []
        aces.reserveCapacity(raw.count)
        var cursor = raw.makeCursor()
        while let ace = cursor.next() { aces.append(ACE(ace)) }
        let bytes = UnsafeRawBufferPointer(start: raw.start, count: raw.size)
        self.aces = aces
        revision = bytes[0]
        let used = aces.reduce(8) { $0 + $1.byteCount }
        reserved = Reserved(
            first: bytes[1], second: bytes.load(UInt16.self, at: 6), slack: Array(bytes.dropFirst(used)))
    }
}
