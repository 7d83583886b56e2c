import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("The control socket and what comes to it", .asRoot)
struct ControlTests {
    /// A bare connection to the authority.
    private func connect(_ stage: Stage) throws -> Int32 {
        let socket = guise_unix_socket(Int32(SOCK_SEQPACKET.rawValue), false)
        let path = stage.runtime + "/" + ControlPacket.socketName
        try #require(guise_unix_connect(socket, path, path.utf8.count) == 0)
        return socket
    }

    /// What a bare connection gets back: a response, or nil when the authority ended it.
    private func response(_ socket: Int32) throws -> WireResponse? {
        var one = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        try #require(poll(&one, 1, 10_000) == 1)
        do throws(ControlPacket.Failure) {
            let received = try ControlPacket.receive(WireResponse.self, from: socket)
            if let descriptor = received.descriptor { close(descriptor) }
            return received.message
        } catch { return nil }
    }

    private func request(_ body: WireRequest.OneOf_Body, version: UInt32 = 1, id: UInt64 = 7) throws
        -> [UInt8]
    {
        var request = WireRequest()
        request.version = version
        request.id = id
        request.body = body
        return try request.serializedBytes()
    }

    @Test("what is no message ends that connection and no other")
    func malformed() throws {
        try onScene { scene in
            let good = try request(.rootList(.init()))
            let file = try scene.stage.file("home/hers", "hers", of: scene.alice)
            _ = try scene.client.ask("impersonate")
            let cases: [(String, [UInt8], descriptors: Int)] = [
                ("garbage", [0xff, 0xff, 0xff, 0xff], 0),
                ("cut short", Array(good.dropLast()) + [0x7a, 0x7f], 0),
                ("too long", [UInt8](repeating: 0, count: 65_537), 0), ("empty", [], 0),
                ("two descriptors", good, 2), ("many descriptors", good, 253),
            ]
            for (name, bytes, descriptors) in cases {
                let socket = try connect(scene.stage)
                defer { close(socket) }
                _ = test_send(socket, bytes, bytes.count, 0, Int32(descriptors), 0)
                let answer = try response(socket)
                #expect(answer == nil, "\(name): \(String(describing: answer))")
                #expect(try scene.client.ask("cat \(file)").value == "hers")
            }
            // A request that this authority does not know is refused and the connection goes on.
            let socket = try connect(scene.stage)
            defer { close(socket) }
            for bytes in [
                try request(.rootList(.init()), version: 2), [0x08, 1, 0x10, 7],
                [0x08, 1, 0x10, 7, 0xfa, 0x3e, 0],
            ] {
                _ = test_send(socket, bytes, bytes.count, -1, 0, 0)
                #expect(try response(socket)?.refusal.reason == .unsupported)
            }
            _ = test_send(socket, good, good.count, 0, 1, 0)
            let roots = try response(socket)
            #expect(roots?.roots.roots.count == 1, "\(String(describing: roots))")
        }
    }

    @Test("a made-up sender is not believed")
    func madeUpSender() throws {
        try onScene { scene in
            let socket = try connect(scene.stage)
            defer { close(socket) }
            let bytes = try request(.rootList(.init()))
            // Root may claim to be another process; then it is not the one that connected.
            #expect(test_send(socket, bytes, bytes.count, -1, 0, scene.service.pid) > 0)
            #expect(try response(socket)?.refusal.reason == .accessDenied)
        }
    }

