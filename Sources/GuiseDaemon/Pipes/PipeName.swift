import GuiseProtocol

/// The name of a named pipe: 1 to 256 characters, none of them a backslash or a control character; compared without
/// regard to case (MS-FSA 2.1.1.1, and the limits of CreateNamedPipe).
package struct PipeName: Hashable, Sendable {
    /// As it was spelled, without what stands before every pipe's name on Windows.
    package let text: String
    /// What tells one name from another.
    package let folded: String

    private static let prefix = #"\\.\pipe\"#
    private static let largest = 256

    package init(_ spelled: String) throws(Refused) {
        let text =
            spelled.lowercased().hasPrefix(Self.prefix) ? spelled.dropFirst(Self.prefix.count) : spelled[...]
        guard (1...Self.largest).contains(text.unicodeScalars.count),
            !text.unicodeScalars.contains(where: {
                $0 == "\\" || $0.value < 0x20 || (0x7f...0x9f).contains($0.value)
            })
        else {
            throw Refused(
                .badRequest,
                "a pipe's name has 1 to \(Self.largest) characters, none of them a backslash or a control character"
            )
        }
        self.text = String(text)
        folded = text.lowercased()
    }

    /// The path of an object, if it is a pipe's: `\\.\pipe\NAME`; nil otherwise.
    package init?(path: String) throws(Refused) {
        guard path.lowercased().hasPrefix(Self.prefix) else { return nil }
        try self.init(path)
    }

    /// The part before the first slash, which may be a service account's name.
    var head: String { String(text.prefix { $0 != "/" }) }

    /// As it is spelled where objects of any kind are named.
    var path: String { Self.prefix + text }

    package static func == (one: PipeName, other: PipeName) -> Bool { one.folded == other.folded }
    package func hash(into hasher: inout Hasher) { hasher.combine(folded) }
}
