import RegistryModel

/// Makes a tree of a structure.
final class TreeEncoder: Encoder {
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }
    private var members: [String: TreeEncoder] = [:]
    private var elements: [TreeEncoder]?
    private var value: RegistryValue?

    init(codingPath: [any CodingKey]) { self.codingPath = codingPath }

    var tree: RegistryTree {
        if let value { return .value(value) }
        if let elements { return RegistryTree(list: elements.map(\.tree)) }
        return .key(members.mapValues(\.tree))
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(Keyed(encoder: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if elements == nil { elements = [] }
        return Unkeyed(encoder: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

    private func member(_ key: any CodingKey) -> TreeEncoder {
        let member = TreeEncoder(codingPath: codingPath + [key])
        members[key.stringValue] = member
        return member
    }

    private func element() -> TreeEncoder {
        let element = TreeEncoder(codingPath: codingPath + [Member(intValue: elements?.count ?? 0)])
        elements = (elements ?? []) + [element]
        return element
    }

    private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let encoder: TreeEncoder
        var codingPath: [any CodingKey] { encoder.codingPath }

        func encodeNil(forKey key: Key) {}
        func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
            try Single(encoder: encoder.member(key)).encode(value)
        }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedEncodingContainer<Nested> { encoder.member(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
            encoder.member(key).unkeyedContainer()
        }
        func superEncoder() -> any Encoder { encoder.member(Member(stringValue: "super")) }
        func superEncoder(forKey key: Key) -> any Encoder { encoder.member(key) }
    }

    private struct Unkeyed: UnkeyedEncodingContainer {
        let encoder: TreeEncoder
        var codingPath: [any CodingKey] { encoder.codingPath }
        var count: Int { encoder.elements?.count ?? 0 }

        func encodeNil() throws {
            throw EncodingError.invalidValue(
                (),
                .init(codingPath: codingPath, debugDescription: "the registry keeps no list with nil in it"))
        }
        func encode<Value: Encodable>(_ value: Value) throws {
            try Single(encoder: encoder.element()).encode(value)
        }
        func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            encoder.element().container(keyedBy: type)
        }
        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder.element().unkeyedContainer() }
        func superEncoder() -> any Encoder { encoder.element() }
    }

    private struct Single: SingleValueEncodingContainer {
        let encoder: TreeEncoder
        var codingPath: [any CodingKey] { encoder.codingPath }

        func encodeNil() throws {}
        func encode<Value: Encodable>(_ value: Value) throws {
            switch value {
            case let bytes as [UInt8]: encoder.value = .binary(bytes)
            case let flag as Bool: encoder.value = .dword(flag ? 1 : 0)
            case let number as any FixedWidthInteger: try encodeInteger(number)
            case let number as any BinaryFloatingPoint & CustomStringConvertible:
                encoder.value = .string(number.description)
            case let text as String: encoder.value = .string(text)
            default: try value.encode(to: encoder)
            }
        }

        private func encodeInteger(_ number: some FixedWidthInteger) throws {
            if let small = UInt32(exactly: number) {
                encoder.value = .dword(small)
            } else if let large = UInt64(exactly: number) {
                encoder.value = .qword(large)
            } else if let negative = Int64(exactly: number) {
                encoder.value = .qword(UInt64(bitPattern: negative))
            } else {
                throw EncodingError.invalidValue(
                    number, .init(codingPath: codingPath, debugDescription: "a number has at most 64 bits"))
            }
        }
    }
}
