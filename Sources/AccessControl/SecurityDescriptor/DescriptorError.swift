/// Why bytes are not a security descriptor, or parts do not make one.
///
/// The offsets count from the start of the descriptor.
public enum DescriptorError: Error, Hashable, Sendable {
    /// Fewer than the 20 bytes of the header.
    case truncatedHeader
    /// The revision is not 1.
    case unknownRevision(UInt8)
    /// The SE_SELF_RELATIVE control bit is missing, so the offsets mean nothing.
    case notSelfRelative
    /// An offset points into the header or outside the bytes.
    case offsetOutOfBounds(Int)
    /// A SID does not fit, or is not a SID.
    case badSID(offset: Int)
    /// A list's header does not fit, its size is wrong, or its revision is not 2 to 4.
    case badList(offset: Int)
    /// An entry does not fit into its list, or its parts do not fit into it.
    case badEntry(offset: Int)
    /// A list would be over 65,535 bytes.
    case listTooLarge
}

extension DescriptorError: CustomStringConvertible {
    /// One sentence.
    public var description: String {
        switch self {
        case .truncatedHeader: "the security descriptor ends within its header of 20 bytes"
        case .unknownRevision(let revision): "the security descriptor's revision is \(revision), not 1"
        case .notSelfRelative: "the security descriptor is not self-relative"
        case .offsetOutOfBounds(let offset):
            "an offset of the security descriptor points to \(offset), out of bounds"
        case .badSID(let offset): "no valid SID at offset \(offset) of the security descriptor"
        case .badList(let offset): "no valid ACL at offset \(offset) of the security descriptor"
        case .badEntry(let offset): "no valid ACE at offset \(offset) of the security descriptor"
        case .listTooLarge: "the ACL would be larger than 65,535 bytes"
        }
    }
}
