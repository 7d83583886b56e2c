import CGuise
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Registered abstract names", .asRoot)
struct RegisteredNameTests {
    /// A service that may listen at a name, another one that may not, and alice, who may connect.
    private func onName(
        _ body: (Scene, _ second: Service, _ name: String) throws -> Void
    ) throws {
        try onScene { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let name = "guise-test-\(getpid())-\(scene.alice.uid)"
            try register(name, scene, "D:(A;;0x4;;;{files})(A;;0x2;;;{alice})")
            try body(scene, second, name)
        }
    }

    private func register(_ name: String, _ scene: Scene, _ sddl: String) throws {
        let filled = Stage.fill(sddl, [scene.service.account, scene.alice])
        try scene.stage.ask(
            .endpointAdd(
                .with {
                    $0.name = name
                    $0.sddl = filled
                }))
    }

    private func endpoint(_ name: String, _ stage: Stage) throws -> WireEndpoint? {
        guard case .endpoints(let list) = try stage.ask(.endpointList(.init())) else { return nil }
        return list.endpoints.first { $0.name == name }
    }

    /// What a process that nobody mediates gets when it takes the name.
    private func squat(_ name: String, _ type: __socket_type = SOCK_STREAM) -> (socket: Int32, error: Int32) {
        let socket = guise_unix_socket(Int32(type.rawValue), false)
        return (socket, guise_unix_bind_abstract(socket, name, name.utf8.count))
    }

    /// The service listens; the number of its socket.
    private func listen(_ client: Client, _ name: String, _ type: String = "stream") throws -> Int {
        let socket = try #require(try client.ask("socket \(type)").number)
        let bound = try client.ask("bind \(socket) @\(name)")
        try #require(bound.number == 0, "\(bound)")
        try #require(try client.ask("listen \(socket)").value != nil)
        return socket
    }

    @Test(
        "are bound by services that may listen there, and by nobody else", arguments: ["stream", "seqpacket"])
    func listening(type: String) throws {
        try onName { (scene, second, name) throws in
            let kind = type == "stream" ? SOCK_STREAM : SOCK_SEQPACKET
            let others = try second.client(scene.alice)
            func bind(_ client: Client, acting: Bool) throws -> Reply {
                let socket = try #require(try client.ask("socket \(type)").number)
                return try acting
                    ? client.acting("bind \(socket) @\(name)") : client.ask("bind \(socket) @\(name)")
            }
            let squatter = squat(name, kind)
            defer { close(squatter.socket) }
            #expect(squatter.error == -EADDRINUSE)
            #expect(try bind(others, acting: false).errno == EACCES)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"bind\"", second.account.sid)
            // The client's right while impersonating: alice may connect only.
            #expect(try bind(scene.client, acting: true).errno == EACCES)
            #expect(try endpoint(name, scene.stage)?.services == [])
            // A client who may listen does so by the service.
            try register(name + "-hers", scene, "D:(A;;0x4;;;{alice})")
            let hers = try #require(try scene.client.ask("socket \(type)").number)
            #expect(try scene.client.ask("bind \(hers) @\(name)-hers").errno == EACCES)
            #expect(try scene.bobs.acting("bind \(hers) @\(name)-hers").errno == EACCES)
            #expect(try scene.client.acting("bind \(hers) @\(name)-hers").number == 0)
            let socket = try listen(scene.client, name, type)
            #expect(try endpoint(name, scene.stage)?.services == ["files"])
            #expect(try scene.client.ask("bind \(socket) @\(name)").errno == EINVAL)
            // The socket is as the service made it.
            #expect(try scene.client.ask("descriptor-flags \(socket)").number == Int(FD_CLOEXEC))
            // The same service may bind once more; as with any abstract name nobody else may.
            _ = try listen(scene.client, name, type)
            try register(name, scene, "D:(A;;0x4;;;WD)")
            #expect(try bind(others, acting: false).errno == EADDRINUSE)
        }
    }

