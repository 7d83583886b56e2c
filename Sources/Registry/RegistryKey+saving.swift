import AccessControl
import Foundation
public import RegistryModel
import RegistryProtocol
public import SystemPackage

extension RegistryKey {
    private static let magic = Array("GuiseRegistry 1\n".utf8)
    /// An empty record: without it the file was cut off.
    private static let end: [UInt8] = [0, 0, 0, 0]
    /// What a key is saved by.
    private static let savingAccess: RegistryAccess = [.queryValue, .enumerateSubKeys, .readControl]
    /// What a key is restored by. KEY_CREATE_LINK, which no privilege grants, is asked for where there is a link.
    private static let restoringAccess: RegistryAccess = [
        .queryValue, .enumerateSubKeys, .setValue, .createSubKey, .delete, .writeDAC, .writeOwner,
    ]

    /// How much of a tree was saved or restored.
    public struct SavedCount: Hashable, Sendable {
        /// Keys, the top one included.
        public var keys = 0
        /// Values.
        public var values = 0
        /// Whether SACLs were left out of what was saved, for want of SeSecurityPrivilege.
        public var isWithoutSACLs = false

        /// Nothing so far.
        public init() {}
    }

    /// Writes this key and the tree below it to a file: values, class names, descriptors. Takes SeBackupPrivilege where
    /// descriptors do not grant reading, and SeSecurityPrivilege for SACLs, which are left out without it. Corresponds to
    /// `RegSaveKey`.
    ///
    /// It is read in pages: what changes meanwhile may be in it or not. Links are saved as links; volatile keys are left out.
    ///
    /// - Parameters:
    ///   - file: to write to, from where it stands. It is the caller who opened it.
    ///   - progress: is told how much was saved so far, last of all how much it is.
    /// - Throws: ``RegistryError/accessDenied(_:)``, ``RegistryError/storageFailed(_:)`` when the file cannot be written.
    public func save(
        to file: FileDescriptor, progress: (SavedCount) -> Void = { _ in }
    ) throws(RegistryError) {
        try Self.write(Self.magic, to: file)
        let (top, parts) = try openedForSaving()
        var count = SavedCount()
        count.isWithoutSACLs = !parts.contains(.sacl)
        try Self.save(top, "", try top.information(), depth: 0, parts, to: file) { keys, values in
            count.keys += keys
            count.values += values
            progress(count)
        }
        try Self.write(Self.end, to: file)
    }

    private func openedForSaving() throws(RegistryError) -> (RegistryKey, SecurityParts) {
        do throws(RegistryError) {
            let access = Self.savingAccess.union(.accessSystemSecurity)
            return (try open("", for: access, options: .backupRestore), [.owner, .group, .dacl, .sacl])
        } catch {
            guard case .privilegeNotHeld = error else { throw error }
            return (
                try open("", for: Self.savingAccess, options: .backupRestore),
                [.owner, .group, .dacl, .label]
            )
        }
    }

    private static func save(
        _ key: RegistryKey, _ name: String, _ information: Information, depth: UInt32, _ parts: SecurityParts,
        to file: FileDescriptor, _ tell: (_ keys: Int, _ values: Int) -> Void
    ) throws(RegistryError) {
        var record = WireSavedKey()
        record.depth = depth
        record.name = name
        record.className = information.className
        record.link = information.isLink
        record.descriptor = Data(try key.descriptor(parts).bytes)
        var last: RegistryValueName?
        while true {
            let page = try key.values(after: last)
            record.values = page.map { (name, value) in
                .with {
                    $0.name = name.text
                    $0.type = value.type.rawValue
                    $0.data = Data(value.bytes)
                }
            }
            if !page.isEmpty || !record.more {
                try write(record, to: file)
                tell(record.more ? 0 : 1, page.count)
            }
            guard let end = page.last else { break }
            last = end.name
            record = .with {
                $0.depth = depth
                $0.more = true
            }
        }
        guard !information.isLink else { return }
        let access = parts.contains(.sacl) ? savingAccess.union(.accessSystemSecurity) : savingAccess
        for below in try key.subkeys() where !below.isVolatile {
            let child = try key.open(below.name.text, for: access, options: [.backupRestore, .openLink])
            try save(child, below.name.text, below, depth: depth + 1, parts, to: file, tell)
        }
    }

    /// Makes this key and the tree below it what a file says: all of it, or nothing. Takes SeRestorePrivilege where
    /// descriptors do not grant it, and SeBackupPrivilege likewise; links take KEY_CREATE_LINK in any case. What keys
    /// inherit they inherit from where they are now. Corresponds to `RegRestoreKey`.
    ///
    /// Of a caller without SeRestorePrivilege it may have 2,000 keys and values, else a million.
    ///
    /// - Parameters:
    ///   - file: where ``save(to:progress:)`` wrote, read from where it stands.
    ///   - progress: is told how much was restored so far, last of all how much it is. It counts once this has returned.
    /// - Throws: ``RegistryError/notASavedKey(_:)``, ``RegistryError/accessDenied(_:)``,
    ///   ``RegistryError/conflict(_:)`` when somebody else changed the key meanwhile, ``RegistryError/limitReached(_:)``.
    public func restore(
        from file: FileDescriptor, progress: (SavedCount) -> Void = { _ in }
    ) throws(RegistryError) {
        guard try Self.read(Self.magic.count, from: file) == Self.magic else {
            throw .notASavedKey("the file is no saved key: name one that was made by saving a key")
        }
        let transaction = try RegistryTransaction(on: connection)
        do throws(RegistryError) {
            try restore(from: file, in: transaction, progress)
        } catch {
            try? transaction.rollBack()
            throw error
        }
        try transaction.commit()
    }

