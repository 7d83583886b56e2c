/// A globally unique identifier, as object ACEs use it to name a class or property.
public struct GUID: Hashable, Sendable {
    /// The first eight bytes of the binary form, read little-endian.
    let low: UInt64
    /// The last eight bytes of the binary form, read little-endian.
    let high: UInt64

    init(low: UInt64, high: UInt64) { (self.low, self.high) = (low, high) }

    /// Reads the 16 bytes of the binary form (MS-DTYP 2.3.4.2); `nil` if there are not exactly 16.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        self = bytes.withUnsafeBytes { GUID($0, at: 0) }
    }

    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        low = bytes.load(UInt64.self, at: offset)
        high = bytes.load(UInt64.self, at: offset + 8)
    }

    /// The binary form: the first three groups little-endian, the rest in order.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.appendLittleEndian(low)
        out.appendLittleEndian(high)
        return out
    }
}

extension GUID: LosslessStringConvertible {
    /// Reads `bf967aba-0de6-11d0-a285-00aa003049e2`, in either case, with or without braces.
    public init?(_ text: String) {
        var digits = Array(text.utf8)
        if digits.first == UInt8(ascii: "{"), digits.last == UInt8(ascii: "}") {
            digits = Array(digits[1..<digits.count - 1])
        }
        guard digits.count == 36 else { return nil }
        var values: [UInt8] = []
        var index = 0
        while index < 36 {
            if [8, 13, 18, 23].contains(index) {
                guard digits[index] == UInt8(ascii: "-") else { return nil }
                index += 1
                continue
            }
            guard let high = digits[index].hexDigit, let low = digits[index + 1].hexDigit else { return nil }
            values.append(high << 4 | low)
            index += 2
        }
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        self.init(bytes: order.map { values[$0] })
    }

    /// The registry form in lower case, without braces.
    public var description: String {
        let raw = bytes
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        var out = ""
        for (position, index) in order.enumerated() {
            if [4, 6, 8, 10].contains(position) { out += "-" }
            out += raw[index] < 16 ? "0" + String(raw[index], radix: 16) : String(raw[index], radix: 16)
        }
        return out
    }
}
