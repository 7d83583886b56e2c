#if Configuration
    package import Configuration
    import Foundation
    package import Registry
    package import RegistryModel

    /// What a key and those below it held at one moment, as configuration.
    package struct RegistrySnapshot: ConfigSnapshot, Equatable {
        private struct Place: Hashable {
            let keys: [RegistryKeyName]
            let value: RegistryValueName
        }

        package let providerName: String
        private var values: [Place: RegistryValue] = [:]

        package init(_ providerName: String) { self.providerName = providerName }

        /// Reads a key and all below it. Links are not followed.
        package init(_ providerName: String, reading root: RegistryKey) throws(RegistryError) {
            self.init(providerName)
            var rest: [(names: [RegistryKeyName], key: RegistryKey)] = [([], root)]
            while let (names, key) = rest.popLast() {
                for (name, value) in try key.values() { self[names, name] = value }
                for subkey in try key.subkeys() where !subkey.isLink {
                    do throws(RegistryError) {
                        rest.append(
                            (names + [subkey.name], try key.open(subkey.name.text, options: .openLink)))
                    } catch {
                        // Deleted since it was listed.
                        guard case .keyNotFound = error else { throw error }
                    }
                }
            }
        }

        package subscript(keys: [RegistryKeyName], name: RegistryValueName) -> RegistryValue? {
            get { values[Place(keys: keys, value: name)] }
            set { values[Place(keys: keys, value: name)] = newValue }
        }

        /// `http.port` is the value `port` of the key `http`.
        package func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
            // What cannot be a name is the name of nothing.
            guard let last = key.components.last, let name = try? RegistryValueName(last),
                let keys = try? key.components.dropLast().map({ try RegistryKeyName($0) }),
                let found = self[keys, name]
            else { return LookupResult(encodedKey: key.description, value: nil) }
            guard let content = ConfigContent(found, as: type) else {
                throw RegistryError.wrongType(
                    "the setting \(key.description) is a \(found.type), which is no \(type.rawValue)")
            }
            return LookupResult(encodedKey: key.description, value: ConfigValue(content, isSecret: false))
        }
    }

    extension ConfigContent {
        /// A value as what was asked for; nil where it is none.
        fileprivate init?(_ value: RegistryValue, as type: ConfigType) {
            let content: ConfigContent? =
                switch type {
                case .string: value.text.map { .string($0) }
                case .int: value.int.map { .int($0) }
                case .double: value.double.map { .double($0) }
                case .bool: value.bool.map { .bool($0) }
                case .bytes: value.octets.map { .bytes($0) }
                case .stringArray: value.texts.map { .stringArray($0) }
                case .intArray: value.list(Int.init).map { .intArray($0) }
                case .doubleArray: value.list(Double.init).map { .doubleArray($0) }
                case .boolArray: value.list(Bool.init(word:)).map { .boolArray($0) }
                case .byteChunkArray:
                    value.list { Data(base64Encoded: $0).map(Array.init) }.map { .byteChunkArray($0) }
                }
            guard let content else { return nil }
            self = content
        }
    }

    /// Numbers may be texts: people write them so, and the registry has no type for a fraction.
    extension RegistryValue {
        fileprivate var int: Int? {
            switch self {
            case .dword(let number), .dwordBigEndian(let number): Int(number)
            case .qword(let number): Int(Int64(bitPattern: number))
            default: text.flatMap { Int($0) }
            }
        }

        fileprivate var double: Double? { int.flatMap { Double(exactly: $0) } ?? text.flatMap { Double($0) } }

        fileprivate var bool: Bool? { number.map { $0 != 0 } ?? text.flatMap { Bool(word: $0) } }

        /// Bytes of a type that means nothing else; else of a text in base64.
        fileprivate var octets: [UInt8]? {
            switch self {
            case .binary(let bytes), .none(let bytes): bytes
            default: text.flatMap { Data(base64Encoded: $0) }.map(Array.init)
            }
        }

        /// The texts of a list, each as something else; nil if one of them is none.
        fileprivate func list<Element>(_ element: (String) -> Element?) -> [Element]? {
            guard let texts else { return nil }
            let elements = texts.compactMap(element)
            return elements.count == texts.count ? elements : nil
        }
    }

    extension Bool {
        fileprivate init?(word: String) {
            switch word.lowercased() {
            case "true", "yes", "on", "1": self = true
            case "false", "no", "off", "0": self = false
            default: return nil
            }
        }
    }
#endif
