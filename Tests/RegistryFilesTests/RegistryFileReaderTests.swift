import RegistryFiles
import RegistryModel
import Testing

/// The entries of a text, in UTF-8.
func entries(_ text: String) throws(RegistryFileError) -> [RegistryFileEntry] {
    try entries(Array(("Windows Registry Editor Version 5.00\r\n\r\n" + text).utf8))
}

func entries(_ bytes: [UInt8]) throws(RegistryFileError) -> [RegistryFileEntry] {
    var reader = try RegistryFileReader(bytes)
    var all: [RegistryFileEntry] = []
    while let entry = try reader.next() { all.append(entry) }
    return all
}

func utf16(_ text: String) -> [UInt8] {
    text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
}

@Suite("Reading registry files")
struct RegistryFileReaderTests {
    private let key = #"[HKEY_LOCAL_MACHINE\Software\Acme]"#

    private func value(_ line: String) throws -> RegistryValue? {
        guard case .value(_, let value)? = try entries("\(key)\r\n\(line)\r\n").last else { return nil }
        return value
    }

    @Test("every type of data")
    func types() throws {
        #expect(try value(#""a"="""#) == .string(""))
        #expect(try value(#""a"="C:\\Program Files\\\"x\"""#) == .string(#"C:\Program Files\"x""#))
        #expect(try value(#""a"=dword:0000002a"#) == .dword(42))
        #expect(try value(#""a"=DWORD:FFFFFFFF"#) == .dword(.max))
        #expect(try value(#""a"=hex:"#) == .binary([]))
        #expect(try value(#""a"=hex:01,2,fF"#) == .binary([1, 2, 255]))
        #expect(try value(#""a"=hex(0):"#) == RegistryValue.none([]))
        #expect(try value(#""a"=hex(1):61,00,00,00"#) == .string("a"))
        #expect(try value(#""a"=hex(2):25,00,61,00,25,00,00,00"#) == .expandString("%a%"))
        #expect(try value(#""a"=hex(4):01,00,00,00"#) == .dword(1))
        #expect(try value(#""a"=hex(5):00,00,00,01"#) == .dwordBigEndian(1))
        #expect(try value(#""a"=hex(6):61,00"#) == .link("a"))
        #expect(try value(#""a"=hex(7):61,00,00,00,62,00,00,00,00,00"#) == .multiString(["a", "b"]))
        #expect(try value(#""a"=hex(b):01,00,00,00,00,00,00,80"#) == .qword(0x8000_0000_0000_0001))
        #expect(
            try value(#""a"=hex(ffff0012):01"#)
                == .other(type: RegistryValueType(rawValue: 0xFFFF_0012), bytes: [1]))
        // What is not of its type's form is kept byte for byte.
        #expect(try value(#""a"=hex(4):01,02"#) == .other(type: .dword, bytes: [1, 2]))
        #expect(try value(#""a"=hex(1):61"#) == .other(type: .string, bytes: [0x61]))
    }

    @Test("data on several lines, with blanks and comments")
    func continuation() throws {
        #expect(try value("\"a\"=hex:01,\\\r\n  02,\\ ; more\r\n\t03 ; done") == .binary([1, 2, 3]))
        #expect(try value("\"a\"=hex:01\\\r\n,02") == .binary([1, 2]))
        #expect(try value("\"a\"=\"one\r\ntwo\"") == .string("one\r\ntwo"))
        #expect(try value("\"a\"=\"x\" ; why") == .string("x"))
    }

