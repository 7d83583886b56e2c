import RegistryModel
import Testing

@Suite struct NameTests {
    @Test(arguments: [
        ("Software", "SOFTWARE"), ("straße", "STRAßE"), ("éclair", "ÉCLAIR"), ("ячмень", "ЯЧМЕНЬ"),
        ("ÿ", "Ÿ"),
    ])
    func caseDoesNotCount(_ lower: String, _ upper: String) throws {
        #expect(try RegistryKeyName(lower) == RegistryKeyName(upper))
        #expect(try RegistryKeyName(lower).hashValue == RegistryKeyName(upper).hashValue)
        #expect(try RegistryKeyName(lower).text == lower)
        #expect(try RegistryValueName(lower) == RegistryValueName(upper))
    }

    @Test func nothingIsNormalizedOrMadeLonger() throws {
        #expect(try RegistryKeyName("e\u{301}") != RegistryKeyName("\u{e9}"))
        #expect(try RegistryKeyName("ß") != RegistryKeyName("SS"))
        #expect(try RegistryKeyName("ı") == RegistryKeyName("I"))
    }

    @Test func lengthIsCountedInUnitsOfUTF16() throws {
        #expect(try RegistryKeyName(String(repeating: "a", count: 255)).text.count == 255)
        #expect(throws: RegistryError.self) { try RegistryKeyName(String(repeating: "a", count: 256)) }
        #expect(throws: RegistryError.self) { try RegistryKeyName(String(repeating: "𝄞", count: 128)) }
        #expect(throws: RegistryError.self) { try RegistryValueName(String(repeating: "a", count: 16_384)) }
    }

    @Test func whatNoNameCanBe() throws {
        for text in ["", "a\\b", "a\0b"] {
            #expect(throws: RegistryError.self) { try RegistryKeyName(text) }
        }
        #expect(try RegistryValueName("a\\b").text == "a\\b")
        #expect(try RegistryValueName("") == .default)
        #expect(throws: RegistryError.self) { try RegistryValueName("a\0") }
    }
}
