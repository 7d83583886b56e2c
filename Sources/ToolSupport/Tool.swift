package import ArgumentParser
import Glibc
import Guise

/// What a tool could not do: one sentence for a person. Exit code 1.
package struct ToolError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Runs a tool, and tells what went wrong the way all our tools do.
package enum Tool {
    /// Parses the arguments, runs the command, and ends the process.
    ///
    /// Exit codes: 0 when it was done, 1 when it was refused or failed, 64 when it was called wrongly. A
    /// failure is one line on standard error, `name: sentence`.
    package static func main(_ command: (some ParsableCommand).Type, name: String) -> Never {
        do {
            var parsed = try command.parseAsRoot()
            try parsed.run()
            exit(0)
        } catch let error as GuiseError {
            fail(name, error.description)
        } catch let error as ToolError {
            fail(name, error.description)
        } catch {
            let code = command.exitCode(for: error)
            // Help and the version, asked for, are no errors.
            guard code != .success, !(error is ExitCode) else { command.exit(withError: error) }
            let message = command.fullMessage(for: error)
            let text = message.hasPrefix("Error: ") ? String(message.dropFirst(7)) : message
            // How to call it stands below, on lines of its own.
            let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            let shown = lines.map { visible(String($0)) }.joined(separator: "\n")
            write("\(name): \(shown)\n", to: STDERR_FILENO)
            exit(code.rawValue)
        }
    }

    /// Writes a line to standard output.
    package static func say(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

    /// Writes a line to standard error: what was passed over, when the rest goes on.
    package static func warn(_ line: String) { write(visible(line) + "\n", to: STDERR_FILENO) }

    /// Writes to standard output as it is.
    package static func put(_ text: String) { write(text, to: STDOUT_FILENO) }

    private static func fail(_ name: String, _ sentence: String) -> Never {
        write("\(name): \(visible(sentence))\n", to: STDERR_FILENO)
        exit(1)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            // A reader that went away (`| head`) ends the tool by SIGPIPE; nothing else can be done here.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// Text from elsewhere as it may be shown: on one line, and without anything a terminal would obey.
package func visible(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        default:
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}
