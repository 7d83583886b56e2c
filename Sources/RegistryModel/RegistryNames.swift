/// The name of a key among its siblings: `Software`. Kept as written, compared without regard to case.
public struct RegistryKeyName: Hashable, Comparable, Sendable {
    private let name: FoldedText

    /// Makes a name.
    ///
    /// - Throws: ``RegistryError/invalidName(_:)`` if it is empty or has a backslash or a NUL in it,
    ///   ``RegistryError/nameTooLong(_:)`` if it is over 255 UTF-16 units.
    public init(_ text: String) throws(RegistryError) {
        guard !text.isEmpty else { throw .invalidName("a key's name cannot be empty; give it one") }
        guard !text.utf8.contains(where: { $0 == 0x5C || $0 == 0 }) else {
            throw .invalidName(
                "\(quoted(text)) is no key's name: leave out backslashes and NULs")
        }
        guard text.utf16.count <= RegistryLimits.keyName else {
            throw .nameTooLong(
                "\(quoted(text)) has \(text.utf16.count) UTF-16 units; a key's name has at most"
                    + " \(RegistryLimits.keyName), so shorten it")
        }
        name = FoldedText(text)
    }

    /// As it was written.
    public var text: String { name.text }
    /// What it is compared by, in UTF-8.
    public var folded: [UInt8] { name.folded }

    /// By the foldings, byte for byte.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.name < rhs.name }
}

/// The name of a value in its key: `Path`; empty for the key's default value. Kept as written, compared without regard to
/// case. It may contain backslashes.
public struct RegistryValueName: Hashable, Comparable, Sendable {
    private let name: FoldedText

    /// The name of a key's default value.
    public static let `default` = RegistryValueName()
    /// The name of the value that says where a symbolic-link key leads.
    public static let symbolicLink = RegistryValueName(known: "SymbolicLinkValue")

    private init() { name = FoldedText("") }
    private init(known text: String) { name = FoldedText(text) }

    /// Makes a name.
    ///
    /// - Throws: ``RegistryError/invalidName(_:)`` if there is a NUL in it, ``RegistryError/nameTooLong(_:)`` if it is
    ///   over 16,383 UTF-16 units.
    public init(_ text: String) throws(RegistryError) {
        guard !text.utf8.contains(0) else {
            throw .invalidName("\(quoted(text)) is no value's name: leave out NULs")
        }
        guard text.utf16.count <= RegistryLimits.valueName else {
            throw .nameTooLong(
                "the value's name has \(text.utf16.count) UTF-16 units; it may have at most"
                    + " \(RegistryLimits.valueName), so shorten it")
        }
        name = FoldedText(text)
    }

    /// As it was written.
    public var text: String { name.text }
    /// What it is compared by, in UTF-8.
    public var folded: [UInt8] { name.folded }
    /// Whether it is the name of a key's default value.
    public var isDefault: Bool { name.folded.isEmpty }

    /// By the foldings, byte for byte.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.name < rhs.name }
}

extension RegistryKeyName: CustomStringConvertible {
    /// As it was written.
    public var description: String { text }
}

extension RegistryValueName: CustomStringConvertible {
    /// As it was written; `(Default)` for the default value.
    public var description: String { isDefault ? "(Default)" : text }
}

/// A text from outside as messages show it: in quotes, without control characters, and not too long.
func quoted(_ text: String) -> String {
    let shown = text.unicodeScalars.prefix(64).map { scalar in
        scalar.properties.generalCategory == .control ? "\u{FFFD}" : String(scalar)
    }
    return "“" + shown.joined() + (text.unicodeScalars.count > 64 ? "…" : "") + "”"
}
