import RegistryModel

/// Reads a registry file (`.reg`) entry by entry: version 5 in UTF-16LE or UTF-8, with or without a byte order mark, and
/// the older REGEDIT4 in Windows' western code page.
///
/// Memory is bounded by one entry, whatever the file's size. Unlike regedit, which passes over what it does not
/// understand, it refuses the file: half an import is worse than none.
///
/// The format is Microsoft's knowledge base article 310516; what that leaves open is read as regedit and Wine do.
public struct RegistryFileReader {
    /// The data of one value, at most: more than the registry takes anywhere.
    static let largestData = 16 << 20

    var lines: TextLines
    /// Where in the current line what is next begins.
    var position = 0
    /// REGEDIT4: hexadecimal text is in the code page, too.
    private(set) var isVersion4 = false
    private var isInKey = false

    /// The number of the line that the last entry, or the error, is on.
    public var line: Int { lines.number }

    /// Reads what a function gives piece by piece; no bytes: the end.
    ///
    /// - Throws: ``RegistryFileError`` where it does not begin as a registry file.
    public init(_ read: @escaping () throws(RegistryFileError) -> [UInt8]) throws(RegistryFileError) {
        lines = try TextLines(read)
        guard try lines.next() else { throw malformed("the file is empty") }
        let header = String(decoding: lines.line, as: UTF8.self)
        switch header.prefix(while: { $0 != " " || !header.hasPrefix("REGEDIT4") }) {
        case "Windows Registry Editor Version 5.00": break
        case "REGEDIT4":
            isVersion4 = true
            lines.isWindows1252 = true
        default: throw malformed("a registry file begins with \"Windows Registry Editor Version 5.00\"")
        }
    }

    /// Reads a file that is in memory.
    public init(_ bytes: [UInt8]) throws(RegistryFileError) {
        var rest: [UInt8]? = bytes
        try self.init { () throws(RegistryFileError) in
            defer { rest = nil }
            return rest ?? []
        }
    }

    /// The next entry; nil at the end.
    ///
    /// - Throws: ``RegistryFileError``; what comes after an error is not worth reading.
    public mutating func next() throws(RegistryFileError) -> RegistryFileEntry? {
        while try lines.next() {
            position = 0
            skipBlanks()
            switch peek {
            case nil, UInt8(ascii: ";"): continue
            case UInt8(ascii: "["): return try key()
            case UInt8(ascii: "\""), UInt8(ascii: "@"):
                guard isInKey else { throw malformed("a value outside of any key") }
                return try value()
            default: throw malformed("this is no key, no value and no comment")
            }
        }
        return nil
    }

    private mutating func key() throws(RegistryFileError) -> RegistryFileEntry {
        // A key's name may contain the bracket, so the last one counts.
        guard let end = lines.line.lastIndex(of: UInt8(ascii: "]")) else {
            throw malformed("a key without ]")
        }
        let rest = lines.line[(end + 1)...].drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard rest.isEmpty || rest.first == UInt8(ascii: ";") else { throw malformed("text after the key") }
        position += 1
        let isDeleted = peek == UInt8(ascii: "-")
        if isDeleted { position += 1 }
        let name = try text(lines.line[position..<max(position, end)])
        guard !name.utf8.contains(0x0D) else { throw malformed("a carriage return within a key's name") }
        isInKey = !isDeleted
        do {
            let path = try RegistryPath(inFile: name)
            return isDeleted ? .deletedKey(path) : .key(path)
        } catch { throw malformed(error.description) }
    }

    private mutating func value() throws(RegistryFileError) -> RegistryFileEntry {
        let name: RegistryValueName
        if peek == UInt8(ascii: "@") {
            position += 1
            name = .default
        } else {
            let text = try quoted()
            do { name = try RegistryValueName(text) } catch { throw malformed(error.description) }
        }
        skipBlanks()
        guard peek == UInt8(ascii: "=") else { throw malformed("a value without =") }
        position += 1
        skipBlanks()
        if peek == UInt8(ascii: "-") {
            position += 1
            try endLine()
            return .deletedValue(name: name)
        }
        return .value(name: name, try data())
    }

    // MARK: What the line is made of

    var peek: UInt8? { position < lines.line.count ? lines.line[position] : nil }

    func malformed(_ reason: String) -> RegistryFileError { .malformed(line: lines.number, reason: reason) }

    func text(_ bytes: some Collection<UInt8>) throws(RegistryFileError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw malformed("no valid Unicode") }
        return text
    }

    mutating func skipBlanks() {
        while let byte = peek, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { position += 1 }
    }

    /// Nothing may follow but a comment.
    mutating func endLine() throws(RegistryFileError) {
        skipBlanks()
        guard peek == nil || peek == UInt8(ascii: ";") else { throw malformed("text after the value") }
    }
}