    @Test("whatever bytes come, the authority goes on and nobody else notices")
    func fuzz() throws {
        let seed =
            ProcessInfo.processInfo.environment["GUISE_FUZZ_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0...UInt64.max)
        let rounds = ProcessInfo.processInfo.environment["GUISE_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 3000
        print("fuzzing the control socket: GUISE_FUZZ_SEED=\(seed) GUISE_FUZZ_ROUNDS=\(rounds)")
        var random = Repeatable(state: seed)
        try onScene { scene in
            let file = try scene.stage.file("home/hers", "hers", of: scene.alice)
            _ = try scene.client.ask("impersonate")
            let nobody = FreshUsers.take()
            let bodies: [WireRequest.OneOf_Body] = [
                .attach(
                    .with {
                        $0.pid = UInt32(getpid()); $0.threads = 16; $0.nonce = .init(count: 16)
                    }), .capture(.init()),
                .openHandle(
                    .with {
                        $0.capture = 1; $0.atMost = .delegation
                    }), .closeCapture(.with { $0.capture = 1 }),
                .register(.with { $0.level = .delegation }),
                .tokenOf(.with { $0.process = UInt32(scene.service.pid) }),
                .threads(.with { $0.process = 1 }), .launch(.with { $0.account = "files" }),
                .mediate(.with { $0.listener = 3 }),
                .lookUp(.with { $0.names = ["alice"] }), .accountList(.init()), .rootList(.init()),
                .descriptorGet(.with { $0.path = scene.root }), .capturedToken(.with { $0.capture = 1 }),
                .accountAdd(.with { $0.account.name = "x" }), .rootAdd(.with { $0.path = "/tmp" }),
                .descriptorSet(
                    .with {
                        $0.path = scene.root; $0.sddl = "D:"
                    }),
                .connections(.with { $0.process = UInt32(scene.service.pid) }), .sessions(.init()),
                .status(.init()),
            ]
            var socket: Int32 = -1
            defer { close(socket) }
            for _ in 0..<rounds {
                if socket < 0 {
                    // As somebody who may do nothing, so that what makes sense by chance does no harm.
                    try #require(guise_credentials_assume(nobody, nobody, [UInt32](), 0) == 0)
                    defer { _ = guise_credentials_restore() }
                    socket = try connect(scene.stage)
                }
                var bytes = try request(
                    bodies[Int(random.next() % UInt64(bodies.count))], id: random.next() % 3)
                for _ in 0..<(random.next() % 6) where !bytes.isEmpty {
                    let at = Int(random.next() % UInt64(bytes.count))
                    switch random.next() % 4 {
                    case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                    case 1: bytes.removeSubrange(at...)
                    case 2: bytes.insert(contentsOf: bytes[at...], at: at)
                    default: bytes[at] ^= 1 << UInt8(random.next() % 8)
                    }
                }
                let descriptors = Int(random.next() % 3)
                if test_send(socket, bytes, bytes.count, 0, descriptors == 2 ? 1 : 0, 0) < 0 {
                    close(socket)
                    socket = -1
                    continue
                }
                // Reads what came, so that the authority is not held up.
                var rest = [UInt8](repeating: 0, count: 65_536)
                while recv(socket, &rest, rest.count, Int32(MSG_DONTWAIT)) > 0 {}
            }
            #expect(scene.stage.authority?.hasEnded == false, "seed \(seed)")
            #expect(try scene.client.ask("cat \(file)").value == "hers", "seed \(seed)")
            #expect(try scene.service.client(scene.bob).acting("cat \(file)").errno == EACCES, "seed \(seed)")
        }
    }

    @Test("a process attaches once, as itself, with a page of a size that makes sense")
    func attaching() throws {
        try onScene { scene in
            let socket = try connect(scene.stage)
            defer { close(socket) }
            func attach(_ change: (inout WireAttach) -> Void) throws -> WireResponse? {
                var attach = WireAttach()
                attach.pid = UInt32(getpid())
                attach.threads = 16
                attach.nonce = .init(count: 16)
                change(&attach)
                let bytes = try request(.attach(attach))
                _ = test_send(socket, bytes, bytes.count, -1, 0, 0)
                return try response(socket)
            }
            for threads: UInt32 in [0, 1, 15, 17, 131_072, .max] {
                #expect(try attach { $0.threads = threads }?.refusal.reason == .badRequest)
            }
            #expect(try attach { $0.nonce = .init(count: 15) }?.refusal.reason == .badRequest)
            #expect(try attach { $0.pid = 1 }?.refusal.reason == .wrongNamespace)
            #expect(try attach { _ in }?.attached.mediated == false)
            #expect(try attach { _ in }?.refusal.reason == .alreadyAttached)
            let again = try connect(scene.stage)
            defer { close(again) }
            let bytes = try request(
                .attach(
                    .with {
                        $0.pid = UInt32(getpid()); $0.threads = 16; $0.nonce = .init(count: 16)
                    }))
            _ = test_send(again, bytes, bytes.count, -1, 0, 0)
            #expect(try response(again)?.refusal.reason == .alreadyAttached)
        }
    }

    @Test("a user has no more than so many control connections, and others are not held up by it")
    func connectionLimit() throws {
        try onStage { stage in
            let (greedy, alice) = (stage.stranger(), try stage.user("alice"))
            var sockets: [Int32] = []
            defer { sockets.forEach { close($0) } }
            try #require(guise_credentials_assume(greedy.uid, greedy.uid, [UInt32](), 0) == 0)
            let path = stage.runtime + "/" + ControlPacket.socketName
            for _ in 0..<4200 {
                let socket = guise_unix_socket(Int32(SOCK_SEQPACKET.rawValue), false)
                guard socket >= 0 else { break }
                sockets.append(socket)
                guard guise_unix_connect(socket, path, path.utf8.count) == 0 else { break }
            }
            try #require(guise_credentials_restore() == 0)
            try stage.waitForLog("too many control connections", "\(greedy.uid)")
            #expect(try stage.run([product("idn"), "show"], as: alice).status == 0)
            let authority = try #require(stage.authority).pid
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/fd").count
            #expect(open < 4096 + 200)
        }
    }

    @Test(
        "only an administrator changes accounts, roots and descriptors; only a confined process becomes a service"
    )
    func rights() throws {
        try onScene { scene in
            let commands = [
                ["account", "add", "mallory"], ["account", "grant", "bob", "SeImpersonatePrivilege"],
                ["account", "remove", "alice"], ["root", "add", "/tmp/x"],
                ["run", "files", "--", "/bin/true"],
            ]
            for command in commands {
                let refused = try scene.stage.run([product("guise")] + command, as: scene.bob)
                #expect(refused.status != 0, "\(command)")
            }
            let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
            _ = try authority.call(.launch(.with { $0.account = "files" }))
            // The test process is root and has many threads: not confined.
            #expect(throws: GuiseError.self) { try authority.call(.mediate(.with { $0.listener = 0 })) }
        }
    }
}

/// The same numbers for the same seed (SplitMix64).
struct Repeatable {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
