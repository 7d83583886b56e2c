import AccessControl

/// A number, as such or as text in decimal or hexadecimal (`0x…`).
struct BatchNumber: Decodable {
    let value: UInt32

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(UInt32.self) {
            value = number
            return
        }
        guard let text = try? container.decode(String.self), let number = Self.number(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a number of 32 bits")
        }
        value = number
    }

    static func number(_ text: String) -> UInt32? {
        guard text.first?.isASCII == true, text.first?.isNumber == true else { return nil }
        return text.lowercased().hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    }
}

/// An access mask: a number, or words for rights on files.
struct BatchMask: Decodable {
    let value: UInt32

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self), let rights = Rights(argument: text) {
            value = rights.mask.rawValue
        } else {
            value = try BatchNumber(from: decoder).value
        }
    }
}

/// A SID as text.
struct BatchSID: Decodable {
    let sid: SID

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let sid = SID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a SID")
        }
        self.sid = sid
    }
}

/// One thing, or a list of them.
struct BatchList<Element: Decodable>: Decodable {
    let elements: [Element]

    init(from decoder: any Decoder) throws {
        if let one = try? Element(from: decoder) {
            elements = [one]
        } else {
            elements = try [Element](from: decoder)
        }
    }
}

extension Decoder {
    /// The fields of an object; one that is not known is an error, because it was meant to change the answer.
    func fields<Key: CodingKey & CaseIterable>(_: Key.Type) throws -> KeyedDecodingContainer<Key> {
        let known = Key.allCases.map(\.stringValue)
        for key in try container(keyedBy: AnyKey.self).allKeys where !known.contains(key.stringValue) {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath, debugDescription: "the field \"\(key.stringValue)\" is not known"))
        }
        return try container(keyedBy: Key.self)
    }
}

private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
