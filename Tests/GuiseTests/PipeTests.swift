import CGuise
import Foundation
import Guise
import Testing

/// A service that serves pipes, on the thread of a connection of root's.
struct PipeScene {
    let stage: Stage
    let service: Service
    let alice: Person
    let bob: Person
    /// Tells the service what to do.
    let server: Client
    /// A process of alice's that opens pipes; it is not attached.
    let hers: Client
    /// The same of bob's.
    let his: Client

    /// A file that only alice may read.
    func secret() throws -> String {
        stage.folder("home", of: alice)
        return try stage.file("home/hers", "hers", of: alice)
    }

    /// Full access for everybody.
    static let open = "sddl D:(A;;FA;;;WD)"
}

func onPipes(
    privileges: [String] = ["SeImpersonatePrivilege"], _ body: (PipeScene) throws -> Void
) throws {
    try onStage { (stage) throws in
        let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
        let service = try stage.serve(try stage.service("files", privileges: privileges))
        let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
        try body(
            PipeScene(
                stage: stage, service: service, alice: alice, bob: bob, server: try service.client(root),
                hers: try Client(commandsOn: stage, as: alice), his: try Client(commandsOn: stage, as: bob)))
    }
}

@Suite("Named pipes", .asRoot)
struct PipeTests {
    // MARK: Who may

