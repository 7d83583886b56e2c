import Foundation
import Testing

@Suite("reg", .asRoot)
struct RegistryToolTests {
    @Test("adds, shows, compares, copies and deletes")
    func keys() throws {
        try onRegistryTool { (scene) throws in
            #expect(try scene.reg("add", "HKLM/Acme", "-v", "Port", "-t", "dword", "-d", "8080").status == 0)
            #expect(try scene.reg("add", #"HKLM\Acme\Sub"#, "--default", "-d", "a text").status == 0)
            let shown = try scene.reg("query", "Machine/acme", "-s")
            #expect(shown.output.contains("    Port    REG_DWORD    0x1f90"), "\(shown)")
            #expect(shown.output.contains("    (Default)    REG_SZ    a text"))
            let one = try scene.reg("query", "HKLM/Acme", "-v", "port", "--json")
            #expect(one.output.contains(#""data" : 8080"#), "\(one)")
            #expect(try scene.reg("query", "HKLM/Acme", "-v", "none").status == 1)
            let list = ["-t", "multi_sz", "-d", "-one;\u{301}two", "--separator", ";"]
            #expect(
                try scene.stage.run([product("reg"), "add", "HKLM/Acme", "-v", "-list"] + list).status == 0)
            let listed = try scene.reg("query", "HKLM/Acme", "-v", "-LIST")
            #expect(listed.output.contains("REG_MULTI_SZ    -one\\0\u{301}two"), "\(listed)")
            #expect(try scene.reg("delete", "HKLM/Acme", "-v", "-list").status == 0)

            #expect(try scene.reg("copy", "HKLM/Acme", "HKLM/Copy", "-s").status == 0)
            #expect(try scene.reg("compare", "HKLM/Acme", "HKLM/Copy", "-s").status == 0)
            #expect(try scene.reg("add", "HKLM/Copy/Sub", "-v", "x", "-d", "y").status == 0)
            let compared = try scene.reg("compare", "HKLM/Acme", "HKLM/Copy", "-s")
            #expect(compared.status == 2)
            #expect(
                compared.output.contains(#"> Value:  Machine\Copy\Sub    x    REG_SZ    y"#), "\(compared)")
            #expect(try scene.reg("compare", "HKLM/Acme", "HKLM/None").status == 1)

            // There is no terminal to ask.
            #expect(try scene.reg("delete", "HKLM/Copy").status == 1)
            #expect(try scene.reg("delete", "HKLM/Copy", "--force").status == 0)
            #expect(try scene.reg("query", "HKLM/Copy").status == 1)
            #expect(try scene.reg("delete", "HKLM/Acme", "-v", "Port").status == 0)
            #expect(try scene.reg("query", "HKLM/Acme", "-v", "Port").status == 1)
        }
    }

    @Test("acts as whoever runs it, and sets and explains descriptors")
    func descriptors() throws {
        try onRegistryTool { (scene) throws in
            #expect(try scene.reg("add", "HKLM/Acme").status == 0)
            let sddl = "D:P(A;CI;KA;;;SY)(A;CI;KR;;;\(scene.alice.sid))"
            #expect(try scene.reg("sd", "set", "HKLM/Acme", sddl).status == 0)
            #expect(try scene.reg("sd", "show", "HKLM/Acme", "--sddl").output.contains(sddl.dropFirst(3)))
            #expect(try scene.reg("query", "HKLM/Acme", as: scene.alice).status == 0)
            let refused = try scene.reg("add", "HKLM/Acme", "-v", "x", as: scene.alice)
            #expect(refused.status == 1 && !refused.errors.isEmpty)
            let explained = try scene.reg(
                "sd", "explain", "HKLM/Acme", "--as", "alice", "--want", "KEY_SET_VALUE")
            #expect(explained.status == 0 && explained.output.contains("KEY_SET_VALUE"), "\(explained)")
            #expect(try scene.reg("add", "HKCU/Mine", "-v", "x", as: scene.alice).status == 0)
            #expect(try scene.reg("query", "HKU/\(scene.alice.sid)/Mine").status == 0)
        }
    }

