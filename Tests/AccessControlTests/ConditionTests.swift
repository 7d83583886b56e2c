import AccessControl
import Testing

@Suite struct ConditionTests {
    static let token: Token = {
        var fields = Token.Fields(user: SID("S-1-5-21-1-2-3-1001")!, logonSession: 1)
        fields.groups = [
            Token.Group(.administrators), Token.Group(.users, .denyOnly), Token.Group(.everyone),
        ]
        fields.deviceGroups = [Token.Group(.authenticatedUsers)]
        fields.userClaims = [
            Claim(name: "Title", values: .string(["PM"])),
            Claim(name: "Exact", flags: .caseSensitive, values: .string(["PM"])),
            Claim(name: "Age", values: .int64([42])), Claim(name: "Big", values: .uint64([.max])),
            Claim(name: "Minus", values: .int64([-5])), Claim(name: "Yes", values: .boolean([true])),
            Claim(name: "Zero", values: .int64([0])), Claim(name: "Void", values: .string([""])),
            Claim(name: "Teams", values: .string(["red", "green", "blue"])),
            Claim(name: "Boss", values: .sid([.system])), Claim(name: "Key", values: .octets([[1, 2, 3]])),
            Claim(name: "Off", flags: .disabled, values: .int64([1])),
            Claim(name: "No", flags: .denyOnly, values: .int64([1])),
            Claim(name: "Größe", values: .int64([1])),
        ]
        fields.deviceClaims = [Claim(name: "Managed", values: .boolean([true]))]
        fields.localClaims = [Claim(name: "Local", values: .int64([7]))]
        return try! Token(fields)
    }()

