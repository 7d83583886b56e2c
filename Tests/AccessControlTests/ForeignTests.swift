import AccessControl
import Testing

@Suite struct ForeignTests {
    static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
    }

    static let ones = String(repeating: "bb", count: 64)
    static let others = String(repeating: "cc", count: 64)
    static let tail =
        "01010000000000051200000001010000000000051200000004001c00010000000000140001000000010100000000000100000000"

    @Test(arguments: [
        "010001000000020001000480" + "1c000000" + "28000000" + "00000000" + "34000000" + tail,
        "020002000000020004000200" + String(repeating: "aa", count: 16) + "01000480" + "30000000" + "3c000000"
            + "00000000" + "48000000" + tail,
        "0300030000000200040002000100" + ones + "0000" + "01000480" + "64000000" + "70000000" + "00000000"
            + "7c000000" + tail,
        "0400040000000200040002000100" + ones + "706f7369785f61636c00" + "8877665544332211" + others
            + "01000480"
            + "b4000000" + "c0000000" + "00000000" + "cc000000" + tail,
        "0400040000000200040002000100" + ones + "616200000000" + "8877665544332211" + others + "01000480"
            + "b0000000" + "bc000000" + "00000000" + "c8000000" + tail,
    ])
    func whatSambaPackedIsReadAndWrittenAlike(hex: String) throws {
        let value = Self.bytes(hex)
        let attribute = try NTACL(bytes: value)
        #expect(attribute.descriptor.sddl() == "O:SYG:SYD:(A;;CC;;;WD)")
        #expect(attribute.bytes == value)
        for length in 0..<value.count {
            #expect(throws: NTACL.ImportError.self) { try NTACL(bytes: Array(value[..<length])) }
        }
    }

    @Test func whatIsWrittenForSambaIsReadBack() throws {
        let descriptor = try SecurityDescriptor(sddl: "O:BAG:SYD:P(A;OICI;FA;;;BA)S:(AU;SA;FA;;;WD)")
        #expect(try NTACL(bytes: NTACL(descriptor).bytes).descriptor == descriptor)
    }

    func granted(_ descriptor: SecurityDescriptor, _ user: UInt32, _ groups: [UInt32]) throws -> AccessMask<
        FileKind
    > {
        let token = try Token(
            user: .unixUser(user),
            groups: [Token.Group(.everyone)] + groups.map { Token.Group(SID.unixGroup($0)) }, logonSession: 1)
        return try AccessCheck<FileKind>.decide(descriptor, token: token, desired: .maximumAllowed).granted
            .intersection([.readData, .writeData, .execute])
    }

    @Test func classesDoNotFallThrough() throws {
        let file = try SecurityDescriptor(
            posix: PosixACL(mode: 0o467), owner: .unixUser(1), group: .unixGroup(10), isDirectory: false)
        #expect(try granted(file, 1, [10]) == .readData)
        #expect(try granted(file, 2, [10]) == [.readData, .writeData])
        #expect(try granted(file, 3, []) == [.readData, .writeData, .execute])
    }

    @Test func theMaskCutsUsersAndGroups() throws {
        var acl = PosixACL(mode: 0o770)
        acl.entries += [
            .init(.user(5), [.read, .write]), .init(.namedGroup(20), [.read, .execute]),
            .init(.mask, [.read]),
        ]
        let file = try SecurityDescriptor(
            posix: acl, owner: .unixUser(1), group: .unixGroup(10), isDirectory: false)
        #expect(try granted(file, 1, []) == [.readData, .writeData, .execute])
        #expect(try granted(file, 5, []) == .readData)
        #expect(try granted(file, 6, [20]) == .readData)
        #expect(try granted(file, 6, [10]) == .readData)
        #expect(try granted(file, 6, []) == [])
    }

    @Test func extendedAttributesAreReadAndChecked() {
        let value: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 5, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255,
            255, 16, 0,
            4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        ]
        #expect(
            PosixACL(bytes: value)?.entries == [
                .init(.owner, [.read, .write]), .init(.user(5), .read), .init(.group, .read),
                .init(.mask, .read),
                .init(.others, []),
            ])
        #expect(PosixACL(bytes: Array(value.dropLast())) == nil)
        #expect(PosixACL(bytes: value + value[4..<12]) == nil)
        #expect(PosixACL(bytes: [1, 0, 0, 0]) == nil)
    }
}
