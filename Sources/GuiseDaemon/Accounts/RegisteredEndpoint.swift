/// An abstract name of Unix sockets (unix(7)) that is kept for whom a descriptor lets listen there.
package struct RegisteredEndpoint: Sendable, Hashable {
    /// Without the zero byte that such a name starts with.
    package let name: String
    package let sddl: String

    /// As many bytes as an address has room for.
    static let longest = 107
    /// Each takes descriptors of the authority's.
    static let largestCount = 256

    package init(name: String, sddl: String) {
        self.name = name
        self.sddl = sddl
    }

    /// Throws unless `name` is one that can be spelled, and that the authority does not use itself.
    static func validate(name: String) throws(AccountError) {
        guard (1...longest).contains(name.utf8.count),
            !name.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) })
        else {
            throw .invalidEndpoint(
                name: name, rule: "a name has 1 to \(longest) bytes and no control characters")
        }
        guard !name.hasPrefix(PeerCapture.marker) else {
            throw .invalidEndpoint(name: name, rule: "names that start so are the authority's own")
        }
    }
}
