#if NIO && Hummingbird && JWT && TLS
    import Foundation
    import GuiseProtocol
    import ProofMaker
    import Testing

    /// Alice and bob, a file that only she can read, and a service over TCP whose clients say who they are.
    private struct WebScene {
        let stage: Stage
        let maker: ProofMaker
        let service: ChildProcess
        let port: Substring
        let alice: Person
        let hers: String
        let isTLS: Bool

        static func on(
            _ arguments: [String], of program: String = "guise-test-adapters", tls: Bool = false,
            trusted: Bool = true,
            privileges: [String] = ["SeImpersonatePrivilege"], _ body: (WebScene) throws -> Void
        ) throws {
            try onStage { (stage) throws in
                let alice = try stage.user("alice")
                _ = try stage.user("bob")
                let web = try stage.service(
                    "web", privileges: privileges + (trusted ? ["SeTcbPrivilege"] : []))
                let hers = try stage.file("hers", "hers", of: alice)
                let maker = try ProofMaker(in: stage.folder("proofs"))
                try maker.key("k1")
                try maker.write("jwks.json", try maker.jwks("k1"))
                try maker.authority("ca")
                try maker.certificate("server", by: "ca", ["subjectAltName=IP:127.0.0.1"])
                for name in ["alice", "stranger"] {
                    try maker.certificate(
                        name, by: "ca",
                        ["extendedKeyUsage=clientAuth", "subjectAltName=email:\(name)@example.org"])
                }
                for end in ["pem", "key"] { chmod(maker.path("server." + end), 0o644) }
                func mapping(_ arguments: String...) throws {
                    let outcome = try stage.run([product("guise"), "mapping"] + arguments)
                    guard outcome.status == 0 else { throw HarnessError(outcome.errors) }
                }
                try mapping(
                    "trust", "login", "--jwt", "https://login.test", "--keys", maker.path("jwks.json"),
                    "--audience", "https://web.test", "--algorithm", "RS256", "--service", "web")
                try mapping("add", "login", "sub", "1234", "--account", "alice")
                try mapping(
                    "trust", "devices", "--certificate-authority", maker.path("ca.pem"), "--service", "web")
                try mapping("add", "devices", "email", "--by-name", "alice", "--domain", "example.org")
                let service = try stage.launch(
                    [product(program)] + arguments
                        + (tls ? [maker.path("server.pem"), maker.path("server.key")] : []), as: web)
                let port = try #require(stage.serviceLog().firstMatch(of: /serving (\d+)/)?.1)
                try body(
                    WebScene(
                        stage: stage, maker: maker, service: service, port: port, alice: alice, hers: hers,
                        isTLS: tls))
            }
        }

        func token(subject: String = "1234", lasting seconds: Int = 600) throws -> String {
            let end = Int(Date().timeIntervalSince1970) + seconds
            return try maker.token(
                #"{"iss":"https://login.test","aud":"https://web.test","sub":"\#(subject)","exp":\#(end)}"#,
                key: "k1")
        }

        func command(_ path: String, _ options: [String]) -> [String] {
            ["/usr/bin/curl", "-sS", "-N", "-w", " %{http_code} %header{www-authenticate}\n"]
                + (isTLS ? ["--cacert", maker.path("ca.pem")] : []) + options
                + ["\(isTLS ? "https" : "http")://127.0.0.1:\(port)\(path)"]
        }

        /// What curl prints, the status and the challenge.
        func curl(_ path: String, _ options: String...) throws -> String {
            try stage.run(command(path, options)).output
        }

        func bearer(_ path: String, _ token: String) throws -> String {
            try curl(path, "-H", "Authorization: Bearer \(token)")
        }

        /// Starts a request that goes on until its client is nobody, and others after it; what curl prints then.
        func hold(_ options: [String], then others: [String] = []) throws -> () throws -> String {
            let path = stage.directory + "/held.\(UUID())"
            let output = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
            defer { close(output) }
            let process = try stage.start(
                command("/hold?path=\(hers)", options) + others, streams: (-1, output, -1))
            try eventually("the first answer") {
                try String(contentsOfFile: path, encoding: .utf8).contains("hers\n")
            }
            return {
                try process.wait()
                return try String(contentsOfFile: path, encoding: .utf8)
            }
        }

        func certificate(_ name: String) -> [String] {
            ["--cert", maker.path(name + ".pem"), "--key", maker.path(name + ".key")]
        }
    }

    private let invalid = #" 401 Bearer error="invalid_token""# + "\n"

    @Suite(
        "An HTTP request as who its client proves to be", .asRoot,
        .enabled(
            if: access("/usr/bin/curl", X_OK) == 0 && ProofMaker.isPossible, "needs curl and openssl"))
    struct AuthenticationTests {
        @Test("a bearer is the client, up to the response's last byte; nobody else is, and never the service")
        func bearer() throws {
            try WebScene.on(["auth", "required", "bearer"]) { (scene) throws in
                let token = try scene.token()
                #expect(try scene.bearer("/who?path=\(scene.hers)", token) == "hers 200 \n")
                #expect(try scene.bearer("/stream?path=\(scene.hers)", token) == "hers hers  200 \n")
                #expect(try scene.bearer("/name", token) == "alice Impersonation JWT 200 \n")
                #expect(try scene.curl("/open?path=\(scene.hers)") == "nobody 200 \n")
                #expect(try scene.curl("/who?path=\(scene.hers)") == " 401 Bearer\n")
                #expect(try scene.bearer("/who?path=\(scene.hers)", "x.y.z") == invalid)
                #expect(try scene.bearer("/who", try scene.token(lasting: -5)) == invalid)
                #expect(try scene.bearer("/who", try scene.token(subject: "5678")) == " 403 \n")
                #expect(try scene.curl("/who", "-H", "Authorization: Basic YTpi") == " 401 Bearer\n")
                #expect(
                    try scene.curl(
                        "/who", "-H", "Authorization: Bearer \(token)", "-H", "Authorization: Bearer \(token)"
                    ) == " 400 \n")
                try scene.stage.waitForAudit("logon", "JWT", "rule 1")
                try scene.stage.waitForAudit("logon-failed", "JWT")
                // Each session ended with its request.
                try eventually("the end of the sessions") {
                    try !scene.stage.run([product("guise"), "session", "list"]).output.contains("alice")
                }
            }
        }

        @Test("without a proof a request is Anonymous's where none is required; with a wrong one it is not")
        func optional() throws {
            try WebScene.on(["auth", "optional", "bearer"]) { (scene) throws in
                let everybodys = try scene.stage.file("all", "all", mode: 0o644)
                #expect(try scene.curl("/name") == "anonymous Anonymous Anonymous 200 \n")
                #expect(try scene.curl("/who?path=\(scene.hers)") == "nobody 200 \n")
                #expect(try scene.curl("/who?path=\(everybodys)") == "all 200 \n")
                #expect(try scene.bearer("/who?path=\(scene.hers)", try scene.token()) == "hers 200 \n")
                #expect(try scene.bearer("/who?path=\(scene.hers)", "x.y.z") == invalid)
                #expect(try scene.curl("/name", "-H", "Authorization: Basic YTpi") == " 401 Bearer\n")
            }
        }

        @Test("Negotiate takes one round, and its answer goes back with the response")
        func negotiate() throws {
            try WebScene.on(["auth", "required", "stand-in,bearer"]) { (scene) throws in
                func negotiate(_ token: String) throws -> String {
                    let text = Data(token.utf8).base64EncodedString()
                    return try scene.curl(
                        "/who?path=\(scene.hers)", "-H", "Authorization: negotiate \(text)")
                }
                let reply = Data("reply".utf8).base64EncodedString()
                #expect(try negotiate(try scene.token()) == "hers 200 Negotiate \(reply)\n")
                #expect(try negotiate(try scene.token(subject: "5678")) == " 403 \n")
                // Each challenge is a field of its own, of which curl prints the first.
                for token in ["x", "more"] { #expect(try negotiate(token) == " 401 Negotiate\n") }
                #expect(try scene.curl("/who") == " 401 Negotiate\n")
                #expect(try scene.curl("/who", "-i").contains("Bearer"))
                #expect(try scene.curl("/who", "-H", "Authorization: Negotiate !") == " 400 \n")
                #expect(try scene.bearer("/who?path=\(scene.hers)", try scene.token()) == "hers 200 \n")
            }
        }

        @Test("a token does nothing for a service without SeImpersonatePrivilege")
        func privilege() throws {
            try WebScene.on(["auth", "required", "bearer"], privileges: []) { (scene) throws in
                #expect(try scene.bearer("/who?path=\(scene.hers)", try scene.token()) == " 403 \n")
                #expect(scene.stage.serviceLog().contains("SeImpersonatePrivilege"))
            }
        }

        @Test("who is let in loses it with the rule, and when the token expires")
        func revoked() throws {
            try WebScene.on(["auth", "required", "bearer"]) { (scene) throws in
                func hold(_ token: String) throws -> () throws -> String {
                    try scene.hold(["-H", "Authorization: Bearer \(token)"])
                }
                let short = try hold(try scene.token(lasting: 4))
                #expect(try short().contains("nobody\n"))
                let token = try scene.token()
                let long = try hold(token)
                #expect(try scene.stage.run([product("guise"), "mapping", "remove", "1"]).status == 0)
                #expect(try long().contains("nobody\n"))
                #expect(try scene.bearer("/who?path=\(scene.hers)", token) == " 403 \n")
                try scene.stage.waitForAudit("mapping-changed", "remove rule 1")
            }
        }

        @Test("a client is known by its certificate; without one, the next scheme is asked")
        func certificate() throws {
            try WebScene.on(["auth", "required", "certificate,bearer"], tls: true) { (scene) throws in
                func as_(_ name: String, _ path: String) throws -> String {
                    try scene.stage.run(scene.command(path, scene.certificate(name))).output
                }
                #expect(try as_("alice", "/who?path=\(scene.hers)") == "hers 200 \n")
                #expect(try as_("alice", "/name") == "alice Impersonation TLS 200 \n")
                #expect(try as_("alice", "/open?path=\(scene.hers)") == "nobody 200 \n")
                #expect(try as_("stranger", "/who?path=\(scene.hers)") == " 403 \n")
                #expect(try scene.curl("/who?path=\(scene.hers)") == " 401 Bearer\n")
                #expect(try scene.bearer("/who?path=\(scene.hers)", try scene.token()) == "hers 200 \n")
                // A certificate that is refused is not made good by a token.
                let both =
                    scene.certificate("stranger") + ["-H", "Authorization: Bearer \(try scene.token())"]
                #expect(
                    try scene.stage.run(scene.command("/who?path=\(scene.hers)", both)).output == " 403 \n")
                let elsewhere = try ProofMaker(in: scene.stage.folder("elsewhere"))
                try elsewhere.authority("evil")
                try elsewhere.certificate(
                    "alice", by: "evil",
                    ["extendedKeyUsage=clientAuth", "subjectAltName=email:alice@example.org"])
                let forged = ["--cert", elsewhere.path("alice.pem"), "--key", elsewhere.path("alice.key")]
                #expect(
                    try scene.stage.run(scene.command("/who?path=\(scene.hers)", forged)).output
                        == " 401 Bearer\n")
                try scene.stage.waitForAudit("privilege-used", "SeTcbPrivilege")
            }
        }

        @Test("without its rule a certificate is nobody's, also on the connection that it was shown on")
        func kept() throws {
            try WebScene.on(["auth", "required", "certificate,bearer"], tls: true) { (scene) throws in
                let held = try scene.hold(
                    scene.certificate("alice"),
                    then: [String](
                        repeating: "https://127.0.0.1:\(scene.port)/who?path=\(scene.hers)", count: 2))
                #expect(try scene.stage.run([product("guise"), "mapping", "remove", "2"]).status == 0)
                // The first comes on the same connection, and is told that it ends; the second on a new one.
                let output = try held()
                #expect(output.hasSuffix("nobody\n 200 \n 401 Bearer\n 403 \n"), "\(output.suffix(200))")
            }
        }

        @Test("a client has to wait with what it sends until the authority knows it")
        func patience() throws {
            try WebScene.on(["tls", "required"], tls: true) { (scene) throws in
                func resident() throws -> Int {
                    let path = "/proc/\(scene.service.pid)/statm"
                    let pages = try String(contentsOfFile: path, encoding: .utf8).split(separator: " ")[1]
                    return (Int(pages) ?? 0) * 4096
                }
                let path = scene.stage.directory + "/answers"
                let output = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
                defer { close(output) }
                let authority = try #require(scene.stage.authority)
                authority.signal(SIGSTOP)
                defer { authority.signal(SIGCONT) }
                let before = try resident()
                let connect =
                    "openssl s_client -quiet -connect 127.0.0.1:\(scene.port)"
                    + " -CAfile \(scene.maker.path("ca.pem")) -cert \(scene.maker.path("alice.pem"))"
                    + " -key \(scene.maker.path("alice.key"))"
                _ = try scene.stage.start(
                    [
                        "/bin/sh", "-c",
                        "(yes \(scene.hers) | head -c 100000000; sleep 9) | timeout 9 \(connect) 2>/dev/null",
                    ], streams: (-1, output, -1))
                sleep(3)
                #expect(try resident() - before < 16 << 20)
                #expect(try String(contentsOfFile: path, encoding: .utf8).isEmpty)
                authority.signal(SIGCONT)
                try eventually("the first answer") {
                    try String(contentsOfFile: path, encoding: .utf8).contains("hers, nobody")
                }
            }
        }

        @Test("without SeTcbPrivilege a certificate's client can be looked at, and not be acted as")
        func untrusted() throws {
            try WebScene.on(["auth", "required", "certificate"], tls: true, trusted: false) {
                (scene) throws in
                let options = scene.certificate("alice")
                #expect(
                    try scene.stage.run(scene.command("/name", options)).output
                        == "alice Identification TLS 200 \n")
                #expect(
                    try scene.stage.run(scene.command("/who?path=\(scene.hers)", options)).output
                        == "nobody 200 \n")
            }
        }

        @Test(
            "a channel over TLS is its client, as openssl connects; without a certificate it is closed where one is required",
            arguments: ["required", "optional"])
        func channel(form: String) throws {
            try WebScene.on(["tls", form], tls: true) { (scene) throws in
                func ask(_ options: [String], resuming: Bool = false) throws -> String {
                    let connect =
                        "openssl s_client -quiet -connect 127.0.0.1:\(scene.port) -CAfile \(scene.maker.path("ca.pem")) "
                        + options.joined(separator: " ")
                    return try scene.stage.run([
                        "/bin/sh", "-c", "(echo \(scene.hers); sleep 2) | timeout 10 \(connect) 2>/dev/null",
                    ]).output
                }
                let own = ["-cert \(scene.maker.path("alice.pem"))", "-key \(scene.maker.path("alice.key"))"]
                #expect(try ask(own) == "hers, nobody\n")
                #expect(try ask(own + ["-tls1_2"]) == "hers, nobody\n")
                #expect(try ask([]) == (form == "required" ? "" : "no certificate, nobody\n"))
                let others = [
                    "-cert \(scene.maker.path("stranger.pem"))", "-key \(scene.maker.path("stranger.key"))",
                ]
                #expect(try ask(others) == "")
                try eventually("the refusal") { scene.stage.serviceLog().contains("no rule of the issuer") }
                // A session that is resumed is the same client's.
                let session = scene.stage.directory + "/session"
                #expect(try ask(own + ["-tls1_2", "-sess_out \(session)"]) == "hers, nobody\n")
                let resumed = try ask(["-tls1_2", "-sess_in \(session)"])
                #expect(resumed == "hers, nobody\n" || resumed == "" || resumed == "no certificate, nobody\n")
            }
        }

        #if GRPC
            @Test(
                "a bearer's call by gRPC over TCP, from Python, is the bearer's",
                .enabled(
                    if: FileManager.default.fileExists(atPath: "/usr/lib/python3/dist-packages/grpc"),
                    "needs python3-grpcio"))
            func rpc() throws {
                try WebScene.on(["serve", "tcp", "--packages"], of: "guise-test-grpc") { (scene) throws in
                    let script = try scene.stage.file(
                        "call.py",
                        """
                        import sys
                        import grpc
                        port, path, *tokens = sys.argv[1:]
                        with grpc.insecure_channel("127.0.0.1:" + port) as channel:
                            read = channel.unary_unary("/guise.test.Who/Read", request_serializer=str.encode,
                                                       response_deserializer=bytes.decode)
                            for token in tokens:
                                try:
                                    print(read(path, metadata=[("authorization", "Bearer " + token)]))
                                except grpc.RpcError as error:
                                    print(error.code().name)

                        """, mode: 0o644)
                    let tokens = try [
                        scene.token(), scene.token(), scene.token(lasting: -5), scene.token(subject: "5678"),
                        "x.y.z",
                    ]
                    let outcome = try scene.stage.run(
                        ["/usr/bin/python3", script, String(scene.port), scene.hers] + tokens)
                    #expect(
                        outcome.output
                            == "hers\nhers\nUNAUTHENTICATED\nPERMISSION_DENIED\nUNAUTHENTICATED\n",
                        "\(outcome.errors)")
                    // Each session ended with its call.
                    try eventually("the end of the sessions") {
                        try !scene.stage.run([product("guise"), "session", "list"]).output.contains("alice")
                    }
                }
            }
        #endif
    }
#endif
