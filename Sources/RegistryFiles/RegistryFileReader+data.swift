import RegistryModel

extension RegistryFileReader {
    /// What is in quotes from here on. A line's end in it is part of it, as regedit writes it.
    mutating func quoted() throws(RegistryFileError) -> String {
        let start = lines.number
        var bytes: [UInt8] = []
        position += 1
        while true {
            guard let byte = peek else {
                bytes += lines.endsInCarriageReturn ? [0x0D, 0x0A] : [0x0A]
                guard bytes.count <= TextLines.longestLine, try lines.next() else {
                    throw .malformed(line: start, reason: "a quotation mark without its second")
                }
                position = 0
                continue
            }
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try text(bytes)
            case UInt8(ascii: "\\"):
                switch peek {
                case UInt8(ascii: "\\"), UInt8(ascii: "\""): bytes.append(lines.line[position])
                // Wine's way to write what Windows writes as it is.
                case UInt8(ascii: "n"): bytes.append(0x0A)
                case UInt8(ascii: "r"): bytes.append(0x0D)
                default: throw malformed(#"a backslash that is neither \\ nor \""#)
                }
                position += 1
            default: bytes.append(byte)
            }
        }
    }

    /// What is after the equals sign.
    mutating func data() throws(RegistryFileError) -> RegistryValue {
        if peek == UInt8(ascii: "\"") {
            let text = try quoted()
            try endLine()
            guard !text.utf8.contains(0) else { throw malformed("a NUL in a text") }
            return .string(text)
        }
        let word = takeWord()
        switch word {
        case "dword":
            try expect(UInt8(ascii: ":"))
            skipBlanks()
            let number = try takeNumber()
            try endLine()
            return .dword(number)
        case "hex":
            var type: UInt32 = 3
            if peek == UInt8(ascii: "(") {
                position += 1
                type = try takeNumber()
                try expect(UInt8(ascii: ")"))
            }
            try expect(UInt8(ascii: ":"))
            var bytes = try takeBytes()
            // Texts, which the older version writes in the code page.
            if isVersion4, [1, 2, 6, 7].contains(type) {
                bytes = bytes.map(Windows1252.unit).flatMap {
                    [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)]
                }
            }
            return RegistryValue(type: RegistryValueType(rawValue: type), bytes: bytes)
        default: throw malformed("data begins with a quotation mark, dword: or hex:")
        }
    }

    private mutating func expect(_ byte: UInt8) throws(RegistryFileError) {
        guard peek == byte else { throw malformed("\"\(Character(Unicode.Scalar(byte)))\" is missing") }
        position += 1
    }

    /// Letters, in lower case.
    private mutating func takeWord() -> String {
        let start = position
        while let byte = peek, (0x61...0x7A).contains(byte | 0x20) { position += 1 }
        return String(decoding: lines.line[start..<position].map { $0 | 0x20 }, as: UTF8.self)
    }

    /// One to eight hexadecimal digits.
    private mutating func takeNumber() throws(RegistryFileError) -> UInt32 {
        var number: UInt32 = 0
        let start = position
        while let byte = peek, let digit = Self.digit(byte) {
            guard position - start < 8 else { throw malformed("a number of more than eight digits") }
            number = number << 4 | UInt32(digit)
            position += 1
        }
        guard position > start else { throw malformed("a hexadecimal number is missing") }
        return number
    }

    /// Pairs of digits with commas between them, on as many lines as end in a backslash.
    private mutating func takeBytes() throws(RegistryFileError) -> [UInt8] {
        var bytes: [UInt8] = []
        var needsComma = false
        while true {
            skipBlanks()
            guard let byte = peek, byte != UInt8(ascii: ";") else { return bytes }
            switch byte {
            case UInt8(ascii: "\\"):
                position += 1
                try endLine()
                guard try lines.next() else { throw malformed("the data goes on, and the file does not") }
                position = 0
            case UInt8(ascii: ","):
                guard needsComma else { throw malformed("a comma without a number before it") }
                needsComma = false
                position += 1
            default:
                guard !needsComma, let high = Self.digit(byte) else { throw malformed("no hexadecimal data") }
                position += 1
                if let next = peek, let low = Self.digit(next) {
                    position += 1
                    bytes.append(high << 4 | low)
                } else {
                    bytes.append(high)
                }
                guard bytes.count <= Self.largestData else {
                    throw malformed("data of more than \(Self.largestData) bytes")
                }
                needsComma = true
            }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
