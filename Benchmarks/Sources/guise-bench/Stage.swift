import Glibc

/// A real authority on directories of its own, with a service and a client's files; all of it goes with this.
final class Stage {
    static let service: UInt32 = 61_901
    static let alice: UInt32 = 61_902

    let directory: String
    /// This program, where every user may run it.
    let program: String
    /// Where the programs are that are measured.
    let tools: String
    private let authority: ChildProcess
    /// They end with their input.
    private var children: [ChildProcess] = []
    private var services: [ChildProcess] = []

    var managedFile: String { directory + "/managed/alice.txt" }
    /// Alice may not open it, and may open it on record.
    var closedFile: String { directory + "/closed/alice.txt" }
    var auditedFile: String { directory + "/audited/alice.txt" }
    var unixFile: String { directory + "/private/alice.txt" }
    /// Where files are made and removed: numbers come after these.
    var managedScratch: String { directory + "/managed/scratch" }
    var unixScratch: String { directory + "/private/scratch" }
    var publicFile: String { directory + "/public/all.txt" }
    var serviceSocket: String { directory + "/sockets/service" }
    var plainSocket: String { directory + "/sockets/plain" }

    init() throws {
        guard geteuid() == 0 else {
            throw BenchError(
                "this suite starts an authority and services, which takes root: run it with sudo")
        }
        tools = try Self.findTools()
        var template = Array("/tmp/guise-bench.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw BenchError("mkdtemp: \(String(cString: strerror(errno)))")
        }
        directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        program = directory + "/guise-bench"
        chmod(directory, 0o755)
        // The authority's, too: what it starts for Kerberos goes by it.
        for (name, value) in KerberosOnStage.environment(in: directory) { setenv(name, value, 1) }
        for (name, mode, owner) in [
            ("state", 0o700, 0), ("managed", 0o700, 0), ("closed", 0o700, 0),
            ("audited", 0o700, 0), ("public", 0o755, 0),
            ("private", 0o755, Self.alice), ("sockets", 0o777, 0),
        ] as [(String, mode_t, UInt32)] {
            mkdir(directory + "/" + name, mode)
            chmod(directory + "/" + name, mode)
            chown(directory + "/" + name, owner, owner)
        }
        for (file, mode, owner) in [
            (directory + "/managed/alice.txt", 0o600, 0),
            (directory + "/closed/alice.txt", 0o600, 0),
            (directory + "/audited/alice.txt", 0o600, 0),
            (directory + "/private/alice.txt", 0o600, Self.alice),
            (directory + "/public/all.txt", 0o644, 0),
        ] as [(String, mode_t, UInt32)] {
            close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, mode))
            chmod(file, mode)
            chown(file, owner, owner)
        }
        try ChildProcess.run(["/bin/cp", Self.own, program])
        chmod(program, 0o755)
        let log = directory + "/guised.log"
        authority = try ChildProcess([
            program, "--worker-tool", tools + "/guised", log, "--state", directory + "/state",
            "--runtime", directory + "/run",
        ])
        do {
            try awaitAuthority(log)
            try guise("account", "add", "bench-alice", "--uid", "\(Self.alice)")
            try guise(
                "account", "add", "bench-files", "--service", "--uid", "\(Self.service)",
                "--grant", "SeImpersonatePrivilege")
            try guise("account", "add", "bench-registry", "--service", "--uid", "\(RegistryOnStage.account)")
            try guise(
                "root", "add", directory + "/managed", "--adopt", "--sddl",
                "O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;AU)")
            try guise(
                "root", "add", directory + "/closed", "--adopt", "--sddl",
                "O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
            try guise(
                "root", "add", directory + "/audited", "--adopt", "--sddl",
                "O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;AU)S:(AU;OICISA;FA;;;AU)")
        } catch {
            end()
            throw error
        }
    }

    /// Starts this program as one of its workers, and waits until it is ready.
    func worker(_ arguments: String...) throws -> ChildProcess { try start([program] + arguments) }

    /// The same under `guise run`.
    func service() throws -> ChildProcess {
        try start([
            tools + "/guise", "run", "--runtime", directory + "/run", "bench-files", "--", program,
            "--worker-service", serviceSocket,
        ])
    }

    /// A program of Guise's that goes on by itself; what it says on standard error is in a log.
    func tool(_ name: String, _ log: String, _ arguments: String...) throws -> ChildProcess {
        try run([tools + "/" + name] + arguments, log)
    }

    /// The same of any program.
    @discardableResult
    func run(_ command: [String], _ log: String) throws -> ChildProcess {
        let child = try ChildProcess([program, "--worker-tool", command[0], log] + command.dropFirst())
        services.append(child)
        return child
    }

    func end() {
        for child in children { child.end() }
        for child in services { child.end(SIGTERM) }
        authority.end(SIGTERM)
        _ = try? ChildProcess.run(["/bin/rm", "-rf", directory])
    }

    private func start(_ arguments: [String]) throws -> ChildProcess {
        let child = try ChildProcess(arguments)
        children.append(child)
        try child.answer()
        return child
    }

    func guise(_ arguments: String...) throws {
        try ChildProcess.run([tools + "/guise"] + arguments + ["--runtime", directory + "/run"])
    }

    private func awaitAuthority(_ log: String) throws {
        for _ in 0..<500 {
            if access(directory + "/run/guise.sock", F_OK) == 0 { return }
            usleep(20_000)
        }
        throw BenchError("guised did not start; its log is \(log)")
    }

    private static let own: String = {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = buffer.withUnsafeMutableBytes {
            readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return String(decoding: buffer[..<max(0, length)], as: UTF8.self)
    }()

    private static func findTools() throws -> String {
        if let named = getenv("GUISE_TOOLS") { return String(cString: named) }
        // Beside this package.
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let tools = "/" + root + "/.build/release"
        for tool in ["guised", "guise"] where access(tools + "/" + tool, X_OK) != 0 {
            throw BenchError(
                "there is no \(tools)/\(tool); build it, `swift build -c release`, or name its directory in $GUISE_TOOLS"
            )
        }
        return tools
    }
}

/// What several ways of doing one thing cost, measured in turns, so that whatever else the machine does
/// meanwhile befalls all alike.
struct Turns {
    private var ways: [(name: String, measure: () throws -> Double)] = []
    private(set) var results: [String: Double] = [:]
    private(set) var medians: [String: Double] = [:]

    mutating func add(_ name: String, _ measure: @escaping () throws -> Double) {
        if let only = getenv("GUISE_BENCH_ONLY"),
            !String(cString: only).split(separator: "|").contains(where: { name.contains($0) })
        {
            return
        }
        ways.append((name, measure))
    }

    /// Takes the lower decile of all samples. Whatever else runs on the processor can only add to a sample: a
    /// competitor for the same one doubles all of them for as long as the scheduler leaves the two together, whoever
    /// it meets, and a median would show that. `$GUISE_BENCH_ONLY` measures only the ways with something of that in
    /// their names (`one|another`), `$GUISE_BENCH_STRETCHES` as long as one wants: for profilers.
    mutating func run(rounds: Int = 15) throws {
        let stretches = getenv("GUISE_BENCH_STRETCHES").flatMap { Int(String(cString: $0)) } ?? 6
        for way in ways { _ = try way.measure() }
        var samples: [String: [Double]] = [:]
        for _ in 0..<(stretches * rounds) {
            for way in ways { samples[way.name, default: []].append(try way.measure()) }
        }
        for (name, values) in samples {
            let sorted = values.sorted()
            results[name] = sorted[sorted.count / 10]
            medians[name] = sorted[sorted.count / 2]
        }
    }
}
