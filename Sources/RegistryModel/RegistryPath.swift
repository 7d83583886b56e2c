public import AccessControl

/// Where a key is: a hive and the names of the keys on the way, `Machine\Software\Guise`.
///
/// Kept as written, compared without regard to case.
public struct RegistryPath: Hashable, Sendable {
    /// Where paths begin.
    public enum Hive: String, Hashable, Sendable, CaseIterable {
        /// The machine's settings (`HKEY_LOCAL_MACHINE`).
        case machine = "Machine"
        /// The users' settings, a key for each user's SID (`HKEY_USERS`).
        case users = "Users"
        /// The settings of the user who asks: `Users\<SID>` of the effective token (`HKEY_CURRENT_USER`).
        case currentUser = "CurrentUser"
    }

    /// Where the path begins.
    public let hive: Hive
    /// The names of the keys below the hive, the last one the key's own; none for the hive itself.
    public let names: [RegistryKeyName]

    /// Makes a path.
    ///
    /// - Throws: ``RegistryError/pathTooDeep(_:)`` for more than 512 keys, the hive included.
    public init(_ hive: Hive, _ names: [RegistryKeyName] = []) throws(RegistryError) {
        guard names.count < RegistryLimits.depth else {
            throw .pathTooDeep(
                "a path of \(names.count + 1) keys is too deep: \(RegistryLimits.depth) is the most, so put the key"
                    + " nearer to its hive")
        }
        (self.hive, self.names) = (hive, names)
    }

    private init(checked hive: Hive, _ names: [RegistryKeyName]) { (self.hive, self.names) = (hive, names) }

    /// The hive's own key.
    public static let machine = RegistryPath(checked: .machine, [])
    /// The key that has the users' hives below it.
    public static let users = RegistryPath(checked: .users, [])
    /// The hive of the user who asks.
    public static let currentUser = RegistryPath(checked: .currentUser, [])

    /// A user's hive: `Users\S-1-5-21-…`.
    public static func user(_ sid: SID) -> RegistryPath {
        // A SID has at most 15 sub-authorities, and so fewer than 255 characters.
        (try? RegistryPath.users.appending(RegistryKeyName(sid.description))) ?? .users
    }

    /// Reads a path: a hive's name, then the keys' names, separated by backslashes. One at the end is passed over.
    ///
    /// The hive may have its Windows name, long or short: `HKEY_LOCAL_MACHINE`, `HKLM`, and so for users and current user.
    ///
    /// - Throws: ``RegistryError/invalidPath(_:)`` for another hive, and what ``RegistryKeyName/init(_:)`` and
    ///   ``init(_:_:)`` throw.
    public init(_ text: String) throws(RegistryError) {
        let parts = Self.parts(text)
        guard let hive = Self.hive(named: parts[0]) else {
            throw .invalidPath(
                "\(quoted(text)) does not begin with a hive: begin it with Machine, Users or CurrentUser")
        }
        guard parts.count <= RegistryLimits.depth else {
            throw .pathTooDeep(
                "a path of \(parts.count) keys is too deep: \(RegistryLimits.depth) is the most, so put the key"
                    + " nearer to its hive")
        }
        var names: [RegistryKeyName] = []
        for part in parts.dropFirst() { names.append(try RegistryKeyName(part)) }
        try self.init(hive, names)
    }

    /// What is between a text's backslashes, at least one part: `A`, `B` of `A\B\`.
    ///
    /// By scalars: a backslash and an accent after it are one character, and a separator all the same.
    package static func parts(_ text: String) -> [String] {
        var parts = text.unicodeScalars.split(separator: "\\", omittingEmptySubsequences: false).map {
            String($0)
        }
        if parts.count > 1, parts.last == "" { parts.removeLast() }
        return parts
    }

    private static func hive(named text: String) -> Hive? {
        let folded = FoldedText(text)
        return known.first { $0.name == folded }?.hive
    }

    private static let known: [(name: FoldedText, hive: Hive)] =
        Hive.allCases.map { (FoldedText($0.rawValue), $0) } + [
            (FoldedText("HKEY_LOCAL_MACHINE"), .machine), (FoldedText("HKLM"), .machine),
            (FoldedText("HKEY_USERS"), .users), (FoldedText("HKU"), .users),
            (FoldedText("HKEY_CURRENT_USER"), .currentUser), (FoldedText("HKCU"), .currentUser),
        ]

    /// The key's own name; nil for a hive's key.
    public var name: RegistryKeyName? { names.last }

    /// The key above; nil for a hive's key.
    public var parent: RegistryPath? {
        names.isEmpty ? nil : RegistryPath(checked: hive, Array(names.dropLast()))
    }

    /// A key below this one.
    ///
    /// - Throws: ``RegistryError/pathTooDeep(_:)``.
    public func appending(_ name: RegistryKeyName) throws(RegistryError) -> RegistryPath {
        try RegistryPath(hive, names + [name])
    }

    /// A key below this one, by names separated by backslashes; this one for the empty text.
    ///
    /// - Throws: as ``init(_:)``.
    public func appending(_ relative: String) throws(RegistryError) -> RegistryPath {
        try RegistryPath(hive, names + Self.names(relative))
    }

    /// The names in a path relative to some key; none in the empty text.
    ///
    /// - Throws: as ``init(_:)``.
    public static func names(_ relative: String) throws(RegistryError) -> [RegistryKeyName] {
        guard !relative.isEmpty else { return [] }
        let parts = parts(relative)
        guard parts.count < RegistryLimits.depth else {
            throw .pathTooDeep(
                "a path of \(parts.count) keys is too deep: \(RegistryLimits.depth) is the most, so put the key"
                    + " nearer to its hive")
        }
        var names: [RegistryKeyName] = []
        for part in parts { names.append(try RegistryKeyName(part)) }
        return names
    }

    /// This path with `CurrentUser` replaced by a user's hive.
    ///
    /// - Throws: ``RegistryError/pathTooDeep(_:)``: the user's hive is one key deeper.
    public func resolved(for user: SID) throws(RegistryError) -> RegistryPath {
        guard hive == .currentUser else { return self }
        return try RegistryPath(.users, RegistryPath.user(user).names + names)
    }

    /// Whether this is `other` or a key below it.
    public func isWithin(_ other: RegistryPath) -> Bool {
        hive == other.hive && names.starts(with: other.names)
    }
}

extension RegistryPath: CustomStringConvertible {
    /// As it was written, the hive by its own name: `Machine\Software\Guise`.
    public var description: String {
        names.reduce(into: hive.rawValue) { $0 += "\\" + $1.text }
    }
}
