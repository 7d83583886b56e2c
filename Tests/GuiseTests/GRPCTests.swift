#if GRPC
    import Foundation
    import Testing

    /// Alice and bob, a file that only she can read and one that only he can, and a gRPC service.
    private struct GRPCScene {
        let stage: Stage
        let service: ChildProcess
        let socket: String
        let alice: Person
        let bob: Person
        let hers: String
        let his: String

        /// - Parameters:
        ///   - options: of the service; `NEXT` stands for the socket of a second one, of account `backend`.
        static func on(
            _ options: String..., privileges: [String] = ["SeImpersonatePrivilege"],
            at address: String? = nil,
            _ body: (GRPCScene) throws -> Void
        ) throws {
            try onStage { (stage) throws in
                let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
                let hers = try stage.file("services/hers", "hers", of: alice)
                let his = try stage.file("services/his", "his", of: bob)
                let (socket, next) = (stage.directory + "/services/s", stage.directory + "/services/next")
                if options.contains("NEXT") {
                    try stage.launch(
                        [product("guise-test-grpc"), "serve", next], as: try stage.service("backend"),
                        name: "next")
                }
                let service = try stage.launch(
                    [product("guise-test-grpc"), "serve", address ?? socket]
                        + options.map { $0.replacing("NEXT", with: next) },
                    as: try stage.service("files", privileges: privileges))
                try body(
                    GRPCScene(
                        stage: stage, service: service, socket: socket, alice: alice, bob: bob, hers: hers,
                        his: his))
            }
        }

        func command(_ words: [String], service: String = "files", at address: String? = nil) -> [String] {
            [product("guise-test-grpc"), "call", address ?? socket, service] + words
        }

        /// What a call of a user's came to.
        func call(_ person: Person, _ words: String..., at address: String? = nil) throws -> [String] {
            let outcome = try stage.run(command(words, at: address), as: person)
            guard outcome.status == 0 else { throw HarnessError("call: \(outcome)") }
            return outcome.output.split(separator: "\n").map(String.init)
        }

        /// A ticket in base64, as the tool prints it.
        func ticket(_ person: Person, for server: String = "files", _ words: String...) throws -> String {
            try stage.run([product("guise"), "ticket", "--for", server] + words, as: person).output
                .trimmingCharacters(in: .newlines)
        }

        var descriptors: Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(service.pid)/fd").count) ?? 0
        }
    }

    private let unaccepted = "unauthenticated: the call's ticket is not accepted"

    @Suite("A gRPC call as its client", .asRoot)
    struct GRPCTests {
        @Test("acts as who called, where the handler says so and nowhere else")
        func places() throws {
            try GRPCScene.on { (scene) throws in
                #expect(try scene.call(scene.alice, "Read", scene.hers) == ["hers"])
                #expect(try scene.call(scene.bob, "Read", scene.hers) == ["nobody"])
                #expect(try scene.call(scene.bob, "Token", "") == ["bob Impersonation"])
                #expect(
                    try scene.call(scene.alice, "Places", scene.hers) == [
                        "before=nobody task=hers detached=nobody between=nobody thread=hers own=hers"
                            + " reverted=nobody again=nobody after=nobody"
                    ])
            }
        }

        @Test("keeps the client over every message of a stream, whatever threads it hops over")
        func streaming() throws {
            try GRPCScene.on { (scene) throws in
                let many = (0..<10).map { $0 % 2 == 0 ? scene.hers : scene.his }
                let seen = (0..<10).map { $0 % 2 == 0 ? "hers" : "nobody" }
                #expect(
                    try scene.stage.run(
                        scene.command(["--stream", "Collect"] + many), as: scene.alice
                    ).output == seen.joined(separator: " ") + "\n")
                #expect(
                    try scene.stage.run(scene.command(["--stream", "Talk"] + many), as: scene.alice).output
                        == seen.joined(separator: "\n") + "\n")
                // Both at once, through the same actor.
                let watched = try scene.call(scene.alice, "--times", "8", "Watch", scene.hers)
                #expect(
                    watched
                        == Array(
                            repeating: Array(repeating: "hers", count: 20) + ["nobody"], count: 8
                        ).flatMap { $0 })
                let his = try scene.call(scene.bob, "--times", "8", "Watch", scene.hers)
                #expect(his == Array(repeating: "nobody", count: 168))
            }
        }

        @Test("200 calls of four users at once over one channel, each answered as its own")
        func crowd() throws {
            try GRPCScene.on("--next", "NEXT", "backend") { (scene) throws in
                let people =
                    [scene.alice, scene.bob] + [try scene.stage.user("carol"), try scene.stage.user("dave")]
                let files = try people.map {
                    try scene.stage.file("services/of-\($0.name)", $0.name, of: $0)
                }
                let calls = try people.map { (person) -> (Person, String, ChildProcess) in
                    let path = scene.stage.directory + "/answers.\(person.name)"
                    let output = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                    defer { close(output) }
                    // The front's calls to the backend all go over the one channel that it has.
                    let command = scene.command(
                        ["--times", "13", "Forward"] + files.map { "Read \($0)" })
                    return (
                        person, path,
                        try scene.stage.start(
                            Stage.command(command, as: person.uid), streams: (-1, output, -1))
                    )
                }
                for (person, path, process) in calls {
                    #expect(try process.wait(seconds: 120) == 0)
                    let answers = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
                    let expected = people.map { $0.name == person.name ? $0.name : "nobody" }
                    #expect(
                        answers.map(String.init) == (0..<13).flatMap { _ in expected },
                        "\(scene.stage.serviceLog()) \(scene.stage.serviceLog("next"))")
                }
            }
        }

        @Test("goes on to the next service as the client, at no more than the level it acts at")
        func chain() throws {
            try GRPCScene.on("--next", "NEXT", "backend") { (scene) throws in
                #expect(try scene.call(scene.alice, "Forward", "Read \(scene.hers)") == ["hers"])
                #expect(try scene.call(scene.bob, "Forward", "Read \(scene.hers)") == ["nobody"])
                #expect(try scene.call(scene.alice, "Forward", "Token x") == ["alice Impersonation"])
                #expect(
                    try scene.call(scene.alice, "ForwardAsSelf", "Token x") == [
                        "NT SERVICE\\files Impersonation"
                    ])
                #expect(try scene.call(scene.alice, "ForwardAt", "Token x") == ["alice Identification"])
                #expect(try scene.call(scene.alice, "ForwardAt", "Read \(scene.hers)") == ["nobody"])
                #expect(
                    try scene.call(scene.alice, "--level", "anonymous", "Forward", "Token x")
                        == ["NT AUTHORITY\\ANONYMOUS LOGON Anonymous"])
            }
        }

        @Test("is no more than the client allowed")
        func levels() throws {
            try GRPCScene.on { (scene) throws in
                #expect(
                    try scene.call(scene.alice, "--level", "identification", "Token", "")
                        == ["alice Identification"])
                #expect(
                    try scene.call(scene.alice, "--level", "identification", "Read", scene.hers) == ["nobody"]
                )
                #expect(
                    try scene.call(scene.alice, "--level", "delegation", "Token", "") == ["alice Delegation"])
            }
        }

        @Test("without a ticket is refused, or Anonymous where the server says so")
        func unidentified() throws {
            try GRPCScene.on { (scene) throws in
                #expect(
                    try scene.call(scene.alice, "--no-identity", "Read", scene.hers)
                        == ["unauthenticated: the call does not say who makes it"])
            }
            try GRPCScene.on("--anonymous") { (scene) throws in
                let open = try scene.stage.file("services/open", "open", mode: 0o644)
                #expect(
                    try scene.call(scene.alice, "--no-identity", "Token", "")
                        == ["NT AUTHORITY\\ANONYMOUS LOGON Anonymous"])
                #expect(try scene.call(scene.alice, "--no-identity", "Read", scene.hers) == ["nobody"])
                #expect(try scene.call(scene.alice, "--no-identity", "Read", open) == ["open"])
                #expect(try scene.call(scene.alice, "Read", scene.hers) == ["hers"])
                // Who has a ticket, and a bad one, is not Anonymous.
                #expect(
                    try scene.call(
                        scene.alice, "--ticket", Data(count: 32).base64EncodedString(), "Read", open)
                        == [unaccepted])
            }
        }

        @Test("with a ticket that was used, is another service's, was guessed or has expired is refused")
        func attacks() throws {
            try GRPCScene.on("--next", "NEXT", "backend") { (scene) throws in
                let ticket = try scene.ticket(scene.alice)
                // Bob has it from somewhere, and was too late.
                #expect(try scene.call(scene.alice, "--ticket", ticket, "Read", scene.hers) == ["hers"])
                #expect(try scene.call(scene.bob, "--ticket", ticket, "Read", scene.hers) == [unaccepted])
                // The service that got it passes it on.
                let stolen = try scene.ticket(scene.alice, for: "files")
                let next = scene.stage.directory + "/services/next"
                #expect(
                    try scene.call(scene.bob, "--ticket", stolen, "Read", scene.hers, at: next)
                        == [unaccepted])
                #expect(try scene.call(scene.alice, "--ticket", stolen, "Read", scene.hers) == [unaccepted])
                try eventually("the reason, in the other's log") {
                    scene.stage.serviceLog("next").contains("the ticket is for")
                }
                let late = try scene.ticket(scene.alice, for: "files", "--lifetime", "1")
                usleep(1_200_000)
                #expect(try scene.call(scene.alice, "--ticket", late, "Read", scene.hers) == [unaccepted])
                for _ in 0..<20 {
                    let guess = Data((0..<32).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
                    #expect(try scene.call(scene.bob, "--ticket", guess, "Read", scene.hers) == [unaccepted])
                }
            }
        }

        @Test("with metadata that is no ticket is refused, and harms nobody else's")
        func malformed() throws {
            try GRPCScene.on("--anonymous") { (scene) throws in
                for raw in [
                    "", "%%%", "AAAA", "x*44", "x*60", "x*5000",
                    try scene.ticket(scene.alice) + "," + scene.ticket(scene.alice),
                ] {
                    let answer = try scene.call(scene.alice, "--raw", raw, "Read", scene.hers)
                    #expect(answer.first?.hasPrefix("unauthenticated: ") == true, "\(raw): \(answer)")
                }
                // More than HTTP/2 takes at all: the call fails, the server stays.
                _ = try scene.call(scene.alice, "--raw", "x*1000000", "Read", scene.hers)
                let (one, two) = (try scene.ticket(scene.alice), try scene.ticket(scene.bob))
                #expect(
                    try scene.call(scene.alice, "--ticket", one, "--ticket", two, "Read", scene.hers)
                        == ["unauthenticated: the call carries more than one ticket"])
                #expect(
                    try scene.call(scene.alice, "--ticket", one, "--ticket", one, "Read", scene.hers)
                        == ["unauthenticated: the call carries more than one ticket"])
                #expect(try scene.call(scene.alice, "Read", scene.hers) == ["hers"])
            }
        }

        @Test("of a server without the privilege is refused, and the server's log says why")
        func privilege() throws {
            try GRPCScene.on(privileges: []) { (scene) throws in
                #expect(
                    try scene.call(scene.alice, "Read", scene.hers)
                        == ["permissionDenied: the server may not act as the client"])
                #expect(scene.stage.serviceLog().contains("SeImpersonatePrivilege"))
                // While the answer is written too.
                #expect(
                    try scene.call(scene.alice, "Watch", scene.hers)
                        == ["permissionDenied: the server may not act as the client"])
                #expect(
                    try scene.call(scene.alice, "--level", "identification", "Token", "")
                        == ["alice Identification"])
            }
        }

        @Test("ends, and with it what its context was good for; errors of the handler's own are left alone")
        func over() throws {
            try GRPCScene.on { (scene) throws in
                #expect(try scene.call(scene.alice, "Keep", "") == ["kept"])
                #expect(try scene.call(scene.bob, "UseOld", scene.hers) == ["closed"])
                #expect(try scene.call(scene.alice, "Fail", "") == ["dataLoss: mine"])
            }
        }

        @Test("whose client goes ends as the client, and nothing of it is kept")
        func leaving() throws {
            try GRPCScene.on { (scene) throws in
                // What the event loop makes once, a timer's descriptor, is there afterwards.
                _ = try scene.call(scene.alice, "--leave", "Endless", scene.hers)
                try eventually("the end of the call") {
                    scene.stage.serviceLog().contains("ended as hers")
                }
                #expect(try scene.call(scene.alice, "Read", scene.hers) == ["hers"])
                let before = scene.descriptors
                for _ in 0..<5 { _ = try scene.call(scene.alice, "--leave", "Endless", scene.hers) }
                try eventually("the end of the calls") {
                    scene.stage.serviceLog().components(separatedBy: "ended as hers").count == 7
                }
                try eventually("as few descriptors as before") { scene.descriptors <= before }
                try eventually("no connection held") {
                    let list = try scene.stage.run(
                        [product("idn"), "connections", "\(scene.service.pid)", "--json"])
                    return !list.output.contains("alice")
                }
            }
        }

        @Test("of who has logged off is refused, and of an authority that has gone too")
        func gone() throws {
            try GRPCScene.on { (scene) throws in
                let before = try scene.stage.sessions
                let ticket = try scene.ticket(scene.alice)
                for session in try scene.stage.sessions.subtracting(before) {
                    try scene.stage.ask(.sessionEnd(.with { $0.session = session }))
                }
                #expect(try scene.call(scene.alice, "--ticket", ticket, "Read", scene.hers) == [unaccepted])
                // It logs on anew.
                let next = try scene.ticket(scene.alice)
                scene.stage.killAuthority()
                #expect(
                    try scene.call(scene.alice, "--ticket", next, "Read", scene.hers)
                        == ["unavailable: the authority does not answer"])
                #expect(
                    try scene.call(scene.alice, "Read", scene.hers).first?.hasPrefix(
                        "unavailable: no authority")
                        == true)
                try scene.stage.startAuthority()
                #expect(
                    try scene.call(scene.alice, "Read", scene.hers)
                        == ["unavailable: the authority does not answer"])
            }
        }

        @Test("over TCP has no client: none is taken from it, and no ticket is sent")
        func tcp() throws {
            try GRPCScene.on("--anonymous", at: "tcp") { (scene) throws in
                let port = String(
                    try #require(scene.stage.serviceLog().firstMatch(of: /serving (\d+)/)?.1))
                #expect(
                    try scene.call(scene.alice, "Read", scene.hers, at: port).first?
                        .hasPrefix("failedPrecondition: a ticket goes over Unix sockets only") == true)
                let ticket = try scene.ticket(scene.alice)
                for words in [["--ticket", ticket], ["--no-identity"]] {
                    let outcome = try scene.stage.run(
                        scene.command(words + ["Read", scene.hers], at: port), as: scene.alice)
                    #expect(
                        outcome.output
                            == "unauthenticated: who calls is known over Unix sockets only\n")
                }
            }
        }

        @Test(
            "of a client in Python is the client's, by a ticket from the command line",
            .enabled(
                if: FileManager.default.fileExists(atPath: "/usr/lib/python3/dist-packages/grpc"),
                "needs python3-grpcio"))
        func python() throws {
            try GRPCScene.on { (scene) throws in
                let script = try scene.stage.file(
                    "call.py",
                    """
                    import base64, subprocess, sys
                    import grpc
                    tool, socket = sys.argv[1:3]
                    text = dict(request_serializer=str.encode, response_deserializer=bytes.decode)

                    def ticket(*words):
                        printed = subprocess.run([tool, "ticket", "--for", "files", *words],
                                                 check=True, capture_output=True).stdout
                        return [("guise-ticket-bin", base64.b64decode(printed))]

                    def status(call):
                        try:
                            return call()
                        except grpc.RpcError as error:
                            return error.code().name

                    with grpc.insecure_channel("unix://" + socket) as channel:
                        read = channel.unary_unary("/guise.test.Who/Read", **text)
                        talk = channel.stream_stream("/guise.test.Who/Talk", **text)
                        for path in sys.argv[3:]:
                            print(read(path, metadata=ticket()))
                        print(read(sys.argv[3], metadata=ticket("--level", "identification")))
                        print(*talk(iter(sys.argv[3:]), metadata=ticket()))
                        used = ticket()
                        print(read(sys.argv[3], metadata=used))
                        print(status(lambda: read(sys.argv[3], metadata=used)))
                        print(status(lambda: read(sys.argv[3])))

                    """, mode: 0o644)
                let outcome = try scene.stage.run(
                    ["/usr/bin/python3", script, product("guise"), scene.socket, scene.hers, scene.his],
                    as: scene.alice)
                #expect(
                    outcome.output
                        == "hers\nnobody\nnobody\nhers nobody\nhers\nUNAUTHENTICATED\nUNAUTHENTICATED\n",
                    "\(outcome.errors)")
            }
        }

        @Test("the example gives files as who asks")
        func example() throws {
            try onStage { (stage) throws in
                let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
                let hers = try stage.file("services/hers", "hers", of: alice)
                let socket = stage.directory + "/services/grpc"
                try stage.launch(
                    [product("guise-example-grpc"), "serve", socket], as: try stage.service("files"))
                func run(_ person: Person, _ words: String...) throws -> Stage.Outcome {
                    try stage.run(
                        [product("guise-example-grpc"), "call", socket, "files"] + words, as: person)
                }
                #expect(try run(alice, "whoami").output == "alice at Impersonation\n")
                #expect(try run(alice, "read", hers).output == "hers\n")
                let refused = try run(bob, "read", hers)
                #expect(refused.status == 1 && refused.output.isEmpty)
                #expect(refused.errors.contains("permissionDenied"))
                #expect(try run(bob, "read", stage.directory + "/none").errors.contains("notFound"))
            }
        }
    }
#endif
