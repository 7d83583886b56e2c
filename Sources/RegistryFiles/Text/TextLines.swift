/// The lines of a text in UTF-16LE, UTF-8 or a Windows code page, as UTF-8, one after the other and never all at once.
///
/// What is no valid Unicode comes out as bytes that no `String` is made of, so that whoever makes one finds it on the
/// right line.
struct TextLines {
    /// The longest line, in bytes of UTF-8: a value of 1 MiB in hexadecimal is 3 MiB of text.
    static let longestLine = 4 << 20

    /// The line that was taken last, without what ends it.
    private(set) var line: [UInt8] = []
    /// Whether CR and LF end it, or LF alone.
    private(set) var endsInCarriageReturn = false
    /// The number of that line, from 1.
    private(set) var number = 0
    /// Whether the bytes from 0x80 mean what they do in Windows' western code page.
    var isWindows1252 = false

    private let read: () throws(RegistryFileError) -> [UInt8]
    private var isUTF16 = false
    private var text: [UInt8] = []
    private var position = 0
    private var isAtEnd = false
    /// An odd byte, and a first half of a pair: what came after them is in the next chunk.
    private var oddByte: UInt8?
    private var highSurrogate: UInt16?

    /// - Parameter read: gives the next bytes each time; none at the end.
    init(_ read: @escaping () throws(RegistryFileError) -> [UInt8]) throws(RegistryFileError) {
        self.read = read
        var first: [UInt8] = []
        while first.count < 3 {
            let more = try read()
            if more.isEmpty {
                isAtEnd = true
                break
            }
            first += more
        }
        if first.starts(with: [0xFF, 0xFE]) {
            isUTF16 = true
            decode(first[2...])
        } else {
            decode(first.starts(with: [0xEF, 0xBB, 0xBF]) ? first[3...] : first[...])
        }
    }

    /// Takes the next line.
    ///
    /// - Returns: false at the end of the text.
    mutating func next() throws(RegistryFileError) -> Bool {
        line.removeAll(keepingCapacity: true)
        number += 1
        var isThere = false
        while true {
            let rest = text[position...]
            if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                try take(rest[..<end])
                position = end + 1
                break
            }
            isThere = isThere || !rest.isEmpty
            try take(rest)
            text.removeAll(keepingCapacity: true)
            position = 0
            if isAtEnd {
                // Half a character at the end is damage, and is not to look like a whole file.
                guard oddByte == nil, highSurrogate == nil else {
                    throw .malformed(line: number, reason: "the text ends within a character")
                }
                guard isThere else { return false }
                break
            }
            let more = try read()
            if more.isEmpty { isAtEnd = true } else { decode(more[...]) }
        }
        endsInCarriageReturn = line.last == UInt8(ascii: "\r")
        if endsInCarriageReturn { line.removeLast() }
        if isWindows1252 { line = Windows1252.utf8(line) }
        return true
    }

    private mutating func take(_ part: ArraySlice<UInt8>) throws(RegistryFileError) {
        guard line.count + part.count <= Self.longestLine else {
            throw .malformed(line: number, reason: "a line of more than \(Self.longestLine) bytes")
        }
        line.append(contentsOf: part)
    }

    private mutating func decode(_ bytes: ArraySlice<UInt8>) {
        guard isUTF16 else { return text.append(contentsOf: bytes) }
        text.reserveCapacity(text.count + bytes.count)
        for byte in bytes {
            guard let low = oddByte else {
                oddByte = byte
                continue
            }
            oddByte = nil
            append(UInt16(byte) << 8 | UInt16(low))
        }
    }

    private mutating func append(_ unit: UInt16) {
        if let high = highSurrogate {
            highSurrogate = nil
            if unit & 0xFC00 == 0xDC00 {
                return appendScalar(0x1_0000 + UInt32(high & 0x3FF) << 10 + UInt32(unit & 0x3FF))
            }
            appendScalar(UInt32(high))
        }
        if unit & 0xFC00 == 0xD800 { highSurrogate = unit } else { appendScalar(UInt32(unit)) }
    }

    /// A half of a pair alone becomes three bytes, as of any other number of its size, which no `String` takes.
    private mutating func appendScalar(_ value: UInt32) {
        switch value {
        case ..<0x80: return text.append(UInt8(value))
        case ..<0x800: text.append(0xC0 | UInt8(value >> 6))
        case ..<0x1_0000:
            text.append(0xE0 | UInt8(value >> 12))
            text.append(0x80 | UInt8(value >> 6 & 0x3F))
        default:
            text.append(0xF0 | UInt8(value >> 18))
            text.append(0x80 | UInt8(value >> 12 & 0x3F))
            text.append(0x80 | UInt8(value >> 6 & 0x3F))
        }
        text.append(0x80 | UInt8(value & 0x3F))
    }
}
