// A service that does what a test tells it, on the thread that serves the test's connection:
//
//   guise-test-service serve SOCKET [--threads N] [--cooperative] [--first-on-main]
//   guise-test-service commands                 carries out the commands on standard input, not attached
//   guise-test-service connect LEVEL SOCKET     standard input and output become the connection's
//
// LEVEL is one of the four levels, or "plain": connect(2) and nothing else.

import AccessControl
import CGuise
import CTestSupport
import Foundation
import Guise

@main
struct TestService {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "serve" where arguments.count >= 2: Server.run(arguments[1], options: arguments[2...])
        case "commands" where arguments.count == 1: Pipes.runCommands()
        case "connect" where arguments.count == 3: Relay.run(level: arguments[1], to: arguments[2])
        case "connect-descriptor" where arguments.count == 3:
            // Connects a socket that somebody else made, and keeps it.
            let error = guise_unix_connect(Int32(arguments[1])!, arguments[2], arguments[2].utf8.count)
            guard error == 0 else { fail("connect: \(error)") }
            while true { pause() }
        case "connect-and-run" where arguments.count >= 4:
            // connect-and-run DESCRIPTOR PATH PROGRAM…: connects a socket that somebody else made, and goes on as the program.
            let error = guise_unix_connect(Int32(arguments[1])!, arguments[2], arguments[2].utf8.count)
            guard error == 0 else { fail("connect: \(error)") }
            var words: [UnsafeMutablePointer<CChar>?] = arguments[3...].map { strdup($0) } + [nil]
            _ = test_exec(arguments[3], &words)
            fail("cannot run \(arguments[3])")
        case "say" where arguments.count == 2: print(arguments[1])
        case "without-calls" where arguments.count >= 3:
            // without-calls NUMBER,NUMBER,… PROGRAM…: runs it where the kernel has not these.
            let numbers = arguments[1].split(separator: ",").map { Int32($0)! }
            var words: [UnsafeMutablePointer<CChar>?] = arguments[2...].map { strdup($0) } + [nil]
            guard test_without_calls(numbers, numbers.count) == 0 else { fail("no filter") }
            _ = test_exec(arguments[2], &words)
            fail("cannot run \(arguments[2])")
        // As a program that replaced a service: what it may open by its own identity.
        case "cat" where arguments.count == 2: print(Files.cat(arguments[1]).line)
        // As a user's own program.
        case "file-manager" where arguments.count == 2:
            do { try manageFiles(arguments[1]) } catch { fail("\(error)") }
        case "walk" where arguments.count == 2: print(Walk.of(arguments[1]))
        default: fail("see the head of TestService.swift")
        }
    }

    static func fail(_ text: String) -> Never {
        FileHandle.standardError.write(Data("guise-test-service: \(text)\n".utf8))
        exit(1)
    }
}

/// What a command came to, as the line that answers it.
enum Outcome {
    case value(String)
    /// A positive errno.
    case errno(Int32)
    case thrown(any Error)

    /// A system call's result or negative errno.
    init(_ result: Int) { self = result < 0 ? .errno(Int32(-result)) : .value(String(result)) }

    var line: String {
        switch self {
        case .value(let text): "OK " + text.replacing("\n", with: "\\n")
        case .errno(let number): "ERRNO \(number)"
        case .thrown(let error):
            "THROWN \(Mirror(reflecting: error).children.first?.label ?? "\(type(of: error))") \(error)"
                .replacing("\n", with: "\\n")
        }
    }
}

extension ImpersonationLevel {
    init?(word: some StringProtocol) {
        switch word {
        case "anonymous": self = .anonymous
        case "identification": self = .identification
        case "impersonation": self = .impersonation
        case "delegation": self = .delegation
        default: return nil
        }
    }

    var word: String { "\(self)".lowercased() }
}

/// A thread of its own, because it is threads that the tests are about.
func onNewThread(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 512 * 1024)
    defer { pthread_attr_destroy(&attributes) }
    let box = Unmanaged.passRetained(Box(body))
    var thread = pthread_t()
    let error = pthread_create(
        &thread, &attributes,
        { argument in
            Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, box.toOpaque())
    guard error == 0 else {
        box.release()
        return nil
    }
    return thread
}
