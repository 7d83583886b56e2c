import CGuise
import Foundation
import Testing

@Suite("What was another's before", .asRoot)
struct RecycledTests {
    private static let mayChoose: ConditionTrait = .enabled(
        if: access("/proc/sys/kernel/ns_last_pid", W_OK) == 0,
        "needs a kernel that lets root choose the next process id (CHECKPOINT_RESTORE)")

    /// Starts processes until one has this id.
    private func process(_ pid: pid_t, _ start: () throws -> ChildProcess) throws -> ChildProcess {
        var found: ChildProcess?
        try eventually("a process with the id \(pid)", seconds: 60) {
            found?.end()
            try "\(pid - 1)".write(
                toFile: "/proc/sys/kernel/ns_last_pid", atomically: false, encoding: .utf8)
            found = try start()
            return found?.pid == pid
        }
        return found!
    }

    /// A socket of the test's own that a process of alice's connected.
    private func connected(_ scene: Scene, then program: [String]) throws -> (Int32, ChildProcess) {
        let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
        let command = [product("guise-test-service"), "connect-and-run", "0", scene.service.socket] + program
        let process = try scene.stage.start(
            Stage.command(command, as: scene.alice.uid), streams: (socket, -1, 2))
        var name: CChar = 0
        try eventually("the process to connect") { guise_unix_peer_name(socket, &name, 0) != -ENOTCONN }
        return (socket, process)
    }

