import AccessControl
import ArgumentParser

/// Rights on a file as people write them: words and numbers, separated by commas.
struct Rights: ExpressibleByArgument, Equatable {
    let mask: AccessMask<FileKind>

    init?(argument: String) {
        var mask: AccessMask<FileKind> = []
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let rights = Self.rights(word) else { return nil }
            mask.formUnion(rights)
        }
        guard !mask.isEmpty else { return nil }
        self.mask = mask
    }

    /// What `icacls` calls M: everything but changing the descriptor and the owner.
    static let modify: AccessMask<FileKind> = [.allRead, .allWrite, .allExecute, .delete]

    /// The words besides the names of single rights.
    static let words: [(String, AccessMask<FileKind>)] = [
        ("read", .allRead), ("write", .allWrite), ("execute", .allExecute), ("modify", modify),
        ("full", .allAccess), ("maximum", .maximumAllowed),
    ]

    private static func rights(_ word: Substring) -> AccessMask<FileKind>? {
        if let number = number(word) { return AccessMask(rawValue: number) }
        let folded = word.lowercased()
        if let known = words.first(where: { $0.0 == folded }) { return known.1 }
        let name = folded.uppercased()
        let names = FileKind.rightNames + StandardRights.names
        return names.first { $0.name == name }.map { AccessMask(rawValue: $0.mask) }
    }

    private static func number(_ word: Substring) -> UInt32? {
        if word.hasPrefix("0x") || word.hasPrefix("0X") {
            let digits = word.dropFirst(2)
            return digits.first == "+" || digits.first == "-" ? nil : UInt32(digits, radix: 16)
        }
        return word.first?.isNumber == true ? UInt32(word) : nil
    }

    /// For the help of an argument.
    static let help = """
        read, write, execute, modify, full; names as WRITE_DAC or DELETE; numbers as 0x120089; separated by commas.
        """
}

extension AccessMask where Kind == FileKind {
    /// The rights that people think in where they are all there is, else every one of them.
    var words: String {
        if self == .allAccess { return "full access" }
        if self == Rights.modify { return "modify" }
        let usual: [(Self, String)] = [(.allRead, "read"), (.allWrite, "write"), (.allExecute, "execute")]
        let contained = usual.filter { isSuperset(of: $0.0) }
        let together = contained.reduce(into: Self()) { $0.formUnion($1.0) }
        return together == self && !contained.isEmpty
            ? contained.map(\.1).joined(separator: ", ") : description
    }
}
