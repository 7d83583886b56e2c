/// A UTF-16LE string within bytes.
struct RawString {
    let bytes: UnsafeRawBufferPointer

    static var empty: RawString { RawString(bytes: UnsafeRawBufferPointer(start: nil, count: 0)) }

    @inline(__always) var count: Int { bytes.count >> 1 }
    @inline(__always) subscript(index: Int) -> UInt16 { bytes.load(UInt16.self, at: index << 1) }

    /// The order of two strings by code unit, upper-cased unless case matters: negative, zero or positive.
    func compare(_ other: RawString, caseSensitive: Bool) -> Int {
        for index in 0..<min(count, other.count) {
            var (left, right) = (self[index], other[index])
            if left == right { continue }
            if !caseSensitive { (left, right) = (Self.upper(left), Self.upper(right)) }
            if left != right { return left < right ? -1 : 1 }
        }
        return count == other.count ? 0 : count < other.count ? -1 : 1
    }

    /// The upper case of a code unit, where that is one code unit too (as `RtlUpcaseUnicodeChar`).
    static func upper(_ unit: UInt16) -> UInt16 {
        if unit < 0x80 { return (0x61...0x7a).contains(unit) ? unit - 0x20 : unit }
        guard let scalar = Unicode.Scalar(unit) else { return unit }
        let mapped = scalar.properties.uppercaseMapping.utf16
        guard let first = mapped.first, mapped.dropFirst().isEmpty else { return unit }
        return first
    }

    /// The same string as a value of its own; what is not UTF-16 is replaced.
    var copied: String { String(decoding: (0..<count).map { self[$0] }, as: UTF16.self) }
}