    @Test("a client opens a pipe for what its descriptor grants and for nothing more")
    func rights() throws {
        try onPipes { (scene) throws in
            for (index, (granted, allowed)) in [
                ("0x1", ["read"]), ("0x2", ["write"]), ("0x3", ["read", "write", ""]), ("0x84", []),
                ("FR", ["read"]), ("FW", ["write"]), ("FX", []), ("FA", ["read", "write", ""]),
            ].enumerated() {
                let name = "rights\(index)"
                let sddl = "D:(A;;\(granted);;;\(scene.alice.sid))(D;;0x100;;;WD)"
                #expect(try scene.server.ask("pipe-serve \(name) sddl \(sddl)").value != nil)
                for access in ["read", "write", ""] {
                    let reply = try scene.hers.ask("pipe-open \(name) \(access)")
                    #expect(
                        allowed.contains(access) ? reply.number != nil : reply.thrown == "accessDenied",
                        "\(granted) \(access): \(reply)")
                    #expect(try scene.his.ask("pipe-open \(name) \(access)").thrown == "accessDenied")
                }
            }
            #expect(try scene.hers.ask("pipe-open nobody-serves-this").thrown == "notFound")
            try scene.stage.waitForAudit("access-denied", "PipeOpen", "rights0", scene.bob.sid)
        }
    }

    @Test(
        "without a descriptor the owner and administrators have full access, everyone reads, Anonymous does not"
    )
    func defaultDescriptor() throws {
        try onPipes { (scene) throws in
            #expect(try scene.server.ask("pipe-serve plain").value != nil)
            #expect(try scene.hers.ask("pipe-open plain").thrown == "accessDenied")
            #expect(try scene.hers.ask("pipe-open plain read").number != nil)
            let root = try Client(
                commandsOn: scene.stage, as: Person(name: "root", uid: 0, sid: ""))
            #expect(try root.ask("pipe-open plain").number != nil)
            #expect(try scene.server.ask("pipe-open plain").number != nil)
            // A thread that acts as an anonymous client is Anonymous.
            let nobody = try scene.service.client(scene.alice, level: "anonymous")
            _ = try nobody.ask("impersonate")
            #expect(try nobody.ask("pipe-open plain read").thrown == "accessDenied")
        }
    }

    @Test("serving a pipe that is there takes FILE_CREATE_PIPE_INSTANCE, and the same settings")
    func joining() throws {
        try onPipes { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let other = try second.client(scene.alice)
            let sddl = "sddl D:(A;;0x83;;;\(second.account.sid))(A;;FA;;;\(scene.service.account.sid))"
            #expect(try scene.server.ask("pipe-serve shared message instances 3 \(sddl)").value != nil)
            #expect(try other.ask("pipe-serve shared message instances 3").thrown == "accessDenied")
            #expect(
                try scene.server.ask("pipe-serve Shared message instances 3 first").thrown == "alreadyExists")
            #expect(try scene.server.ask("pipe-unserve shared").value != nil)
            let both = "sddl D:(A;;0x87;;;SU)(A;;0x83;;;WD)"
            #expect(try scene.server.ask("pipe-serve shared message instances 2 first \(both)").value != nil)
            for wrong in ["instances 2", "message instances 3", "message inbound instances 2"] {
                #expect(try other.ask("pipe-serve shared \(wrong)").thrown == "invalid")
            }
            #expect(try other.ask("pipe-serve shared message instances 2").value != nil)
            #expect(try scene.server.ask("pipe-serve shared message instances 2").thrown == "busy")
            // Both have as many clients.
            for _ in 0..<2 { #expect(try scene.hers.ask("pipe-open shared").number != nil) }
            #expect(try scene.server.ask("pipe-accept shared").value == "impersonation")
            #expect(try other.ask("pipe-accept shared").value == "impersonation")
            #expect(try scene.hers.ask("pipe-open shared").thrown == "busy")
        }
    }

    @Test("a service account's name is nobody else's to serve, not even while the service is down")
    func squatting() throws {
        try onPipes { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let other = try second.client(scene.alice)
            for name in ["files", "FILES", "files/admin", #"\\.\pipe\files"#] {
                #expect(try other.ask("pipe-serve \(name)").thrown == "accessDenied", "\(name)")
            }
            #expect(try other.ask("pipe-serve filesystem").value != nil)
            // Acting as a client does not help.
            _ = try other.ask("impersonate")
            #expect(try other.ask("pipe-serve files").thrown == "accessDenied")
            #expect(try scene.server.ask("pipe-serve files/admin").value != nil)
        }
    }

    @Test("names are told apart without regard to case, and only good ones are names")
    func names() throws {
        try onPipes { (scene) throws in
            #expect(try scene.server.ask("pipe-serve Straße/Überall \(PipeScene.open)").value != nil)
            #expect(try scene.hers.ask(#"pipe-open \\.\PIPE\straße/ÜBERALL"#).number != nil)
            let long = String(repeating: "x", count: 256)
            #expect(try scene.server.ask("pipe-serve \(long)").value != nil)
            for bad in [long + "x", #"a\b"#, #"\\.\pipe\"#, #"\\server\pipe\x"#, "a\u{7f}"] {
                #expect(try scene.server.ask("pipe-serve \(bad)").thrown == "invalid", "\(bad)")
                #expect(try scene.hers.ask("pipe-open \(bad)").thrown == "invalid", "\(bad)")
            }
        }
    }

    // MARK: Whom the server sees

    @Test(
        "what a client allows is what the server gets",
        arguments: [
            ("anonymous", "S-1-5-7", Int32?.some(EACCES)), ("identification", "alice", EACCES),
            ("impersonation", "alice", nil), ("delegation", "alice", nil),
        ])
    func levels(level: String, name: String, refusal: Int32?) throws {
        try onPipes { (scene) throws in
            let secret = try scene.secret()
            _ = try scene.server.ask("pipe-serve pipe \(PipeScene.open)")
            #expect(try scene.hers.ask("pipe-open pipe \(level)").number != nil)
            #expect(try scene.server.ask("pipe-accept pipe").value == level)
            #expect(try scene.server.ask("client").value?.contains(name) == true)
            let process = level == "anonymous" ? "0 -" : "\(scene.hers.process.pid) session"
            #expect(try scene.server.ask("pipe-peer").value == process)
            let read = try scene.server.acting("cat \(secret)")
            if let refusal { #expect(read.errno == refusal) } else { #expect(read.value == "hers") }
            #expect(try scene.server.acting("cat \(secret)", atMost: "identification").errno == EACCES)
        }
    }

    @Test("every gate is asked: without the privilege another user is refused, and can still be identified")
    func gates() throws {
        try onPipes(privileges: []) { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe \(PipeScene.open)")
            _ = try scene.hers.ask("pipe-open pipe")
            #expect(try scene.server.ask("pipe-accept pipe").value == "impersonation")
            #expect(try scene.server.ask("impersonate").thrown == "privilegeNotHeld")
            #expect(try scene.server.ask("token").value == "files primary")
            #expect(try scene.server.ask("impersonate identification").value != nil)
            #expect(try scene.server.ask("token").value == "alice identification")
            _ = try scene.server.ask("revert")
            _ = try scene.hers.ask("pipe-open pipe identification")
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("impersonate").value != nil)
            // Itself it may always be.
            _ = try scene.server.ask("revert")
            _ = try scene.server.ask("pipe-open pipe")
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("impersonate").value != nil)
        }
    }

    @Test("a client whose integrity is above the service's is not acted as, privilege or not")
    func integrity() throws {
        try onPipes { (scene) throws in
            func level(_ name: String, _ level: UInt32) throws {
                try scene.stage.ask(
                    .accountChange(
                        .with {
                            $0.name = name
                            $0.level = level
                        }))
            }
            let account = try scene.stage.service("medium")
            try level("medium", 0x2000)
            let service = try scene.stage.serve(account, name: "medium")
            let server = try service.client(scene.bob)
            #expect(try server.ask("pipe-serve pipe \(PipeScene.open)").value != nil)
            for (alices, refusal) in [(UInt32(0x3000), String?.some("integrityTooHigh")), (0x2000, nil)] {
                try level("alice", alices)
                let client = try Client(commandsOn: scene.stage, as: scene.alice)
                #expect(try client.ask("pipe-open pipe").number != nil)
                #expect(try server.ask("pipe-accept pipe").value == "impersonation")
                #expect(try server.ask("impersonate").thrown == refusal)
                #expect(try server.ask("impersonate identification").value != nil)
                _ = try server.ask("revert")
            }
            // By a pipe's label, without which it is Medium, a client below may read and not write.
            try level("alice", 0x1000)
            let low = try Client(commandsOn: scene.stage, as: scene.alice)
            #expect(try low.ask("pipe-open pipe read").number != nil)
            #expect(try low.ask("pipe-open pipe write").thrown == "accessDenied")
        }
    }

    @Test("the kernel's word on a pipe is nobody's: who decides by it does not take a client for root")
    func peerCredentials() throws {
        try onPipes { (scene) throws in
            for mode in ["", "message"] {
                _ = try scene.server.ask("pipe-serve pipe\(mode) \(mode) \(PipeScene.open)")
                let descriptor = try #require(try scene.hers.ask("pipe-open pipe\(mode)").number)
                _ = try scene.server.ask("pipe-accept pipe\(mode)")
                #expect(try scene.server.ask("pipe-credentials").value == "65534 65534")
                let server = try scene.hers.ask("pipe-server \(descriptor)").value
                #expect(server == "\(scene.service.pid) \(scene.service.account.sid)")
            }
        }
    }

    @Test("a thread that acts as a client opens pipes as that client, and passes on what it has")
    func cascading() throws {
        try onPipes { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let behind = try second.client(scene.bob)
            let alices = "D:(A;;FA;;;\(scene.alice.sid))(A;;FA;;;\(second.account.sid))"
            #expect(try behind.ask("pipe-serve back sddl \(alices)").value != nil)
            #expect(try behind.ask("pipe-serve all \(PipeScene.open)").value != nil)
            #expect(try scene.server.ask("pipe-open back").thrown == "accessDenied")
            for (level, passedOn, user) in [
                ("anonymous", "anonymous", "S-1-5-7"), ("identification", "impersonation", "files"),
                ("impersonation", "impersonation", "alice"), ("delegation", "delegation", "alice"),
            ] {
                let client = try scene.service.client(scene.alice, level: level)
                _ = try client.ask("impersonate")
                let wanted = level == "delegation" ? " delegation" : ""
                // Anonymous is not Everyone.
                if level == "anonymous" {
                    #expect(try client.ask("pipe-open all").thrown == "accessDenied")
                    continue
                }
                #expect(try client.ask("pipe-open all\(wanted)").number != nil, "\(level)")
                #expect(try behind.ask("pipe-accept all").value == passedOn)
                #expect(try behind.ask("client").value?.contains(user) == true)
                if user == "alice" {
                    #expect(try client.ask("pipe-open back").number != nil)
                    _ = try behind.ask("pipe-accept back")
                    _ = try behind.ask("impersonate")
                    #expect(try behind.ask("token").value == "alice impersonation")
                    #expect(try behind.ask("cat \(try scene.secret())").value == "hers")
                    _ = try behind.ask("revert")
                    // In a task of the client's, too, and not behind it.
                    _ = try client.ask("revert")
                    _ = try client.ask("async perform impersonation pipe-open back")
                    _ = try behind.ask("pipe-accept back")
                    #expect(try behind.ask("client").value?.contains("alice") == true)
                    #expect(try client.ask("pipe-open back").thrown == "accessDenied")
                }
            }
        }
    }

    @Test("of what the client had disabled, effective-only leaves nothing")
    func effectiveOnly() throws {
        try onPipes { (scene) throws in
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"
                        $0.grant = ["SeShutdownPrivilege", "SeBackupPrivilege"]
                    }))
            _ = try scene.server.ask("pipe-serve pipe \(PipeScene.open)")
            _ = try scene.hers.ask("pipe-open pipe")
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("privileges").value?.contains("SeBackupPrivilege") == true)
            _ = try scene.hers.ask("pipe-open pipe effective")
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("privileges").value?.contains("SeBackupPrivilege") == false)
            #expect(try scene.server.ask("privileges").value?.contains("SeChangeNotifyPrivilege") == true)
            _ = try scene.server.ask("impersonate")
            #expect(try scene.server.ask("own-privileges").value?.contains("SeBackupPrivilege") == false)
        }
    }

    @Test("static tracking keeps the token of the connect, dynamic tracking follows it")
    func tracking() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe \(PipeScene.open)")
            _ = try scene.hers.ask("pipe-open pipe")
            #expect(try scene.server.ask("pipe-accept pipe").value != nil)
            _ = try scene.server.ask("name fixed")
            let follower = try scene.service.client(scene.bob)
            _ = try scene.hers.ask("pipe-open pipe dynamic")
            #expect(try follower.ask("pipe-accept pipe").value != nil)
            func privileges(_ client: Client) throws -> Bool {
                _ = try client.ask("impersonate")
                defer { _ = try? client.ask("revert") }
                return try client.ask("own-privileges").value?.contains("SeShutdownPrivilege") == true
            }
            #expect(try !privileges(scene.server) && !privileges(follower))
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"
                        $0.grant = ["SeShutdownPrivilege"]
                    }))
            #expect(try !privileges(scene.server) && privileges(follower))
            // Whoever acts by it while it is asked for anew acts under the token as it is now, and as nobody else.
            _ = try follower.ask("impersonate")
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"
                        $0.revoke = ["SeShutdownPrivilege"]
                    }))
            #expect(try follower.ask("own-privileges").value?.contains("SeShutdownPrivilege") == true)
            _ = try follower.ask("impersonate")
            #expect(try follower.ask("own-privileges").value?.contains("SeShutdownPrivilege") == false)
            #expect(try follower.ask("token").value == "alice impersonation")
            // A session that has ended is not followed into the next one.
            _ = try follower.ask("revert")
            guard case .sessions(let list) = try scene.stage.ask(.sessions(.init())) else {
                throw HarnessError("no list")
            }
            for session in list.sessions where session.user.sid == scene.alice.sid {
                try scene.stage.ask(.sessionEnd(.with { $0.session = session.id }))
            }
            #expect(try Client(commandsOn: scene.stage, as: scene.alice).ask("pipe-open pipe").number != nil)
            #expect(try follower.ask("impersonate").thrown == "accessDenied")
        }
    }
}
