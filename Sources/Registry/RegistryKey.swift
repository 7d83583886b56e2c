public import AccessControl
import Foundation
public import RegistryModel
import RegistryProtocol

/// An open key of the registry.
///
/// It was opened as whom the calling thread acted as then: who impersonates alice opens keys as alice. What it may be used
/// for was decided then, too, and does not depend on the thread that uses it. Closed with the value.
///
/// ```swift
/// let key = try RegistryKey.create("Machine\\Software\\Example", for: .allAccess)
/// try key.set("Port", 8080)
/// let port = try key.get("Port", as: UInt32.self)
/// ```
public final class RegistryKey: Sendable {
    /// Where it is, links and `CurrentUser` resolved.
    public let path: RegistryPath
    /// What it may be used for.
    public let granted: RegistryAccess
    /// Whether it was made when it was opened (`REG_CREATED_NEW_KEY`).
    public let isNew: Bool
    let connection: RegistryConnection
    let handle: UInt64

    /// What a key is opened or made with (`REG_OPTION_…`).
    public struct Options: OptionSet, Sendable {
        /// The bits; those of Windows.
        public let rawValue: UInt32
        /// Makes options of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// A new key ends with the registry's service.
        public static let volatile = Options(rawValue: 1)
        /// A new key leads elsewhere: set ``RegistryValueName/symbolicLink`` to a `.link`.
        public static let createLink = Options(rawValue: 2)
        /// To save or restore: SeBackupPrivilege and SeRestorePrivilege count.
        public static let backupRestore = Options(rawValue: 4)
        /// A link itself, not where it leads.
        public static let openLink = Options(rawValue: 8)
    }

    init(_ connection: RegistryConnection, _ key: UInt64, _ wire: WireOpenKey) throws(RegistryError) {
        guard case .opened(let opened) = try connection.call(key, .open(wire)) else { throw .senseless }
        path = try RegistryPath(opened.path)
        granted = RegistryAccess(rawValue: opened.granted)
        isNew = opened.made
        handle = opened.key
        self.connection = connection
    }

    deinit { connection.post(handle, .close(true)) }

    /// Opens a key. Corresponds to `RegOpenKeyEx`.
    ///
    /// - Parameters:
    ///   - path: of the key, such as `Machine\Software\Example`.
    ///   - access: what for; `.maximumAllowed` asks for all there is.
    ///   - transaction: what is done with the key is done in it.
    ///   - socket: where the registry listens; nil for `$GUISE_REGISTRY`, else the usual place.
    /// - Throws: ``RegistryError/keyNotFound(_:)``, ``RegistryError/accessDenied(_:)``,
    ///   ``RegistryError/unavailable(_:)``, ``RegistryError/levelTooLow(_:)`` for a thread that acts as Anonymous.
    public static func open(
        _ path: String, for access: RegistryAccess = .allRead, options: Options = [],
        in transaction: RegistryTransaction? = nil, socket: String? = nil
    ) throws(RegistryError) -> RegistryKey {
        try onConnection(transaction, socket) { connection throws(RegistryError) in
            try open(0, path, access, options, transaction, connection)
        }
    }

    /// Opens a key, making it, and those above it, if it is not there. Corresponds to `RegCreateKeyEx`.
    ///
    /// Making takes KEY_CREATE_SUB_KEY on the nearest key that is there. Whoever makes a key may do with it what they ask
    /// for here.
    ///
    /// - Parameters:
    ///   - className: what the new key is for; nothing depends on it.
    ///   - descriptor: what the new key's descriptor is made from, besides what it inherits.
    /// - Throws: as ``open(_:for:options:in:socket:)``; ``RegistryError/childMustBeVolatile(_:)``,
    ///   ``RegistryError/invalidSecurity(_:)``, ``RegistryError/invalidName(_:)`` and its like.
    public static func create(
        _ path: String, for access: RegistryAccess = .allAccess, options: Options = [],
        className: String = "", descriptor: SecurityDescriptor? = nil,
        in transaction: RegistryTransaction? = nil, socket: String? = nil
    ) throws(RegistryError) -> RegistryKey {
        try onConnection(transaction, socket) { connection throws(RegistryError) in
            try create(0, path, access, options, className, descriptor, transaction, connection)
        }
    }