    @Test("a client whose process id somebody else has by now is who connected", mayChoose)
    func clientID() throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let his = try scene.stage.file("home/his", "his", of: scene.bob)
            let (socket, process) = try connected(scene, then: ["/bin/true"])
            defer { close(socket) }
            try process.wait()
            let bobs = try self.process(process.pid) {
                try scene.stage.start(Stage.command(["/bin/sleep", "infinity"], as: scene.bob.uid))
            }
            for (command, expected) in [
                ("client", scene.alice.sid), ("impersonate", "OK"), ("cat \(hers)", "OK hers"),
                ("cat \(his)", "ERRNO \(EACCES)"),
            ] {
                sendCommand(command, on: socket)
                let answer = try receiveLine(socket)
                #expect(answer.contains(expected), "\(command): \(answer)")
            }
            bobs.end()
        }
    }

    @Test("a process with the id that a mediated service had is its user's, and not the service", mayChoose)
    func serviceID() throws {
        try onScene { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let pid = second.pid
            // The service is known by its process: it has attached, and connected.
            _ = try second.client(scene.alice).ask("impersonate")
            second.process.end()
            var socket: Int32 = -1
            defer { close(socket) }
            let command = [product("guise-test-service"), "connect-and-run", "0", scene.service.socket]
            _ = try process(pid) {
                close(socket)
                socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
                return try scene.stage.start(
                    Stage.command(command + ["/bin/sleep", "infinity"], as: scene.bob.uid),
                    streams: (socket, -1, 2))
            }
            var name: CChar = 0
            try eventually("the process to connect") { guise_unix_peer_name(socket, &name, 0) != -ENOTCONN }
            sendCommand("client", on: socket)
            let answer = try receiveLine(socket)
            #expect(answer.contains(scene.bob.sid) && !answer.contains("second"), "\(answer)")
        }
    }

    @Test("a file with the inode number of one that was known goes by its own descriptor")
    func inode() throws {
        try onScene { (scene) throws in
            let hers = Stage.fill("O:BAG:SYD:P(A;;FA;;;{alice})", [scene.alice])
            let nobodys = "O:BAG:SYD:P(A;;FA;;;SY)"
            for path in [scene.root + "/file", scene.home + "/file"] {
                func make(_ sddl: String) throws -> UInt64 {
                    try scene.stage.file(path, "text", mode: 0o666)
                    try scene.stage.describe(path, sddl)
                    var status = stat()
                    try #require(stat(path, &status) == 0)
                    return UInt64(status.st_ino)
                }
                var met = 0
                for _ in 0..<20 where met < 3 {
                    let before = try make(hers)
                    // Long enough to be remembered by every mediator.
                    usleep(200_000)
                    for _ in 0..<6 {
                        #expect(try scene.client.acting("syscall \(SYS_stat) @\(path) #144").number == 0)
                        #expect(try scene.client.acting("cat \(path)").value == "text")
                    }
                    unlink(path)
                    let after = try make(nobodys)
                    for _ in 0..<6 {
                        #expect(
                            try scene.client.acting("syscall \(SYS_stat) @\(path) #144").errno == EACCES)
                        #expect(try scene.client.acting("cat \(path)").errno == EACCES)
                    }
                    unlink(path)
                    if before == after { met += 1 }
                }
                #expect(met > 0, "the file system gave no number twice")
            }
        }
    }

    @Test("a client that runs a set-user-ID program after it connected is who it was, and no more")
    func setUserID() throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let roots = try scene.stage.file("home/roots", "roots", mode: 0o600)
            let program = scene.stage.directory + "/sleep"
            try FileManager.default.copyItem(atPath: "/bin/sleep", toPath: program)
            chmod(program, 0o4755)
            let (socket, process) = try connected(scene, then: [program, "infinity"])
            defer { close(socket) }
            // Captured before the program is what it is, and after.
            try eventually("the program to be root") {
                try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
                    .contains("Uid:\t\(scene.alice.uid)\t0\t")
            }
            for (command, expected) in [
                ("client", scene.alice.sid), ("impersonate", "OK"), ("token", "OK alice impersonation"),
                ("cat \(hers)", "OK hers"), ("cat \(roots)", "ERRNO \(EACCES)"),
            ] {
                sendCommand(command, on: socket)
                let answer = try receiveLine(socket)
                #expect(answer.contains(expected), "\(command): \(answer)")
            }
            process.end()
        }
    }

    // MARK: Connections that are handed on

    /// Has the service pass a descriptor of its on to another one; its number there.
    private func hand(
        _ descriptor: Int, from client: Client, to other: Client, at path: String
    ) throws -> Int {
        let server = try PlainServer(at: path)
        let giving = try #require(try client.ask("connect \(path)").number)
        let here = try #require(server.next()).socket
        defer { close(here) }
        #expect(try client.ask("give-descriptor \(giving) \(descriptor)").number == 1)
        var bytes = [UInt8](repeating: 0, count: 16)
        var packet = guise_packet()
        try #require(guise_packet_receive(here, &bytes, bytes.count, &packet, 0) > 0 && packet.count == 1)
        defer { close(packet.descriptors.0) }
        let taking = try #require(try other.ask("connect \(path)").number)
        let there = try #require(server.next()).socket
        defer { close(there) }
        try #require(guise_packet_send(there, "x", 1, packet.descriptors.0, 0) == 1)
        return try #require(try other.ask("take-descriptor \(taking)").number)
    }

    @Test("a connection that another account's service accepted is captured by nobody else, privilege or not")
    func handedOn() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let second = try stage.serve(try stage.service("second"), name: "second")
            let others = try second.client(scene.bob)
            let alices = try #require(try scene.client.ask("own-socket").number)
            let path = stage.directory + "/services/hand"
            let number = try hand(alices, from: scene.client, to: others, at: path)
            let answer = try others.ask("adopt-descriptor \(number)")
            #expect(answer.thrown == "accessDenied", "\(answer)")
            try stage.waitForAudit("access-denied", "\"call\":\"Capture\"", second.account.sid)
            // Whom it was accepted by captures it, before and after, and another process of the same account's.
            #expect(try scene.client.ask("adopt").value == "impersonation")
            let sibling = try stage.serve(scene.service.account, name: "sibling")
            let siblings = try sibling.client(scene.bob)
            let again = try hand(alices, from: scene.client, to: siblings, at: path + "2")
            #expect(try siblings.ask("adopt-descriptor \(again)").value?.contains(scene.alice.sid) == true)
        }
    }

    @Test("a connection that root accepted for a service is the service's to capture")
    func acceptedByRoot() throws {
        try onScene { (scene) throws in
            let path = scene.stage.directory + "/services/inetd"
            let server = try PlainServer(at: path)
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(socket) }
            try #require(guise_credentials_assume(scene.alice.uid, scene.alice.uid, [UInt32](), 0) == 0)
            let error = guise_unix_connect(socket, path, path.utf8.count)
            try #require(guise_credentials_restore() == 0 && error == 0)
            let accepted = try #require(server.next()).socket
            defer { close(accepted) }
            let giving = try PlainServer(at: path + "2")
            let taking = try #require(try scene.client.ask("connect \(path)2").number)
            let there = try #require(giving.next()).socket
            defer { close(there) }
            try #require(guise_packet_send(there, "x", 1, accepted, 0) == 1)
            let number = try #require(try scene.client.ask("take-descriptor \(taking)").number)
            let answer = try scene.client.ask("adopt-descriptor \(number)")
            #expect(answer.value?.contains(scene.alice.sid) == true, "\(answer)")
        }
    }
}
