#if NIO && Hummingbird
    import CGuise
    import Foundation
    import Testing

    /// Alice and bob, a file that only she can read and one that only he can, and a program that serves them.
    private struct AdapterScene {
        let stage: Stage
        let service: ChildProcess
        let socket: String
        let alice: Person
        let bob: Person
        let hers: String
        let his: String

        /// - Parameters:
        ///   - command: a product and its arguments; `SOCKET` and `HOME` stand for theirs.
        ///   - privileges: of the service.
        static func on(
            _ command: [String], privileges: [String] = ["SeImpersonatePrivilege"],
            _ body: (AdapterScene) throws -> Void
        ) throws {
            try onStage { (stage) throws in
                let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
                let home = stage.folder("home", mode: 0o777)
                let hers = try stage.file("home/hers", "hers", of: alice)
                let his = try stage.file("home/his", "his", of: bob)
                let socket = stage.directory + "/services/service"
                let arguments = command.dropFirst().map {
                    $0.replacing("SOCKET", with: socket).replacing("HOME", with: home)
                }
                let service = try stage.launch(
                    [product(command[0])] + arguments, as: try stage.service("files", privileges: privileges))
                try body(
                    AdapterScene(
                        stage: stage, service: service, socket: socket, alice: alice, bob: bob, hers: hers,
                        his: his))
            }
        }

        func client(_ person: Person) throws -> Client { try Client(stage, as: person, to: socket) }

        /// What curl prints for each path, then its status and how many connections it made for it.
        func curl(_ person: Person, _ paths: String..., options: [String] = []) throws -> String {
            try stage.run(curlCommand(paths, options: options), as: person).output
        }

        func curlCommand(_ paths: [String], options: [String] = []) -> [String] {
            ["/usr/bin/curl", "-sS", "--unix-socket", socket, "-w", " %{http_code} %{num_connects}\n"]
                + options
                + paths.map { "http://localhost" + $0 }
        }

        var descriptors: Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(service.pid)/fd").count) ?? 0
        }
    }

    /// What the example says of a file that is somebody else's.
    private let refusal = "ERROR The operation could not be completed. You don’t have permission."

    @Suite("A SwiftNIO channel as its client", .asRoot)
    struct NIOAdapterTests {
        @Test(
            "a handler is the client in its callbacks, and nothing else on the loop is, before, behind or later"
        )
        func places() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"]) { (scene) throws in
                let (alice, bob) = (try scene.client(scene.alice), try scene.client(scene.bob))
                for _ in 0..<5 {
                    #expect(
                        try alice.ask("places \(scene.hers)").line
                            == "read=hers behind=nobody write=hers before=nobody still=hers later=nobody")
                    #expect(
                        try bob.ask("places \(scene.hers)").line
                            == "read=nobody behind=nobody write=nobody before=nobody still=nobody later=nobody"
                    )
                    #expect(try alice.ask("afterwards \(scene.hers)").line == "read=hers afterwards=nobody")
                }
            }
        }

        @Test("two channels of a loop, one calling the other, are each their own client")
        func neighbours() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"]) { (scene) throws in
                let (alice, bob) = (try scene.client(scene.alice), try scene.client(scene.bob))
                #expect(try alice.ask("afterwards \(scene.hers)").line == "read=hers afterwards=nobody")
                #expect(try bob.ask("neighbours \(scene.his)").line == "self=his other=nobody self=his")
                #expect(try bob.ask("neighbours \(scene.hers)").line == "self=nobody other=hers self=nobody")
                #expect(try alice.ask("neighbours \(scene.his)").line == "self=nobody other=his self=nobody")
            }
        }

        @Test(
            "a thread of a pool is the client for one piece of work; a handler that reverts is itself once more"
        )
        func poolAndRevert() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"]) { (scene) throws in
                let alice = try scene.client(scene.alice)
                for _ in 0..<5 {
                    #expect(try alice.ask("pool \(scene.hers)").line == "as=hers plain=nobody then=nobody")
                    #expect(try alice.ask("revert \(scene.hers)").line == "read=nobody")
                    #expect(try alice.ask("afterwards \(scene.hers)").line == "read=hers afterwards=nobody")
                }
            }
        }

        @Test("after an upgrade the channel still knows its client, and the new handler is the service")
        func upgrade() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"]) { (scene) throws in
                let (alice, bob) = (try scene.client(scene.alice), try scene.client(scene.bob))
                #expect(try alice.ask("upgrade").line == "upgraded")
                #expect(try bob.ask("upgrade").line == "upgraded")
                #expect(try alice.ask("x \(scene.hers)").line == "alice bare=nobody as=hers")
                #expect(try bob.ask("x \(scene.hers)").line == "bob bare=nobody as=nobody")
            }
        }

        @Test("a handler whose client may not be impersonated is not called, and the channel is closed")
        func refused() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"], privileges: []) { (scene) throws in
                #expect(throws: HarnessError.self) {
                    try scene.client(scene.alice).ask("places \(scene.hers)")
                }
                try eventually("the error") {
                    scene.stage.serviceLog().contains("caught:")
                        && scene.stage.serviceLog().contains("SeImpersonatePrivilege")
                }
            }
        }

        @Test("a client that cannot be captured is not served")
        func authorityGone() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"]) { (scene) throws in
                let before = try scene.client(scene.alice)
                #expect(try before.ask("afterwards \(scene.hers)").line == "read=hers afterwards=nobody")
                scene.stage.killAuthority()
                #expect(throws: HarnessError.self) { try scene.client(scene.bob).ask("places \(scene.his)") }
                #expect(throws: HarnessError.self) { try before.ask("places \(scene.hers)") }
                try eventually("the refusal") { scene.stage.serviceLog().contains("refused:") }
                try eventually("the end, behind the handler") {
                    scene.stage.serviceLog().contains("inactive after the refusal")
                        && scene.stage.serviceLog().contains("unregistered after the refusal")
                }
            }
        }

        @Test("clients that leave at once cost nothing that lasts")
        func leaving() throws {
            try AdapterScene.on(["guise-test-adapters", "nio", "SOCKET"]) { (scene) throws in
                let alice = try scene.client(scene.alice)
                _ = try alice.ask("afterwards \(scene.hers)")
                let before = scene.descriptors
                for _ in 0..<200 {
                    let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
                    #expect(guise_unix_connect(socket, scene.socket, scene.socket.utf8.count) == 0)
                    close(socket)
                }
                #expect(try alice.ask("afterwards \(scene.hers)").line == "read=hers afterwards=nobody")
                try eventually("as few descriptors as before") { scene.descriptors <= before }
            }
        }

        @Test(
            "the example serves in both forms: files as the client, pipelined lines, a half-closed socket",
            arguments: ["", "--handlers"])
        func example(form: String) throws {
            let command = ["guise-example-nio", "SOCKET"] + (form.isEmpty ? [] : [form])
            try AdapterScene.on(command) { (scene) throws in
                let (alice, bob) = (try scene.client(scene.alice), try scene.client(scene.bob))
                #expect(try alice.ask("whoami").line == "OK alice \(scene.alice.sid) at Impersonation")
                #expect(try alice.ask("read \(scene.hers)").line == "OK hers")
                #expect(try bob.ask("read \(scene.hers)").line.hasPrefix("ERROR"))
                #expect(try bob.ask("write \(scene.his) mine").line == "OK")
                #expect(try bob.ask("read \(scene.his)").line == "OK mine")
                #expect(try alice.ask("read \(scene.his)").line == refusal)
                let piped = try scene.stage.run(
                    [
                        "/bin/sh", "-c",
                        "printf 'read \(scene.hers)\\nread \(scene.his)\\nwhoami\\n' | socat -t 5 - UNIX-CONNECT:\(scene.socket)",
                    ], as: scene.alice)
                #expect(
                    piped.output
                        == "OK hers\n\(refusal)\nOK alice \(scene.alice.sid) at Impersonation\n")
            }
        }

        @Test(
            "200 requests of four users at once on one loop, each answered as its own",
            arguments: ["", "--handlers"])
        func crowd(form: String) throws {
            let command = ["guise-example-nio", "SOCKET"] + (form.isEmpty ? [] : [form])
            try AdapterScene.on(command) { (scene) throws in
                let (carol, dave) = (try scene.stage.user("carol"), try scene.stage.user("dave"))
                let people = [scene.alice, scene.bob, carol, dave]
                let files = try people.map { try scene.stage.file("home/of-\($0.name)", $0.name, of: $0) }
                let clients = try (people + people).map { ($0, try scene.client($0)) }
                for round in 0..<25 {
                    for (index, (_, client)) in clients.enumerated() {
                        try client.send("read \(files[(index + round) % 4])")
                    }
                }
                for round in 0..<25 {
                    for (index, (person, client)) in clients.enumerated() {
                        let mine = (index + round) % 4 == index % 4
                        #expect(
                            try client.reply().line
                                == (mine ? "OK \(person.name)" : refusal))
                    }
                }
            }
        }

        @Test(
            "a program that is not mediated does not start to serve",
            arguments: ["guise-example-nio", "guise-example-web"])
        func unmediated(program: String) throws {
            try onStage { (stage) throws in
                let account = try stage.service("files")
                let outcome = try stage.run(
                    [product(program), stage.directory + "/services/s"]
                        + (program == "guise-example-web" ? [stage.directory] : []), as: account)
                #expect(outcome.status == 1)
                #expect(outcome.errors.contains("guise run"))
                #expect(access(stage.directory + "/services/s", F_OK) != 0)
            }
        }
    }

    @Suite(
        "An HTTP request as its client", .asRoot,
        .enabled(if: access("/usr/bin/curl", X_OK) == 0, "needs curl"))
    struct HummingbirdAdapterTests {
        @Test("the example gives and takes files as who asks")
        func example() throws {
            try AdapterScene.on(["guise-example-web", "SOCKET", "HOME"]) { (scene) throws in
                #expect(try scene.curl(scene.alice, "/whoami") == "alice \(scene.alice.sid)\n 200 1\n")
                // On one connection, and the next request is not harmed by a refusal.
                #expect(
                    try scene.curl(scene.alice, "/files/hers", "/files/his", "/files/none", "/files/hers")
                        == "hers 200 1\n 403 0\n 404 0\nhers 200 0\n")
                #expect(try scene.curl(scene.bob, "/files/hers", "/files/his") == " 403 1\nhis 200 0\n")
                #expect(
                    try scene.curl(
                        scene.bob, "/files/../hers", "/files/%2e%2e/home/his", options: ["--path-as-is"]
                    )
                    .split(separator: "\n").allSatisfy { $0.hasPrefix(" 40") })
                #expect(
                    try scene.curl(scene.bob, "/files/new", options: ["-T", scene.his]) == " 204 1\n")
                var status = stat()
                #expect(
                    stat(scene.stage.directory + "/home/new", &status) == 0 && status.st_uid == scene.bob.uid)
                #expect(try scene.curl(scene.bob, "/files/hers", options: ["-T", scene.his]) == " 403 1\n")
                #expect(try String(contentsOfFile: scene.hers, encoding: .utf8) == "hers")
            }
        }

        @Test("a body of several megabytes arrives whole, on a connection that goes on")
        func large() throws {
            try AdapterScene.on(["guise-example-web", "SOCKET", "HOME"]) { (scene) throws in
                let content = (0..<400_000).map { "\($0) " }.joined()
                try scene.stage.file("home/large", content, of: scene.alice)
                let answer = try scene.curl(scene.alice, "/files/large", "/files/hers")
                #expect(answer == content + " 200 1\nhers 200 0\n")
                #expect(try scene.curl(scene.bob, "/files/large") == " 403 1\n")
            }
        }

        @Test("200 requests of four users at once, each answered as its own")
        func crowd() throws {
            try AdapterScene.on(["guise-example-web", "SOCKET", "HOME"]) { (scene) throws in
                let (carol, dave) = (try scene.stage.user("carol"), try scene.stage.user("dave"))
                let people = [scene.alice, scene.bob, carol, dave]
                for person in people {
                    try scene.stage.file("home/of-\(person.name)", person.name, of: person)
                }
                let runs = try (0..<8).map { (index) -> (Person, [Person], String, ChildProcess) in
                    let person = people[index % 4]
                    let asked = (0..<25).map { people[(index + $0) % 4] }
                    let path = scene.stage.directory + "/answers.\(index)"
                    let output = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                    defer { close(output) }
                    let process = try scene.stage.start(
                        Stage.command(
                            scene.curlCommand(asked.map { "/files/of-\($0.name)" }), as: person.uid),
                        streams: (-1, output, -1))
                    return (person, asked, path, process)
                }
                for (person, asked, path, process) in runs {
                    #expect(try process.wait() == 0)
                    let answers = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
                    try #require(answers.count == 25)
                    for (index, owner) in asked.enumerated() {
                        let connections = index == 0 ? 1 : 0
                        #expect(
                            answers[index]
                                == (owner.name == person.name
                                    ? "\(person.name) 200 \(connections)" : " 403 \(connections)"))
                    }
                }
            }
        }

        @Test(
            "what is behind the middleware is the client, the writing of the body too; what leaves the task is not"
        )
        func places() throws {
            try AdapterScene.on(["guise-test-adapters", "web", "SOCKET"]) { (scene) throws in
                let path = "?path=\(scene.hers)"
                #expect(
                    try scene.curl(scene.alice, "/open\(path)", "/who\(path)") == "nobody 200 1\nhers 200 0\n"
                )
                #expect(
                    try scene.curl(scene.bob, "/who\(path)", "/stream\(path)")
                        == "nobody 200 1\nnobody nobody nobody  200 0\n")
                #expect(try scene.curl(scene.alice, "/stream\(path)") == "hers hers hers  200 1\n")
                #expect(
                    try scene.curl(scene.alice, "/leaving\(path)") == "nobody nobody nobody hers hers 200 1\n"
                )
                #expect(!(try scene.curl(scene.alice, "/fileio\(path)").contains("hers")))
                let upload = try scene.stage.file(
                    "upload", String(repeating: "x", count: 1_000_000), of: scene.alice)
                #expect(
                    try scene.curl(scene.alice, "/upload\(path)", options: ["--data-binary", "@" + upload])
                        == "1000000 hers 200 1\n")
            }
        }

        @Test("a client that goes while it is answered ends the body, which was the client's to its end")
        func goneMidResponse() throws {
            try AdapterScene.on(["guise-test-adapters", "web", "SOCKET"]) { (scene) throws in
                _ = try scene.curl(scene.alice, "/who?path=\(scene.hers)")
                let before = scene.descriptors
                _ = try scene.curl(
                    scene.alice, "/endless?path=\(scene.hers)", options: ["-o", "/dev/null", "-m", "0.3"])
                try eventually("the end of the body") { scene.stage.serviceLog().contains("ended as hers") }
                #expect(try scene.curl(scene.bob, "/who?path=\(scene.hers)") == "nobody 200 1\n")
                try eventually("as few descriptors as before") { scene.descriptors <= before }
            }
        }

        @Test("a service without the privilege answers 403, and says why in its log, not to the client")
        func refused() throws {
            try AdapterScene.on(["guise-test-adapters", "web", "SOCKET"], privileges: []) { (scene) throws in
                let path = "?path=\(scene.hers)"
                #expect(
                    try scene.curl(scene.alice, "/who\(path)", "/open\(path)") == " 403 1\nnobody 200 0\n")
                #expect(scene.stage.serviceLog().contains("SeImpersonatePrivilege"))
            }
        }

        @Test("when the authority has gone nobody is served any more")
        func authorityGone() throws {
            try AdapterScene.on(["guise-test-adapters", "web", "SOCKET"]) { (scene) throws in
                let path = "?path=\(scene.hers)"
                #expect(try scene.curl(scene.alice, "/who\(path)") == "hers 200 1\n")
                scene.stage.killAuthority()
                #expect(try scene.curl(scene.alice, "/open\(path)", "/who\(path)") == " 403 1\n 403 0\n")
                #expect(scene.stage.serviceLog().contains("the requests of a connection are refused"))
            }
        }

        @Test("over TCP there is no client, and every request is refused")
        func tcp() throws {
            try AdapterScene.on(["guise-test-adapters", "web", "tcp"]) { (scene) throws in
                let port = try #require(scene.stage.serviceLog().firstMatch(of: /serving (\d+)/)?.1)
                let outcome = try scene.stage.run(
                    [
                        "/usr/bin/curl", "-sS", "-w", "%{http_code}\n",
                        "http://127.0.0.1:\(port)/open?path=\(scene.hers)",
                        "http://127.0.0.1:\(port)/who?path=\(scene.hers)",
                    ], as: scene.alice)
                #expect(outcome.output == "403\n403\n")
                #expect(scene.stage.serviceLog().contains("not a Unix socket"))
            }
        }
    }
#endif
