import CTestSupport
import Foundation

extension Stage {
    /// Runs a command on a terminal, and types there.
    ///
    /// - Parameter conversation: what is typed, each part once the terminal has shown a text since the part before; at
    ///   once where that is empty.
    func converse(
        with command: [String], environment: [String: String] = [:],
        _ conversation: [(after: String, typed: String)]
    ) throws -> Outcome {
        var name = [CChar](repeating: 0, count: 64)
        let terminal = test_terminal(&name, name.count)
        defer { close(terminal) }
        let other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0, other >= 0 else { throw HarnessError("no terminal: \(terminal)") }
        let process = try start(
            command, environment: ["TERM": "dumb"].merging(environment) { $1 }, streams: (other, other, other)
        )
        close(other)
        var (shown, start) = ([UInt8](), 0)
        var rest = conversation[...]
        let end = Date().addingTimeInterval(60)
        while true {
            if let next = rest.first, let end = Self.end(of: next.after, in: shown, from: start) {
                rest.removeFirst()
                // What came after it is for the next part to find.
                start = end
                let typed = Array(next.typed.utf8)
                guard write(terminal, typed, typed.count) == typed.count else { break }
                continue
            }
            var one = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            guard Date() < end, poll(&one, 1, 20_000) > 0 else {
                throw HarnessError(
                    "waited for \(rest.first?.after ?? "the end") after "
                        + String(decoding: shown, as: UTF8.self).debugDescription)
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(terminal, &buffer, buffer.count)
            // The end of the last process on it is an error of a terminal's.
            guard count > 0 else { break }
            shown += buffer[..<count]
        }
        return Outcome(
            status: try process.wait(), output: String(decoding: shown, as: UTF8.self), errors: "")
    }

    private static func end(of text: String, in shown: [UInt8], from start: Int) -> Int? {
        text.isEmpty ? start : shown[start...].firstRange(of: Array(text.utf8))?.upperBound
    }
}
