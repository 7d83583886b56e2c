import AccessControl
import CGuise
import CTestSupport
import Foundation
import GuiseProtocol
import Testing

@Suite("File systems that somebody else serves, and that do not answer or lie", .withForeignFileSystem)
struct ForeignFileSystemTests {
    /// What others want of the authority is answered at once.
    private func expectOthersServed(_ scene: Scene) throws {
        let start = Date()
        #expect(try scene.stage.run([product("idn"), "show"], as: scene.bob).status == 0)
        let client = try scene.service.client(scene.bob)
        #expect(try client.acting("cat \(scene.home)/his").value == "his")
        #expect(try client.acting("cat \(scene.root)/none").errno == ENOENT)
        // Whoever waited for the file system would wait for a minute; a machine with much to do takes seconds.
        #expect(Date().timeIntervalSince(start) < 25)
    }

    /// Runs a test where alice serves a file system.
    private func onForeign(_ body: (Scene, ForeignFileSystem) throws -> Void) throws {
        try onScene(threads: 256) { (scene) throws in
            try scene.stage.file("home/his", "his", of: scene.bob)
            let place = try ForeignFileSystem(scene.stage, of: scene.alice)
            try body(scene, place)
        }
    }

    /// Starts a command of alice's; what it says on standard error goes to a file.
    private func start(_ scene: Scene, _ command: [String], errors: String) throws -> ChildProcess {
        let output = open(errors, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(output) }
        return try scene.stage.start(Stage.command(command, as: scene.alice.uid), streams: (-1, -1, output))
    }

