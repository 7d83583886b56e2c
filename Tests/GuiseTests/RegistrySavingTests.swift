import Foundation
import Testing

@Suite("reg save and restore", .asRoot)
struct RegistrySavingTests {
    /// A key with two below it, one of which is SYSTEM's alone.
    private func plant(_ scene: RegistryToolScene) throws {
        let sddl = "D:P(A;CI;KA;;;SY)(A;CI;KA;;;\(scene.alice.sid))"
        for command in [
            ["add", "HKLM/Acme", "-v", "Port", "-t", "dword", "-d", "8080"],
            ["sd", "set", "HKLM/Acme", sddl],
            ["add", "HKLM/Acme/Open", "-v", "v", "-d", "one"],
            ["add", "HKLM/Acme/Secret", "-v", "v", "-d", "two"],
            ["sd", "set", "HKLM/Acme/Secret", "O:SYD:P(A;;KA;;;SY)"],
        ] { try #require(try scene.stage.run([product("reg")] + command).status == 0) }
    }

    /// All of it that can be told.
    private func view(_ scene: RegistryToolScene) throws -> String {
        let descriptor = try scene.reg("sd", "show", "HKLM/Acme/Secret", "--sddl").output
        return try scene.reg("query", "HKLM/Acme", "-s", "--json").output + descriptor
    }

    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    @Test("bring everything back, and replace nothing unasked")
    func everything() throws {
        try onRegistryTool { (scene) throws in
            try plant(scene)
            let before = try view(scene)
            let folder = scene.stage.folder("saved")
            let file = folder + "/acme"
            let saved = try scene.reg("save", "HKLM/Acme", file)
            #expect(saved.status == 0 && saved.output == "Saved: 3 keys, 3 values\n", "\(saved)")
            #expect(saved.errors.isEmpty, "\(saved)")
            var status = stat()
            #expect(stat(file, &status) == 0 && status.st_mode & 0o777 == 0o600)
            let content = FileManager.default.contents(atPath: file)

            #expect(try scene.reg("add", "HKLM/Acme/New", "-v", "v").status == 0)
            #expect(try scene.reg("delete", "HKLM/Acme/Secret", "-f").status == 0)
            for refused in [
                try scene.reg("save", "HKLM/Acme", file), try scene.reg("restore", "HKLM/Acme", file),
                try scene.reg("export", "HKLM/Acme", file),
            ] { #expect(refused.status == 1 && refused.errors.contains("say --force"), "\(refused)") }
            #expect(try scene.reg("save", "HKLM/Acme", "/dev/null", "--force").status == 1)
            #expect(FileManager.default.contents(atPath: file) == content)
            #expect(try scene.reg("query", "HKLM/Acme/New").status == 0)

            let command = [product("reg"), "restore", "HKLM/Acme", file]
            let no = try scene.stage.converse(with: command, [("[y/N]", "n\n")])
            #expect(no.status == 1 && no.output.contains("nothing was restored"), "\(no)")
            #expect(try scene.reg("query", "HKLM/Acme/New").status == 0)
            let yes = try scene.stage.converse(with: command, [("[y/N]", "y\n")])
            #expect(yes.status == 0 && yes.output.contains("Restored: 3 keys, 3 values"), "\(yes)")
            #expect(try view(scene) == before)
            #expect(try scene.reg("query", "HKLM/Acme/New").status == 1)

            let again = try scene.reg("save", "HKLM/Acme", file, "-y", "--json")
            #expect(again.status == 0 && again.output.contains(#""keys" : 3"#), "\(again)")
            #expect(FileManager.default.contents(atPath: file) == content)
            #expect(try files(folder) == ["acme"])
            let missing = try scene.reg("restore", "HKLM/None", file, "-f")
            #expect(missing.status == 1 && missing.errors.contains("reg add"), "\(missing)")
        }
    }

    @Test("take the privileges for what a descriptor does not grant")
    func privileges() throws {
        try onRegistryTool { (scene) throws in
            try plant(scene)
            let operators = try scene.stage.service(
                "operator", privileges: ["SeBackupPrivilege", "SeRestorePrivilege"])
            let before = try view(scene)
            let hers = scene.stage.folder("hers", of: scene.alice)
            let theirs = scene.stage.folder("theirs", of: operators)
            let refused = try scene.reg("save", "HKLM/Acme", hers + "/acme", as: scene.alice)
            #expect(refused.status == 1 && refused.errors.contains("SeBackupPrivilege"), "\(refused)")
            #expect(try files(hers) == [])
            let saved = try scene.reg("save", "HKLM/Acme", theirs + "/acme", asService: operators)
            #expect(saved.status == 0 && saved.errors.contains("SeSecurityPrivilege"), "\(saved)")

            chmod(theirs + "/acme", 0o644)
            let kept = try scene.reg("restore", "HKLM/Acme", theirs + "/acme", "-f", as: scene.alice)
            #expect(kept.status == 1 && kept.errors.contains("SeRestorePrivilege"), "\(kept)")
            #expect(try view(scene) == before)
            #expect(try scene.reg("delete", "HKLM/Acme/Secret", "-f").status == 0)
            let restored = try scene.reg("restore", "HKLM/Acme", theirs + "/acme", "-f", asService: operators)
            #expect(restored.status == 0, "\(restored)")
            #expect(try view(scene) == before)
            // What is hers alone she may save, and restore.
            #expect(try scene.reg("add", "HKCU/Mine", "-v", "v", as: scene.alice).status == 0)
            let own = hers + "/mine"
            #expect(try scene.reg("save", "HKCU/Mine", own, as: scene.alice).status == 0)
            #expect(try scene.reg("delete", "HKCU/Mine", "-v", "v", as: scene.alice).status == 0)
            let mine = try scene.reg("restore", "HKCU/Mine", own, "-f", as: scene.alice)
            #expect(mine.status == 0, "\(mine)")
            #expect(try scene.reg("query", "HKCU/Mine", "-v", "v", as: scene.alice).status == 0)
        }
    }

    @Test("a file cut off anywhere, or longer than it was, changes nothing")
    func cutOff() throws {
        try onRegistryTool { (scene) throws in
            try plant(scene)
            let before = try view(scene)
            let file = scene.stage.directory + "/acme"
            try #require(try scene.reg("save", "HKLM/Acme", file).status == 0)
            let whole = try Data(contentsOf: URL(fileURLWithPath: file))
            // After the 16 bytes at the beginning: records after their lengths.
            var ends = [16]
            while let last = ends.last, last + 4 <= whole.count {
                ends.append(last + 4 + (0..<4).reduce(0) { $0 | Int(whole[last + $1]) << (8 * $1) })
            }
            #expect(ends.count == 5 && ends.last == whole.count)
            for count in ends.dropLast() + [0, 7, ends[1] - 1, ends[1] + 2, whole.count - 1] {
                try whole.prefix(count).write(to: URL(fileURLWithPath: file))
                let refused = try scene.reg("restore", "HKLM/Acme", file, "-f")
                #expect(refused.status == 1 && refused.errors.contains(file), "\(count): \(refused)")
            }
            try (whole + [0]).write(to: URL(fileURLWithPath: file))
            #expect(try scene.reg("restore", "HKLM/Acme", file, "-f").status == 1)
            #expect(try view(scene) == before)
        }
    }

    @Test("a full disk leaves the file that was there, and nothing else")
    func fullDisk() throws {
        try onRegistryTool { (scene) throws in
            try plant(scene)
            let before = try view(scene)
            let folder = scene.stage.folder("small")
            // The stage's end takes it away.
            try #require(mount("tmpfs", folder, "tmpfs", 0, "size=64k") == 0)
            let file = folder + "/acme"
            try #require(try scene.reg("save", "HKLM/Acme", file).status == 0)
            let large = String(repeating: "00", count: 40_000)
            for name in ["a", "b"] {
                #expect(
                    try scene.reg("add", "HKLM/Acme/Large", "-v", name, "-t", "binary", "-d", large).status
                        == 0)
            }
            let refused = try scene.reg("save", "HKLM/Acme", file, "-f")
            #expect(refused.status == 1 && refused.errors.contains("No space left"), "\(refused)")
            let exported = try scene.reg("export", "HKLM/Acme", file, "-f")
            #expect(exported.status == 1 && exported.errors.contains("No space left"), "\(exported)")
            #expect(try files(folder) == ["acme"])
            #expect(try scene.reg("query", "HKLM/Acme/Large", "-v", "b").status == 0)
            let restored = try scene.reg("restore", "HKLM/Acme", file, "-f")
            #expect(restored.status == 0, "\(restored)")
            #expect(try view(scene) == before)
        }
    }
}
