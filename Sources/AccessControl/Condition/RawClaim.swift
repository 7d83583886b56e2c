/// A claim within bytes (`CLAIM_SECURITY_ATTRIBUTE_RELATIVE_V1`, MS-DTYP 2.4.10.1), validated when it is made.
struct RawClaim {
    let bytes: UnsafeRawBufferPointer
    let type: UInt16
    let flags: Claim.Flags
    let count: Int

    /// Validates a claim at the start of `bytes`; `nil` if a part of it is out of bounds or its type is unknown.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 16 else { return nil }
        self.bytes = bytes
        type = bytes.load(UInt16.self, at: 4)
        flags = Claim.Flags(rawValue: bytes.load(UInt32.self, at: 8))
        count = Int(bytes.load(UInt32.self, at: 12))
        guard count <= (bytes.count - 16) / 4 else { return nil }
        guard Self.string(in: bytes, at: Int(bytes.load(UInt32.self, at: 0))) != nil else { return nil }
        // Values lie side by side; if they overlap, reading them all could take far longer than the bytes suggest.
        var room = bytes.count
        for index in 0..<count {
            guard let scalar = scalar(validating: index) else { return nil }
            room -= scalar.byteCount
            if room < 0 { return nil }
        }
    }

    /// The name.
    var name: RawString { Self.string(in: bytes, at: Int(bytes.load(UInt32.self, at: 0))) ?? RawString.empty }

    /// The value at `index`, which must be below `count`.
    func scalar(at index: Int) -> Scalar { scalar(validating: index) ?? .boolean(false) }

    private func scalar(validating index: Int) -> Scalar? {
        let offset = Int(bytes.load(UInt32.self, at: 16 + 4 * index))
        switch type {
        case 1, 2, 6:
            guard offset <= bytes.count - 8 else { return nil }
            let value = bytes.load(UInt64.self, at: offset)
            if type == 6 { return .boolean(value != 0) }
            return .integer(type == 2 ? SignedMagnitude(value) : SignedMagnitude(Int64(bitPattern: value)))
        case 3:
            guard let string = Self.string(in: bytes, at: offset) else { return nil }
            return .string(string)
        case 5, 16:
            guard offset <= bytes.count - 4 else { return nil }
            let length = Int(bytes.load(UInt32.self, at: offset))
            guard length <= bytes.count - offset - 4 else { return nil }
            let octets = bytes.part(offset + 4..<offset + 4 + length)
            if type == 16 { return .octets(octets) }
            return RawSID(validating: octets).map { .sid($0) }
        default: return nil
        }
    }

    /// The UTF-16LE string at `offset`, up to its terminating zero.
    private static func string(in bytes: UnsafeRawBufferPointer, at offset: Int) -> RawString? {
        var end = offset
        while end <= bytes.count - 2 {
            if bytes.load(UInt16.self, at: end) == 0 { return RawString(bytes: bytes.part(offset..<end)) }
            end += 2
        }
        return nil
    }
}

extension RawSID {
    /// A SID that fills `bytes` (further bytes are let pass); `nil` if there is none.
    init?(validating bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count >= 8, bytes[0] == 1, bytes[1] <= 15,
            bytes.count >= 8 + 4 * Int(bytes[1])
        else { return nil }
        self.start = start
    }
}

/// An integer of any width and sign: a sign and 64 bits.
struct SignedMagnitude: Hashable {
    let isNegative: Bool
    let magnitude: UInt64

    init(_ value: UInt64) { (isNegative, magnitude) = (false, value) }
    init(_ value: Int64) { (isNegative, magnitude) = (value < 0, value.magnitude) }

    /// The order of two integers: negative, zero or positive.
    func compare(_ other: SignedMagnitude) -> Int {
        if isNegative != other.isNegative { return isNegative ? -1 : 1 }
        if magnitude == other.magnitude { return 0 }
        return (magnitude < other.magnitude) != isNegative ? -1 : 1
    }
}

/// One value of a claim or a literal, within the bytes it was found in.
enum Scalar {
    case integer(SignedMagnitude)
    case string(RawString)
    case sid(RawSID)
    case octets(UnsafeRawBufferPointer)
    case boolean(Bool)

    /// The order of two values: negative, zero or positive; `nil` if they cannot be compared.
    ///
    /// SIDs and booleans have no order; for them anything but zero only says that they differ.
    func compare(_ other: Scalar, caseSensitive: Bool) -> Int? {
        switch (self, other) {
        case (.integer(let left), .integer(let right)): return left.compare(right)
        case (.string(let left), .string(let right)): return left.compare(right, caseSensitive: caseSensitive)
        case (.sid(let left), .sid(let right)): return left.hasSameBytes(as: right) ? 0 : 1
        case (.octets(let left), .octets(let right)): return Self.compare(left, right)
        case (.boolean(let left), .boolean(let right)): return left == right ? 0 : 1
        case (.boolean(let left), .integer(let right)):
            return SignedMagnitude(UInt64(left ? 1 : 0)).compare(right)
        case (.integer(let left), .boolean(let right)):
            return left.compare(SignedMagnitude(UInt64(right ? 1 : 0)))
        default: return nil
        }
    }

    /// How much there is to read.
    var byteCount: Int {
        switch self {
        case .integer, .boolean: 8
        case .string(let string): string.bytes.count
        case .sid(let sid): sid.byteCount
        case .octets(let octets): octets.count
        }
    }

    /// Whether two values of these kinds have an order, not only equality.
    static func isOrdered(_ left: Scalar, _ right: Scalar) -> Bool {
        switch (left, right) {
        case (.sid, _), (.boolean, .boolean): false
        default: true
        }
    }

    private static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        for index in 0..<min(left.count, right.count) where left[index] != right[index] {
            return left[index] < right[index] ? -1 : 1
        }
        return left.count == right.count ? 0 : left.count < right.count ? -1 : 1
    }
}

extension RawSID {
    func hasSameBytes(as other: RawSID) -> Bool {
        guard head == other.head else { return false }
        for index in 0..<subAuthorityCount where subAuthority(at: index) != other.subAuthority(at: index) {
            return false
        }
        return true
    }
}