    @Test("keys, deletions, default values and comments")
    func structure() throws {
        let acme = try RegistryPath(#"Machine\Software\Acme"#)
        let read = try entries(
            """
            ; a comment
            [HKEY_LOCAL_MACHINE\\Software\\Acme] ; another
            @="default"
            "gone"=-
            @=-

            [-hkey_local_machine\\software\\acme\\Old]
              [HKEY_CURRENT_USER\\a]b]
            "[x]"=dword:1
            [HKEY_USERS\\S-1-5-18]
            [HKEY_CLASSES_ROOT\\.txt]
            [HKLM]
            """)
        #expect(
            read == [
                .key(acme), .value(name: .default, .string("default")),
                .deletedValue(name: try RegistryValueName("gone")), .deletedValue(name: .default),
                .deletedKey(try RegistryPath(#"Machine\Software\Acme\Old"#)),
                .key(try RegistryPath(#"CurrentUser\a]b"#)),
                .value(name: try RegistryValueName("[x]"), .dword(1)),
                .key(.user(.system)), .key(try RegistryPath(#"Machine\Software\Classes\.txt"#)),
                .key(.machine),
            ])
    }

    @Test("the same in every encoding, in pieces of every size")
    func encodings() throws {
        let text = "Windows Registry Editor Version 5.00\r\n\r\n\(key)\r\n\"größe 𝄞\"=\"日本 €\"\n@=hex:01"
        let wanted: [RegistryFileEntry] = [
            .key(try RegistryPath(#"Machine\Software\Acme"#)),
            .value(name: try RegistryValueName("größe 𝄞"), .string("日本 €")),
            .value(name: .default, .binary([1])),
        ]
        let files = [
            Array(text.utf8), [0xEF, 0xBB, 0xBF] + Array(text.utf8), [0xFF, 0xFE] + utf16(text),
        ]
        for file in files {
            #expect(try entries(file) == wanted)
            for size in 1...7 {
                var rest = file[...]
                var reader = try RegistryFileReader { () throws(RegistryFileError) in
                    defer { rest = rest.dropFirst(size) }
                    return Array(rest.prefix(size))
                }
                var all: [RegistryFileEntry] = []
                while let entry = try reader.next() { all.append(entry) }
                #expect(all == wanted)
            }
        }
    }

    @Test("REGEDIT4, in the western code page")
    func version4() throws {
        var file = Array("REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\x]\r\n\"".utf8) + [0xE4, 0x80]
        file += Array("\"=hex(2):25,e4,80,00\r\n\"b\"=hex:80,00\r\n".utf8)
        #expect(
            try entries(file) == [
                .key(try RegistryPath(#"Machine\x"#)),
                .value(name: try RegistryValueName("ä€"), .expandString("%ä€")),
                .value(name: try RegistryValueName("b"), .binary([0x80, 0])),
            ])
    }

    @Test(
        "what is malformed, with its line",
        arguments: [
            ("\"a\"=dword:1", 3, "outside"), ("[HKEY_LOCAL_MACHINE\\a", 3, "]"),
            ("[HKEY_LOCAL_MACHINE\\a] b", 3, "after"), ("[HKEY_DYN_DATA\\a]", 3, "hive"),
            ("[HKEY_LOCAL_MACHINE\\a\\\\b]", 3, "empty"), ("[]", 3, "hive"), ("[-]", 3, "hive"),
            ("[-", 3, "]"),
            ("[HKLM\\a\rb]", 3, "carriage"), ("[HKLM]\n\na\"=dword:1", 5, "no key"),
            ("[HKLM]\n\"a\"", 4, "="),
            ("[HKLM]\n\"a=1\n\n", 4, "second"),
            ("[HKLM]\n\"a\"=", 4, "data"), ("[HKLM]\n\"a\"=dword:", 4, "missing"),
            ("[HKLM]\n\"a\"=dword:123456789", 4, "eight"), ("[HKLM]\n\"a\"=dword:1g", 4, "after"),
            ("[HKLM]\n\"a\"=hex:1,,2", 4, "comma"), ("[HKLM]\n\"a\"=hex:1 2", 4, "no hex"),
            ("[HKLM]\n\"a\"=hex:1,\\\n\n2", 6, "no key"),
            ("[HKLM]\n\"a\"=hex:1,\\", 5, "goes on"), ("[HKLM]\n\"a\"=hex(:1", 4, "missing"),
            ("[HKLM]\n\"a\"=hex(1:1", 4, ")"), ("[HKLM]\n\"a\"=\"C:\\temp\"", 4, "backslash"),
            ("[HKLM]\n\"a\"=\"b\"c", 4, "after"), ("[HKLM]\n\"a\"=\"b\0\"", 4, "NUL"),
            ("[HKLM]\n\"a\0\"=\"b\"", 4, "NUL"), ("[-HKLM\\a]\n@=\"\"", 4, "outside"),
        ])
    func malformed(text: String, line: Int, word: String) {
        do {
            _ = try entries(text)
            Issue.record("it was read")
        } catch {
            guard case .malformed(line, let reason) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(reason.contains(word), "\(reason)")
        }
    }

    @Test("what is no registry file at all")
    func foreign() {
        for bytes in [
            [], [0xFF, 0xFE], Array("REGEDIT5\n".utf8), Array("\n[HKLM]".utf8), [0xFF, 0xFE, 0x41],
        ] {
            #expect(throws: RegistryFileError.self) { try entries(bytes) }
        }
    }

    @Test("no valid Unicode is refused on its line")
    func unicode() {
        let head = "Windows Registry Editor Version 5.00\n\(key)\n\"a\"=\""
        let half = RegistryFileError.malformed(line: 3, reason: "no valid Unicode")
        #expect(throws: half) { try entries([0xFF, 0xFE] + utf16(head) + [0, 0xD8] + utf16("\"\n")) }
        #expect(throws: half) { try entries([0xFF, 0xFE] + utf16(head) + [0, 0xDC] + utf16("\"\n")) }
        #expect(throws: half) { try entries(Array(head.utf8) + [0xC0, 0x80] + Array("\"\n".utf8)) }
    }

    @Test("a line without end is given up, not collected")
    func endless() throws {
        var given = 0
        let start = Array("Windows Registry Editor Version 5.00\n[HKLM]\n\"".utf8)
        var reader = try RegistryFileReader { () throws(RegistryFileError) in
            given += 1
            return given == 1 ? start : Array(repeating: 0x61, count: 1 << 16)
        }
        #expect(try reader.next() == .key(.machine))
        #expect(throws: RegistryFileError.self) { try reader.next() }
        #expect(given < 200)
    }
}
