import AccessControl
import Foundation
import GuiseProtocol
import Testing

@Suite("sd, as a process")
struct SdTests {
    private func descriptor(
        _ sddl: String, path: String = "/srv/x", container: Bool = false
    ) throws -> WireResponse.OneOf_Body {
        let descriptor = try SecurityDescriptor(sddl: sddl)
        return .descriptor(
            WireDescriptor.with {
                $0.path = path
                $0.binary = Data(descriptor.bytes)
                $0.sddl = sddl
                $0.managed = true
                $0.container = container
            })
    }

    private var conflict: WireResponse.OneOf_Body {
        .refusal(
            WireRefusal.with {
                $0.reason = .conflict
                $0.message = "changed"
            })
    }

    private func changes(_ authority: StandInAuthority) -> [WireDescriptorSet] {
        authority.requests.compactMap { if case .descriptorSet(let set) = $0 { set } else { nil } }
    }

    @Test("sends a change of the DACL alone, with what it was made from")
    func grant() throws {
        let before = "O:SYG:SYD:PAI(A;;FA;;;SY)S:(ML;;NW;;;HI)"
        let authority = try StandInAuthority(answers: [try descriptor(before), .done(.init())])
        #expect(try authority.run("sd", "grant", "Users", "read", "/srv/x").status == 0)
        let sent = try #require(changes(authority).first)
        #expect(Array(sent.expected) == (try SecurityDescriptor(sddl: before)).bytes)
        let wanted = try SecurityDescriptor(bytes: Array(sent.binary))
        #expect(wanted.sddl() == (try SecurityDescriptor(sddl: "D:PAI(A;;FA;;;SY)(A;;FR;;;BU)").sddl()))
    }

    @Test("makes a change anew on top of one that was quicker, but not for ever")
    func conflicts() throws {
        let (first, second) = (
            try descriptor("O:SYD:(A;;FA;;;SY)"), try descriptor("O:SYD:(A;;FA;;;SY)(A;;FR;;;BG)")
        )
        let authority = try StandInAuthority(answers: [first, conflict, second, .done(.init())])
        #expect(try authority.run("sd", "grant", "Users", "read", "/srv/x").status == 0)
        let last = try #require(changes(authority).last)
        #expect(try SecurityDescriptor(bytes: Array(last.binary)).dacl.aces.count == 3)

        let busy = try StandInAuthority(answers: (0..<20).flatMap { _ in [first, conflict] })
        let gaveUp = try busy.run("sd", "grant", "Users", "read", "/srv/x")
        #expect(gaveUp.status == 1 && gaveUp.errors == "sd: changed\n")
        #expect(changes(busy).count == 8)
    }

