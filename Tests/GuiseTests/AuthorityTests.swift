import CGuise
import Foundation
import Testing

@Suite("The authority's beginning and end", .asRoot)
struct AuthorityTests {
    @Test("killed at any moment under load, the service gets errors and never access")
    func killed() throws {
        let rounds = ProcessInfo.processInfo.environment["GUISE_KILL_ROUNDS"].flatMap { Int($0) } ?? 3
        for _ in 0..<rounds {
            try onScene { scene in
                let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
                let his = try scene.stage.file("home/his", "his", of: scene.bob)
                let clients = try (0..<6).map { _ in try scene.service.client(scene.alice) }
                for client in clients { try client.send("hammer 1.2 \(hers) hers \(his)") }
                usleep(UInt32.random(in: 200_000...900_000))
                scene.stage.killAuthority()
                for client in clients {
                    let outcome = try client.reply()
                    #expect(outcome.value == "worked true failed true", "\(outcome)")
                }
                #expect(try scene.client.ask("cat \(hers)").errno == ENOSYS)
                // A new one from the same state: the old service has nothing of it, a new one all.
                try scene.stage.startAuthority()
                #expect(try scene.client.ask("cat \(hers)").errno == ENOSYS)
                #expect(try scene.client.ask("impersonate").thrown != nil)
                scene.service.process.end()
                let service = try scene.stage.serve(scene.service.account, name: "again")
                let client = try service.client(scene.alice)
                #expect(try client.ask("client").value?.hasPrefix("\(scene.alice.sid) alice") == true)
                #expect(try client.acting("cat \(hers)").value == "hers")
                let managed = try scene.stage.managedFile(
                    scene.root + "/hers", "managed", "O:BAG:SYD:(A;;FR;;;{alice})", for: scene.alice)
                #expect(try client.acting("cat \(managed)").value == "managed")
            }
        }
    }

    @Test(
        "a service that checks access itself is told when the authority is gone, and may attach to the next")
    func restarted() throws {
        try onStage { stage in
            let alice = try stage.user("alice")
            let service = try stage.serveUnmediated(try stage.service("files"))
            let client = try service.client(alice)
            #expect(try client.ask("adopt").value == "impersonation")
            _ = try client.ask("impersonate identification")
            stage.killAuthority()
            usleep(50_000)
            #expect(try client.ask("impersonate identification").thrown == "authorityLost")
            #expect(try client.ask("token").thrown == "authorityLost")
            #expect(try client.ask("reattach cooperative").thrown == "authorityUnreachable")
            try stage.startAuthority()
            #expect(try client.ask("reattach cooperative").value != nil)
            // What was impersonated before is not taken up again.
            #expect(try client.ask("token").value?.hasSuffix(" primary") == true)
            let other = try service.client(alice)
            #expect(try other.ask("impersonate identification").value != nil)
            #expect(try other.ask("token").value == "alice identification")
            #expect(try other.ask("reattach cooperative").thrown == "alreadyAttached")
        }
    }

    @Test("it tells a service manager when it is ready, and stops cleanly when asked to")
    func lifecycle() throws {
        try onStage(withAuthority: false) { stage in
            let path = stage.directory + "/notify"
            let socket = guise_unix_socket(Int32(SOCK_DGRAM.rawValue), false)
            defer { close(socket) }
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(bound == 0)
            try stage.startAuthority(environment: ["NOTIFY_SOCKET": path])
            // It answers a moment before it says so.
            var one = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            try #require(poll(&one, 1, 5000) == 1)
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = recv(socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            #expect(String(decoding: bytes[..<max(0, count)], as: UTF8.self) == "READY=1")
            // A second one does not take its place.
            let second = try stage.run([
                product("guised"), "--state", stage.directory + "/state", "--runtime", stage.runtime,
            ])
            #expect(second.status == 1 && second.errors.contains("another guised"))
            // Stops with a service and a client attached.
            let alice = try stage.user("alice")
            let service = try stage.serve(try stage.service("files"))
            let client = try service.client(alice)
            _ = try client.ask("impersonate")
            let authority = try #require(stage.authority)
            authority.signal(SIGTERM)
            #expect(try authority.wait() == 0)
            #expect(access(stage.runtime + "/guise.sock", F_OK) != 0)
            #expect(try client.ask("cat /etc/hostname").errno == ENOSYS)
        }
    }

    @Test("directories that others could write are refused", arguments: ["state", "runtime"])
    func unsafeDirectories(which: String) throws {
        try onStage(withAuthority: false) { stage in
            mkdir(stage.runtime, 0o755)
            chmod(stage.directory + "/" + which, 0o777)
            let refused = try stage.run(
                [product("guised"), "--state", stage.directory + "/state", "--runtime", stage.runtime])
            #expect(refused.status == 1)
            #expect(refused.errors.contains(which), "\(refused.errors)")
        }
    }

    @Test(
        "impersonating and reverting make no system call",
        .enabled(if: access("/usr/bin/strace", X_OK) == 0, "strace is not installed"))
    func noSystemCall() throws {
        try onScene { scene in
            _ = try scene.client.ask("spin 1")
            let trace = scene.stage.directory + "/trace"
            let strace = try scene.stage.start(
                ["/usr/bin/strace", "-f", "-qq", "-o", trace, "-p", "\(scene.service.pid)"])
            let ids = try #require(try scene.client.ask("ids").value).split(separator: "/")
            // The tracer is there once it sees a call of this thread.
            try eventually("strace to attach") {
                _ = try scene.client.ask("ids")
                return ((try? String(contentsOfFile: trace, encoding: .utf8)) ?? "").contains("\(ids[1]) ")
            }
            let before = try calls(in: trace, of: ids[1])
            _ = try scene.client.ask("spin 100000")
            usleep(100_000)
            let during = try calls(in: trace, of: ids[1]) - before
            strace.signal(SIGINT)
            _ = try strace.wait()
            // Reading the command, writing the answer, reading again: not one of 100,000.
            #expect(during > 0 && during < 20, "\(during) calls")
        }
    }

    private func calls(in trace: String, of thread: Substring) throws -> Int {
        try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n").count {
            $0.hasPrefix("\(thread) ")
        }
    }
}
