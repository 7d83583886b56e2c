import Foundation
import RegistryFiles
import RegistryModel
import Testing

/// A registry of Samba's own, which is gone with the test.
private final class SambaRegistry {
    static let isThere = access("/usr/bin/net", X_OK) == 0
    let folder: String

    init() throws {
        var template = Array("/tmp/guise-samba-XXXXXX".utf8CString)
        folder = String(cString: try #require(mkdtemp(&template)))
        let places = [
            "state directory", "private dir", "cache directory", "lock directory", "pid directory",
            "ncalrpc dir",
        ]
        let lines = ["[global]", "log file = \(folder)/log"] + places.map { "\($0) = \(folder)" }
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(
            to: URL(fileURLWithPath: folder + "/smb.conf"))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func run(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/net")
        process.arguments = ["-s", folder + "/smb.conf", "registry"] + arguments
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "net registry \(arguments)")
    }

    func export(_ key: String, _ options: String...) throws -> [RegistryFileEntry] {
        let file = folder + "/out.reg"
        if let option = options.first {
            try run("export", key, file, option)
        } else {
            try run("export", key, file)
        }
        return try entries([UInt8](try Data(contentsOf: URL(fileURLWithPath: file))))
    }
}

@Suite("Samba's registry files", .enabled(if: SambaRegistry.isThere, "samba-common-bin"))
struct SambaTests {
    private let acme = #"HKLM\Software\Acme"#

    @Test("what `net registry` has exported, in UTF-8")
    func exported() throws {
        let samba = try SambaRegistry()
        try samba.run("createkey", acme)
        try samba.run("setvalue", acme, "Näme", "sz", #"a "b" \c"#)
        try samba.run("setvalue", acme, "n", "dword", "4026531840")
        try samba.run("setvalue", acme, "m", "multi_sz", "one", "two")
        try samba.run("createkey", acme + #"\Sub"#)
        let read = try samba.export(acme)
        let path = try RegistryPath(acme)
        #expect(
            read == [
                .key(path), .value(name: try RegistryValueName("Näme"), .string(#"a "b" \c"#)),
                .value(name: try RegistryValueName("n"), .dword(4_026_531_840)),
                // The tool takes the word for the type as the first text.
                .value(name: try RegistryValueName("m"), .multiString(["multi_sz", "one"])),
                .key(try path.appending("Sub")),
            ])
    }

    @Test(
        "what we write, `net registry` imports", arguments: [.utf8, .utf16] as [RegistryFileWriter.Encoding])
    func imported(encoding: RegistryFileWriter.Encoding) throws {
        let samba = try SambaRegistry()
        let path = try RegistryPath(acme)
        func value(_ name: String, _ value: RegistryValue) throws -> RegistryFileEntry {
            .value(name: try RegistryValueName(name), value)
        }
        // Without a byte order mark Samba takes UTF-8 for the code page of DOS.
        let letters = encoding == .utf8 ? "sz" : "ß日"
        let original: [RegistryFileEntry] = [
            .key(path), try value("a \"b\" \\", .string(#"C:\x "y" "# + letters)),
            try value("number", .dword(0xBEEF)),
            try value("bytes", .binary(Array(0...99))), try value("list", .multiString(["one", "two"])),
            try value("path", .expandString("%HOME%")), try value("lines", .string("one\ntwo")),
            .key(try path.appending("Sub key")), try value("x", .string("")),
        ]
        let file = samba.folder + "/in.reg"
        try Data(try written(original, encoding)).write(to: URL(fileURLWithPath: file))
        try samba.run("createkey", #"HKLM\Software"#)
        try samba.run("import", file)
        // In no order that it would tell of.
        #expect(
            Set(try samba.export(acme).map(String.init(describing:)))
                == Set(original.map(String.init(describing:))))
    }
}
