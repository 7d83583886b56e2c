/// JSON (RFC 8259), read strictly: an object in which two members have one name is malformed, because who reads it may
/// take either.
enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Sendable, Equatable {
        let name: String
        let value: JSONValue
    }

    struct Malformed: Error {}

    /// How many arrays and objects may be in each other.
    static let largestDepth = 16

    init(parsing bytes: some Sequence<UInt8>) throws(Malformed) {
        var reader = Reader(bytes: Array(bytes))
        self = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.next == nil else { throw Malformed() }
    }

    /// A member of an object.
    subscript(name: StaticString) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return name.withUTF8Buffer { name in members.first { $0.name.utf8.elementsEqual(name) }?.value }
    }

    var string: String? { if case .string(let text) = self { text } else { nil } }
    var number: Double? { if case .number(let number) = self { number } else { nil } }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func skipSpace() {
            while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
        }

        /// Takes the next byte if it is this one.
        mutating func take(_ byte: Unicode.Scalar) -> Bool {
            guard next == UInt8(ascii: byte) else { return false }
            position += 1
            return true
        }

        mutating func take(_ word: StaticString, as value: JSONValue) throws(Malformed) -> JSONValue {
            let isThere = word.withUTF8Buffer { bytes[position...].starts(with: $0) }
            guard isThere else { throw Malformed() }
            position += word.utf8CodeUnitCount
            return value
        }

        mutating func value(depth: Int) throws(Malformed) -> JSONValue {
            guard depth <= JSONValue.largestDepth else { throw Malformed() }
            skipSpace()
            switch next {
            case UInt8(ascii: "{"): return try object(depth)
            case UInt8(ascii: "["): return try array(depth)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"): return try take("true", as: .bool(true))
            case UInt8(ascii: "f"): return try take("false", as: .bool(false))
            case UInt8(ascii: "n"): return try take("null", as: .null)
            default: return .number(try number())
            }
        }

        private mutating func object(_ depth: Int) throws(Malformed) -> JSONValue {
            position += 1
            var members: [Member] = []
            var names: Set<[UInt8]> = []
            skipSpace()
            if take("}") { return .object(members) }
            repeat {
                skipSpace()
                let name = try string()
                guard names.insert(Array(name.utf8)).inserted else { throw Malformed() }
                skipSpace()
                guard take(":") else { throw Malformed() }
                members.append(Member(name: name, value: try value(depth: depth + 1)))
                skipSpace()
            } while take(",")
            guard take("}") else { throw Malformed() }
            return .object(members)
        }

        private mutating func array(_ depth: Int) throws(Malformed) -> JSONValue {
            position += 1
            var items: [JSONValue] = []
            skipSpace()
            if take("]") { return .array(items) }
            repeat {
                items.append(try value(depth: depth + 1))
                skipSpace()
            } while take(",")
            guard take("]") else { throw Malformed() }
            return .array(items)
        }

        private mutating func string() throws(Malformed) -> String {
            guard take("\"") else { throw Malformed() }
            var text: [UInt8] = []
            while let byte = next {
                position += 1
                switch byte {
                case UInt8(ascii: "\""):
                    guard let string = String(validating: text, as: UTF8.self) else { throw Malformed() }
                    return string
                case UInt8(ascii: "\\"): text += try escaped()
                case 0..<0x20: throw Malformed()
                default: text.append(byte)
                }
            }
            throw Malformed()
        }

        private mutating func escaped() throws(Malformed) -> [UInt8] {
            guard let byte = next else { throw Malformed() }
            position += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
            case UInt8(ascii: "b"): return [0x08]
            case UInt8(ascii: "f"): return [0x0C]
            case UInt8(ascii: "n"): return [0x0A]
            case UInt8(ascii: "r"): return [0x0D]
            case UInt8(ascii: "t"): return [0x09]
            case UInt8(ascii: "u"):
                let first = try unit()
                var code = first
                if (0xD800..<0xDC00).contains(first) {
                    guard take("\\"), take("u") else { throw Malformed() }
                    let second = try unit()
                    guard (0xDC00..<0xE000).contains(second) else { throw Malformed() }
                    code = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
                }
                guard let scalar = Unicode.Scalar(code) else { throw Malformed() }
                return Array(String(Character(scalar)).utf8)
            default: throw Malformed()
            }
        }

        /// The four hexadecimal digits of a UTF-16 unit.
        private mutating func unit() throws(Malformed) -> UInt32 {
            var value: UInt32 = 0
            for _ in 0..<4 {
                guard let byte = next, byte < 0x80, let digit = Character(Unicode.Scalar(byte)).hexDigitValue
                else { throw Malformed() }
                position += 1
                value = value << 4 | UInt32(digit)
            }
            return value
        }

        private mutating func number() throws(Malformed) -> Double {
            let start = position
            func isDigit(_ byte: UInt8?) -> Bool { byte.map { (48...57).contains($0) } ?? false }
            func digits(_ reader: inout Reader) throws(Malformed) {
                guard isDigit(reader.next) else { throw Malformed() }
                while isDigit(reader.next) { reader.position += 1 }
            }
            _ = take("-")
            if !take("0") { try digits(&self) }
            if take(".") { try digits(&self) }
            if take("e") || take("E") {
                if !take("+") { _ = take("-") }
                try digits(&self)
            }
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            guard let number = Double(text), number.isFinite else { throw Malformed() }
            return number
        }
    }
}

/// Base64url without padding (RFC 4648, 5; RFC 7515, 2), in its one form: bits that say nothing are zero.
func base64URLDecoded(_ text: some Sequence<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var (bits, count): (UInt32, UInt32) = (0, 0)
    for character in text {
        let value: UInt32
        switch character {
        case 65...90: value = UInt32(character) - 65
        case 97...122: value = UInt32(character) - 71
        case 48...57: value = UInt32(character) + 4
        case UInt8(ascii: "-"): value = 62
        case UInt8(ascii: "_"): value = 63
        default: return nil
        }
        bits = bits << 6 | value
        count += 6
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> count))
            bits &= 1 << count - 1
        }
    }
    return count < 6 && bits == 0 ? bytes : nil
}
