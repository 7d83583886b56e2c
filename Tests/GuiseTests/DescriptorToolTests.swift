import AccessControl
import Foundation
import GuiseProtocol
import Testing

/// `sd` against a real authority, as root and as users.
@Suite("Changing descriptors", .asRoot)
struct DescriptorToolTests {
    private func sd(_ stage: Stage, _ arguments: String..., as person: Person? = nil) throws -> Stage.Outcome
    {
        try stage.run([product("sd")] + arguments, as: person)
    }

    private func descriptor(_ stage: Stage, _ path: String) throws -> SecurityDescriptor {
        guard case .descriptor(let found) = try stage.ask(.descriptorGet(.with { $0.path = path })) else {
            throw HarnessError("no descriptor of \(path)")
        }
        return try SecurityDescriptor(bytes: Array(found.binary))
    }

    @Test("grants at the same time are all there afterwards")
    func concurrentGrants() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:(A;OICI;FA;;;BA)")
            let file = try stage.managedFile(root + "/file", "text", "O:BAG:SYD:(A;;FA;;;BA)")
            let grants = try (1...6).map { number in
                try stage.start([product("sd"), "grant", "S-1-5-21-9-9-9-\(number)", "read", file])
            }
            for grant in grants { #expect(try grant.wait() == 0) }
            #expect(try descriptor(stage, file).dacl.aces.count == 7)
        }
    }

    @Test("a change made from what is not there any more is refused, and changes nothing")
    func conflict() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:(A;OICI;FA;;;BA)")
            let before = try descriptor(stage, root)
            try stage.describe(root, "D:(A;OICI;FA;;;BA)(A;;FR;;;WD)")
            #expect {
                try stage.ask(
                    .descriptorSet(
                        .with {
                            $0.path = root
                            $0.sddl = "D:(A;;FA;;;WD)"
                            $0.expected = Data(before.bytes)
                        }))
            } throws: { "\($0)".contains("changed by somebody else") }
            #expect(try descriptor(stage, root).dacl.aces.count == 2)
        }
    }

    @Test("an owner grants and revokes on what is hers, and nobody else")
    func owner() throws {
        try onStage { (stage) throws in
            let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
            let root = try stage.root("managed", "O:BAG:SYD:(A;OICI;FA;;;BA)")
            let file = try stage.managedFile(
                root + "/file", "text", "O:{alice}G:SYD:(A;;FA;;;SY)", for: alice)
            #expect(try sd(stage, "grant", "bob", "read,write", file, as: bob).status == 1)
            #expect(try sd(stage, "grant", "bob", "read,write", file, as: alice).status == 0)
            #expect(try sd(stage, "effective", file, as: bob).output.contains("Effective: read, write\n"))
            #expect(try sd(stage, "deny", "bob", "write", file, as: alice).status == 0)
            #expect(try sd(stage, "effective", file, "--as", "bob").output.contains("Effective: read\n"))
            #expect(try sd(stage, "revoke", "bob", file, as: alice).status == 0)
            #expect(try descriptor(stage, file).dacl.aces.count == 1)
            #expect(try sd(stage, "owner", file, "bob", as: alice).status == 1)
            #expect(try sd(stage, "owner", file, "bob").status == 0)
            #expect(try descriptor(stage, file).owner?.description == bob.sid)
        }
    }

    @Test("the token of an account is shown to it and to administrators only")
    func tokens() throws {
        try onStage { (stage) throws in
            let (alice, _) = (try stage.user("alice"), try stage.user("bob"))
            let root = try stage.root("managed", "O:BAG:SYD:(A;OICI;FA;;;BA)(A;;FR;;;WD)")
            #expect(
                try sd(stage, "effective", root, "--as", "alice", as: alice).output.contains(
                    "Effective: read\n"))
            let refused = try sd(stage, "effective", root, "--as", "bob", as: alice)
            #expect(refused.status == 1 && refused.errors.contains("to administrators only"))
            #expect(try sd(stage, "effective", root, "--as", "bob").status == 0)
            #expect(try sd(stage, "effective", root, "--as", "Everyone").errors.contains("nobody logs on"))
        }
    }

    @Test("propagation reaches everything, keeps explicit entries, and comes out the same when repeated")
    func propagation() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)")
            let folder = try stage.managedFolder(root + "/folder", "O:BAG:SYD:AI(A;OICIID;FA;;;BA)")
            let file = try stage.managedFile(
                folder + "/file", "text", "O:BAG:SYD:AI(A;;FR;;;BG)(A;ID;FA;;;BA)")
            let closed = try stage.managedFile(
                folder + "/closed", "text", "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)")
            symlink("/etc", folder + "/link")
            #expect(try sd(stage, "grant", "Users", "read", root, "--inherit").status == 0)
            let first = try sd(stage, "propagate", root)
            #expect(first.status == 0 && first.output == "Changed: 2\nUnchanged: 1\nRefused: 0\n", "\(first)")
            let expected = try SecurityDescriptor(sddl: "D:(A;;FR;;;BG)(A;ID;FA;;;BA)(A;ID;FR;;;BU)")
            #expect(try descriptor(stage, file).dacl.aces == expected.dacl.aces)
            #expect(try descriptor(stage, closed).dacl.aces.count == 2)
            #expect(try sd(stage, "propagate", root).output == "Changed: 0\nUnchanged: 3\nRefused: 0\n")
        }
    }

    @Test("propagation takes WRITE_DAC on each object, and says what it left out")
    func refusals() throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(A;;FA;;;{alice})", for: alice)
            let own = try stage.managedFile(
                root + "/own", "text", "O:{alice}G:SYD:AI(A;ID;FR;;;WD)", for: alice)
            let foreign = try stage.managedFolder(root + "/foreign", "O:BAG:SYD:AI(A;OICIID;FR;;;WD)")
            let below = try stage.managedFile(
                foreign + "/below", "text", "O:{alice}G:SYD:AI(A;ID;FR;;;WD)", for: alice)
            let outcome = try sd(stage, "propagate", root, as: alice)
            #expect(outcome.status == 1)
            #expect(outcome.output.hasPrefix("Changed: 1\nUnchanged: 0\nRefused: 1\n"), "\(outcome)")
            #expect(
                outcome.output.contains("  \(foreign): its security descriptor does not grant you WRITE_DAC"))
            #expect(try descriptor(stage, own).dacl.aces.map(\.sid) == [.administrators])
            for path in [foreign, below] {
                #expect(try descriptor(stage, path).dacl.aces.map(\.sid) == [.everyone])
            }
            let stranger = try stage.user("stranger")
            #expect(try sd(stage, "propagate", root, as: stranger).output.isEmpty)
        }
    }

    @Test("propagation by whoever lacks SeSecurityPrivilege leaves SACLs as they are")
    func audit() throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let root = try stage.root(
                "managed", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;{alice})", for: alice)
            let file = try stage.managedFile(
                root + "/file", "text", "O:{alice}G:SYD:AIS:AI(AU;IDSA;FA;;;WD)", for: alice)
            let outcome = try sd(stage, "propagate", root, as: alice)
            #expect(
                outcome.status == 1 && outcome.output.contains("for want of SeSecurityPrivilege: 1"),
                "\(outcome)")
            #expect(try descriptor(stage, file).sacl.aces.count == 1)
            #expect(try descriptor(stage, file).dacl.aces.count == 2)
            #expect(try sd(stage, "propagate", root).status == 0)
            #expect(try descriptor(stage, file).sacl.aces.isEmpty)
        }
    }

    /// Runs `sd` with a service's token, whose privileges are enabled.
    private func sd(_ stage: Stage, with privileges: [String], _ arguments: String...) throws -> Stage.Outcome
    {
        let account = try stage.service("holder\(UInt32.random(in: 0...UInt32.max))", privileges: privileges)
        return try stage.run([product("guise"), "run", account.name, "--", product("sd")] + arguments)
    }

    @Test("SACLs are read and written with SeSecurityPrivilege, and by nobody else")
    func security() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SU)")
            let file = try stage.managedFile(
                root + "/file", "text", "O:BAG:SYD:(A;;FA;;;SU)S:(AU;FA;FA;;;WD)")
            // All rights in the DACL are not this one, and no other privilege is, for whatever it is declared.
            let others = ["SeBackupPrivilege", "SeRestorePrivilege", "SeTakeOwnershipPrivilege"]
            let seen = try sd(stage, with: others, "show", file, "--sddl", "--backup")
            #expect(seen.status == 0 && !seen.output.contains("AU;"), "\(seen)")
            let refused = try sd(stage, with: others, "set", file, "S:(AU;SA;FR;;;WD)", "--restore")
            #expect(refused.status == 1 && refused.errors.contains("ACCESS_SYSTEM_SECURITY"), "\(refused)")
            #expect(try descriptor(stage, file).sacl.aces.first?.flags.contains(.failedAccess) == true)
            let own = ["SeSecurityPrivilege"]
            #expect(try sd(stage, with: own, "show", file, "--sddl").output.contains("(AU;FA;FA;;;WD)"))
            #expect(try sd(stage, with: own, "set", file, "S:(AU;SA;FR;;;WD)").status == 0)
            #expect(try sd(stage, with: own, "show", file, "--sddl").output.contains("(AU;SA;FR;;;WD)"))
            // The privilege is no right to the rest.
            #expect(try sd(stage, with: own, "set", root, "S:(AU;SA;FR;;;WD)D:").status == 0)
            let closed = try stage.managedFile(root + "/closed", "text", "O:BAG:SYD:P(A;;FA;;;SY)")
            #expect(try sd(stage, with: own, "show", closed).status == 1)
            #expect(try sd(stage, with: own, "set", closed, "S:(AU;SA;FR;;;WD)D:").status == 1)
        }
    }

    @Test("descriptors are read for a backup and set for a restore by who holds the privilege and says so")
    func intent() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)")
            let file = try stage.managedFile(root + "/file", "text", "O:SYG:SYD:P(A;;FA;;;SY)")
            let (backup, restore) = (["SeBackupPrivilege"], ["SeRestorePrivilege"])
            #expect(try sd(stage, with: backup, "show", file).status == 1)
            #expect(try sd(stage, with: restore, "show", file, "--backup").status == 1)
            #expect(
                try sd(stage, with: backup, "show", file, "--sddl", "--backup").output
                    == "O:SYG:SYD:P(A;;FA;;;SY)\n")
            for privileges in [restore, backup] {
                for arguments in [["set", file, "D:P(A;;FR;;;AU)"], ["owner", file, "S-1-5-32-544"]] {
                    let account = try stage.service(
                        "operator\(UInt32.random(in: 0...UInt32.max))", privileges: privileges)
                    let run = [product("guise"), "run", account.name, "--", product("sd")] + arguments
                    #expect(try stage.run(run).status == 1)
                    #expect(try stage.run(run + ["--restore"]).status == (privileges == restore ? 0 : 1))
                }
            }
            #expect(
                try sd(stage, with: backup, "show", file, "--sddl", "--backup").output
                    == "O:BAG:SYD:P(A;;FR;;;AU)\n")
            // A number that means nothing is no intent.
            #expect(throws: (any Error).self) {
                try stage.ask(
                    .descriptorGet(
                        .with {
                            $0.path = file; $0.intent = 4
                        }))
            }
        }
    }

    @Test("inheriting stops and starts again")
    func inheritance() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FR;;;BU)")
            let file = try stage.managedFile(root + "/file", "text", "O:BAG:SYD:AI(A;ID;FA;;;BA)")
            #expect(try sd(stage, "inherit", "off", file).status == 0)
            #expect(try sd(stage, "show", file, "--sddl").output == "O:BAG:SYD:P(A;;FA;;;BA)\n")
            #expect(try sd(stage, "inherit", "on", file).status == 0)
            #expect(
                try sd(stage, "show", file, "--sddl").output
                    == "O:BAG:SYD:AI(A;;FA;;;BA)(A;ID;FA;;;BA)(A;ID;FR;;;BU)\n")
            // At the top there is nothing to inherit from.
            #expect(try sd(stage, "inherit", "on", root).status == 0)
            #expect(try descriptor(stage, root).dacl.aces.count == 2)
        }
    }

    @Test("Samba's attribute goes over and back")
    func samba() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;BA)")
            let file = try stage.managedFile(root + "/file", "text", "O:BAG:SYD:P(A;;FA;;;BA)(A;;FR;;;BU)")
            let other = try stage.managedFile(root + "/other", "text", "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)")
            let share = try stage.file("share", "text")
            #expect(try sd(stage, "export", "ntacl", file, "--to", share).status == 0)
            #expect(try sd(stage, "compare", file, other).status == 1)
            #expect(try sd(stage, "import", "ntacl", other, "--from", share).status == 0)
            #expect(try sd(stage, "compare", file, other).status == 0)
        }
    }
}
