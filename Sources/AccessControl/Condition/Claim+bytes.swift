extension Claim {
    /// The binary form (`CLAIM_SECURITY_ATTRIBUTE_RELATIVE_V1`, MS-DTYP 2.4.10.1).
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        let table = 16 + 4 * values.count
        out.appendLittleEndian(UInt32(truncatingIfNeeded: table))
        out.appendLittleEndian(values.typeNumber)
        out.appendLittleEndian(UInt16(0))
        out.appendLittleEndian(flags.rawValue)
        out.appendLittleEndian(UInt32(truncatingIfNeeded: values.count))
        out += [UInt8](repeating: 0, count: table - 16)
        Self.append(name, to: &out)
        for index in 0..<values.count {
            out.pad(to: 4)
            out.storeLittleEndian(UInt32(truncatingIfNeeded: out.count), at: 16 + 4 * index)
            switch values {
            case .int64(let values): out.appendLittleEndian(values[index])
            case .uint64(let values): out.appendLittleEndian(values[index])
            case .boolean(let values): out.appendLittleEndian(UInt64(values[index] ? 1 : 0))
            case .string(let values): Self.append(values[index], to: &out)
            case .sid(let values):
                out.appendLittleEndian(UInt32(values[index].byteCount))
                values[index].append(to: &out)
            case .octets(let values):
                out.appendLittleEndian(UInt32(truncatingIfNeeded: values[index].count))
                out += values[index]
            }
        }
        out.pad(to: 4)
        return out
    }

    /// Appends a string in UTF-16LE with a zero after it; the string ends at a zero within.
    private static func append(_ string: String, to out: inout [UInt8]) {
        for unit in string.utf16 {
            if unit == 0 { break }
            out.appendLittleEndian(unit)
        }
        out.appendLittleEndian(UInt16(0))
    }

    /// Reads the binary form; `nil` if it is malformed.
    public init?(bytes: [UInt8]) {
        let claim: Claim? = bytes.withUnsafeBytes { RawClaim($0).map(Claim.init) }
        guard let claim else { return nil }
        self = claim
    }

    init(_ raw: RawClaim) {
        name = raw.name.copied
        flags = raw.flags
        let scalars = (0..<raw.count).map(raw.scalar(at:))
        switch raw.type {
        case 1:
            values = .int64(
                scalars.compactMap { if case .integer(let value) = $0 { value.int64 } else { nil } })
        case 2:
            values = .uint64(
                scalars.compactMap { if case .integer(let value) = $0 { value.magnitude } else { nil } })
        case 3:
            values = .string(
                scalars.compactMap { if case .string(let value) = $0 { value.copied } else { nil } })
        case 5:
            values = .sid(scalars.compactMap { if case .sid(let value) = $0 { value.copied } else { nil } })
        case 6:
            values = .boolean(scalars.compactMap { if case .boolean(let value) = $0 { value } else { nil } })
        default:
            values = .octets(
                scalars.compactMap { if case .octets(let value) = $0 { Array(value) } else { nil } })
        }
    }
}

extension SignedMagnitude {
    /// The integer, if it fits.
    var int64: Int64? {
        isNegative
            ? Int64(exactly: magnitude).map { -$0 } ?? (magnitude == 1 << 63 ? .min : nil)
            : Int64(exactly: magnitude)
    }
}

extension ACE {
    /// A resource attribute, as it stands in a SACL.
    public static func resourceAttribute(_ claim: Claim, flags: ACEFlags = []) -> ACE {
        ACE(
            known: .resourceAttribute, flags,
            Entry(mask: 0, sid: .everyone, object: nil, applicationData: claim.bytes))
    }

    /// The attribute that a resource attribute entry states; `nil` for other entries and malformed ones.
    public var resourceAttribute: Claim? {
        guard type == .resourceAttribute, let entry else { return nil }
        return Claim(bytes: entry.applicationData)
    }
}
