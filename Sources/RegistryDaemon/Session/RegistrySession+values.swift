package import RegistryModel

extension RegistrySession {
    /// A value; takes KEY_QUERY_VALUE.
    ///
    /// - Throws: ``RegistryError/valueNotFound(_:)``.
    package func value(_ handle: UInt64, _ name: RegistryValueName) throws(RegistryError) -> ValueRecord {
        let key = try open(handle, for: .queryValue)
        return try reading(key.transaction) { view throws(RegistryError) in
            if let value = try view.value(of: key.id, named: name), try view.key(key.id) != nil {
                return value
            }
            _ = try record(key, view)
            throw .valueNotFound("\(key.path) has no value \(name); set it, or have a default ready")
        }
    }

    /// A page of the values in the order of their folded names; takes KEY_QUERY_VALUE.
    ///
    /// - Parameter after: the last name of the page before; nil for the first one.
    package func values(
        _ handle: UInt64, after: RegistryValueName?, limit: Int = .max
    ) throws(RegistryError) -> [ValueRecord] {
        let key = try open(handle, for: .queryValue)
        return try reading(key.transaction) { view throws(RegistryError) in
            _ = try record(key, view)
            return try view.values(
                of: key.id, after: after?.folded, limit: min(max(limit, 1), limits.page),
                bytes: limits.pageBytes)
        }
    }

    /// Sets a value; takes KEY_SET_VALUE. A link has no value but `SymbolicLinkValue`.
    ///
    /// - Throws: ``RegistryError/valueTooLarge(_:)``, ``RegistryError/linkUnresolved(_:)`` for a link to no path.
    package func set(
        _ handle: UInt64, _ name: RegistryValueName, _ value: RegistryValue
    ) throws(RegistryError) {
        let key = try open(handle, for: .setValue)
        let bytes = value.bytes
        guard bytes.count <= engine.limits.value else {
            throw .valueTooLarge(
                "\(name) of \(key.path) has \(bytes.count) bytes; a value has at most \(engine.limits.value): keep it"
                    + " in a file, and the file's path here")
        }
        try changing(key.transaction) { view throws(RegistryError) in
            if try record(key, view).isLink {
                guard name == .symbolicLink, value.type == .link else {
                    throw .linkUnresolved(
                        "\(key.path) is a link: it has SymbolicLinkValue, a REG_LINK, and no more")
                }
                guard let text = value.text, RegistryPath(linkTarget: text) != nil else {
                    throw .linkUnresolved("a link leads to a path that begins with a hive: set it to one")
                }
            }
            try view.set(ValueRecord(name: name, type: value.type, bytes: bytes), of: key.id)
        }
    }

    /// Deletes a value; takes KEY_SET_VALUE.
    ///
    /// - Throws: ``RegistryError/valueNotFound(_:)``.
    package func deleteValue(_ handle: UInt64, _ name: RegistryValueName) throws(RegistryError) {
        let key = try open(handle, for: .setValue)
        try changing(key.transaction) { view throws(RegistryError) in
            _ = try record(key, view)
            guard try view.value(of: key.id, named: name) != nil else {
                throw .valueNotFound("\(key.path) has no value \(name)")
            }
            try view.deleteValue(name, of: key.id)
        }
    }
}
