import Foundation
public import RegistryModel
import RegistryProtocol

/// What can be kept as one value of a key: texts, numbers, bytes.
public protocol RegistryStorable: Sendable {
    /// Reads a value.
    ///
    /// - Throws: ``RegistryError/wrongType(_:)``.
    init(registryValue: RegistryValue) throws(RegistryError)
    /// As it is kept.
    var registryValue: RegistryValue { get }
}

extension RegistryKey {
    /// A value; takes KEY_QUERY_VALUE. Corresponds to `RegQueryValueEx`.
    ///
    /// - Parameter name: empty for the key's default value.
    /// - Throws: ``RegistryError/valueNotFound(_:)``.
    public func value(_ name: String) throws(RegistryError) -> RegistryValue {
        guard case .value(let wire) = try connection.call(handle, .query(name)) else { throw .senseless }
        return RegistryValue(wire)
    }

    /// A value of a type; nil if there is none. Corresponds to `RegGetValue`.
    ///
    /// - Throws: ``RegistryError/wrongType(_:)`` for one of another type.
    public func get<Value: RegistryStorable>(
        _ name: String, as type: Value.Type = Value.self
    ) throws(RegistryError) -> Value? {
        let found: RegistryValue
        do throws(RegistryError) { found = try value(name) } catch {
            guard case .valueNotFound = error else { throw error }
            return nil
        }
        do throws(RegistryError) { return try Value(registryValue: found) } catch {
            throw .wrongType("\(path), value \(name.isEmpty ? "(Default)" : name): \(error)")
        }
    }

    /// Sets a value; takes KEY_SET_VALUE. Durable when it returns. Corresponds to `RegSetValueEx`.
    ///
    /// - Throws: ``RegistryError/valueTooLarge(_:)``, ``RegistryError/accessDenied(_:)``.
    public func set(_ name: String, to value: RegistryValue) throws(RegistryError) {
        try done(
            .set(
                .with {
                    $0.name = name
                    $0.type = value.type.rawValue
                    $0.data = Data(value.bytes)
                }))
    }

    /// Sets a value: a text as REG_SZ, texts as REG_MULTI_SZ, numbers as REG_DWORD or REG_QWORD, bytes as REG_BINARY.
    public func set(_ name: String, _ value: some RegistryStorable) throws(RegistryError) {
        try set(name, to: value.registryValue)
    }

    /// Deletes a value; takes KEY_SET_VALUE. Corresponds to `RegDeleteValue`.
    ///
    /// - Throws: ``RegistryError/valueNotFound(_:)``.
    public func deleteValue(_ name: String) throws(RegistryError) { try done(.deleteValue(name)) }

    /// All values, in the order of their folded names; takes KEY_QUERY_VALUE. Corresponds to `RegEnumValue`.
    ///
    /// They are read in pages: what is set or deleted meanwhile may be among them or not.
    public func values() throws(RegistryError) -> [(name: RegistryValueName, value: RegistryValue)] {
        var out: [(name: RegistryValueName, value: RegistryValue)] = []
        while true {
            let page = try values(after: out.last?.name)
            guard !page.isEmpty else { return out }
            out += page
        }
    }

    /// A page of the values.
    ///
    /// - Parameters:
    ///   - after: the last name of the page before; nil for the first page.
    ///   - limit: at most this many; the registry may give less. None: there are no more.
    public func values(
        after: RegistryValueName?, limit: UInt32 = 0
    ) throws(RegistryError) -> [(name: RegistryValueName, value: RegistryValue)] {
        guard case .values(let list) = try connection.call(handle, .values(.after(after?.text, limit))) else {
            throw .senseless
        }
        var out: [(name: RegistryValueName, value: RegistryValue)] = []
        for value in list.values { out.append((try RegistryValueName(value.name), RegistryValue(value))) }
        return out
    }
}