    private func workerCount(_ scene: Scene) throws -> Int {
        let tasks = "/proc/\(try #require(scene.stage.authority).pid)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).count {
            (try? String(contentsOfFile: "\(tasks)/\($0)/comm", encoding: .utf8)) == "guise-work\n"
        }
    }

    @Test(
        "a descriptor asked for where nobody answers holds up nobody else, and comes to an error",
        arguments: [ForeignFileSystem.Request.lookUp, .extendedAttribute])
    func descriptor(muted: ForeignFileSystem.Request) throws {
        try onForeign { (scene, place) throws in
            place.mute(muted)
            let errors = scene.stage.directory + "/errors"
            let asking = try start(scene, [product("sd"), "show", place.file], errors: errors)
            try eventually("the request to wait") { place.heldCount > 0 }
            try expectOthersServed(scene)
            #expect(try asking.wait() != 0)
            let text = try String(contentsOfFile: errors, encoding: .utf8)
            #expect(text.contains("did not answer"), "\(text)")
            place.release()
            let again = try scene.stage.run([product("sd"), "show", place.file], as: scene.alice)
            #expect(again.errors.contains("carries no security descriptor"), "\(again.errors)")
        }
    }

    @Test("whoever asks again and again where nobody answers takes so many threads and no more")
    func many() throws {
        try onForeign { (scene, place) throws in
            place.mute(.lookUp)
            let errors = scene.stage.directory + "/errors"
            let asking = try (0..<40).map { _ in
                try start(scene, [product("sd"), "show", place.file], errors: errors)
            }
            // Look-ups of one name wait for the first of them within the kernel.
            try eventually("the requests to wait") { try workerCount(scene) >= 16 }
            try expectOthersServed(scene)
            for process in asking { #expect(try process.wait() != 0) }
            #expect(place.heldCount > 0)
            #expect(try workerCount(scene) <= 16 + 2)
            try expectOthersServed(scene)
            place.release()
            try eventually("the threads to end") { try workerCount(scene) <= 2 }
        }
    }

    @Test("a server that listens where nobody answers captures nobody, and holds up no other")
    func endpoint() throws {
        try onForeign { (scene, place) throws in
            let other = try scene.stage.serve(
                try scene.stage.service("other"), name: "other", at: place.path + "/socket")
            let client = try other.client(scene.alice)
            #expect(try client.ask("descriptor-count").number != nil)
            place.mute(.lookUp)
            try client.send("adopt")
            try eventually("the request to wait") { place.heldCount > 0 }
            try expectOthersServed(scene)
            #expect(try client.reply().thrown == "limitReached")
            place.release()
            #expect(try client.ask("adopt").value == "impersonation")
        }
    }

    /// What cannot be closed at once.
    enum Stuck: CaseIterable { case file, linger }

    @Test(
        "a descriptor that takes its time to close holds up nobody else, in whatever message it came",
        arguments: Stuck.allCases, [1, 2])
    func closing(_ stuck: Stuck, descriptors: Int) throws {
        try onForeign { (scene, place) throws in
            let authority = try #require(scene.stage.authority)
            var request = WireRequest()
            request.version = ControlPacket.version
            request.rootList = .init()
            let bytes: [UInt8] = try request.serializedBytes()
            var ends: [[Int32]] = []
            let path = scene.stage.runtime + "/" + ControlPacket.socketName
            // What is closed here before it is received there is waited for there alone; and a test that forks has nothing
            // open that waits.
            authority.signal(SIGSTOP)
            defer { authority.signal(SIGCONT) }
            var sockets: [Int32] = []
            defer { sockets.forEach { close($0) } }
            for _ in 0..<20 {
                let socket = guise_unix_socket(Int32(SOCK_SEQPACKET.rawValue), false)
                sockets.append(socket)
                try #require(
                    guise_credentials_assume(scene.alice.uid, scene.alice.uid, [UInt32](), 0) == 0)
                let connected = guise_unix_connect(socket, path, path.utf8.count)
                try #require(guise_credentials_restore() == 0)
                try #require(connected == 0)
                var pair: [Int32] = [-1, -1]
                if stuck == .file {
                    pair[0] = Glibc.open(place.file, O_RDWR | O_CLOEXEC)
                } else {
                    try #require(test_lingering(&pair) == 0)
                }
                ends.append(pair)
                #expect(test_send(socket, bytes, bytes.count, pair[0], Int32(descriptors), 0) > 0)
                close(pair[0])
            }
            place.mute(.flush)
            authority.signal(SIGCONT)
            if stuck == .file {
                try eventually("closing to wait") { place.heldCount == 16 }
            } else {
                try eventually("closing to wait") { try workerCount(scene) >= 16 }
            }
            try expectOthersServed(scene)
            #expect(try workerCount(scene) <= 16 + 2)
            for pair in ends where pair[1] >= 0 { close(pair[1]) }
            place.release()
            try eventually("everything to be closed") { try workerCount(scene) <= 2 }
        }
    }

    /// Has the threads behind so many connections open a file that does not answer: some wait, and leave mediators to others.
    private func expectShare(
        _ command: String, on sockets: [Int32], _ scene: Scene, _ place: ForeignFileSystem
    ) throws {
        place.mute(.open)
        for socket in sockets { sendCommand(command, on: socket) }
        try eventually("the opens to wait") { place.heldCount >= 8 }
        usleep(500_000)
        try expectOthersServed(scene)
        #expect(place.heldCount < 64)
        place.release()
        for socket in sockets {
            let line = try receiveLine(socket, seconds: 20)
            #expect(line == "ERRNO \(EIO)" || line == "OK fuse", "\(line)")
        }
    }

    @Test("a client whose files do not answer leaves mediators to the other clients of the service")
    func mediators() throws {
        try onForeign { (scene, place) throws in
            // No need for as many processes: they are threads' credentials of this one.
            var sockets: [Int32] = []
            defer { sockets.forEach { close($0) } }
            for _ in 0..<100 {
                let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
                sockets.append(socket)
                try #require(
                    guise_credentials_assume(scene.alice.uid, scene.alice.uid, [UInt32](), 0) == 0)
                let connected = guise_unix_connect(
                    socket, scene.service.socket, scene.service.socket.utf8.count)
                try #require(guise_credentials_restore() == 0)
                try #require(connected == 0)
                sendCommand("impersonate", on: socket)
                #expect(try receiveLine(socket, seconds: 10) == "OK ")
            }
            try expectShare("cat \(place.file)", on: sockets, scene, place)
        }
    }

    @Test(
        "a service that a client led there, and that acts as itself, does not have all mediators wait either")
    func mediatorsOfProcess() throws {
        try onForeign { (scene, place) throws in
            #expect(try scene.client.acting("chdir \(place.path)").number == 0)
            #expect(try scene.client.ask("cat file").value == "fuse")
            var sockets: [Int32] = []
            defer { sockets.forEach { close($0) } }
            for _ in 0..<100 {
                let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
                sockets.append(socket)
                try #require(
                    guise_unix_connect(socket, scene.service.socket, scene.service.socket.utf8.count) == 0)
            }
            try expectShare("cat file", on: sockets, scene, place)
            #expect(try scene.client.ask("chdir /").number == 0)
        }
    }

    @Test("files of absurd size, inodes that change and damaged descriptors give nobody anything")
    func lies() throws {
        try onForeign { (scene, place) throws in
            let client = scene.client
            #expect(try client.acting("cat \(place.file)").value == "fuse")
            place.setAttribute([1, 0, 4, 0x80] + [UInt8](repeating: 0xFF, count: 100))
            #expect(try client.acting("cat \(place.file)").errno == EACCES)
            for size in [1, 19, 1025, 65_536, 65_537, 70_000] {
                place.setAttribute([UInt8](repeating: 1, count: size))
                let refusal = try client.acting("cat \(place.file)")
                #expect(refusal.errno != nil, "\(size): \(refusal)")
            }
            // Of two that take turns each decides for the opens that met it, and nothing in between.
            let closed = try SecurityDescriptor(sddl: "O:BAG:SYD:(A;;FA;;;BA)").bytes
            let open = try SecurityDescriptor(sddl: "O:BAG:SYD:(A;;FA;;;WD)").bytes
            place.setAttribute(closed, open)
            for _ in 0..<20 {
                let reply = try client.acting("cat \(place.file)")
                #expect(reply.value == "fuse" || reply.errno == EACCES, "\(reply)")
            }
            place.setAttribute(closed)
            place.lie()
            for _ in 0..<5 {
                #expect(try client.acting("cat \(place.file)").errno != nil)
                #expect(try client.acting("syscall \(SYS_stat) @\(place.file) #144").value == nil)
            }
            place.setAttribute([])
            #expect(try client.acting("cat \(place.file)").value == "fuse")
            try expectOthersServed(scene)
        }
    }
}
