import CGuise
import Foundation
import GuiseDaemon
import GuiseProtocol
import Synchronization
import Testing

/// Answers the tools as the authority would, for as long as a test runs: accounts from a real store, the
/// rest made up.
final class StandInAuthority: Sendable {
    let directory: String
    let accounts: AccountStore
    private let listener: Int32
    private let canned: Mutex<[WireResponse.OneOf_Body]>
    private let received = Mutex<[WireRequest.OneOf_Body]>([])

    /// What was asked so far, about anything but accounts.
    var requests: [WireRequest.OneOf_Body] { received.withLock { $0 } }

    /// - Parameter answers: what requests about anything but accounts are answered with, one after the other.
    init(answers: [WireResponse.OneOf_Body] = []) throws {
        var template = Array("/tmp/guise-tools-XXXXXX\0".utf8CString)
        directory = String(cString: try #require(mkdtemp(&template)))
        accounts = try AccountStore(directory: directory + "/state")
        let path = directory + "/" + ControlPacket.socketName
        listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_SEQPACKET.rawValue), 16, 0o600)
        try #require(listener >= 0)
        canned = Mutex(answers)
        let requests = AccountRequests(accounts: accounts, sessions: LogonSessions())
        let listener = listener
        Thread { [weak self] in
            while true {
                let socket = guise_unix_accept(listener, false)
                guard socket >= 0 else { return }
                defer { close(socket) }
                while let received = try? ControlPacket.receive(WireRequest.self, from: socket) {
                    if let descriptor = received.descriptor { close(descriptor) }
                    guard let self else { return }
                    let response = WireResponse.with {
                        $0.id = received.message.id
                        $0.body = self.answer(received.message.body, requests)
                    }
                    guard (try? ControlPacket.send(response, on: socket)) != nil else { break }
                }
            }
        }.start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func answer(
        _ body: WireRequest.OneOf_Body?, _ requests: AccountRequests
    ) -> WireResponse.OneOf_Body {
        do throws(Refused) {
            switch body {
            case .accountAdd(let request): return try requests.answer(request, fromAdministrator: true)
            case .accountRemove(let request): return try requests.answer(request, fromAdministrator: true)
            case .accountList(let request): return try requests.answer(request, fromAdministrator: true)
            case .accountChange(let request): return try requests.answer(request, fromAdministrator: true)
            case .lookUp(let request): return try requests.answer(request, fromAdministrator: true)
            default:
                if let body { received.withLock { $0.append(body) } }
                let next = canned.withLock { $0.isEmpty ? nil : $0.removeFirst() }
                guard let next else { throw Refused(.unsupported, "the test has no answer to this") }
                return next
            }
        } catch {
            return .refusal(error.wire)
        }
    }

    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Runs one of our tools against this authority.
    func run(_ tool: String, _ arguments: String...) throws -> Outcome {
        try runAlone(tool, arguments, environment: ["GUISE_RUNTIME_DIR": directory])
    }
}

/// Runs one of our tools.
func runAlone(
    _ tool: String, _ arguments: [String], environment: [String: String] = [:], input: String = ""
) throws -> StandInAuthority.Outcome {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let process = Process()
    process.executableURL = bundle.appendingPathComponent(tool)
    process.arguments = arguments
    process.environment = environment
    let (given, output, errors) = (Pipe(), Pipe(), Pipe())
    process.standardInput = given
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // Short enough for a pipe, so that nobody waits for anybody.
    given.fileHandleForWriting.write(Data(input.utf8))
    try given.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return StandInAuthority.Outcome(status: process.terminationStatus, output: text, errors: complaint)
}
