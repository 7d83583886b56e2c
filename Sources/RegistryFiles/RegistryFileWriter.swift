import RegistryModel

/// Writes a registry file of version 5, as regedit writes and reads it: CR and LF at each line's end, hexadecimal data in
/// lines of at most 80 characters.
///
/// What it has written, ``RegistryFileReader`` reads as the same entries.
public struct RegistryFileWriter {
    /// The characters of the file.
    public enum Encoding: Sendable {
        /// UTF-16LE with a byte order mark: what regedit writes.
        case utf16
        /// UTF-8 without one: for people and for version control.
        case utf8
    }

    /// How much text is collected before it is handed on.
    private static let chunk = 64 << 10

    private let encoding: Encoding
    private let write: ([UInt8]) throws(RegistryFileError) -> Void
    private var text: [UInt8] = []

    /// Begins a file.
    ///
    /// - Parameter write: takes the file piece by piece.
    public init(
        _ encoding: Encoding = .utf16, write: @escaping ([UInt8]) throws(RegistryFileError) -> Void
    ) throws(RegistryFileError) {
        (self.encoding, self.write) = (encoding, write)
        if encoding == .utf16 { try write([0xFF, 0xFE]) }
        append("Windows Registry Editor Version 5.00\r\n")
    }

    /// Adds an entry.
    ///
    /// - Throws: ``RegistryFileError/unsayable(_:)`` for a key with a line's end in its name, and what taking the file
    ///   throws.
    public mutating func append(_ entry: RegistryFileEntry) throws(RegistryFileError) {
        switch entry {
        case .key(let path): try append(path, "\r\n[")
        case .deletedKey(let path): try append(path, "\r\n[-")
        case .value(let name, let value):
            let start = text.count
            append(name)
            append(value, column: Self.columns(text[start...]))
            append("\r\n")
        case .deletedValue(let name):
            append(name)
            append("-\r\n")
        }
        if text.count >= Self.chunk { try flush() }
    }

    /// Hands the rest on. What is added after it is in the file, too.
    public mutating func finish() throws(RegistryFileError) {
        append("\r\n")
        try flush()
    }

    private mutating func flush() throws(RegistryFileError) {
        switch encoding {
        case .utf8: try write(text)
        case .utf16:
            var bytes: [UInt8] = []
            bytes.reserveCapacity(2 * text.count)
            for unit in String(decoding: text, as: UTF8.self).utf16 {
                bytes.append(UInt8(truncatingIfNeeded: unit))
                bytes.append(UInt8(unit >> 8))
            }
            try write(bytes)
        }
        text.removeAll(keepingCapacity: true)
    }

    private mutating func append(_ words: String) { text.append(contentsOf: words.utf8) }

    private mutating func append(_ path: RegistryPath, _ start: String) throws(RegistryFileError) {
        let name = path.inFile
        guard !name.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else {
            throw .unsayable("a registry file cannot name the key \(path.description.debugDescription)")
        }
        append(start)
        append(name)
        append("]\r\n")
    }

    private mutating func append(_ name: RegistryValueName) {
        if name.isDefault { append("@") } else { appendQuoted(name.text) }
        append("=")
    }

    private mutating func appendQuoted(_ words: String) {
        text.append(UInt8(ascii: "\""))
        for byte in words.utf8 {
            if byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "\"") { text.append(UInt8(ascii: "\\")) }
            text.append(byte)
        }
        text.append(UInt8(ascii: "\""))
    }

    private mutating func append(_ value: RegistryValue, column: Int) {
        switch value {
        // In hexadecimal, control characters survive every editor and every reader.
        case .string(let words) where !words.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }):
            appendQuoted(words)
        case .dword(let number):
            append("dword:")
            for shift in stride(from: 28, through: 0, by: -4) {
                text.append(Self.digits[Int(number >> shift & 0xF)])
            }
        case .binary(let bytes): appendHex("hex:", bytes, column)
        default: appendHex("hex(\(String(value.type.rawValue, radix: 16))):", value.bytes, column)
        }
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private mutating func appendHex(_ start: String, _ bytes: [UInt8], _ column: Int) {
        append(start)
        var column = column + start.utf8.count
        for (index, byte) in bytes.enumerated() {
            text.append(Self.digits[Int(byte >> 4)])
            text.append(Self.digits[Int(byte & 0xF)])
            column += 2
            guard index < bytes.count - 1 else { break }
            text.append(UInt8(ascii: ","))
            column += 1
            // Room for one more byte, its comma and the backslash.
            if column > 76 {
                append("\\\r\n  ")
                column = 2
            }
        }
    }

    /// How many characters a line has so far.
    private static func columns(_ text: ArraySlice<UInt8>) -> Int { text.count { $0 & 0xC0 != 0x80 } }
}
