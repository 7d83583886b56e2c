/// Where a text stopped being SDDL, and what was expected there.
public struct SDDLError: Error, Hashable, Sendable {
    /// The column in characters, the first one being 1.
    public let column: Int
    /// What would have been right, for instance "an ACE type such as A or D".
    public let expected: String

    /// Makes an error.
    public init(column: Int, expected: String) { (self.column, self.expected) = (column, expected) }
}

extension SDDLError: CustomStringConvertible {
    /// One sentence.
    public var description: String { "column \(column): expected \(expected)" }
}

/// An error by its position in bytes, before the column is known.
struct SDDLFailure: Error {
    let position: Int
    let expected: String

    func error(in text: UnsafeBufferPointer<UInt8>) -> SDDLError {
        let before = text[..<min(position, text.count)]
        // Bytes that continue a character do not count.
        return SDDLError(column: 1 + before.count { $0 & 0xc0 != 0x80 }, expected: expected)
    }
}
