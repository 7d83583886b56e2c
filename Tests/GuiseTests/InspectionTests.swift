import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Inspection: connections, sessions, watching", .asRoot)
struct InspectionTests {
    private struct Who: Decodable {
        let sid: String
        let name: String?
    }

    private struct Connection: Decodable {
        let process: UInt32?
        let user: Who
        let level: String
        let threads: [UInt32]
        let acting: Int
    }

    private struct Session: Decodable {
        let sid: String
        let type: String
        let user: Who
    }

    private struct Change: Decodable {
        let change: String
        let thread: UInt32?
        let user: Who?
        let level: String?
    }

    private func decode<Value: Decodable>(_: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(text.utf8))
    }

    private func connections(_ stage: Stage, _ target: String, as person: Person? = nil) throws
        -> [Connection]
    {
        let listed = try stage.run([product("idn"), "connections", target, "--json"], as: person)
        guard listed.status == 0 else { throw HarnessError(listed.errors) }
        return try decode([Connection].self, listed.output)
    }

    @Test("a service's connections: who, at which level, which threads act as it, and gone once closed")
    func connections() throws {
        try onScene { (scene) throws in
            let pid = "\(scene.service.pid)"
            #expect(try connections(scene.stage, pid).isEmpty)
            _ = try scene.client.ask("adopt")
            _ = try scene.bobs.ask("adopt")
            let both = try connections(scene.stage, pid)
            #expect(both.map(\.user.sid) == [scene.alice.sid, scene.bob.sid])
            #expect(both.map(\.user.name) == ["alice", "bob"])
            #expect(both.map(\.level) == ["Impersonation", "Impersonation"])
            #expect(
                both.map(\.process) == [UInt32(scene.client.process.pid), UInt32(scene.bobs.process.pid)])
            #expect(both.allSatisfy { $0.acting == 0 && $0.threads.isEmpty })

            let thread = try #require(try scene.client.ask("ids").value?.split(separator: "/").last)
            _ = try scene.client.ask("impersonate")
            #expect(try connections(scene.stage, pid).map(\.threads) == [[UInt32(thread)!], []])
            #expect(try connections(scene.stage, "\(pid)/\(thread)").map(\.user.name) == ["alice"])
            #expect(try connections(scene.stage, "\(pid)/\(pid)").isEmpty)
            // A second handle of the same capture is still the same client.
            _ = try scene.client.ask("impersonate identification")
            #expect(try connections(scene.stage, pid).map(\.acting) == [1, 0])
            _ = try scene.client.ask("revert")
            #expect(try connections(scene.stage, pid).map(\.acting) == [0, 0])

            try scene.client.leave()
            try eventually("the capture to go") {
                try connections(scene.stage, pid).map(\.user.name) == ["bob"]
            }
        }
    }

    @Test("no more of a client is told than its level allows", arguments: ["anonymous", "identification"])
    func levels(level: String) throws {
        try onScene { (scene) throws in
            let shy = try scene.service.client(scene.alice, level: level)
            _ = try shy.ask("impersonate")
            let pid = "\(scene.service.pid)"
            for person in [nil, scene.service.account] {
                let one = try #require(try connections(scene.stage, pid, as: person).first)
                #expect(one.level == level.capitalized)
                #expect(one.acting == 1)
                #expect(one.user.sid == (level == "anonymous" ? "S-1-5-7" : scene.alice.sid))
                #expect((one.process == nil) == (level == "anonymous"))
            }
        }
    }

    @Test("whom a service serves is for its own user and administrators")
    func strangers() throws {
        try onScene { (scene) throws in
            _ = try scene.client.ask("adopt")
            let pid = "\(scene.service.pid)"
            #expect(try connections(scene.stage, pid, as: scene.service.account).count == 1)
            for command in ["connections", "threads", "watch", "groups", "privileges", "elevation", "sid"] {
                let refused = try scene.stage.run([product("idn"), command, pid], as: scene.bob)
                #expect(refused.status == 1, "\(command)")
                #expect(refused.output.isEmpty, "\(command)")
                #expect(
                    refused.errors.hasPrefix("idn: the token of process \(pid) is shown to"), "\(command)")
            }
            // Nor may the client itself, though it is she who is connected.
            #expect(try scene.stage.run([product("idn"), "connections", pid], as: scene.alice).status == 1)
        }
    }

    @Test("questions that make no sense are refused, and answered to nobody's harm")
    func hostile() throws {
        try onScene { (scene) throws in
            let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
            _ = try scene.client.ask("adopt")
            let pid = UInt32(scene.service.pid)
            func ask(_ change: (inout WireConnections) -> Void) -> WireConnectionList? {
                guard case .connections(let list) = try? authority.call(.connections(.with(change))) else {
                    return nil
                }
                return list
            }
            #expect(ask { $0.process = pid }?.connections.count == 1)
            #expect(ask { $0.process = pid }?.attached == true)
            for process: UInt32 in [.max, 1 << 31, 0x7fff_fff0] {
                #expect(ask { $0.process = process } == nil)
            }
            for thread: UInt32 in [.max, 1, UInt32(getpid())] {
                #expect(ask { ($0.process, $0.thread) = (pid, thread) } == nil)
            }
            #expect(ask { ($0.process, $0.after) = (pid, .max) }?.connections.isEmpty == true)
            // The test itself is not attached; nor is any old process.
            #expect(ask { _ in }?.attached == false)
            #expect(ask { $0.process = UInt32(scene.client.process.pid) }?.attached == false)
            guard case .sessions(let none) = try authority.call(.sessions(.with { $0.after = .max })) else {
                throw HarnessError("no sessions")
            }
            #expect(none.sessions.isEmpty && !none.more)
        }
    }

    @Test("more connections than fit in one message all come, each once")
    func pages() throws {
        try onScene { (scene) throws in
            var sockets: [Int32] = []
            defer { sockets.forEach { close($0) } }
            for _ in 0..<900 {
                let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
                sockets.append(socket)
                let path = scene.service.socket
                try #require(guise_unix_connect(socket, path, path.utf8.count) == 0)
                sendCommand("adopt", on: socket)
                #expect(try receiveLine(socket) == "OK impersonation")
            }
            let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
            let request = WireConnections.with { $0.process = UInt32(scene.service.pid) }
            guard case .connections(let first) = try authority.call(.connections(request)) else {
                throw HarnessError("no connections")
            }
            #expect(first.more && first.connections.count < 900)
            let all = try connections(scene.stage, "\(scene.service.pid)")
            #expect(all.count == 900)
            #expect(all.allSatisfy { $0.user.sid == "S-1-5-18" })
        }
    }

    @Test("sessions: all for administrators, for others their own")
    func sessions() throws {
        try onScene { (scene) throws in
            _ = try scene.client.ask("adopt")
            func sessions(_ arguments: [String] = [], as person: Person? = nil) throws -> [Session] {
                let listed = try scene.stage.run(
                    [product("idn"), "sessions", "--json"] + arguments, as: person)
                return try decode([Session].self, listed.output)
            }
            let all = try sessions()
            #expect(all.contains { $0.type == "service" && $0.user.sid == scene.service.account.sid })
            #expect(all.contains { $0.type == "unix" && $0.user.sid == scene.alice.sid })
            #expect(all.contains { $0.user.sid == "S-1-5-18" })
            #expect(Set(all.map(\.sid)).count == all.count)
            let hers = try sessions(as: scene.alice)
            #expect(!hers.isEmpty && hers.allSatisfy { $0.user.sid == scene.alice.sid })
            // The service's start is among its user's own.
            #expect(try sessions(as: scene.service.account).contains { $0.type == "service" })
            let one = try sessions(["\(scene.service.pid)"])
            #expect(one.map(\.type) == ["service"])
            let logon = try scene.stage.run([product("idn"), "sid", "--logon", "\(scene.service.pid)"])
            #expect(one.map(\.sid) == [logon.output.trimmingCharacters(in: .newlines)])
            // It ends with the service.
            scene.service.process.end()
            try eventually("the end of the session") {
                try !sessions().contains { $0.sid == one[0].sid }
            }
        }
    }

    @Test("a thread that acts as its client differs from its process, and tells so")
    func compare() throws {
        try onScene { (scene) throws in
            let ids = try #require(try scene.client.ask("ids").value)
            _ = try scene.client.ask("impersonate")
            let different = try scene.stage.run([product("idn"), "compare", "\(scene.service.pid)", ids])
            #expect(different.status == 1)
            let lines = different.output.split(separator: "\n")
            #expect(lines.contains("+ User: \(scene.alice.sid) (alice)"))
            #expect(lines.contains("+ Impersonation Level: Impersonation"))
            #expect(lines.contains("- Privilege: SeImpersonatePrivilege"))
            _ = try scene.client.ask("revert")
            let same = try scene.stage.run([product("idn"), "compare", "\(scene.service.pid)", ids])
            #expect(same.status == 0 && same.output.isEmpty, "\(same)")
        }
    }

    private final class Watch {
        let process: ChildProcess
        private let path: String

        init(_ stage: Stage, _ arguments: String...) throws {
            path = stage.directory + "/watch.\(UUID())"
            let output = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            defer { close(output) }
            process = try stage.start(
                [product("idn"), "watch", "--json", "--interval", "0.05"] + arguments,
                streams: (-1, output, -1))
        }

        func changes() throws -> [Change] {
            let text = try String(contentsOfFile: path, encoding: .utf8)
            // The last line may not be whole yet.
            return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
                .compactMap { try? JSONDecoder().decode(Change.self, from: Data($0.utf8)) }
        }
    }

    @Test("watch tells whom the threads act as, line by line, until it is interrupted")
    func watching() throws {
        try onScene { (scene) throws in
            let thread = UInt32(try #require(try scene.client.ask("ids").value?.split(separator: "/").last))!
            let watch = try Watch(scene.stage, "\(scene.service.pid)")
            try eventually("the first look") { try watch.changes().contains { $0.thread == thread } }
            #expect(try watch.changes().allSatisfy { $0.change == "present" })
            _ = try scene.client.ask("impersonate")
            try eventually("the thread to be seen as alice") {
                try watch.changes().contains {
                    $0.change == "changed" && $0.thread == thread && $0.user?.sid == scene.alice.sid
                        && $0.level == "Impersonation"
                }
            }
            _ = try scene.client.ask("revert")
            try eventually("the thread to be seen as the service") {
                let last = try watch.changes().last { $0.thread == thread }
                return last?.user?.sid == scene.service.account.sid && last?.level == nil
            }
            #expect(
                try watch.changes().filter { $0.thread == thread }.map(\.change) == [
                    "present", "changed", "changed",
                ])
            watch.process.signal(SIGINT)
            #expect(try watch.process.wait() == 0)
        }
    }

    @Test("watch ends with the process that it watches")
    func watchedEnd() throws {
        try onScene { (scene) throws in
            let watch = try Watch(scene.stage, "\(scene.service.pid)")
            try eventually("the first look") { try !watch.changes().isEmpty }
            scene.service.process.end()
            #expect(try watch.process.wait() == 0)
            #expect(try watch.changes().last?.change == "processEnded")
            let gone = try scene.stage.run([product("idn"), "watch", "\(scene.service.pid)"])
            #expect(gone.status == 1 && !gone.errors.isEmpty)
        }
    }

    @Test("watch ends, saying so, when the authority does")
    func watchedAuthority() throws {
        try onScene { (scene) throws in
            let watch = try Watch(scene.stage, "\(scene.service.pid)")
            try eventually("the first look") { try !watch.changes().isEmpty }
            scene.stage.killAuthority()
            #expect(try watch.process.wait() == 1)
        }
    }

    /// Runs a command on a terminal until it has shown something, interrupts it, and returns all that it showed.
    private func onTerminal(_ stage: Stage, _ command: [String], until text: String, interrupt: Bool = true)
        throws
        -> String
    {
        var name = [CChar](repeating: 0, count: 64)
        let terminal = test_terminal(&name, name.count)
        defer { close(terminal) }
        let other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(terminal >= 0 && other >= 0)
        let process = try stage.start(command, environment: ["TERM": "xterm"], streams: (-1, other, other))
        close(other)
        var shown: [UInt8] = []
        var isInterrupted = !interrupt
        let end = Date().addingTimeInterval(30)
        while true {
            var one = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            guard Date() < end, poll(&one, 1, 10_000) > 0 else {
                throw HarnessError("showed \(String(decoding: shown, as: UTF8.self))")
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(terminal, &buffer, buffer.count)
            // The end of the last process on it is an error of a terminal's.
            guard count > 0 else { break }
            shown += buffer[..<count]
            if !isInterrupted, String(decoding: shown, as: UTF8.self).contains(text) {
                process.signal(SIGINT)
                isInterrupted = true
            }
        }
        #expect(try process.wait() == 0)
        return String(decoding: shown, as: UTF8.self)
    }

    @Test("on a terminal watch draws a picture, and gives the screen back")
    func picture() throws {
        try onScene { (scene) throws in
            _ = try scene.client.ask("impersonate")
            let watch = [product("idn"), "watch", "\(scene.service.pid)", "--interval", "0.1"]
            let shown = try onTerminal(scene.stage, watch, until: "alice")
            #expect(shown.hasPrefix("\u{1b}[?1049h\u{1b}[?25l\u{1b}[H"))
            #expect(shown.hasSuffix("\u{1b}[?25h\u{1b}[?1049l"))
            #expect(shown.contains("1 of ") && shown.contains("threads impersonate"))
            // Programs get lines all the same.
            let json = try onTerminal(scene.stage, watch + ["--json"], until: "\"alice\"")
            #expect(!json.contains("\u{1b}"))
        }
    }

    @Test("colours are for terminals")
    func colours() throws {
        try onScene { (scene) throws in
            let command = [product("guise"), "doctor"]
            let onTerminal = try onTerminal(scene.stage, command, until: "", interrupt: false)
            #expect(onTerminal.contains("\u{1b}[32mok"))
            #expect(try !scene.stage.run(command).output.contains("\u{1b}"))
        }
    }
}
