import Foundation
import Testing

@Suite("Rights on keys", .asRoot)
struct RegistryRightsTests {
    private static let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
    private static let rights: [(name: String, mask: UInt32)] = [
        ("KEY_QUERY_VALUE", 1), ("KEY_SET_VALUE", 2), ("KEY_CREATE_SUB_KEY", 4),
        ("KEY_ENUMERATE_SUB_KEYS", 8), ("KEY_NOTIFY", 0x10), ("KEY_CREATE_LINK", 0x20), ("DELETE", 0x10000),
        ("READ_CONTROL", 0x20000), ("WRITE_DAC", 0x40000), ("WRITE_OWNER", 0x80000),
        ("ACCESS_SYSTEM_SECURITY", 0x100_0000),
    ]
    private static let all = rights.reduce(0) { $0 | $1.mask }

    /// What is asked of the key `k` at PATH, and which rights on it that takes.
    private static let operations: [(command: String, takes: UInt32)] = [
        ("get k v", 1), ("values k", 1), ("information k", 1), ("set k v x", 2), ("unset k v", 2),
        ("keys k", 8), ("watch k", 0x10), ("create n PATH\\New 1", 4), ("create n PATH\\New\\Deeper 1", 4),
        ("link n PATH\\Link 2", 0x20), ("delete-below p K", 0x10000), ("delete-tree-below p K", 0x10008),
        ("delete k", 0x10000), ("delete-tree k", 0x10008), ("rename k Other", 0x10000),
        ("copy k other", 0x20019), ("copy other k", 6),
        ("sddl k", 0x20000), ("set-dacl k D:P(A;;KA;;;SY)", 0x40000), ("set-owner k O:USER", 0x80000),
        ("label k", 0x20000), ("set-label k S:(ML;;NW;;;LW)", 0x80000), ("sacl k", 0x100_0000),
        ("set-sacl k S:(AU;SA;KA;;;WD)", 0x100_0000), ("flush k", 0),
    ]