    /// Opens a key below this one, as whom this one was opened.
    ///
    /// - Parameter path: the names below, `A\B`; empty for this key once more, for other rights.
    public func open(
        _ path: String, for access: RegistryAccess = .allRead, options: Options = []
    ) throws(RegistryError) -> RegistryKey {
        try Self.open(handle, path, access, options, nil, connection)
    }

    /// Opens a key below this one, making it if it is not there, as whom this one was opened.
    public func create(
        _ path: String, for access: RegistryAccess = .allAccess, options: Options = [],
        className: String = "", descriptor: SecurityDescriptor? = nil
    ) throws(RegistryError) -> RegistryKey {
        try Self.create(handle, path, access, options, className, descriptor, nil, connection)
    }

    /// This key once more, in a transaction.
    func reopened(
        for access: RegistryAccess, in transaction: RegistryTransaction
    ) throws(RegistryError) -> RegistryKey {
        try Self.open(handle, "", access, .backupRestore, transaction, connection)
    }

    /// Begins on the transaction's connection, else on that of whom the thread acts as.
    private static func onConnection(
        _ transaction: RegistryTransaction?, _ socket: String?,
        _ body: (RegistryConnection) throws(RegistryError) -> RegistryKey
    ) throws(RegistryError) -> RegistryKey {
        if let transaction { return try body(transaction.connection) }
        return try RegistryConnections.shared.beginning(socket, body)
    }

    private static func open(
        _ handle: UInt64, _ path: String, _ access: RegistryAccess, _ options: Options,
        _ transaction: RegistryTransaction?, _ connection: RegistryConnection
    ) throws(RegistryError) -> RegistryKey {
        try RegistryKey(
            connection, handle,
            .with {
                $0.path = path
                $0.access = access.rawValue
                $0.options = options.rawValue
                $0.transaction = transaction?.number ?? 0
            })
    }

    private static func create(
        _ handle: UInt64, _ path: String, _ access: RegistryAccess, _ options: Options, _ className: String,
        _ descriptor: SecurityDescriptor?, _ transaction: RegistryTransaction?,
        _ connection: RegistryConnection
    ) throws(RegistryError) -> RegistryKey {
        try RegistryKey(
            connection, handle,
            .with {
                $0.path = path
                $0.access = access.rawValue
                $0.options = options.rawValue
                $0.create = true
                $0.className = className
                if let descriptor { $0.descriptor = Data(descriptor.bytes) }
                $0.transaction = transaction?.number ?? 0
            })
    }

    // MARK: The key itself

    /// What a key is, without its values.
    public struct Information: Hashable, Sendable {
        /// Its name.
        public let name: RegistryKeyName
        /// What its maker says it is for.
        public let className: String
        /// When it, its values or its list of subkeys was last changed: 100 ns since 1601 (`FILETIME`).
        public let lastWrite: UInt64
        /// Whether it leads elsewhere.
        public let isLink: Bool
        /// Whether it ends with the registry's service.
        public let isVolatile: Bool

        init(_ wire: WireKeyView) throws(RegistryError) {
            name = try RegistryKeyName(wire.name)
            (className, lastWrite) = (wire.className, wire.lastWrite)
            (isLink, isVolatile) = (wire.link, wire.volatile)
        }
    }

    /// What this key is; takes KEY_QUERY_VALUE. Corresponds to `RegQueryInfoKey`.
    public func information() throws(RegistryError) -> Information {
        guard case .information(let wire) = try connection.call(handle, .information(true)) else {
            throw .senseless
        }
        return try Information(wire)
    }

    /// The keys below, in the order of their folded names; takes KEY_ENUMERATE_SUB_KEYS. Corresponds to `RegEnumKeyEx`.
    ///
    /// They are read in pages: what is made or deleted meanwhile may be among them or not.
    public func subkeys() throws(RegistryError) -> [Information] {
        var out: [Information] = []
        while true {
            let page = try subkeys(after: out.last?.name)
            guard !page.isEmpty else { return out }
            out += page
        }
    }

    /// A page of the keys below.
    ///
    /// - Parameters:
    ///   - after: the last name of the page before; nil for the first page.
    ///   - limit: at most this many; the registry may give less. None: there are no more.
    public func subkeys(
        after: RegistryKeyName?, limit: UInt32 = 0
    ) throws(RegistryError) -> [Information] {
        guard case .keys(let list) = try connection.call(handle, .subkeys(.after(after?.text, limit))) else {
            throw .senseless
        }
        var out: [Information] = []
        for key in list.keys { out.append(try Information(key)) }
        return out
    }