    @Test("copies and deletes more than the registry changes at once")
    func parts() throws {
        try onRegistryTool { (scene) throws in
            let file = scene.stage.directory + "/in.reg"
            let text = (0..<1050).map { number in
                #"[HKEY_CURRENT_USER\Big\\#(number % 5)\\#(number)]\#n"v"="\#(number)"\#n"#
            }
            try ("Windows Registry Editor Version 5.00\n" + text.joined())
                .write(toFile: file, atomically: false, encoding: .utf8)
            chmod(file, 0o644)
            #expect(try scene.reg("import", file, as: scene.alice).status == 0)
            #expect(try scene.reg("copy", "HKCU/Big", "HKCU/Two", "-s", as: scene.alice).status == 0)
            #expect(try scene.reg("compare", "HKCU/Big", "HKCU/Two", "-s", as: scene.alice).status == 0)
            let within = try scene.reg("copy", "HKCU/Big", "HKCU/Big/3/5", "-s", as: scene.alice)
            #expect(within.status == 1 && within.errors.contains("itself"), "\(within)")
            #expect(try scene.reg("copy", "HKCU/Two", "HKCU/Big/Two", "-s", as: scene.alice).status == 0)
            let deleted = try scene.reg("delete", "HKCU/Big", "--force", as: scene.alice)
            #expect(deleted.status == 0, "\(deleted)")
            #expect(try scene.reg("query", "HKCU/Big", as: scene.alice).status == 1)
            #expect(try scene.reg("query", "HKCU/Two/4/1049", as: scene.alice).status == 0)
        }
    }

    @Test("imports 20,000 values, and exports the same again")
    func files() throws {
        try onRegistryTool { (scene) throws in
            var text = "Windows Registry Editor Version 5.00\r\n"
            for key in 0..<200 {
                text += "\r\n[HKEY_LOCAL_MACHINE\\Big\\Key \(1000 + key)]\r\n"
                for value in 0..<100 { text += "\"Value \(100 + value)\"=\"text \(key) \(value)\"\r\n" }
            }
            let (file, copy) = (scene.stage.directory + "/in.reg", scene.stage.directory + "/out.reg")
            try text.write(toFile: file, atomically: false, encoding: .utf8)
            let start = ContinuousClock.now
            let imported = try scene.reg("import", file)
            let time = ContinuousClock.now - start
            #expect(imported.status == 0 && imported.output.contains("20000 values"), "\(imported)")
            #expect(time < .seconds(50))
            #expect(try scene.reg("export", "HKLM/Big", copy, "--utf8").status == 0)
            let exported = try String(contentsOfFile: copy, encoding: .utf8)
            #expect(
                exported.replacing("\r\n[HKEY_LOCAL_MACHINE\\Big]\r\n", with: "", maxReplacements: 1) == text
                    + "\r\n")

            // A file that is malformed anywhere changes nothing.
            let bad = "Windows Registry Editor Version 5.00\n[HKEY_LOCAL_MACHINE\\Bad]\n\"a\"=oops\n"
            try bad.write(toFile: file, atomically: false, encoding: .utf8)
            let refused = try scene.reg("import", file)
            #expect(refused.status == 1 && refused.errors.contains("line 3"), "\(refused)")
            #expect(try scene.reg("query", "HKLM/Bad").status == 1)
            let deletion = "Windows Registry Editor Version 5.00\n[-HKEY_LOCAL_MACHINE\\Big\\Key 1000]\n"
            try deletion.write(toFile: file, atomically: false, encoding: .utf8)
            #expect(try scene.reg("import", file).status == 0)
            #expect(try scene.reg("query", "HKLM/Big/Key 1000").status == 1)
            #expect(try scene.reg("query", "HKLM/Big/Key 1001").status == 0)
        }
    }
}
