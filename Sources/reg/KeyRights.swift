import AccessControl
import ArgumentParser

/// Rights on a key as people write them: words and numbers, separated by commas.
struct KeyRights: ExpressibleByArgument {
    let mask: AccessMask<RegistryKeyKind>

    /// For the help of an argument.
    static let help = """
        read, write, full, maximum; names as KEY_SET_VALUE, WRITE_DAC or DELETE; numbers as 0x20019; separated by commas.
        """

    /// The words besides the names of single rights.
    static let words: [(String, AccessMask<RegistryKeyKind>)] = [
        ("full", .allAccess), ("read", .allRead), ("write", .allWrite), ("maximum", .maximumAllowed),
    ]

    init?(argument: String) {
        var mask: AccessMask<RegistryKeyKind> = []
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let rights = Self.rights(word) else { return nil }
            mask.formUnion(rights)
        }
        guard !mask.isEmpty else { return nil }
        self.mask = mask
    }

    private static func rights(_ word: Substring) -> AccessMask<RegistryKeyKind>? {
        let folded = word.lowercased()
        if folded.hasPrefix("0x") {
            let digits = folded.dropFirst(2)
            return digits.first?.isHexDigit == true
                ? UInt32(digits, radix: 16).map(AccessMask.init(rawValue:)) : nil
        }
        if let known = words.first(where: { $0.0 == folded }) { return known.1 }
        let names = RegistryKeyKind.rightNames + StandardRights.names
        return names.first { $0.name == folded.uppercased() }.map { AccessMask(rawValue: $0.mask) }
    }
}

extension AccessMask where Kind == RegistryKeyKind {
    /// The rights that people think in where they are all there is, else every one of them.
    var words: String {
        if self == .allAccess { return "full access" }
        let contained = [(Self.allRead, "read"), (Self.allWrite, "write")].filter { isSuperset(of: $0.0) }
        let together = contained.reduce(into: Self()) { $0.formUnion($1.0) }
        return together == self && !contained.isEmpty
            ? contained.map(\.1).joined(separator: ", ") : description
    }
}
