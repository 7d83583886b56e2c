import RegistryFiles
import RegistryModel
import Testing

/// What a writer makes of entries.
func written(
    _ entries: [RegistryFileEntry], _ encoding: RegistryFileWriter.Encoding
) throws(RegistryFileError) -> [UInt8] {
    var bytes: [UInt8] = []
    var writer = try RegistryFileWriter(encoding) { (part: [UInt8]) throws(RegistryFileError) in bytes += part
    }
    for entry in entries { try writer.append(entry) }
    try writer.finish()
    return bytes
}

/// Entries of every kind, the same for the same seed.
struct RandomEntries {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    private mutating func below(_ limit: Int) -> Int {
        // splitmix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return Int((z ^ z >> 31) >> 1) % limit
    }

    private mutating func text(_ length: Int, without: Set<Unicode.Scalar>) -> String {
        let odd: [Unicode.Scalar] = [
            "\\", "\"", "]", "[", "=", ";", "-", "@", "\n", "\r", "\t", " ", "\u{7F}",
        ]
        let wide: [Unicode.Scalar] = ["ß", "Ω", "日", "𝄞", "\u{FEFF}", "\u{FFFF}", "\u{2028}", "\u{301}"]
        var text = String.UnicodeScalarView()
        for _ in 0..<below(length) {
            let scalar =
                switch below(4) {
                case 0: odd[below(odd.count)]
                case 1: wide[below(wide.count)]
                default: Unicode.Scalar(UInt8(0x61 + below(26)))
                }
            if !without.contains(scalar) { text.append(scalar) }
        }
        return String(text)
    }

    private mutating func path() throws -> RegistryPath {
        var path = try RegistryPath(RegistryPath.Hive.allCases[below(3)])
        for _ in 0..<below(5) {
            let name = text(20, without: ["\\", "\n", "\r"])
            path = try path.appending(try RegistryKeyName(name.isEmpty ? "x" : name))
        }
        return path
    }

    private mutating func bytes(_ length: Int) -> [UInt8] {
        (0..<below(length)).map { _ in UInt8(below(256)) }
    }

    private mutating func value() -> RegistryValue {
        switch below(10) {
        case 0: .none(bytes(4))
        case 1: .string(text(60, without: []))
        case 2: .expandString(text(60, without: []))
        case 3: .binary(bytes(200))
        case 4: .dword(UInt32(truncatingIfNeeded: below(.max)))
        case 5: .dwordBigEndian(UInt32(truncatingIfNeeded: below(.max)))
        case 6: .link(text(30, without: []))
        case 7: .multiString((0..<below(4)).map { _ in "x" + text(20, without: []) })
        case 8: .qword(UInt64(below(.max)))
        default:
            RegistryValue(type: RegistryValueType(rawValue: UInt32(below(14))), bytes: bytes(40))
        }
    }

    mutating func next() throws -> [RegistryFileEntry] {
        var entries: [RegistryFileEntry] = []
        for _ in 0..<below(6) {
            guard below(4) > 0 else {
                entries.append(.deletedKey(try path()))
                continue
            }
            entries.append(.key(try path()))
            for _ in 0..<below(8) {
                let name = try RegistryValueName(text(30, without: []))
                entries.append(below(5) == 0 ? .deletedValue(name: name) : .value(name: name, value()))
            }
        }
        return entries
    }
}

/// Whether two are the same to the letter: names that differ in case only are equal.
private func sameText(_ one: [RegistryFileEntry], _ other: [RegistryFileEntry]) -> Bool {
    one == other && String(describing: one) == String(describing: other)
}

@Suite("Writing registry files")
struct RegistryFileWriterTests {
    @Test(
        "what was written is read as the same", arguments: [.utf16, .utf8] as [RegistryFileWriter.Encoding])
    func roundTrip(encoding: RegistryFileWriter.Encoding) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = RandomEntries(seed: seed)
        for round in 0..<300 {
            let original = try random.next()
            let file = try written(original, encoding)
            let read = try entries(file)
            guard sameText(read, original) else {
                Issue.record("seed \(seed), round \(round): \(original) became \(read)")
                return
            }
            #expect(try written(read, encoding) == file)
        }
    }

    @Test("as regedit writes it")
    func form() throws {
        let name = try RegistryValueName(#"a "b" \"#)
        let file = try written(
            [
                .key(try RegistryPath(#"Machine\Software\Acme"#)), .value(name: .default, .string(#"C:\x"#)),
                .value(name: name, .dword(0xBEEF)), .value(name: name, .binary(Array(0...30))),
                .value(name: name, .string("one\ntwo")), .value(name: name, .multiString([])),
                .value(name: name, .qword(1)), .deletedValue(name: name), .deletedKey(.user(.system)),
            ], .utf16)
        let text = """
            Windows Registry Editor Version 5.00

            [HKEY_LOCAL_MACHINE\\Software\\Acme]
            @="C:\\\\x"
            "a \\"b\\" \\\\"=dword:0000beef
            "a \\"b\\" \\\\"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,\\
              14,15,16,17,18,19,1a,1b,1c,1d,1e
            "a \\"b\\" \\\\"=hex(1):6f,00,6e,00,65,00,0a,00,74,00,77,00,6f,00,00,00
            "a \\"b\\" \\\\"=hex(7):00,00
            "a \\"b\\" \\\\"=hex(b):01,00,00,00,00,00,00,00
            "a \\"b\\" \\\\"=-

            [-HKEY_USERS\\S-1-5-18]


            """.replacing("\n", with: "\r\n")
        #expect(file == [0xFF, 0xFE] + utf16(text))
    }

    @Test("a key's name with a line's end is refused")
    func unsayable() throws {
        let path = try RegistryPath("Machine\\a\nb")
        #expect(throws: RegistryFileError.self) { try written([.key(path)], .utf8) }
    }

    @Test("a large value, in both directions")
    func large() throws {
        let original: [RegistryFileEntry] = [
            .key(.machine), .value(name: .default, .binary([UInt8](repeating: 0xA5, count: 1 << 20))),
            .value(name: .default, .string(String(repeating: "日", count: 1 << 19))),
        ]
        #expect(try entries(try written(original, .utf16)) == original)
    }
}
