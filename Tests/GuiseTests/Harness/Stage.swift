import CGuise
import Foundation
import Guise
import GuiseProtocol
import Synchronization
import Testing

/// A user, with an account at the stage's authority unless said otherwise.
struct Person {
    let name: String
    let uid: UInt32
    /// As text.
    let sid: String
}

/// A machine of its own as far as Guise can tell: a directory with an authority, accounts, files and services.
/// All its processes are of one group, which a watchdog ends when the test is over, however it ends.
final class Stage {
    /// World-readable, as everything in it but the authority's state.
    let directory: String
    private let group: ChildProcess
    private let watchdog: ChildProcess
    private let lifeline: Int32
    private(set) var authority: ChildProcess?

    var runtime: String { directory + "/runtime" }
    var logPath: String { directory + "/guised.log" }
    /// What the authority logged so far.
    var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// Makes the directory and, unless told not to, starts the authority.
    init(withAuthority: Bool = true) throws {
        // Clients end while they are spoken to: that is one test's failure, and not the end of all. Children start afresh.
        signal(SIGPIPE, SIG_IGN)
        var template = Array("/tmp/guise-test-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(errno)") }
        directory = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        chmod(directory, 0o755)
        group = try ChildProcess(["/bin/sleep", "infinity"], group: 0)
        let channel = try Channel()
        lifeline = channel.writing
        // Reads until the test's end of the pipe is gone, which it is even if the test run crashed.
        watchdog = try ChildProcess(
            [
                "/bin/sh", "-c",
                "read nothing; /bin/kill -KILL -- -\(group.pid); "
                    + "awk '$2 ~ \"^\(directory)/\" {print $2}' /proc/self/mounts | xargs -r umount -l;"
                    + " rm -rf --one-file-system -- '\(directory)'",
            ],
            group: 0, streams: (channel.reading, -1, -1))
        close(channel.reading)
        for (name, mode) in [("state", 0o700), ("services", 0o1777)] as [(String, mode_t)] {
            mkdir(directory + "/" + name, mode)
            chmod(directory + "/" + name, mode)
        }
        if withAuthority { try startAuthority() }
    }

    func tearDown() {
        close(lifeline)
        _ = try? watchdog.wait()
        group.end()
        authority?.end()
    }

    // MARK: The authority

    /// Starts the authority and waits until it answers.
    func startAuthority(
        environment: [String: String] = [:], wrapper: [String] = [], options: [String] = []
    ) throws {
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        defer { close(log) }
        let started = try start(
            wrapper + [product("guised"), "--state", directory + "/state", "--runtime", runtime] + options,
            environment: environment, streams: (-1, log, log))
        authority = started
        try eventually("the authority to answer; it logged: \(self.log)") {
            guard !started.hasEnded else { throw HarnessError("guised ended: \(self.log)") }
            return (try? AuthorityClient(runtimeDirectory: runtime)) != nil
        }
    }

    /// Ends the authority as a crash would.
    func killAuthority() {
        authority?.end()
    }

    /// Waits until the authority logged a line that has all of the words in it.
    func waitForLog(_ words: String..., seconds: Double = 5) throws {
        try eventually("a log line with \(words)", seconds: seconds) {
            log.split(separator: "\n").contains { line in words.allSatisfy { line.contains($0) } }
        }
    }

    /// Asks the authority as root.
    @discardableResult
    func ask(_ body: WireRequest.OneOf_Body) throws -> WireResponse.OneOf_Body {
        try AuthorityClient(runtimeDirectory: runtime).call(body)
    }

    // MARK: Processes

    func start(
        _ command: [String], environment: [String: String] = [:],
        streams: (Int32, Int32, Int32) = (-1, -1, -1)
    ) throws -> ChildProcess {
        try ChildProcess(
            command, environment: ["GUISE_RUNTIME_DIR": runtime].merging(environment) { $1 },
            group: group.pid,
            streams: streams)
    }

    /// A command line that runs another as a user.
    static func command(_ command: [String], as uid: UInt32, groups: [UInt32] = []) -> [String] {
        let memberships =
            groups.isEmpty
            ? ["--clear-groups"] : ["--groups", groups.map(String.init).joined(separator: ",")]
        return ["/usr/bin/setpriv", "--reuid", "\(uid)", "--regid", "\(uid)"] + memberships + ["--"] + command
    }

    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Runs a command to its end.
    func run(_ command: [String], as person: Person? = nil) throws -> Outcome {
        let output = directory + "/out.\(UUID())"
        let errors = directory + "/err.\(UUID())"
        let descriptors = [output, errors].map { (path: String) in
            open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        }
        defer {
            unlink(output)
            unlink(errors)
        }
        let process = try start(
            person.map { Self.command(command, as: $0.uid) } ?? command,
            streams: (-1, descriptors[0], descriptors[1]))
        descriptors.forEach { close($0) }
        let status = try process.wait(seconds: 60)
        return Outcome(
            status: status, output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8))
    }
}

/// Runs a test on a stage of its own.
func onStage<Result>(withAuthority: Bool = true, _ body: (Stage) throws -> Result) throws -> Result {
    let stage = try Stage(withAuthority: withAuthority)
    defer { stage.tearDown() }
    return try body(stage)
}

extension Trait where Self == ConditionTrait {
    /// For tests with other users' processes, credentials or mediation.
    static var asRoot: Self {
        .enabled(if: geteuid() == 0, "needs root: it starts an authority and processes of other users")
    }
}
