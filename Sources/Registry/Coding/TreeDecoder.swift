import RegistryModel

/// Makes a structure of a tree.
struct TreeDecoder: Decoder {
    let tree: RegistryTree
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .key(let members) = tree else { throw mismatch([String: Any].self, "a key") }
        return KeyedDecodingContainer(Keyed(decoder: self, members: members))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        switch tree {
        case .value(let value):
            if let texts = value.texts {
                return Unkeyed(decoder: self, elements: texts.map { .value(.string($0)) })
            }
            if value.type == .binary {
                return Unkeyed(decoder: self, elements: value.bytes.map { .value(.dword(UInt32($0))) })
            }
            throw mismatch([Any].self, "a list")
        case .key(let members):
            var elements: [RegistryTree] = []
            while let element = members[String(elements.count)] { elements.append(element) }
            return Unkeyed(decoder: self, elements: elements)
        }
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { Single(decoder: self) }

    fileprivate func mismatch(_ type: Any.Type, _ wanted: String) -> DecodingError {
        let found = if case .value(let value) = tree { "\(value.type)" } else { "a key" }
        return .typeMismatch(
            type, .init(codingPath: codingPath, debugDescription: "there is \(found), and not \(wanted)"))
    }

    private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let decoder: TreeDecoder
        let members: [String: RegistryTree]
        var codingPath: [any CodingKey] { decoder.codingPath }
        var allKeys: [Key] { members.keys.compactMap(Key.init(stringValue:)) }

        /// Names are compared as the registry does.
        private func member(_ key: any CodingKey) -> TreeDecoder? {
            if let exact = members[key.stringValue] {
                return TreeDecoder(tree: exact, codingPath: codingPath + [key])
            }
            guard let name = try? RegistryValueName(key.stringValue) else { return nil }
            let same = members.first { (try? RegistryValueName($0.key)) == name }
            return same.map { TreeDecoder(tree: $0.value, codingPath: codingPath + [key]) }
        }

        private func required(_ key: any CodingKey) throws -> TreeDecoder {
            guard let member = member(key) else {
                throw DecodingError.keyNotFound(
                    key, .init(codingPath: codingPath, debugDescription: "there is no \(key.stringValue)"))
            }
            return member
        }

        func contains(_ key: Key) -> Bool { member(key) != nil }
        func decodeNil(forKey key: Key) -> Bool { member(key) == nil }
        func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
            try Single(decoder: try required(key)).decode(type)
        }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<Nested> { try required(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
            try required(key).unkeyedContainer()
        }
        func superDecoder() throws -> any Decoder { try required(Member(stringValue: "super")) }
        func superDecoder(forKey key: Key) throws -> any Decoder { try required(key) }
    }

    private struct Unkeyed: UnkeyedDecodingContainer {
        let decoder: TreeDecoder
        let elements: [RegistryTree]
        var currentIndex = 0
        var codingPath: [any CodingKey] { decoder.codingPath }
        var count: Int? { elements.count }
        var isAtEnd: Bool { currentIndex >= elements.count }

        init(decoder: TreeDecoder, elements: [RegistryTree]) {
            (self.decoder, self.elements) = (decoder, elements)
        }

        private mutating func next() throws -> TreeDecoder {
            let path = codingPath + [Member(intValue: currentIndex)]
            guard !isAtEnd else {
                throw DecodingError.valueNotFound(
                    Any.self, .init(codingPath: path, debugDescription: "the list is shorter"))
            }
            defer { currentIndex += 1 }
            return TreeDecoder(tree: elements[currentIndex], codingPath: path)
        }

        mutating func decodeNil() -> Bool { false }
        mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            try Single(decoder: try next()).decode(type)
        }
        mutating func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type
        ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }
        mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
            try next().unkeyedContainer()
        }
        mutating func superDecoder() throws -> any Decoder { try next() }
    }

    private struct Single: SingleValueDecodingContainer {
        let decoder: TreeDecoder
        var codingPath: [any CodingKey] { decoder.codingPath }

        func decodeNil() -> Bool { false }

        func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            let value: RegistryValue? = if case .value(let value) = decoder.tree { value } else { nil }
            let found: Any?
            switch type {
            case is [UInt8].Type where value?.type == .binary: found = value?.bytes
            case is Bool.Type: found = value?.number.map { $0 != 0 }
            case let integer as any FixedWidthInteger.Type:
                found = value.flatMap { Self.integer(integer, $0) }
            case is Double.Type:
                found = value.flatMap { $0.text.flatMap(Double.init) ?? $0.number.map(Double.init) }
            case is Float.Type:
                found = value.flatMap { $0.text.flatMap(Float.init) ?? $0.number.map(Float.init) }
            case is String.Type: found = value?.text
            default: return try Value(from: decoder)
            }
            guard let found = found as? Value else { throw decoder.mismatch(type, "\(type)") }
            return found
        }

        /// A number of 64 bits may be a negative one.
        private static func integer<Number: FixedWidthInteger>(
            _ type: Number.Type, _ value: RegistryValue
        ) -> Number? {
            guard let number = value.number else { return nil }
            if Number.isSigned, value.type == .qword { return Number(exactly: Int64(bitPattern: number)) }
            return Number(exactly: number)
        }
    }
}
