import RegistryModel

/// What a structure becomes: a value, or a key with values and keys in it.
enum RegistryTree {
    case value(RegistryValue)
    case key([String: RegistryTree])

    /// What a list becomes: texts and bytes one value, anything else a key with a key or value for each index.
    init(list: [RegistryTree]) {
        var texts: [String] = []
        for case .value(.string(let text)) in list where !text.isEmpty { texts.append(text) }
        guard texts.count == list.count else {
            let numbered = list.enumerated().map { (String($0.offset), $0.element) }
            self = .key(Dictionary(uniqueKeysWithValues: numbered))
            return
        }
        self = .value(.multiString(texts))
    }

    /// What is in an open key.
    init(reading key: RegistryKey) throws(RegistryError) {
        var members: [String: RegistryTree] = [:]
        for below in try key.subkeys() where !below.isLink {
            let child = try key.open(below.name.text, for: [.queryValue, .enumerateSubKeys])
            members[below.name.text] = try RegistryTree(reading: child)
        }
        for (name, value) in try key.values() { members[name.text] = .value(value) }
        self = .key(members)
    }

    /// Makes an open key hold this, and nothing that is not of it under the same names.
    func write(to key: RegistryKey) throws(RegistryError) {
        guard case .key(let members) = self else { return try write(as: "", to: key) }
        for (name, member) in members.sorted(by: { $0.key < $1.key }) { try member.write(as: name, to: key) }
    }

    private func write(as name: String, to key: RegistryKey) throws(RegistryError) {
        switch self {
        case .value(let value): try key.set(name, to: value)
        case .key:
            // A list may have become shorter.
            do throws(RegistryError) { try key.delete(name, tree: true) } catch {
                guard case .keyNotFound = error else { throw error }
            }
            try write(to: try key.create(name, for: [.setValue, .createSubKey]))
        }
    }
}