    /// Deletes this key, or one below it; takes DELETE on that key. Corresponds to `RegDeleteKey`, with its tree to
    /// `RegDeleteTree`: then DELETE and KEY_ENUMERATE_SUB_KEYS on all that goes, or nothing is deleted.
    ///
    /// - Throws: ``RegistryError/hasSubkeys(_:)``, ``RegistryError/accessDenied(_:)``, ``RegistryError/limitReached(_:)``
    ///   for a tree of more than 2,000 keys: delete parts of it first.
    public func delete(_ path: String = "", tree: Bool = false) throws(RegistryError) {
        try done(
            .delete(
                .with {
                    $0.path = path
                    $0.tree = tree
                }))
    }

    /// Gives this key another name; takes DELETE on it, and KEY_CREATE_SUB_KEY on the key above. Corresponds to
    /// `RegRenameKey`.
    public func rename(to name: RegistryKeyName) throws(RegistryError) { try done(.rename(name.text)) }

    /// Copies this key's values and the tree below it into another key; takes KEY_READ on all of it, KEY_SET_VALUE and
    /// KEY_CREATE_SUB_KEY on the other. Corresponds to `RegCopyTree`.
    ///
    /// - Parameter target: a key that was opened as the same user.
    public func copy(to target: RegistryKey) throws(RegistryError) {
        guard target.connection === connection else {
            throw .invalid("the two keys were opened as different users; open both as one")
        }
        try done(.copy(.with { $0.target = target.handle }))
    }

    /// The parts of a descriptor (`SECURITY_INFORMATION`).
    public struct SecurityParts: OptionSet, Sendable {
        /// The bits; those of Windows.
        public let rawValue: UInt32
        /// Makes parts of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// The owner.
        public static let owner = SecurityParts(rawValue: 1)
        /// The primary group.
        public static let group = SecurityParts(rawValue: 2)
        /// Who may do what.
        public static let dacl = SecurityParts(rawValue: 4)
        /// What is audited, and the rest of the SACL.
        public static let sacl = SecurityParts(rawValue: 8)
        /// The mandatory label alone.
        public static let label = SecurityParts(rawValue: 0x10)
    }

    /// Parts of the descriptor: the SACL takes ACCESS_SYSTEM_SECURITY, the others READ_CONTROL. Corresponds to
    /// `RegGetKeySecurity`.
    public func descriptor(
        _ parts: SecurityParts = [.owner, .group, .dacl, .label]
    ) throws(RegistryError) -> SecurityDescriptor {
        guard case .descriptor(let bytes) = try connection.call(handle, .descriptor(parts.rawValue)) else {
            throw .senseless
        }
        do { return try SecurityDescriptor(bytes: Array(bytes)) } catch { throw .senseless }
    }

    /// Sets parts of the descriptor, and has the keys below inherit anew: owner, group and label take WRITE_OWNER, the DACL
    /// WRITE_DAC, the SACL ACCESS_SYSTEM_SECURITY. Corresponds to `SetSecurityInfo`.
    ///
    /// Keys that are open keep what they were granted. Below, a protected list stays, and a key on which the caller has no
    /// WRITE_DAC, with all below it.
    public func setDescriptor(
        _ parts: SecurityParts, to descriptor: SecurityDescriptor
    ) throws(RegistryError) {
        try done(
            .setDescriptor(
                .with {
                    $0.parts = parts.rawValue
                    $0.descriptor = Data(descriptor.bytes)
                }))
    }

    /// Makes durable what is not yet, where the registry was told not to wait for the disk. Corresponds to `RegFlushKey`.
    public func flush() throws(RegistryError) { try done(.flush(true)) }

    func done(_ body: WireRegistryRequest.OneOf_Body) throws(RegistryError) {
        guard case .done = try connection.call(handle, body) else { throw .senseless }
    }
}

extension RegistryError {
    static let senseless = RegistryError.unavailable(
        "the registry's answer makes no sense: it may be of another version")
}

extension WirePage {
    static func after(_ name: String?, _ limit: UInt32) -> WirePage {
        .with {
            $0.hasAfter_p = name != nil
            $0.after = name ?? ""
            $0.limit = limit
        }
    }
}
