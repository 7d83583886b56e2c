import RegistryModel
import Testing

@Suite struct ValueTests {
    static let values: [(RegistryValue, UInt32, [UInt8])] = [
        (.none([]), 0, []), (.string(""), 1, [0, 0]), (.string("aé"), 1, [0x61, 0, 0xe9, 0, 0, 0]),
        (.expandString("%A%"), 2, [0x25, 0, 0x41, 0, 0x25, 0, 0, 0]), (.binary([1, 2, 3]), 3, [1, 2, 3]),
        (.dword(0x0102_0304), 4, [4, 3, 2, 1]), (.dwordBigEndian(0x0102_0304), 5, [1, 2, 3, 4]),
        (.link("M"), 6, [0x4d, 0]), (.multiString([]), 7, [0, 0]),
        (.multiString(["a", "b"]), 7, [0x61, 0, 0, 0, 0x62, 0, 0, 0, 0, 0]),
        (.qword(1), 11, [1, 0, 0, 0, 0, 0, 0, 0]),
        (.other(type: RegistryValueType(rawValue: 0x8000_0001), bytes: [9]), 0x8000_0001, [9]),
    ]

    @Test(arguments: values)
    func theStoredFormIsThatOfWindows(_ value: RegistryValue, _ type: UInt32, _ bytes: [UInt8]) {
        #expect(value.type.rawValue == type)
        #expect(value.bytes == bytes)
        #expect(RegistryValue(type: RegistryValueType(rawValue: type), bytes: bytes) == value)
    }

    @Test func whatIsNotOfItsTypesFormIsKept() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let type = RegistryValueType(rawValue: .random(in: 0...12, using: &random))
            // Few byte values, so that surrogates and NULs come together.
            let bytes: [UInt8] = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                [0, 0, 0, 0x41, 0xd8, 0xdc].randomElement(using: &random)!
            }
            let value = RegistryValue(type: type, bytes: bytes)
            #expect(value.bytes == bytes && value.type == type, "\(type) \(bytes)")
        }
    }

    @Test func textsThatLookAlikeAreNotEqual() {
        #expect(RegistryValue.string("e\u{301}") != .string("\u{e9}"))
        #expect(RegistryValue.multiString(["e\u{301}"]) != .multiString(["\u{e9}"]))
        #expect(Set([RegistryValue.link("e\u{301}"), .link("\u{e9}")]).count == 2)
    }

    @Test func sloppyTextsAreRead() {
        #expect(RegistryValue(type: .string, bytes: [0x61, 0]).text == "a")
        #expect(RegistryValue(type: .string, bytes: [0x61, 0, 0, 0, 0x62, 0]).text == "a")
        #expect(RegistryValue(type: .multiString, bytes: [0x61, 0, 0, 0, 0x62, 0]).texts == ["a", "b"])
        #expect(RegistryValue.dword(7).number == 7)
        #expect(RegistryValue.binary([]).text == nil)
    }

    @Test func typesHaveNames() {
        #expect(RegistryValueType(name: "reg_sz") == .string)
        #expect(RegistryValueType(name: "REG_QWORD") == .qword)
        #expect("\(RegistryValueType(rawValue: 77))" == "0x4d")
    }
}
