/// A text that is kept as it was written and compared without regard to case.
///
/// Two texts are equal when their foldings are, byte for byte. Nothing is normalized: a precomposed letter is not its
/// decomposed form, as on Windows.
struct FoldedText: Hashable, Comparable, Sendable {
    let text: String
    /// The folding in UTF-8.
    let folded: [UInt8]

    init(_ text: String) {
        self.text = text
        folded = Self.fold(text)
    }

    static func == (lhs: Self, rhs: Self) -> Bool { lhs.folded == rhs.folded }
    static func < (lhs: Self, rhs: Self) -> Bool { lhs.folded.lexicographicallyPrecedes(rhs.folded) }
    func hash(into hasher: inout Hasher) { hasher.combine(folded) }

    /// Each scalar in upper case where that is one scalar, else the scalar itself (`RtlUpcaseUnicodeChar`). It depends on
    /// no locale, and scalars younger than Unicode 15 fold to themselves, so that what is stored goes on being found.
    private static func fold(_ text: String) -> [UInt8] {
        var out = Array(text.utf8)
        for index in out.indices {
            guard out[index] < 0x80 else { return foldScalars(text) }
            if out[index] >= 0x61, out[index] <= 0x7A { out[index] -= 0x20 }
        }
        return out
    }

    private static func foldScalars(_ text: String) -> [UInt8] {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let upper = scalar.properties.uppercaseMapping.unicodeScalars
            guard upper.count == 1, let only = upper.first, isOld(scalar), isOld(only) else {
                out.append(scalar)
                continue
            }
            out.append(only)
        }
        return Array(String(out).utf8)
    }

    private static func isOld(_ scalar: Unicode.Scalar) -> Bool {
        guard let age = scalar.properties.age else { return false }
        return age.major <= 15
    }
}
