import RegistryModel

extension RegistryKey {
    /// Writes a structure: members become values, structures in it keys below, and so on. Texts become REG_SZ, lists of
    /// texts REG_MULTI_SZ, numbers and truth values REG_DWORD or REG_QWORD, fractions texts; other lists become keys with
    /// their elements by number. What is nil is not written.
    ///
    /// Each value is a change of its own, unless the key was opened in a transaction. Takes KEY_SET_VALUE and
    /// KEY_CREATE_SUB_KEY, and DELETE on keys that are replaced.
    ///
    /// - Throws: what the structure throws, and as ``set(_:to:)`` and ``create(_:for:options:className:descriptor:)``.
    public func encode(_ value: some Encodable) throws {
        let encoder = TreeEncoder(codingPath: [])
        try value.encode(to: encoder)
        try encoder.tree.write(to: self)
    }

    /// Reads a structure that was written by ``encode(_:)`` or by hand. Takes KEY_QUERY_VALUE and KEY_ENUMERATE_SUB_KEYS,
    /// on the keys below, too. Links are not followed.
    ///
    /// - Throws: `DecodingError`, and as ``values()``.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try Value(from: TreeDecoder(tree: try RegistryTree(reading: self), codingPath: []))
    }
}

/// A member's name or number.
struct Member: CodingKey {
    let stringValue: String
    let intValue: Int?
    init(stringValue: String) { (self.stringValue, intValue) = (stringValue, nil) }
    init(intValue: Int) { (stringValue, self.intValue) = (String(intValue), intValue) }
}