    @Test("explains with the token of the account, and for oneself")
    func explain() throws {
        let token = WireTokenView.with {
            $0.user.sid = "S-1-5-21-1-2-3-1013"
            $0.user.name = "alice"
            $0.integrity = 0x2000
            $0.groups = [
                WireGroupView.with {
                    $0.sid.sid = "S-1-1-0"
                    $0.attributes = 7
                }
            ]
        }
        let object = try descriptor("O:SYD:(D;;0x2;;;S-1-5-21-1-2-3-1013)(A;;FR;;;WD)")
        let authority = try StandInAuthority(answers: [
            .token(token), object, .token(token), object, .thread(.with { $0.token = token }), object,
        ])
        let told = try authority.run("sd", "explain", "/srv/x", "--as", "alice", "--want", "0x3")
        #expect(told.status == 0)
        #expect(
            told.output == """
                Path: /srv/x
                As: S-1-5-21-1-2-3-1013 (alice)
                denied
                  + READ_DATA: entry 1 (A;;FR;;;WD)
                  - WRITE_DATA: entry 0 (D;;DC;;;S-1-5-21-1-2-3-1013) \
                (needs entry 0 no longer naming WRITE_DATA, or an allow entry before it)

                """)
        let effective = try authority.run("sd", "effective", "/srv/x", "--as", "alice")
        #expect(effective.output.hasSuffix("Effective: read\nMask: 0x120089\n"))
        let own = try authority.run("sd", "effective", "/srv/x", "--json")
        #expect(own.output.contains(#""granted" : 1179785"#))
    }

    @Test("tells what a propagation left out, and ends with 1 then")
    func propagate() throws {
        let report = WirePropagated.with {
            $0.changed = 3
            $0.unchanged = 2
            $0.refused = 2
            $0.failures = [
                WirePropagationFailure.with {
                    $0.path = "/srv/x/\u{1b}[2J"
                    $0.reason = "no"
                }
            ]
        }
        let authority = try StandInAuthority(answers: [
            .propagated(report), .propagated(.with { $0.changed = 1 }),
        ])
        let partial = try authority.run("sd", "propagate", "/srv/x")
        #expect(partial.status == 1)
        #expect(
            partial.output == """
                Changed: 3
                Unchanged: 2
                Refused: 2
                  /srv/x/\\u{1b}[2J: no
                  and 1 more

                """)
        #expect(try authority.run("sd", "propagate", "/srv/x").status == 0)
    }

    @Test("compares, with exit code 1 for a difference")
    func compare() throws {
        let authority = try StandInAuthority(answers: [try descriptor("O:SYD:(A;;FA;;;SY)")])
        let differing = try authority.run("sd", "compare", "/srv/x", "O:SYD:(A;;FA;;;BA)")
        #expect(differing.status == 1)
        #expect(differing.output == "- DACL entry 0: (A;;FA;;;SY)\n+ DACL entry 0: (A;;FA;;;BA)\n")
        let same = try authority.run("sd", "compare", "O:SYD:(A;;FA;;;SY)", "O:SYD:(A;;0x1f01ff;;;SY)")
        #expect(same.status == 0 && same.output.isEmpty)
    }

    @Test("exports what it imports")
    func samba() throws {
        let sddl = "O:SYG:BAD:PAI(A;;FA;;;SY)(A;;FR;;;BU)"
        let authority = try StandInAuthority(answers: [try descriptor(sddl), .done(.init())])
        let file = authority.directory + "/ntacl"
        #expect(try authority.run("sd", "export", "ntacl", "/srv/x", "--file", file).status == 0)
        let shown = try authority.run("sd", "import", "ntacl", "/srv/x", "--file", file, "--show")
        #expect(shown.output == sddl + "\n")
        #expect(try authority.run("sd", "import", "ntacl", "/srv/x", "--file", file).status == 0)
        let sent = try #require(changes(authority).first)
        #expect(try SecurityDescriptor(bytes: Array(sent.binary)).sddl() == sddl)
        #expect(!sent.hasExpected)
        let nothing = try authority.run("sd", "import", "ntacl", "/srv/x", "--from", authority.directory)
        #expect(nothing.status == 1 && nothing.errors.contains("has no security.NTACL"))
    }

    @Test("imports a mode for the accounts that the ids belong to")
    func posix() throws {
        let authority = try StandInAuthority()
        let file = authority.directory + "/plan"
        try Data().write(to: URL(fileURLWithPath: file))
        chmod(file, 0o640)
        let uid = getuid()
        let owner: String
        if uid == 0 {
            owner = "S-1-22-1-0"
        } else {
            #expect(try authority.run("guise", "account", "add", "me-of-test", "--uid", "\(uid)").status == 0)
            owner = try #require(authority.accounts.account(named: "me-of-test")).sid.description
        }
        let shown = try authority.run("sd", "import", "posix", file, "--show")
        let imported = try SecurityDescriptor(sddl: String(shown.output.dropLast()))
        #expect(imported.owner?.description == owner)
        #expect(imported.group == .unixGroup(getgid()))
        #expect(imported.control.contains(.daclProtected))
    }
}
