/// Reads SDDL from its UTF-8, token by token. The position only moves past what was understood.
struct SDDLScanner {
    let utf8: UnsafeBufferPointer<UInt8>
    var position = 0
    /// The domain that domain-relative aliases are taken in.
    let domain: SID?

    @inline(__always) var current: UInt8? { position < utf8.count ? utf8[position] : nil }
    @inline(__always) var isAtEnd: Bool { position >= utf8.count }

    /// The byte `distance` after the current one.
    @inline(__always) func peek(_ distance: Int) -> UInt8? {
        position + distance < utf8.count ? utf8[position + distance] : nil
    }

    func failure(_ expected: String, at offset: Int? = nil) -> SDDLFailure {
        SDDLFailure(position: offset ?? position, expected: expected)
    }

    /// Moves past `byte` if it is next.
    @inline(__always) mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    /// Moves past `word`, in either case, if it is next.
    mutating func take(_ word: StaticString) -> Bool {
        guard utf8.count - position >= word.utf8CodeUnitCount else { return false }
        for index in 0..<word.utf8CodeUnitCount
        where Self.upper(utf8[position + index]) != word.utf8Start[index] { return false }
        position += word.utf8CodeUnitCount
        return true
    }

    mutating func expect(_ byte: UInt8) throws(SDDLFailure) {
        guard take(byte) else { throw failure("\"\(Unicode.Scalar(byte))\"") }
    }

    @inline(__always) mutating func skipSpace() {
        while let byte = current, byte == 0x20 || (9...13).contains(byte) { position += 1 }
    }

    @inline(__always) static func upper(_ byte: UInt8) -> UInt8 {
        (0x61...0x7a).contains(byte) ? byte & 0xdf : byte
    }

    /// The next two letters as one number, without moving; `nil` if they are not two letters.
    @inline(__always) func pair() -> UInt16? {
        guard let first = current, let second = peek(1) else { return nil }
        let (high, low) = (Self.upper(first), Self.upper(second))
        guard (0x41...0x5a).contains(high), (0x41...0x5a).contains(low) else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    /// Reads a SID in either form, or an alias.
    mutating func sid() throws(SDDLFailure) -> SID {
        if let letter = current, Self.upper(letter) == UInt8(ascii: "S"), peek(1) == UInt8(ascii: "-") {
            var scanner = SIDTextScanner(utf8: utf8, position: position)
            guard let sid = scanner.scan() else { throw failure("a SID", at: scanner.position) }
            position = scanner.position
            return sid
        }
        guard let pair = pair(), let target = SIDAlias.byCode[pair] else {
            throw failure("a SID or an alias such as BA or WD")
        }
        switch target {
        case .sid(let sid):
            position += 2
            return sid
        case .inDomain(let rid):
            guard let domain else {
                throw failure("a SID: this alias means one in a domain, and none was given")
            }
            guard let sid = try? domain.appending(rid) else { throw failure("a shorter domain SID") }
            position += 2
            return sid
        }
    }

    /// Reads a number: hexadecimal after `0x`, octal after `0`, else decimal.
    mutating func number(below limit: UInt64) throws(SDDLFailure) -> UInt64 {
        let start = position
        var radix: UInt64 = 10
        if current == UInt8(ascii: "0") {
            if let next = peek(1), Self.upper(next) == UInt8(ascii: "X") {
                position += 2
                radix = 16
            } else if let next = peek(1), (0x30...0x39).contains(next) {
                position += 1
                radix = 8
            }
        }
        let digits = position
        var value: UInt64 = 0
        while let byte = current, let digit = byte.hexDigit, UInt64(digit) < radix {
            let (product, overflow) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry, sum <= limit else { throw failure("a smaller number", at: start) }
            value = sum
            position += 1
        }
        guard position > digits else { throw failure("a number") }
        return value
    }

    /// Reads pairs of hexadecimal digits for as long as there are any.
    mutating func octets() throws(SDDLFailure) -> [UInt8] {
        var out: [UInt8] = []
        while let high = current?.hexDigit {
            guard let low = peek(1)?.hexDigit else {
                throw failure("a second hexadecimal digit", at: position + 1)
            }
            out.append(high << 4 | low)
            position += 2
        }
        return out
    }
}