    private func restore(
        from file: FileDescriptor, in transaction: RegistryTransaction, _ progress: (SavedCount) -> Void
    ) throws(RegistryError) {
        let top = try reopened(for: Self.restoringAccess, in: transaction)
        for below in try top.subkeys() { try top.delete(below.name.text, tree: true) }
        for (name, _) in try top.values() { try top.deleteValue(name.text) }
        var keys = [top]
        var count = SavedCount()
        while let record = try Self.record(from: file) {
            let depth = Int(record.depth)
            let isExpected =
                count.keys == 0
                ? depth == 0 && !record.more
                : record.more ? depth == keys.count - 1 : depth > 0 && depth <= keys.count
            guard isExpected else { throw Self.senselessFile }
            if !record.more, depth > 0 {
                keys.removeLast(keys.count - depth)
                var options: Options = [.backupRestore]
                if record.link { options.insert(.createLink) }
                let above = keys[depth - 1]
                keys.append(
                    try above.create(
                        record.name, for: Self.restoringAccess, options: options, className: record.className)
                )
            }
            guard let key = keys.last else { throw Self.senselessFile }
            for value in record.values {
                try key.set(
                    value.name,
                    to: RegistryValue(type: RegistryValueType(rawValue: value.type), bytes: Array(value.data))
                )
            }
            if !record.more { try key.restore(descriptor: Array(record.descriptor)) }
            count.keys += record.more ? 0 : 1
            count.values += record.values.count
            progress(count)
        }
        guard count.keys > 0 else { throw Self.senselessFile }
    }

    private func restore(descriptor bytes: [UInt8]) throws(RegistryError) {
        let descriptor: SecurityDescriptor
        do { descriptor = try SecurityDescriptor(bytes: bytes) } catch { throw Self.senselessFile }
        var parts: SecurityParts = []
        if descriptor.owner != nil { parts.insert(.owner) }
        if descriptor.group != nil { parts.insert(.group) }
        if descriptor.dacl != .absent { parts.insert(.dacl) }
        guard !descriptor.sacl.aces.contains(where: { $0.type != .mandatoryLabel }) else {
            let key = try open(
                "", for: [.writeDAC, .writeOwner, .accessSystemSecurity],
                options: [.backupRestore, .openLink])
            return try key.setDescriptor(parts.union(.sacl), to: descriptor)
        }
        if descriptor.mandatoryLabel != nil { parts.insert(.label) }
        if parts != [] { try setDescriptor(parts, to: descriptor) }
    }

    // MARK: The file

    private static let senselessFile = RegistryError.notASavedKey(
        "the file is damaged, or was cut off: restore from another copy; nothing was changed")

    private static func write(_ record: WireSavedKey, to file: FileDescriptor) throws(RegistryError) {
        let body: [UInt8]
        do { body = try record.serializedBytes() } catch { throw .senseless }
        let size = (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (8 * $0)) }
        try write(size + body, to: file)
    }

    private static func write(_ bytes: [UInt8], to file: FileDescriptor) throws(RegistryError) {
        do { try file.writeAll(bytes) } catch { throw .storageFailed("the file cannot be written: \(error)") }
    }

    private static func record(from file: FileDescriptor) throws(RegistryError) -> WireSavedKey? {
        let head = try read(4, from: file)
        guard head.count == 4 else { throw senselessFile }
        guard head != end else {
            guard try read(1, from: file).isEmpty else { throw senselessFile }
            return nil
        }
        let size = (0..<4).reduce(0) { $0 | Int(head[$1]) << (8 * $1) }
        guard size <= RegistryFrames.largest else { throw senselessFile }
        let body = try read(size, from: file)
        guard body.count == size, let record = try? WireSavedKey(serializedBytes: body) else {
            throw senselessFile
        }
        return record
    }

    /// As many bytes, fewer at the end of the file.
    private static func read(_ count: Int, from file: FileDescriptor) throws(RegistryError) -> [UInt8] {
        var out: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(count, 1 << 16))
        while out.count < count {
            let wanted = min(count - out.count, buffer.count)
            let got: Int
            do {
                got = try buffer.withUnsafeMutableBytes {
                    try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<wanted]))
                }
            } catch { throw .storageFailed("the file cannot be read: \(error)") }
            guard got > 0 else { break }
            out += buffer[..<got]
        }
        return out
    }
}
