#if Hives
    import AccessControl
    import Foundation
    import RegistryFiles
    import RegistryHives
    import RegistryModel
    import Testing

    /// Everything in a hive: what each key has, by its path as one text.
    struct HiveContents: Equatable {
        var values: [String: [String: RegistryValue]] = [:]
        var descriptors: [String: SecurityDescriptor] = [:]
        var keys: [HiveKey] = []

        init(_ path: String) throws(HiveError) {
            let file = try HiveFile(path: path)
            while let key = try file.next() {
                let name = key.names.map(\.text).joined(separator: "\\")
                values[name] = Dictionary(key.values.map { ($0.name.text, $0.value) }) { $1 }
                descriptors[name] = key.descriptor
                keys.append(key)
            }
        }

        static func == (one: Self, other: Self) -> Bool { one.values == other.values }
    }

    private let sddl = "O:BAG:SYD:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)"

    /// Values of all types, as other programs know them too.
    private let wanted: [String: [String: RegistryValue]] = [
        "": [:],
        "Acme": [
            "": .string("default"), "Path": .expandString(#"%HOME%\bin"#), "Count": .dword(42),
            "Bytes": .binary([1, 2, 3, 4, 5, 6]), "Short": .binary([7]),
            "List": .multiString(["one", "two"]),
        ],
        #"Acme\Sub key"#: [
            "Big": .qword(0x8000_0000_0000_0001), "Nothing": .none([]),
            "Odd": .other(type: RegistryValueType(rawValue: 0x1234), bytes: [9, 8, 7, 6, 5]),
            #"a "quoted" \name"#: .string(#"C:\Program Files\"x""#),
        ],
    ]

    private func entries(of contents: [String: [String: RegistryValue]]) throws -> [RegistryFileEntry] {
        var entries: [RegistryFileEntry] = []
        for (path, values) in contents.sorted(by: { $0.key < $1.key }) {
            entries.append(.key(try RegistryPath(#"Machine\Soft"#).appending(path)))
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                entries.append(.value(name: try RegistryValueName(name), value))
            }
        }
        return entries
    }

    private func file(_ entries: [RegistryFileEntry], _ encoding: RegistryFileWriter.Encoding) throws
        -> [UInt8]
    {
        var bytes: [UInt8] = []
        var writer = try RegistryFileWriter(encoding) { (part: [UInt8]) throws(RegistryFileError) in
            bytes += part
        }
        for entry in entries { try writer.append(entry) }
        try writer.finish()
        return bytes
    }

    @Suite("Hive files made by others")
    struct HiveFileTests {
        private let folder: Folder
        private let hive: String

        init() throws {
            folder = try Folder()
            hive = try folder.file("hive", minimalHive(descriptor: try SecurityDescriptor(sddl: sddl).bytes))
        }

        @Test("hivexsh", .enabled(if: ForeignTool.path("hivexsh") != nil, "libhivex-bin"))
        func hivexsh() throws {
            func hex(_ value: RegistryValue) -> String {
                "hex:\(value.type.rawValue):"
                    + value.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ",")
            }
            var script = ""
            for (path, values) in wanted.sorted(by: { $0.key < $1.key }) where !path.isEmpty {
                let name = path.split(separator: "\\").last ?? ""
                script += "add \(name)\ncd \(name)\nsetval \(values.count)\n"
                for (name, value) in values {
                    let data =
                        switch value {
                        case .string(let text) where name.isEmpty: "string:\(text)"
                        case .dword(let number): "dword:\(number)"
                        case .none: "none"
                        default: hex(value)
                        }
                    script += "\(name.isEmpty ? "@" : name)\n\(data)\n"
                }
            }
            #expect(try ForeignTool.run("hivexsh", ["-w", hive], input: script + "commit\n").status == 0)
            let read = try HiveContents(hive)
            #expect(read.values == wanted)
            // hivex gives a new key the descriptor of the one above.
            let descriptor = try SecurityDescriptor(sddl: sddl)
            #expect(read.descriptors == ["": descriptor, "Acme": descriptor, #"Acme\Sub key"#: descriptor])
        }

        @Test("reged", .enabled(if: ForeignTool.path("reged") != nil, "chntpw"))
        func reged() throws {
            // It does not read back what it has written of quotes and backslashes in names, or of types it does not know.
            var wanted = wanted
            wanted[#"Acme\Sub key"#] = [
                "Big": .qword(0x8000_0000_0000_0001), "Path": .string(#"C:\Program Files\x"#),
            ]
            let prefix = #"HKEY_LOCAL_MACHINE\Soft"#
            let file = try folder.file("in.reg", try file(try entries(of: wanted), .utf8))
            // 2: it has changed something.
            #expect(try ForeignTool.run("reged", ["-C", "-I", hive, prefix, file]).status == 2)
            let read = try HiveContents(hive)
            #expect(read.values == wanted)
            #expect(read.descriptors["Acme"] == (try SecurityDescriptor(sddl: sddl)))

            // And what it exports of it is the same again.
            let exported = folder.path + "/out.reg"
            _ = try ForeignTool.run("reged", ["-x", hive, prefix, "\\", exported])
            var reader = try RegistryFileReader([UInt8](try Data(contentsOf: URL(fileURLWithPath: exported))))
            var (values, name): ([String: [String: RegistryValue]], String) = ([:], "")
            while let entry = try reader.next() {
                switch entry {
                case .key(let path):
                    name = path.names.dropFirst().map(\.text).joined(separator: "\\")
                    values[name] = [:]
                case .value(let value, let data): values[name]?[value.text] = data
                default: Issue.record("\(entry)")
                }
            }
            #expect(values == wanted)
        }

        @Test("hivexregedit", .enabled(if: ForeignTool.path("hivexregedit") != nil, "libwin-hivex-perl"))
        func hivexregedit() throws {
            let file = try folder.file("in.reg", try file(try entries(of: wanted), .utf8))
            let merge = ["--merge", "--prefix", #"HKEY_LOCAL_MACHINE\Soft"#, hive, file]
            #expect(try ForeignTool.run("hivexregedit", merge).status == 0)
            #expect(try HiveContents(hive).values == wanted)
        }

        @Test("Samba's regshell", .enabled(if: ForeignTool.path("regshell") != nil, "registry-tools"))
        func samba() throws {
            // It keeps the first key of a session, and nothing else.
            #expect(try ForeignTool.run("regshell", ["-F", hive], input: "mkkey Acme\nquit\n").status == 0)
            let read = try HiveContents(hive)
            #expect(Set(read.values.keys) == ["", "Acme"])
            #expect(read.descriptors["Acme"] == (try SecurityDescriptor(sddl: sddl)))
            #expect(try #require(read.keys.last).lastWrite > 132_000_000_000_000_000)
        }

        @Test("every key comes before those below it")
        func order() throws {
            let script = "add a\nadd b\ncd a\nadd c\ncd ..\ncd b\nadd d\ncommit\n"
            try #require(try ForeignTool.run("hivexsh", ["-w", hive], input: script).status == 0)
            let names = try HiveContents(hive).keys.map { $0.names.map(\.text).joined(separator: "\\") }
            #expect(names == ["", "a", #"a\c"#, "b", #"b\d"#])
        }

        @Test("what is no hive", arguments: [[], Array("regf".utf8), [UInt8](repeating: 0, count: 8192)])
        func foreign(bytes: [UInt8]) throws {
            let path = try folder.file("other", bytes)
            #expect(throws: HiveError.self) { try HiveFile(path: path) }
            #expect(throws: HiveError.self) { try HiveFile(path: folder.path) }
            #expect(throws: HiveError.self) { try HiveFile(path: "/dev/zero") }
            #expect(throws: HiveError.self) { try HiveFile(path: folder.path + "/none") }
        }
    }
#endif