    @Test(
        "are connected to by whom the descriptor lets, and captured so", arguments: ["stream", "seqpacket"])
    func connecting(type: String) throws {
        try onName { (scene, second, name) throws in
            let socket = try listen(scene.client, name, type)
            let (alices, bobs) = (try second.client(scene.alice), try second.client(scene.bob))
            #expect(try bobs.acting("dial \(type) @\(name)").errno == EACCES)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"connect\"", scene.bob.sid)
            #expect(try alices.ask("dial \(type) @\(name)").errno == EACCES)
            let dialled = try #require(try alices.acting("dial \(type) @\(name)").number)
            // The kernel says that it is the service that listens.
            #expect(try alices.ask("peer \(dialled)").value == "\(scene.service.account.uid)")
            func captured() throws -> Reply {
                let accepted = try #require(try scene.client.ask("accept \(socket)").number)
                return try scene.client.ask("adopt-descriptor \(accepted)")
            }
            #expect(try captured().value == "\(scene.alice.sid) impersonation")
            // Whatever is sent there asks for the same.
            #expect(try bobs.acting("send-to datagram @\(name) text").errno == EACCES)
            #expect(try alices.acting("send-to datagram @\(name) text").errno == ECONNREFUSED)
            // Who is not mediated comes as far as the capture.
            for (person, isLet) in [(scene.alice, true), (scene.bob, false)] {
                let own = guise_unix_socket(
                    Int32((type == "stream" ? SOCK_STREAM : SOCK_SEQPACKET).rawValue), false)
                defer { close(own) }
                let address = Array("\0\(name)".utf8)
                let bytes = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) } + address
                try #require(guise_credentials_assume(person.uid, person.uid, [UInt32](), 0) == 0)
                let error = guise_socket_connect(own, bytes, UInt32(bytes.count))
                try #require(guise_credentials_restore() == 0 && error == 0)
                let answer = try captured()
                #expect(answer.value?.contains(person.sid) == (isLet ? true : nil), "\(answer)")
                if !isLet { #expect(answer.thrown == "accessDenied") }
            }
            // A service that may not listen there any more captures nobody.
            try register(name, scene, "D:(A;;0x2;;;{alice})")
            #expect(try alices.acting("dial \(type) @\(name)").number != nil)
            #expect(try captured().thrown == "accessDenied")
        }
    }

    @Test("outlive a socket that was shut down")
    func spent() throws {
        try onName { (scene, second, name) throws in
            let alices = try second.client(scene.alice)
            let first = try listen(scene.client, name)
            #expect(try scene.client.ask("syscall \(SYS_shutdown) \(first) 2 0").number == 0)
            // While the old one is open nobody has the name.
            let early = try #require(try scene.client.ask("socket stream").number)
            #expect(try scene.client.ask("bind \(early) @\(name)").errno == EADDRINUSE)
            #expect(try scene.client.ask("syscall \(SYS_close) \(first) 0 0").number == 0)
            _ = try listen(scene.client, name)
            #expect(try alices.acting("dial stream @\(name)").number != nil)
            #expect(try endpoint(name, scene.stage)?.held == true)
        }
    }

    @Test("stay the service's while it is down")
    func down() throws {
        try onName { (scene, second, name) throws in
            let alices = try second.client(scene.alice)
            #expect(try alices.acting("dial stream @\(name)").errno == ECONNREFUSED)
            _ = try listen(scene.client, name)
            #expect(try alices.acting("dial stream @\(name)").number != nil)
            scene.service.process.end()
            try eventually("the service to be gone") {
                try endpoint(name, scene.stage)?.services == []
            }
            let squatter = squat(name)
            defer { close(squatter.socket) }
            #expect(squatter.error == -EADDRINUSE)
            let own = try #require(try alices.ask("socket stream").number)
            #expect(try alices.ask("bind \(own) @\(name)").errno == EACCES)
            #expect(try alices.acting("dial stream @\(name)").errno == ECONNREFUSED)
            let anew = try scene.stage.serve(scene.service.account, name: "anew")
            let socket = try listen(try anew.client(scene.alice), name)
            #expect(socket >= 0)
            #expect(try alices.acting("dial stream @\(name)").number != nil)
        }
    }

    @Test("that somebody has taken meanwhile lead no client to him, and nobody registers them")
    func taken() throws {
        try onName { (scene, _, name) throws in
            let early = squat(name + "-early")
            defer { close(early.socket) }
            try #require(early.error == 0)
            #expect(throws: GuiseError.self) { try register(name + "-early", scene, "D:(A;;0x6;;;WD)") }
            #expect(try endpoint(name + "-early", scene.stage) == nil)

            scene.stage.killAuthority()
            let squatter = squat(name)
            try #require(squatter.error == 0 && Glibc.listen(squatter.socket, 8) == 0)
            try scene.stage.startAuthority()
            #expect(try endpoint(name, scene.stage)?.held == false)
            let service = try scene.stage.serve(scene.service.account, name: "anew")
            let client = try service.client(scene.alice)
            #expect(try client.acting("dial stream @\(name)").errno == EACCES)
            let socket = try #require(try client.ask("socket stream").number)
            #expect(try client.ask("bind \(socket) @\(name)").errno == EADDRINUSE)
            // Nobody came to him.
            var one = pollfd(fd: squatter.socket, events: Int16(POLLIN), revents: 0)
            #expect(poll(&one, 1, 0) == 0)
            close(squatter.socket)
            #expect(try client.ask("bind \(socket) @\(name)").number == 0)
            #expect(try endpoint(name, scene.stage)?.services == ["files"])
        }
    }

    @Test("an address that another thread changes meanwhile takes no registered name")
    func rewritten() throws {
        try onName { (scene, second, name) throws in
            let others = try second.client(scene.alice)
            let free = String(repeating: "x", count: 4) + name.dropFirst(4)
            #expect(try others.ask("rename-rewriting @\(free) @\(name) 400").value?.contains(name) == false)
            #expect(try endpoint(name, scene.stage)?.services == [])
        }
    }

    @Test("are kept by an authority without root, too")
    func rootless() throws {
        try onRootlessScene { scene in
            let name = "guise-test-\(getpid())-\(scene.owner.uid)"
            let people = [scene.service.account, scene.alice]
            try scene.stage.ask(
                .endpointAdd(
                    .with {
                        $0.name = name
                        $0.sddl = Stage.fill("D:(A;;0x4;;;{files})(A;;0x2;;;{alice})", people)
                    }))
            let squatter = squat(name)
            defer { close(squatter.socket) }
            #expect(squatter.error == -EADDRINUSE)
            let socket = try #require(try scene.ask(scene.alices, "socket stream").number)
            #expect(try scene.acting(scene.alices, "bind \(socket) @\(name)").errno == EACCES)
            #expect(try scene.ask(scene.alices, "bind \(socket) @\(name)").number == 0)
            #expect(try endpoint(name, scene.stage)?.services == ["files"])
        }
    }

    @Test("are the administrator's to keep, by guise endpoint, and there after a restart")
    func tools() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let name = "guise-test-\(getpid())-\(scene.alice.uid)-tool"
            func guise(_ words: String..., by person: Person? = nil) throws -> Stage.Outcome {
                try stage.run([product("guise"), "endpoint"] + words, as: person)
            }
            let sddl = "D:(A;;0x4;;;\(scene.service.account.sid))(A;;0x2;;;AU)"
            #expect(try guise("add", "@\(name)", "--sddl", sddl, by: scene.alice).status == 1)
            #expect(try guise("add", "@\(name)", "--sddl", "nonsense").status == 1)
            #expect(try guise("add", "@guise-client-1", "--sddl", sddl).status == 1)
            #expect(try guise("add", "@\(name)", "--sddl", "O:BA").status == 1)
            #expect(try guise("add", "@\(name)", "--sddl", sddl).status == 0)
            let listed = try guise("list", "--json")
            #expect(listed.output.contains("\"\(name)\""))
            #expect(listed.output.contains(scene.service.account.sid))
            #expect(try guise("list").output.contains("@\(name)"))
            stage.killAuthority()
            try stage.startAuthority()
            #expect(try endpoint(name, stage)?.held == true)
            #expect(try guise("remove", name, by: scene.alice).status == 1)
            #expect(try guise("remove", name).status == 0)
            #expect(try guise("remove", name).status == 1)
            let free = squat(name)
            defer { close(free.socket) }
            #expect(free.error == 0)
        }
    }
}
