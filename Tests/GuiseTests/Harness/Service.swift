import CGuise
import Foundation

/// The test service, running under `guise run` (or bare), and how to talk to it.
final class Service {
    let stage: Stage
    let process: ChildProcess
    let socket: String
    let account: Person

    init(stage: Stage, process: ChildProcess, socket: String, account: Person) {
        self.stage = stage
        self.process = process
        self.socket = socket
        self.account = account
    }

    var pid: pid_t { process.pid }

    /// Connects as a user, from a process of that user's own.
    ///
    /// - Parameter level: the level that the client announces; nil for one that knows nothing of Guise.
    func client(_ person: Person, level: String? = nil) throws -> Client {
        try Client(stage, as: person, to: socket, level: level)
    }
}

extension Stage {
    /// Starts the test service under `guise run`.
    func serve(
        _ account: Person, threads: Int? = nil, name: String = "service", at socket: String? = nil,
        options: [String] = []
    ) throws -> Service {
        try start(account, name, at: socket, ["--threads", "\(threads ?? 1024)"] + options) { command in
            [product("guise"), "run", account.name, "--"] + command
        }
    }

    /// Starts the test service under `guise run`, which a user other than root runs.
    func serve(_ account: Person, startedBy uid: UInt32, name: String = "service") throws -> Service {
        try start(account, name, ["--threads", "64"]) { command in
            Self.command([product("guise"), "run", account.name, "--"] + command, as: uid)
        }
    }

    /// Starts the test service as a plain process that promises to check access itself.
    func serveUnmediated(_ account: Person, name: String = "service") throws -> Service {
        try start(account, name, ["--cooperative"]) { Self.command($0, as: account.uid) }
    }

    /// Starts a program under `guise run`, and waits until it says that it serves.
    @discardableResult
    func launch(_ command: [String], as account: Person, name: String = "service") throws -> ChildProcess {
        try launch([product("guise"), "run", account.name, "--"] + command, name: name)
    }

    private func start(
        _ account: Person, _ name: String, at socket: String? = nil, _ options: [String],
        _ wrapped: ([String]) -> [String]
    ) throws -> Service {
        let socket = socket ?? directory + "/services/" + name
        let process = try launch(
            wrapped([product("guise-test-service"), "serve", socket] + options), name: name)
        return Service(stage: self, process: process, socket: socket, account: account)
    }

    private func launch(_ command: [String], name: String) throws -> ChildProcess {
        let log = open(directory + "/\(name).log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        defer { close(log) }
        let process = try start(command, streams: (-1, log, log))
        try eventually("the service; it said: \(serviceLog(name)); guised said: \(self.log)") {
            guard !process.hasEnded else { throw HarnessError("the service ended: \(serviceLog(name))") }
            return serviceLog(name).contains("serving")
        }
        return process
    }

    func serviceLog(_ name: String = "service") -> String {
        (try? String(contentsOfFile: directory + "/\(name).log", encoding: .utf8)) ?? ""
    }
}

/// One line's answer.
struct Reply: CustomStringConvertible {
    let line: String
    var description: String { line }

    /// What the command came to, if it worked.
    var value: String? { line.hasPrefix("OK ") ? String(line.dropFirst(3)) : nil }
    /// As a number.
    var number: Int? { value.flatMap { Int($0) } }
    /// The errno of a system call that failed.
    var errno: Int32? { line.hasPrefix("ERRNO ") ? Int32(line.dropFirst(6)) : nil }
    /// The case of the error that was thrown.
    var thrown: String? {
        line.hasPrefix("THROWN ") ? String(line.dropFirst(7).prefix { $0 != " " }) : nil
    }
}

/// A client process under its own Unix user, whose standard streams the test holds.
final class Client {
    let process: ChildProcess
    private let input: Int32
    private let output: Int32
    private var rest: [UInt8] = []

    convenience init(
        _ stage: Stage, as person: Person, groups: [UInt32] = [], to socket: String, level: String? = nil
    ) throws {
        try self.init(stage, as: person, groups: groups, running: ["connect", level ?? "plain", socket])
    }

    /// A process that carries out the commands itself.
    ///
    /// - Parameter starter: a program that starts it, with its arguments.
    convenience init(commandsOn stage: Stage, as person: Person, by starter: [String] = []) throws {
        try self.init(stage, as: person, groups: [], by: starter, running: ["commands"])
    }

    private init(
        _ stage: Stage, as person: Person, groups: [UInt32], by starter: [String] = [],
        running arguments: [String]
    ) throws {
        let (toClient, fromClient) = (try Channel(), try Channel())
        defer {
            close(toClient.reading)
            close(fromClient.writing)
        }
        let command = starter + [product("guise-test-service")] + arguments
        process = try stage.start(
            person.uid == 0 ? command : Stage.command(command, as: person.uid, groups: groups),
            streams: (toClient.reading, fromClient.writing, 2))
        input = toClient.writing
        output = fromClient.reading
    }

    deinit {
        close(input)
        close(output)
        process.end()
    }

    /// Sends a command without waiting for what it comes to.
    func send(_ command: String) throws {
        let bytes = Array((command + "\n").utf8)
        guard write(input, bytes, bytes.count) == bytes.count else {
            throw HarnessError("the client is gone")
        }
    }

    /// The answer to a command that was sent.
    func reply(seconds: Double = 30) throws -> Reply {
        let end = Date().addingTimeInterval(seconds)
        while true {
            if let at = rest.firstIndex(of: 0x0A) {
                defer { rest.removeSubrange(...at) }
                return Reply(line: String(decoding: rest[..<at], as: UTF8.self))
            }
            var one = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            let left = Int32(end.timeIntervalSinceNow * 1000)
            guard left > 0, poll(&one, 1, left) > 0 else { throw HarnessError("no answer in \(seconds) s") }
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = read(output, &buffer, buffer.count)
            guard count > 0 else { throw HarnessError("the connection ended without an answer") }
            rest += buffer[..<count]
        }
    }

    /// Whether there is an answer, or never will be.
    var hasReply: Bool {
        var one = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        return rest.contains(0x0A) || poll(&one, 1, 0) > 0
    }

    /// Has the service carry out a command on the thread of this connection.
    @discardableResult
    func ask(_ command: String, seconds: Double = 30) throws -> Reply {
        try send(command)
        return try reply(seconds: seconds)
    }

    /// As ``ask(_:seconds:)``, while the thread impersonates this client.
    @discardableResult
    func acting(_ command: String, atMost level: String = "delegation") throws -> Reply {
        let started = try ask("impersonate \(level)")
        guard started.value != nil else { return started }
        defer { _ = try? ask("revert") }
        return try ask(command)
    }

    /// Disconnects.
    func leave() throws {
        process.end()
    }
}