    static let resource = try! SecurityDescriptor(
        sddl: #"S:(RA;;;;;WD;("Project",TS,0x0,"Red","Blue"))(RA;;;;;WD;("Level",TU,0x0,3))"#)

    @Test(arguments: [
        (#"(@User.Title == "pm")"#, Truth.yes), (#"(@User.Exact == "pm")"#, .no),
        (#"(@User.Exact == "PM")"#, .yes),
        (#"(@USER.title != "PM")"#, .no), ("(@User.Age > 41)", .yes), ("(@User.Age >= 0x2A)", .yes),
        ("(@User.Age < -1)", .no), ("(@User.Age <= 052)", .yes), ("(@User.Big > 9223372036854775807)", .yes),
        ("(@User.Big == 18446744073709551615)", .yes), ("(@User.Big > -1)", .yes),
        ("(@User.Minus == -5)", .yes),
        ("(@User.Minus < 0)", .yes), ("(@User.Yes == 1)", .yes), ("(@User.Yes)", .yes), ("(@User.Zero)", .no),
        ("(@User.Void)", .no), ("(@User.Gone)", .unknown), ("(!(@User.Gone))", .unknown),
        ("(@User.Gone == 1 || @User.Age == 42)", .yes), ("(@User.Gone == 1 && @User.Age == 1)", .no),
        ("(@User.Gone == 1 && @User.Age == 42)", .unknown), ("(Exists @User.Gone)", .no),
        ("(Not_Exists @User.Gone)", .yes), ("(Exists @User.Age)", .yes), ("(Exists @User.Off)", .no),
        ("(Exists @User.No)", .no), (#"(@User.Teams Contains "RED")"#, .yes),
        (#"(@User.Teams Contains {"red", "blue"})"#, .yes), (#"(@User.Teams Contains {"red", "pink"})"#, .no),
        (#"(@User.Teams Not_Contains {"red", "pink"})"#, .yes),
        (#"(@User.Teams Any_of {"red", "pink"})"#, .yes),
        (#"(@User.Teams Not_Any_of {"pink"})"#, .yes), (#"(@User.Teams == {"blue", "green", "red"})"#, .yes),
        (#"(@User.Teams == {"blue", "green"})"#, .no), (#"(@User.Teams < "z")"#, .unknown),
        (#"(@User.Age == "42")"#, .unknown), ("(@User.Boss == SID(SY))", .yes),
        ("(@User.Boss != SID(BA))", .yes),
        ("(@User.Boss < SID(BA))", .unknown), ("(@User.Key == #010203)", .yes), ("(@User.Key < #0103)", .yes),
        ("(Member_of {SID(BA)})", .yes), ("(Member_of SID(BA))", .yes),
        ("(Member_of {SID(BA), SID(BU)})", .no),
        ("(Member_of_Any {SID(BA), SID(BU)})", .yes), ("(Not_Member_of {SID(BU)})", .yes),
        ("(Not_Member_of_Any {SID(BA), SID(BU)})", .no), ("(Device_Member_of {SID(AU)})", .yes),
        ("(Device_Member_of_Any {SID(BA)})", .no), ("(Not_Device_Member_of {SID(BA)})", .yes),
        ("(Not_Device_Member_of_Any {SID(AU)})", .no), ("(@Device.Managed == 1)", .yes),
        ("(Local == 7)", .yes),
        (#"(@Resource.Project Contains "red")"#, .yes), ("(@User.Teams Any_of @Resource.Project)", .yes),
        ("(@Resource.Level >= 3)", .yes), ("(@User.Gr%00f6%00dfe == 1)", .yes), ("(@User.GRÖßE == 1)", .yes),
        ("(@User.Age == 1 || @User.Age == 42 && @User.Yes)", .yes),
        ("((@User.Age == 42 || @User.Age == 1) && !@User.Yes)", .no),
    ])
    func evaluates(text: String, expected: Truth) throws {
        let condition = try Condition(sddl: text)
        #expect(condition.evaluate(for: Self.token, resource: Self.resource) == expected)
        #expect(try Condition(sddl: condition.sddl()) == condition, "\(condition.sddl())")
        #expect(Condition(bytes: condition.bytes) == condition)
    }

    @Test func denyingEntriesSeeDenyOnlyGroupsAndClaims() throws {
        #expect(try Condition(sddl: "(Member_of {SID(BU)})").evaluate(for: Self.token, denying: true) == .yes)
        #expect(try Condition(sddl: "(@User.No == 1)").evaluate(for: Self.token, denying: true) == .yes)
    }

    @Test(arguments: [
        ("(", 2), ("(@User.)", 8), ("(@User.A == )", 13), ("(@User.A == 1", 14), ("(@User.A ~ 1)", 10),
        ("(Member_of {1})", 12), ("(Exists \"a\")", 9), ("(@User.A == \"x)", 13), ("(@User.A == {1;2})", 15),
        ("(a == 1 && )", 12), ("(@User.A == SID(ZZ))", 17), ("(@User.A%12)", 12),
        ("(a == 99999999999999999999)", 7),
    ])
    func errorsPointAtTheColumn(text: String, column: Int) {
        let error = #expect(throws: SDDLError.self) { try Condition(sddl: text) }
        #expect(error?.column == column, "\(String(describing: error))")
    }

    @Test func tooDeepIsRefusedAndUnknown() throws {
        let deep = String(repeating: "(", count: 100) + "a" + String(repeating: ")", count: 100)
        #expect(throws: SDDLError.self) { try Condition(sddl: deep) }
        let long = "(" + Array(repeating: "@User.Age == 42", count: 500).joined(separator: " && ") + ")"
        #expect(try Condition(sddl: long).evaluate(for: Self.token) == .yes)
    }

    @Test(arguments: [
        #"D:(XA;;FX;;;WD;(@User.Title == "PM" && (@User.Division == "Finance" || @User.Division == "Sales")))"#,
        "D:(XD;;CC;;;WD;(!(Member_of {SID(BA), SID(S-1-5-21-1-2-3-4)})))", "D:(XA;;CC;;;WD;#0102)",
        #"S:(RA;CI;;;;WD;("Project",TS,0x0,"Windows","SQL"))"#, #"S:(RA;;;;;WD;("a%0025b",TI,0x1,-5,7))"#,
        #"S:(RA;;;;;WD;("X",TD,0x0,SID(BA)))(RA;;;;;WD;("Y",TB,0x0,1,0))(RA;;;;;WD;("Z",TX,0x0,#0aff))"#,
        "S:(XU;SA;CC;;;WD;(Exists Secret))",
        "D:(ZA;;CC;bf967aba-0de6-11d0-a285-00aa003049e2;;WD;(@User.A > +1))",
    ])
    func descriptorsKeepTheirConditions(text: String) throws {
        let descriptor = try SecurityDescriptor(sddl: text)
        #expect(descriptor.sddl() == text)
        #expect(try SecurityDescriptor(bytes: descriptor.bytes) == descriptor)
    }

    @Test func conditionalEntriesCountWhenTheConditionIsKnown() throws {
        func granted(_ sddl: String) throws -> AccessMask<FileKind> {
            let descriptor = try SecurityDescriptor(sddl: sddl)
            let decision = try AccessCheck<FileKind>.decide(
                descriptor, token: Self.token, desired: .maximumAllowed)
            return decision.granted
        }
        #expect(try granted("O:SYD:(XA;;CC;;;WD;(@User.Age == 42))") == .readData)
        #expect(try granted("O:SYD:(XA;;CC;;;WD;(@User.Gone == 42))") == [])
        #expect(try granted("O:SYD:(XD;;CC;;;WD;(@User.Gone == 42))(A;;CCDC;;;WD)") == .writeData)
        #expect(try granted("O:SYD:(XD;;CC;;;WD;(@User.Age == 1))(A;;CC;;;WD)") == .readData)
        #expect(try granted("O:SYD:(XA;;CC;;;WD;#00)") == [])
    }

    @Test func hugeSetsBecomeUnknownInsteadOfSlow() throws {
        let numbers = (0..<3000).map { Int64($0) }
        let resource = SecurityDescriptor(
            owner: nil, group: nil, dacl: .absent,
            sacl: .present(try ACL([.resourceAttribute(Claim(name: "N", values: .int64(numbers)))])))
        let condition = try Condition(sddl: "(@Resource.N == @Resource.N)")
        #expect(condition.evaluate(for: Self.token, resource: resource) == .unknown)
    }
}
