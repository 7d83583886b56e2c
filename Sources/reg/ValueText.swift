import ArgumentParser
import RegistryModel
import ToolSupport

/// A value's type as people name it: `REG_SZ` or `sz`, in any case.
struct TypeArgument: ExpressibleByArgument {
    let type: RegistryValueType

    init(_ type: RegistryValueType) { self.type = type }

    init?(argument: String) {
        guard let type = RegistryValueType(name: argument) ?? RegistryValueType(name: "REG_" + argument)
        else {
            return nil
        }
        self.type = type
    }

    var defaultValueDescription: String { type.description }

    static var allValueStrings: [String] { (0...11).map { RegistryValueType(rawValue: $0).description } }
}

/// What a value holds, as JSON: a text, a number, texts, or bytes in hexadecimal.
enum ValueData: Encodable {
    case text(String)
    case number(UInt64)
    case texts([String])
    case bytes(String)

    init(_ value: RegistryValue) {
        switch value {
        case .string(let text), .expandString(let text), .link(let text): self = .text(text)
        case .dword(let number), .dwordBigEndian(let number): self = .number(UInt64(number))
        case .qword(let number): self = .number(number)
        case .multiString(let texts): self = .texts(texts)
        case .none, .binary, .other: self = .bytes(hexadecimal(value.bytes))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text), .bytes(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .texts(let texts): try container.encode(texts)
        }
    }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.reduce(into: "") { $0 += ($1 < 16 ? "0" : "") + String($1, radix: 16, uppercase: true) }
}

extension RegistryValue {
    /// On one line, as Windows' tool shows it: `0x1f90`, `one\0two`, `01FF`.
    var line: String {
        switch ValueData(self) {
        case .text(let text): visible(text)
        case .number(let number): "0x" + String(number, radix: 16)
        case .texts(let texts): texts.map(visible).joined(separator: #"\0"#)
        case .bytes(let text): text
        }
    }

    /// What somebody typed, for a value of a type.
    ///
    /// - Parameter separator: between the texts of REG_MULTI_SZ.
    init(typed text: String, as type: RegistryValueType, separator: String) throws {
        switch type {
        case .string: self = .string(text)
        case .expandString: self = .expandString(text)
        case .link: self = .link(text)
        case .multiString:
            // By scalars: a separator and an accent after it are one character.
            let texts = text.unicodeScalars.split(
                separator: separator.unicodeScalars, omittingEmptySubsequences: false)
            guard text.isEmpty || !texts.contains(where: \.isEmpty) else {
                throw ToolError("REG_MULTI_SZ has no room for empty texts")
            }
            self = .multiString(text.isEmpty ? [] : texts.map { String($0) })
        case .dword: self = .dword(try Self.number(text))
        case .dwordBigEndian: self = .dwordBigEndian(try Self.number(text))
        case .qword: self = .qword(try Self.number(text))
        default: self.init(type: type, bytes: try Self.bytes(text))
        }
        // A NUL ends a text, and would come back as bytes.
        guard type == self.type, RegistryValue(type: type, bytes: bytes) == self else {
            throw ToolError("a text cannot have a NUL in it")
        }
    }

    private static func number<Number: FixedWidthInteger>(_ text: String) throws -> Number {
        let isHexadecimal = text.lowercased().hasPrefix("0x")
        let digits = isHexadecimal ? text.dropFirst(2) : text[...]
        guard digits.first?.isHexDigit == true, let number = Number(digits, radix: isHexadecimal ? 16 : 10)
        else {
            throw ToolError("\"\(text)\" is no number of \(Number.bitWidth) bits, such as 8080 or 0x1f90")
        }
        return number
    }

    private static func bytes(_ text: String) throws -> [UInt8] {
        let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else {
            throw ToolError("\"\(text)\" is no bytes in hexadecimal, such as 01ff")
        }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
