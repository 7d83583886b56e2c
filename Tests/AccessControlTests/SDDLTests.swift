import AccessControl
import Testing

@Suite struct SDDLTests {
    static let domain = SID("S-1-5-21-1-2-3")!

    @Test(arguments: [
        "", "O:SYG:SYD:", "D:P", "D:NO_ACCESS_CONTROL", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(D;;CCDC;;;WD)",
        "D:ARAI(A;OICIIOID;GRGX;;;CO)S:(AU;SAFA;FA;;;WD)", "S:(ML;;NWNX;;;HI)",
        "D:(A;;0x1234567;;;S-1-5-21-9-8-7-6)",
        "D:(OA;CI;RPWP;bf967aba-0de6-11d0-a285-00aa003049e2;;PS)",
        "D:(OD;;CR;;bf967aba-0de6-11d0-a285-00aa003049e2;AU)", "D:(0x4;CI;#0102;;;)", "D:(A;;;;;WD)",
        "O:DAG:DUD:(A;;FR;;;LA)", "S:(SP;;;;;S-1-17-1)(TL;;CCDCLCSWRP;;;S-1-19-512-4096)",
    ])
    func writesWhatItRead(text: String) throws {
        let descriptor = try SecurityDescriptor(sddl: text, domain: Self.domain)
        #expect(descriptor.sddl(domain: Self.domain) == text)
        let bytes = descriptor.bytes
        let again = try SecurityDescriptor(bytes: bytes)
        #expect(again == descriptor)
        #expect(again.bytes == bytes)
    }

    @Test func numbersAreReadInThreeBases() throws {
        for text in ["D:(A;;0x1f;;;WD)", "D:(A;;31;;;WD)", "D:(A;;037;;;WD)", "d:(a;;0X1F;;;wd)"] {
            #expect(try SecurityDescriptor(sddl: text).dacl.aces[0].mask == 31)
        }
    }

    @Test(arguments: [
        ("X:", 1), ("O:", 3), ("O:ZZ", 3), ("D:(A;;FA;;;WD", 14), ("D:(A;;FA;;WD)", 11),
        ("D:(Q;;FA;;;WD)", 4),
        ("D:(A;XX;FA;;;WD)", 6), ("D:(A;;F!;;;WD)", 7), ("D:(A;;FA;;;WD)é", 15), ("O:SYO:SY", 5), ("O:DA", 3),
        ("D:(A;;0x100000000;;;WD)", 7), ("D:(A;;FA;bf967aba;;WD)", 10),
        ("D:NO_ACCESS_CONTROL(A;;FA;;;WD)", 20),
    ])
    func errorsPointAtTheColumn(text: String, column: Int) {
        let error = #expect(throws: SDDLError.self) { try SecurityDescriptor(sddl: text) }
        #expect(error?.column == column, "\(String(describing: error))")
    }
}
