package import RegistryModel

/// Which key, for as long as the registry runs. Never given twice; below zero for volatile keys.
package typealias KeyID = Int64

/// A key as it is stored, without its values.
package struct KeyRecord: Hashable, Sendable {
    /// Which key it is.
    package let id: KeyID
    /// The key above; 0 for the hives' keys.
    package let parent: KeyID
    /// Its name; the hive's for a hive's key.
    package var name: RegistryKeyName
    /// What its maker says it is for; nothing here depends on it.
    package var className: String
    /// When it, its values or its list of subkeys was last changed: 100 ns since 1601 (`FILETIME`).
    package var lastWrite: UInt64
    /// Whether it leads elsewhere.
    package var isLink: Bool
    /// The descriptor in binary form.
    package var descriptor: [UInt8]

    /// Whether it ends with the daemon.
    package var isVolatile: Bool { id < 0 }

    package init(
        id: KeyID, parent: KeyID, name: RegistryKeyName, className: String = "", lastWrite: UInt64,
        isLink: Bool = false, descriptor: [UInt8]
    ) {
        (self.id, self.parent, self.name, self.className) = (id, parent, name, className)
        (self.lastWrite, self.isLink, self.descriptor) = (lastWrite, isLink, descriptor)
    }
}

/// A value as it is stored.
package struct ValueRecord: Hashable, Sendable {
    /// Its name in its key.
    package let name: RegistryValueName
    /// What its bytes are.
    package let type: RegistryValueType
    /// The bytes.
    package let bytes: [UInt8]

    package init(name: RegistryValueName, type: RegistryValueType, bytes: [UInt8]) {
        (self.name, self.type, self.bytes) = (name, type, bytes)
    }

    /// What it adds to a page.
    var size: Int { name.folded.count + bytes.count }
}

/// What one commit changes: the new records, nil for what is deleted.
package struct RegistryChanges: Sendable {
    /// By key. The values of a deleted key go with it.
    package var keys: [KeyID: KeyRecord?] = [:]
    /// By key and folded name.
    package var values: [KeyID: [[UInt8]: ValueRecord?]] = [:]

    package init() {}

    /// Whether nothing is changed.
    package var isEmpty: Bool { keys.isEmpty && values.isEmpty }
}

/// Where keys and values are kept. It knows nothing of rights and links, and may be shared by several machines one day.
///
/// Lists come in the order of the folded names. The registry commits one set of changes at a time, and reads at the same
/// time from other threads.
package protocol RegistryStorage: AnyObject, Sendable {
    /// The largest id of a key.
    func largestID() throws(RegistryError) -> KeyID
    /// The key of an id.
    func key(_ id: KeyID) throws(RegistryError) -> KeyRecord?
    /// The key of a name below another.
    func child(of parent: KeyID, named folded: [UInt8]) throws(RegistryError) -> KeyRecord?
    /// The keys below another, from the one after a name on.
    func children(of parent: KeyID, after folded: [UInt8]?, limit: Int) throws(RegistryError) -> [KeyRecord]
    /// The value of a name.
    func value(of key: KeyID, named folded: [UInt8]) throws(RegistryError) -> ValueRecord?
    /// The values of a key, from the one after a name on: at most `limit`, and no more after `bytes` bytes.
    func values(
        of key: KeyID, after folded: [UInt8]?, limit: Int, bytes: Int
    ) throws(RegistryError) -> [ValueRecord]
    /// Stores all of the changes, or none. When it returns, they outlive a power cut.
    func apply(_ changes: RegistryChanges) throws(RegistryError)
    /// Writes a copy of all of it, as of one moment, while it is in use.
    func backup(to path: String) throws(RegistryError)
    /// What is wrong with what is stored; nothing if all is well.
    func complaints() throws(RegistryError) -> [String]
    /// Makes durable what is not yet.
    func flush() throws(RegistryError)
}
