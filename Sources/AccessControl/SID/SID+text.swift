extension SID: LosslessStringConvertible, CustomDebugStringConvertible {
    /// Reads `S-1-authority-sub-…`.
    ///
    /// The authority is decimal below 2³² and may always be hexadecimal (`0x` and up to twelve digits); the
    /// sub-authorities are decimal. The leading `S` may be lower case. Returns `nil` for anything else.
    public init?(_ text: String) {
        var text = text
        let parsed: SID?? = text.withUTF8 { utf8 in
            var scanner = SIDTextScanner(utf8: utf8, position: 0)
            guard let sid = scanner.scan(), scanner.position == utf8.count else { return nil }
            return sid
        }
        guard case .some(.some(let sid)) = parsed else { return nil }
        self = sid
    }

    /// The string form, `S-1-5-32-544`; an authority of 2³² and above is written in hexadecimal.
    public var description: String {
        var out = "S-1-"
        if authority < 1 << 32 {
            out += String(authority)
        } else {
            let digits = String(authority, radix: 16)
            out += "0x" + String(repeating: "0", count: 12 - digits.count) + digits
        }
        for index in 0..<subAuthorityCount { out += "-" + String(subAuthority(at: index)) }
        return out
    }

    /// The same as `description`.
    public var debugDescription: String { description }
}

/// Reads a SID's string form at a position within a longer text.
struct SIDTextScanner {
    let utf8: UnsafeBufferPointer<UInt8>
    var position: Int

    private var current: UInt8? { position < utf8.count ? utf8[position] : nil }

    /// Scans a SID and moves past it; on failure `position` is where the text stopped being a SID.
    mutating func scan() -> SID? {
        guard let letter = current, letter | 0x20 == UInt8(ascii: "s") else { return nil }
        position += 1
        guard dash(), current == UInt8(ascii: "1") else { return nil }
        position += 1
        guard dash(), let authority = scanAuthority() else { return nil }
        var head = InlineArray<15, UInt32>(repeating: 0)
        var count = 0
        while current == UInt8(ascii: "-") {
            guard count < SID.maximumSubAuthorities else { return nil }
            position += 1
            guard let sub = decimal(below: 1 << 32) else { return nil }
            head[count] = UInt32(sub)
            count += 1
        }
        return SID(uncheckedAuthority: authority, head, count: count)
    }

    private mutating func dash() -> Bool {
        guard current == UInt8(ascii: "-") else { return false }
        position += 1
        return true
    }

    private mutating func scanAuthority() -> UInt64? {
        if current == UInt8(ascii: "0"), position + 1 < utf8.count,
            utf8[position + 1] | 0x20 == UInt8(ascii: "x")
        {
            position += 2
            var (value, digits) = (UInt64(0), 0)
            // Twelve digits are all there can be: what follows may be the D of "D:".
            while digits < 12, let byte = current, let digit = byte.hexDigit {
                value = value << 4 | UInt64(digit)
                digits += 1
                position += 1
            }
            return digits > 0 ? value : nil
        }
        return decimal(below: 1 << 48)
    }

    private mutating func decimal(below limit: UInt64) -> UInt64? {
        let start = position
        var value: UInt64 = 0
        while let byte = current, byte &- 0x30 < 10 {
            value = value * 10 + UInt64(byte - 0x30)
            guard value < limit else { return nil }
            position += 1
        }
        return position > start ? value : nil
    }
}

extension SID {
    /// Makes a SID from the first `count` of `subs`, without an array.
    init(uncheckedAuthority authority: UInt64, _ subs: InlineArray<15, UInt32>, count: Int) {
        head = (authority << 16).byteSwapped << 16 | UInt64(count) << 8 | 1
        var tail = InlineArray<8, UInt64>(repeating: 0)
        for index in 0..<count { tail[index >> 1] |= UInt64(subs[index]) << (UInt64(index & 1) * 32) }
        self.tail = tail
    }
}

extension UInt8 {
    /// The value of this byte as a hexadecimal digit; `nil` if it is not one.
    var hexDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