    @Test(
        "each granted alone, and each alone not granted: what is asked is done just when the rights are there",
        arguments: [false, true])
    func matrix(isDenied: Bool) throws {
        try onStage { (stage) throws in
            _ = try RegistryService(stage, options: ["--durability", "process"])
            let system = try Client(commandsOn: stage, as: Self.root)
            // The one right that no descriptor grants takes the privilege.
            let alice = try stage.user("alice")
            let auditor = try stage.service("auditor", privileges: ["SeSecurityPrivilege"])
            let people = [
                (alice, try Client(commandsOn: stage, as: alice)),
                (auditor, try stage.serve(auditor).client(alice)),
            ]
            // Assigned, and not enabled until its holder does so.
            for command in [
                "tok-open own process query privileges", "tok-adjust own SeSecurityPrivilege=on",
            ] { #expect(try people[1].1.ask(command).value != nil) }
            for (person, client) in people {
                let full = "O:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;\(person.sid))"
                _ = try system.ask("registry create o Machine\\Other\\\(person.name)\\In f003f \(full)")
                #expect(
                    try client.ask("registry open other Machine\\Other\\\(person.name)\\In f003f").value
                        != nil)
                #expect(
                    try client.ask("registry create b Machine\\Other\\\(person.name)\\In\\B f003f").value
                        != nil)
            }
            var number = 0
            for (name, mask) in Self.rights {
                let granted = isDenied ? Self.all & ~mask : mask
                let (person, client) = people[granted & 0x100_0000 != 0 ? 1 : 0]
                for (command, takes) in Self.operations {
                    number += 1
                    let above = "Machine\\Rights\\\(number)"
                    let full = "O:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;\(person.sid))"
                    let sddl =
                        "O:SYD:P(A;;KA;;;SY)(A;;0x\(String(granted & ~0x100_0000, radix: 16));;;\(person.sid))"
                    for made in [
                        "create a \(above) f003f \(full)", "create s \(above)\\K f003f \(sddl)", "set s v x",
                        "create t \(above)\\K\\Below f003f \(full)",
                    ] { #expect(try system.ask("registry \(made)").value != nil, "\(made)") }
                    let hasBelow =
                        command.hasPrefix("delete") && !command.hasPrefix("delete-tree")
                    if hasBelow { _ = try system.ask("registry delete t") }
                    #expect(try client.ask("registry open p \(above) f003f").value != nil)
                    let opened = try client.ask(
                        "registry open k \(above)\\K \(String(granted, radix: 16))")
                    #expect(
                        opened.value == "\(above)\\K \(String(granted, radix: 16))", "\(name): \(opened)")
                    let words = command.replacing("PATH", with: above + "\\K").replacing(
                        "USER", with: person.sid)
                    let reply = try client.ask("registry \(words)")
                    let isServed = takes & ~granted == 0
                    #expect(
                        isServed ? reply.value != nil : reply.thrown == "accessDenied",
                        "\(isDenied ? "all but" : "only") \(name): \(command): \(reply)")
                    // What was not granted is not had by asking for it.
                    let missing = Self.all & ~granted & ~0x100_0000
                    if missing != 0, command.hasPrefix("get") {
                        let more = try client.ask(
                            "registry open m \(above)\\K \(String(missing, radix: 16))")
                        #expect(more.thrown == "accessDenied", "\(name): \(more)")
                    }
                }
            }
            let refused = try people[0].1.ask("registry open m Machine\\Rights\\1 1000000")
            #expect(refused.thrown == "privilegeNotHeld", "\(refused)")
        }
    }

    @Test("at the end of a chain of three services it is the first client who reads, and nobody else")
    func chain() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            _ = try RegistryService(stage)
            let system = try Client(commandsOn: stage, as: Self.root)
            let sddl = "O:SYD:P(A;;KA;;;SY)(A;;KR;;;\(scene.alice.sid))"
            _ = try system.ask("registry create k Machine\\Hers f003f \(sddl)")
            _ = try system.ask("registry set k v secret")
            let second = try stage.serve(try stage.service("second"), name: "second")
            let third = try stage.serve(try stage.service("third"), name: "third")
            func lead(_ client: Client) throws -> String {
                _ = try client.ask("impersonate")
                var prefix = ""
                for next in [second, third] {
                    let answer = try client.ask(prefix + "dial stream \(next.socket)").value
                    let socket = try #require(answer?.split(separator: " ").last.flatMap { Int($0) })
                    prefix += "tell \(socket) "
                    _ = try client.ask(prefix + "impersonate")
                }
                return prefix
            }
            let hers = try lead(scene.client)
            let opened = try scene.client.ask(hers + "registry open hers Machine\\Hers 20019")
            #expect(opened.value?.contains("OK Machine\\Hers") == true, "\(opened)")
            #expect(try scene.client.ask(hers + "registry get hers v").value?.hasSuffix("OK secret") == true)
            let own = try scene.client.ask(hers + "registry open c CurrentUser 1").value
            #expect(own?.contains(scene.alice.sid) == true)
            let his = try lead(scene.bobs)
            let refused = try scene.bobs.ask(his + "registry open his Machine\\Hers 1")
            #expect(refused.value?.contains("THROWN accessDenied") == true, "\(refused)")
            // At Identification the third service asks as itself, at Anonymous it is not let in.
            for (level, thrown) in [("identification", "accessDenied"), ("anonymous", "levelTooLow")] {
                _ = try scene.client.ask(hers + "impersonate \(level)")
                let reply = try scene.client.ask(hers + "registry open \(level) Machine\\Hers 1")
                #expect(reply.value?.contains("THROWN \(thrown)") == true, "\(level): \(reply)")
            }
        }
    }

    @Test(
        "a service in the middle that may not impersonate ends the chain: the registry is not asked as the client"
    )
    func brokenChain() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            _ = try RegistryService(stage)
            let system = try Client(commandsOn: stage, as: Self.root)
            let middle = try stage.serve(try stage.service("middle", privileges: []), name: "middle")
            let last = try stage.serve(try stage.service("last"), name: "last")
            let sddl = "O:SYD:P(A;;KA;;;SY)(A;;KR;;;\(scene.alice.sid))"
            _ = try system.ask("registry create k Machine\\Hers f003f \(sddl)")
            _ = try scene.client.ask("impersonate")
            let toMiddle = try #require(try scene.client.ask("dial stream \(middle.socket)").number)
            _ = try scene.client.ask("tell \(toMiddle) impersonate")
            let direct = try scene.client.ask("tell \(toMiddle) registry open k Machine\\Hers 1").value
            #expect(direct?.contains("THROWN accessDenied") == true, "\(String(describing: direct))")
            let answer = try scene.client.ask("tell \(toMiddle) dial stream \(last.socket)").value
            let toLast = try #require(answer?.split(separator: " ").last.flatMap { Int($0) })
            let onward = "tell \(toMiddle) tell \(toLast) "
            _ = try scene.client.ask(onward + "impersonate")
            let refused = try scene.client.ask(onward + "registry open l Machine\\Hers 1").value
            #expect(refused?.contains("THROWN accessDenied") == true, "\(String(describing: refused))")
            let hive = try scene.client.ask(onward + "registry open c CurrentUser 1").value
            #expect(hive?.contains(middle.account.sid) == true, "\(String(describing: hive))")
        }
    }
}