extension RegistryValue {
    fileprivate init(_ wire: WireRegistryValueView) {
        self.init(type: RegistryValueType(rawValue: wire.type), bytes: Array(wire.data))
    }
}

extension RegistryValue: RegistryStorable {
    /// The value itself.
    public init(registryValue: RegistryValue) { self = registryValue }
    /// The value itself.
    public var registryValue: RegistryValue { self }
}

extension String: RegistryStorable {
    /// Of REG_SZ and REG_EXPAND_SZ; variables are not expanded.
    public init(registryValue: RegistryValue) throws(RegistryError) {
        guard let text = registryValue.text else { throw .expected("a text", registryValue) }
        self = text
    }
    /// REG_SZ.
    public var registryValue: RegistryValue { .string(self) }
}

/// What lists of can be kept as one value: texts and bytes.
public protocol RegistryListElement: Sendable {
    /// Reads a list.
    ///
    /// - Throws: ``RegistryError/wrongType(_:)``.
    static func list(_ value: RegistryValue) throws(RegistryError) -> [Self]
    /// A list as it is kept.
    static func value(_ list: [Self]) -> RegistryValue
}

extension String: RegistryListElement {
    /// Of REG_MULTI_SZ.
    public static func list(_ value: RegistryValue) throws(RegistryError) -> [String] {
        guard let texts = value.texts else { throw .expected("texts", value) }
        return texts
    }
    /// REG_MULTI_SZ; empty texts, which it cannot have, are left out.
    public static func value(_ list: [String]) -> RegistryValue { .multiString(list.filter { !$0.isEmpty }) }
}

extension UInt8: RegistryListElement {
    /// The bytes, of any type.
    public static func list(_ value: RegistryValue) -> [UInt8] { value.bytes }
    /// REG_BINARY.
    public static func value(_ list: [UInt8]) -> RegistryValue { .binary(list) }
}

extension Array: RegistryStorable where Element: RegistryListElement {
    /// Texts of REG_MULTI_SZ; bytes of any type.
    public init(registryValue: RegistryValue) throws(RegistryError) { self = try Element.list(registryValue) }
    /// REG_MULTI_SZ or REG_BINARY.
    public var registryValue: RegistryValue { Element.value(self) }
}

extension UInt32: RegistryStorable {
    /// Of REG_DWORD, and of REG_QWORD if it fits.
    public init(registryValue: RegistryValue) throws(RegistryError) {
        guard let number = registryValue.number, let own = UInt32(exactly: number) else {
            throw .expected("a number of 32 bits", registryValue)
        }
        self = own
    }
    /// REG_DWORD.
    public var registryValue: RegistryValue { .dword(self) }
}

extension UInt64: RegistryStorable {
    /// Of REG_QWORD and REG_DWORD.
    public init(registryValue: RegistryValue) throws(RegistryError) {
        guard let number = registryValue.number else { throw .expected("a number", registryValue) }
        self = number
    }
    /// REG_QWORD.
    public var registryValue: RegistryValue { .qword(self) }
}

extension Int: RegistryStorable {
    /// Of REG_QWORD, as a signed number, and of REG_DWORD.
    public init(registryValue: RegistryValue) throws(RegistryError) {
        self = Int(truncatingIfNeeded: try UInt64(registryValue: registryValue))
    }
    /// REG_QWORD, two's complement.
    public var registryValue: RegistryValue { .qword(UInt64(bitPattern: Int64(self))) }
}

extension Bool: RegistryStorable {
    /// Of REG_DWORD and REG_QWORD: not 0.
    public init(registryValue: RegistryValue) throws(RegistryError) {
        self = try UInt64(registryValue: registryValue) != 0
    }
    /// REG_DWORD, 0 or 1.
    public var registryValue: RegistryValue { .dword(self ? 1 : 0) }
}

extension RegistryError {
    fileprivate static func expected(_ what: String, _ value: RegistryValue) -> RegistryError {
        .wrongType("it is \(value.type), and not \(what); read it as that, or set it anew")
    }
}
