import AccessControl
import Testing

@Suite struct SIDTests {
    @Test(arguments: [
        "S-1-5-32-544", "S-1-1-0", "S-1-22-1-1000", "S-1-5-21-1-2-4294967295-1000", "S-1-0x0100000000ff-7",
        "S-1-5",
        "S-1-15-2-1-2-3-4-5-6-7-8-9-10-11-12-13-14", "S-1-0x0500000000ff",
    ])
    func textAndBytesRoundTrip(text: String) throws {
        let sid = try #require(SID(text))
        #expect(sid.description == text)
        let bytes = sid.bytes
        #expect(try SID(bytes: bytes) == sid)
        #expect(try SID(authority: sid.authority, sid.subAuthorities) == sid)
    }

    @Test(arguments: [
        "", "S", "S-1", "S-2-5-1", "S-1-", "S-1-5-", "S-1-5-4294967296", "S-1-281474976710656", "S-1-0x-1",
        "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", "S-1-5-32-544 ", "S-1-5--1", "S-1-0x1000000000000-1",
    ])
    func whatIsNoSIDIsRefused(text: String) { #expect(SID(text) == nil) }

    @Test func fifteenSubAuthoritiesAreTheLimit() throws {
        let most = try SID(authority: 5, Array(repeating: 7, count: 15))
        #expect(throws: SIDError.tooManySubAuthorities) { try most.appending(1) }
        #expect(throws: SIDError.authorityTooLarge) { try SID(authority: 1 << 48, []) }
    }

    @Test func serviceSIDsAreWhatWindowsGives() {
        #expect(
            SID.service(named: "TrustedInstaller").description
                == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464")
        #expect(SID.service(named: "trustedinstaller") == SID.service(named: "TRUSTEDINSTALLER"))
    }

    @Test func bytesAreThoseOfWindows() {
        #expect(SID.administrators.bytes == [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0])
        #expect(SID.logonSession(0x1_0000_0002).description == "S-1-5-5-1-2")
        #expect(SID.mandatoryLabel(.high).description == "S-1-16-12288")
    }

    @Test func truncatedAndOverlongBytesAreRefused() {
        let bytes = SID.administrators.bytes
        for length in 0..<bytes.count {
            #expect(throws: SIDError.truncated) { try SID(bytes: Array(bytes[..<length])) }
        }
        #expect(throws: SIDError.trailingBytes) { try SID(bytes: bytes + [0]) }
        #expect(throws: SIDError.unknownRevision) { try SID(bytes: [2] + bytes.dropFirst()) }
    }

    @Test func orderIsByAuthorityThenSubAuthorities() {
        #expect(SID.everyone < SID.system)
        #expect(SID.builtin < SID.administrators)
        #expect(SID.administrators < SID.users)
    }
}
