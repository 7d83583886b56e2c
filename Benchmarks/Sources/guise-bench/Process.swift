import CFloor
import Glibc

/// Something of the benchmark's own that failed.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A child process that takes commands, a line each, and answers each with a line.
final class ChildProcess {
    let pid: pid_t
    private var input: Int32
    private let output: Int32
    private let name: String

    init(_ arguments: [String]) throws {
        name = arguments.joined(separator: " ")
        var toChild: [Int32] = [0, 0]
        var fromChild: [Int32] = [0, 0]
        guard bench_pipe(&toChild) == 0, bench_pipe(&fromChild) == 0 else {
            throw BenchError("pipe: \(String(cString: strerror(errno)))")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild[0], STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], STDOUT_FILENO)
        var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var child = pid_t()
        let error = posix_spawn(&child, arguments[0], &actions, nil, &strings, environ)
        close(toChild[0])
        close(fromChild[1])
        guard error == 0 else { throw BenchError("\(name): \(String(cString: strerror(error)))") }
        pid = child
        input = toChild[1]
        output = fromChild[0]
    }

    /// Sends a command and leaves its answer for ``answer()``.
    func tell(_ command: String) throws {
        let line = Array((command + "\n").utf8)
        guard write(input, line, line.count) == line.count else {
            throw BenchError("\(name) takes no commands")
        }
    }

    /// The next line of output.
    @discardableResult
    func answer() throws -> String {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1 {
            if byte == 0x0A { break }
            line.append(byte)
        }
        let text = String(decoding: line, as: UTF8.self)
        guard !line.isEmpty, !text.hasPrefix("error") else { throw BenchError("\(name): \(text)") }
        return text
    }

    @discardableResult
    func ask(_ command: String) throws -> String {
        try tell(command)
        return try answer()
    }

    /// What a command measured, in nanoseconds.
    func measure(_ command: String) throws -> Double {
        let text = try ask(command)
        guard let value = Double(text), value > 0 else { throw BenchError("\(name): \(command): \(text)") }
        return value
    }

    /// Closes its input, and waits for the end; a signal hastens it.
    @discardableResult
    func end(_ signal: Int32 = 0) -> Int32 {
        guard input >= 0 else { return 0 }
        close(input)
        defer { input = -1 }
        if signal != 0 { kill(pid, signal) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        close(output)
        return status
    }

    /// Runs a program to its end.
    static func run(_ arguments: [String]) throws {
        let status = try ChildProcess(arguments).end()
        guard status == 0 else { throw BenchError("\(arguments.joined(separator: " ")) failed") }
    }
}
