import AccessControl
import RegistryModel
import Testing

@Suite struct PathTests {
    @Test(arguments: [
        ("machine", "Machine"), ("HKLM\\Software", "Machine\\Software"),
        ("hkey_users\\S-1-5-18\\", "Users\\S-1-5-18"), ("CurrentUser\\a\\B", "CurrentUser\\a\\B"),
    ])
    func pathsAreReadAndPrinted(_ text: String, _ printed: String) throws {
        #expect(try RegistryPath(text).description == printed)
    }

    @Test(arguments: ["", "\\", "Machine\\\\a", "Elsewhere\\a", "Machine\\a\0"])
    func whatNoPathIs(_ text: String) { #expect(throws: RegistryError.self) { try RegistryPath(text) } }

    /// A backslash and an accent after it are one character, and a separator all the same.
    @Test(arguments: ["\u{301}a", "\u{200d}", "\u{fe0f}x", "\u{1f3fd}"])
    func aNameMayBeginWithAnAccent(_ name: String) throws {
        let path = try RegistryPath("Machine\\A\\" + name)
        #expect(path.names.map(\.text.unicodeScalars.count) == [1, name.unicodeScalars.count])
        #expect(try RegistryPath(path.description) == path)
        #expect(try RegistryPath(path.description + "\\") == path)
        #expect(try RegistryPath.machine.appending("A\\" + name) == path)
        #expect(try RegistryPath.names(name + "\\" + name).count == 2)
    }

    @Test func depthHasALimit() throws {
        let names = [RegistryKeyName](repeating: try RegistryKeyName("k"), count: 511)
        let deepest = try RegistryPath(.machine, names)
        #expect(try RegistryPath(deepest.description) == deepest)
        #expect(throws: RegistryError.self) { try deepest.appending("k") }
        #expect(throws: RegistryError.self) {
            try RegistryPath("Machine" + String(repeating: "\\k", count: 512))
        }
        #expect(throws: RegistryError.self) { try RegistryPath(.currentUser, names).resolved(for: .system) }
    }

    @Test func currentUserIsTheUsersHive() throws {
        let path = try RegistryPath("CurrentUser\\Editor").resolved(for: .system)
        #expect(path.description == "Users\\S-1-5-18\\Editor")
        #expect(path.isWithin(.user(.system)))
        #expect(try RegistryPath("Machine\\A").resolved(for: .system) == RegistryPath("machine\\a"))
    }

    @Test func parentsAndChildren() throws {
        let path = try RegistryPath("Machine\\A\\B")
        #expect(path.parent?.parent == .machine)
        #expect(RegistryPath.machine.parent == nil)
        #expect(try path.isWithin(RegistryPath("MACHINE\\a")))
        #expect(try !RegistryPath("Machine\\AB").isWithin(RegistryPath("Machine\\A")))
        #expect(try RegistryPath.machine.appending("A\\B\\") == path)
    }
}
