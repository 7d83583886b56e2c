import CGuise
import CTestSupport
import Foundation
import Testing

/// Set GUISE_STRESS to a number of rounds for more than the few that every run does.
@Suite("Under load", .asRoot)
struct StressTests {
    private var rounds: Int { ProcessInfo.processInfo.environment["GUISE_STRESS"].flatMap { Int($0) } ?? 2 }

    @Test("1,000 threads of one service act as 1,000 clients at once, and each single open is right")
    func threads() throws {
        try onCrowd(1000) { (sockets, home, count) throws in
            for (index, socket) in sockets.enumerated() {
                sendCommand(
                    "storm-of \(rounds) \(index) \(home)/\(index) \(home)/\((index + 1) % count)", on: socket)
            }
            var wrong: [String] = []
            for socket in sockets {
                let line = try receiveLine(socket, seconds: 120)
                if line != "OK clean" { wrong.append(line) }
            }
            #expect(wrong.isEmpty, "\(wrong.count) of \(count): \(wrong.prefix(3))")
        }
    }

    @Test("10,000 tasks of one service act as 100 clients over its pool, and each single open is right")
    func tasks() throws {
        try onCrowd(100) { (sockets, home, count) throws in
            for (index, socket) in sockets.enumerated() {
                sendCommand("name \(index)", on: socket)
                #expect(try receiveLine(socket, seconds: 10) == "OK ")
            }
            sendCommand("async storm 10000 \(count) \(home)", on: sockets[0])
            // Two opens in each of the places that a task comes by, which depend on its way.
            #expect(try receiveLine(sockets[0], seconds: 300) == "OK 76600 right, wrong [:]")
        }
    }

    @Test("a captured connection and a thread that acts as a client take little of the authority's memory")
    func memory() throws {
        let count = 1000
        try onStage { stage in
            func kilobytes() throws -> Int {
                let authority = try #require(stage.authority).pid
                let status = try String(contentsOfFile: "/proc/\(authority)/status", encoding: .utf8)
                return Int(
                    status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?.filter(\.isNumber) ?? "")
                    ?? 0
            }
            var before = 0
            try onCrowd(count, on: stage, { before = try kilobytes() }) { (sockets, home, count) throws in
                let captured = try kilobytes()
                for (index, socket) in sockets.enumerated() {
                    sendCommand(
                        "storm-of 1 \(index) \(home)/\(index) \(home)/\((index + 1) % count)", on: socket)
                }
                for socket in sockets { #expect(try receiveLine(socket, seconds: 120) == "OK clean") }
                let acted = try kilobytes()
                let (connection, thread) = (captured - before, acted - captured)
                print(
                    "memory of guised: \(connection * 1024 / count) bytes for a captured connection,"
                        + " \(thread * 1024 / count) for a thread that acts (\(count) of each, of as many users)"
                )
                #expect(connection / count < 8)
                #expect(thread / count < 4)
            }
        }
    }

    /// So many clients of one service, all captured, each with a file of its own: HOME/N, content `of N`.
    private func onCrowd(
        _ count: Int, _ body: (_ sockets: [Int32], _ home: String, _ count: Int) throws -> Void
    ) throws {
        try onStage { try onCrowd(count, on: $0, {}, body) }
    }

    private func onCrowd(
        _ count: Int, on stage: Stage, _ beforeCapture: () throws -> Void,
        _ body: (_ sockets: [Int32], _ home: String, _ count: Int) throws -> Void
    ) throws {
        let service = try stage.serve(try stage.service("files"), threads: 2048)
        let first = FreshUsers.take(UInt32(count))
        stage.folder("home")
        for index in 0..<count {
            let person = Person(name: "", uid: first + UInt32(index), sid: "")
            try stage.file("home/\(index)", "of \(index)", of: person)
        }
        // The clients are threads' credentials of this process: a thousand processes would only take longer.
        var sockets: [Int32] = []
        defer { sockets.forEach { close($0) } }
        for index in 0..<count {
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            try #require(socket >= 0)
            sockets.append(socket)
            let uid = first + UInt32(index)
            try #require(guise_credentials_assume(uid, uid, [UInt32](), 0) == 0)
            let connected = guise_unix_connect(socket, service.socket, service.socket.utf8.count)
            try #require(guise_credentials_restore() == 0)
            try #require(connected == 0)
        }
        try beforeCapture()
        // Everybody is captured before anybody starts.
        for socket in sockets { sendCommand("adopt", on: socket) }
        for socket in sockets { #expect(try receiveLine(socket, seconds: 60) == "OK impersonation") }
        try body(sockets, stage.directory + "/home", count)
    }

    @Test("1,000 processes are attached at once")
    func processes() throws {
        try onScene { scene in
            #expect(try scene.client.ask("attach-children 1000", seconds: 120).value == "1000")
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            #expect(try scene.client.acting("cat \(hers)").value == "hers")
        }
    }

    @Test("descriptors and threads of the authority do not pile up")
    func leaks() throws {
        try onScene { scene in
            let authority = try #require(scene.stage.authority).pid
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            func descriptors() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/fd").count
            }
            func round() throws {
                let client = try scene.service.client(scene.alice)
                _ = try client.acting("cat \(hers)")
                _ = try client.acting("cat \(scene.root)/none")
                _ = try client.acting("cat /proc/self/status")
                _ = try client.ask("thread impersonate")
                _ = try scene.stage.run([product("idn"), "show"], as: scene.bob)
                try client.leave()
            }
            for _ in 0..<5 { try round() }
            let before = try descriptors()
            for _ in 0..<25 { try round() }
            // A thread that once impersonated is remembered until its slot is another's.
            let after = try descriptors()
            #expect(after <= before + 60, "\(before), then \(after)")
        }
    }
}
