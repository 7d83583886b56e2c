import CGuise
import Foundation
import Testing

@Suite("The registry", .asRoot)
struct RegistryTests {
    private static let root = Person(name: "root", uid: 0, sid: "S-1-5-18")

    private struct RegistryScene {
        let stage: Stage
        let registry: RegistryService
        let alice: Person
        let bob: Person
        /// Commands that processes of these users carry out themselves.
        let system: Client
        let alices: Client
        let bobs: Client
    }

    private func onRegistry(_ body: (RegistryScene) throws -> Void) throws {
        try onStage { (stage) throws in
            let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
            let registry = try RegistryService(stage)
            try body(
                RegistryScene(
                    stage: stage, registry: registry, alice: alice, bob: bob,
                    system: try Client(commandsOn: stage, as: Self.root),
                    alices: try Client(commandsOn: stage, as: alice),
                    bobs: try Client(commandsOn: stage, as: bob)))
        }
    }

    @Test("each user has what the key's descriptor grants")
    func descriptors() throws {
        try onRegistry { (scene) throws in
            let made = try scene.system.ask(
                "registry create k Machine\\Software\\Shared f003f O:SYD:P(A;CI;KA;;;SY)(A;CI;KR;;;\(scene.alice.sid))"
            )
            #expect(made.value == "new", "\(made)")
            #expect(try scene.system.ask("registry set k colour blue").value == "")
            #expect(try scene.alices.ask("registry open k Machine\\Software\\Shared 20019").value != nil)
            #expect(try scene.alices.ask("registry get k colour").value == "blue")
            #expect(try scene.alices.ask("registry set k colour red").thrown == "accessDenied")
            #expect(
                try scene.alices.ask("registry open w Machine\\Software\\Shared 2").thrown == "accessDenied")
            #expect(
                try scene.bobs.ask("registry open k Machine\\Software\\Shared 1").thrown == "accessDenied")
            #expect(try scene.bobs.ask("registry create k Machine\\Mine f003f").thrown == "accessDenied")
        }
    }

    @Test("every user has a hive that is nobody else's")
    func hives() throws {
        try onRegistry { (scene) throws in
            #expect(try scene.alices.ask("registry create k CurrentUser\\Editor f003f").value == "new")
            #expect(try scene.alices.ask("registry set k font large").value == "")
            #expect(try scene.bobs.ask("registry open k CurrentUser\\Editor 1").thrown == "keyNotFound")
            let hers = "Users\\\(scene.alice.sid)\\Editor"
            #expect(try scene.bobs.ask("registry open k \(hers) 1").thrown == "accessDenied")
            #expect(try scene.system.ask("registry open k \(hers) 1").value == hers + " 1")
        }
    }

    @Test("a service that impersonates is served as its client, through another service as well")
    func impersonation() throws {
        try onRegistry { (scene) throws in
            let service = try scene.stage.serve(try scene.stage.service("files"))
            let sddl = "O:SYD:P(A;;KA;;;SY)(A;;KR;;;\(scene.alice.sid))"
            _ = try scene.system.ask("registry create k Machine\\Hers f003f \(sddl)")
            _ = try scene.system.ask("registry set k v secret")
            let (alices, bobs) = (try service.client(scene.alice), try service.client(scene.bob))
            #expect(try alices.ask("registry open own Machine\\Hers 1").thrown == "accessDenied")
            #expect(try alices.acting("registry open a Machine\\Hers 1").value != nil)
            // What alice opened goes on being hers, whatever the thread is now.
            #expect(try alices.ask("registry get a v").value == "secret")
            #expect(try bobs.acting("registry open b Machine\\Hers 1").thrown == "accessDenied")
            #expect(
                try alices.acting("registry open c CurrentUser 1").value?.contains(scene.alice.sid) == true)
            #expect(try bobs.acting("registry open d CurrentUser 1").value?.contains(scene.bob.sid) == true)
            #expect(try alices.ask("registry open e Machine\\Hers 1").thrown == "accessDenied")
            // At Identification the connection onwards is the service's own.
            let lesser = try alices.acting("registry open f Machine\\Hers 1", atMost: "identification")
            #expect(lesser.thrown == "accessDenied")
            #expect(
                try alices.acting("registry open g Machine\\Hers 1", atMost: "anonymous").thrown
                    == "levelTooLow")
        }
    }

    @Test("a service that is not mediated is refused while it impersonates, for it would be served as itself")
    func cooperative() throws {
        try onRegistry { (scene) throws in
            let service = try scene.stage.serveUnmediated(try scene.stage.service("files"))
            let client = try service.client(scene.alice)
            #expect(try client.ask("registry open k CurrentUser 1").value?.contains(scene.alice.sid) == false)
            #expect(try client.acting("registry open k CurrentUser 1").thrown == "accessDenied")
        }
    }

    @Test("an open key keeps what it was granted when the descriptor changes")
    func handles() throws {
        try onRegistry { (scene) throws in
            let sddl = "O:SYD:P(A;;KA;;;SY)(A;;KR;;;\(scene.alice.sid))"
            _ = try scene.system.ask("registry create k Machine\\K f003f \(sddl)")
            _ = try scene.system.ask("registry set k v x")
            #expect(try scene.alices.ask("registry open k Machine\\K 20019").value != nil)
            #expect(try scene.system.ask("registry set-dacl k D:P(A;;KA;;;SY)").value == "")
            #expect(try scene.alices.ask("registry get k v").value == "x")
            #expect(try scene.alices.ask("registry open l Machine\\K 1").thrown == "accessDenied")
            #expect(try scene.system.ask("registry delete k").value == "")
            #expect(try scene.alices.ask("registry get k v").thrown == "keyDeleted")
        }
    }

    @Test("who closes keys has never too many open")
    func closing() throws {
        try onRegistry { (scene) throws in
            _ = try scene.system.ask("registry create k Machine\\K f003f")
            _ = try scene.system.ask("registry set k v x")
            // More than one client may have open.
            let reply = try scene.system.ask("registry load 5000 Machine\\K v")
            #expect(reply.value != nil, "\(reply)")
        }
    }

    @Test("what was answered outlives the registry's end; keys and watches end with it")
    func crash() throws {
        try onRegistry { (scene) throws in
            _ = try scene.system.ask("registry create k Machine\\K f003f")
            for number in 0..<50 { _ = try scene.system.ask("registry set k v\(number) \(number)") }
            #expect(try scene.alices.ask("registry open k Machine\\K 20019").value != nil)
            try scene.registry.crash()
            #expect(try scene.system.ask("registry get k v1").thrown == "unavailable")
            #expect(try scene.system.ask("registry open k Machine\\K f003f").value != nil)
            // Alice's connection is of no more use, and she need not know.
            #expect(try scene.alices.ask("registry open l Machine\\K 20019").value != nil)
            #expect(try scene.system.ask("registry get k v49").value == "49")
            #expect(try scene.registry.care("--check").status == 0)
            let copy = scene.stage.directory + "/copy.db"
            #expect(try scene.registry.care("--backup", copy).status == 0)
            #expect(FileManager.default.fileExists(atPath: copy))
        }
    }

    @Test("a tree is saved and restored, descriptors included, by whom that is for")
    func saving() throws {
        try onRegistry { (scene) throws in
            let sddl = "O:SYD:P(A;CI;KA;;;SY)(A;CI;KR;;;\(scene.alice.sid))"
            _ = try scene.system.ask("registry create k Machine\\Top f003f \(sddl)")
            for command in [
                "create a Machine\\Top\\A f003f", "set a v one",
                "create b Machine\\Top\\A\\B f003f O:SYD:P(A;;KA;;;SY)",
                "set b w two",
            ] { #expect(try scene.system.ask("registry \(command)").value != nil) }
            let file = scene.stage.directory + "/saved"
            #expect(try scene.system.ask("registry save k \(file)").value == "")
            #expect(try scene.system.ask("registry delete-tree a").value == "")
            _ = try scene.system.ask("registry create c Machine\\Top\\New f003f")
            let restored = try scene.system.ask("registry restore k \(file)")
            #expect(restored.value == "", "\(restored)")
            #expect(try scene.system.ask("registry keys k").value == "A")
            _ = try scene.system.ask("registry open b Machine\\Top\\A\\B 20019")
            #expect(try scene.system.ask("registry get b w").value == "two")
            let descriptor = try scene.system.ask("registry sddl b")
            #expect(descriptor.value == "O:SYD:P(A;;KA;;;SY)", "\(descriptor)")
            #expect(try scene.alices.ask("registry open a Machine\\Top\\A 1").value != nil)
            #expect(try scene.alices.ask("registry open b Machine\\Top\\A\\B 1").thrown == "accessDenied")
            let other = try scene.stage.file("other", "no saved key at all")
            #expect(try scene.system.ask("registry restore k \(other)").thrown == "notASavedKey")
            #expect(try scene.system.ask("registry keys k").value == "A")
            // Alice may read the key, and neither save all of it nor restore it.
            _ = try scene.alices.ask("registry open k Machine\\Top 20019")
            let hers = scene.stage.folder("hers", of: scene.alice) + "/saved"
            #expect(try scene.alices.ask("registry save k \(hers)").thrown == "accessDenied")
        }
    }

    @Test("a client that sends nonsense, or reads nothing, is in nobody's way")
    func hostile() throws {
        try onRegistry { (scene) throws in
            _ = try scene.system.ask("registry create k Machine\\K f003f")
            _ = try scene.system.ask("registry set k v x")
            let path = scene.stage.runtime + "/registry/registry.sock"
            var random = SystemRandomNumberGenerator()
            for round in 0..<40 {
                let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
                defer { close(socket) }
                guard guise_unix_connect(socket, path, path.utf8.count) == 0 else {
                    Issue.record("no connection")
                    return
                }
                var bytes = (0..<Int.random(in: 1...2000, using: &random)).map { _ in
                    UInt8.random(in: 0...255)
                }
                // Some of them a length that is believed.
                if round.isMultiple(of: 2) {
                    bytes.replaceSubrange(0..<1, with: [UInt8(bytes.count % 200), 0, 0, 0])
                }
                _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            }
            // Asks without end, and reads no answer.
            let greedy = guise_unix_socket(Int32(SOCK_STREAM.rawValue), true)
            defer { close(greedy) }
            _ = guise_unix_connect(greedy, path, path.utf8.count)
            let request: [UInt8] = [6, 0, 0, 0, 0x08, 1, 0x82, 1, 1, 1]
            for _ in 0..<200_000 {
                if send(greedy, request, request.count, Int32(MSG_NOSIGNAL)) < 0 { break }
            }
            let start = ContinuousClock.now
            for _ in 0..<100 { #expect(try scene.system.ask("registry get k v").value == "x") }
            #expect(start.duration(to: .now) < .seconds(5))
        }
    }

    @Test("whoever watches is told")
    func watches() throws {
        try onRegistry { (scene) throws in
            _ = try scene.system.ask("registry create k Machine\\K f003f")
            #expect(try scene.alices.ask("registry open k Machine\\K 20019").value != nil)
            #expect(try scene.alices.ask("registry watch k").value == "")
            for (command, kinds) in [
                ("set k a b", "4"), ("create l Machine\\K\\L f003f", "1"), ("set l a b", "4"),
            ] {
                #expect(try scene.system.ask("registry \(command)").value != nil)
                var told = ""
                try eventually("a change after \(command)") {
                    told = try scene.alices.ask("registry changed k").value ?? ""
                    return !told.isEmpty
                }
                #expect(told == kinds, "\(command)")
            }
            #expect(try scene.alices.ask("registry get k a").value == "b")
        }
    }

    @Test("a session that ended is refused")
    func deadSession() throws {
        try onRegistry { (scene) throws in
            _ = try scene.system.ask("registry create k Machine\\K f003f")
            scene.stage.killAuthority()
            usleep(1_200_000)
            let reply = try scene.system.ask("registry open l Machine\\K 1")
            #expect(reply.thrown == "accessDenied" || reply.thrown == "unavailable", "\(reply)")
        }
    }
}
