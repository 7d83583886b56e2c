import CFloor
import Glibc
import Guise
import Registry
import RegistryModel
import Synchronization

/// The registry from other processes: what a look-up takes beside bare messages of the same sizes, with few keys and with
/// very many, how long it takes to come up with them, to take in a file, and to tell who watches.
func registrySuite() throws {
    var suite = Suite("registry")
    let stage = try Stage()
    defer { stage.end() }
    let system = try stage.worker("--worker-root")
    let alice = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
    let bare = try stage.worker("--worker-root")
    let pairs = stage.directory + "/sockets/pairs"
    try bare.ask("serve-pairs \(pairs)")

    let few = try RegistryOnStage(stage, "few")
    try few.load(values: 1)
    let many = try RegistryOnStage(stage, "many")
    try many.load(values: 1)
    let copying = try system.measure("multiply 999 \(many.socket)")
    suite.say("999,000 keys copied, 1,000 at a time", "\(seconds(copying)); \(many.memory)")

    let pair = "two round trips of the same sizes, bare"
    let (lookup, among) = ("open + query + close, 1,000 keys", "the same, 1,000,000 keys")
    let stored = "the same, hardly any of them in memory"
    var turns = Turns()
    turns.add(pair) { try alice.measure("pairs 1000 \(pairs)") }
    turns.add(lookup) { try alice.measure("look-up 1000 \(few.socket) 1000") }
    turns.add(among) { try alice.measure("look-up 1000 \(many.socket) 1000000") }
    try turns.run()
    suite.record(turns, [(pair, nil, nil), (lookup, pair, 2), (among, lookup, 1.3)])
    suite.say("memory with 1,000 keys; with 1,000,000, looked up", "\(few.memory); \(many.memory)")

    try many.restart(cold: true)
    suite.say("cold start with them, to the first look-up", try seconds(many.timeToFirst(alice)))
    turns = Turns()
    turns.add(lookup) { try alice.measure("look-up 100 \(few.socket) 1000") }
    turns.add(stored) { try alice.measure("look-up 100 \(many.socket) 1000000") }
    try turns.run()
    suite.record(turns, [(lookup, nil, nil), (stored, lookup, nil)])

    // As many processes, each a client of its own.
    let crowd = try (0..<200).map { _ in
        try stage.worker("--worker-plain", "\(Stage.alice)", "")
    }
    for client in crowd { try client.ask("look-up 1 \(few.socket) 1000") }
    let start = bench_now()
    for client in crowd { try client.tell("look-up 200 \(few.socket) 1000") }
    for client in crowd { try client.answer() }
    suite.record("the same, one of 200 clients at once", (bench_now() - start) / 40_000, baseline: lookup)

    try alice.ask("watch \(few.socket)")
    let changed = try numbers(system.ask("change 200 \(few.socket)"))
    let told = try numbers(alice.ask("told"))
    guard changed.count == told.count else {
        throw BenchError("\(told.count) of \(changed.count) changes were told")
    }
    let times = zip(changed, told).map { $1 - $0 }.sorted()
    suite.record(
        "a value is set, until who watches knows", times[times.count / 10], median: times[times.count / 2],
        limit: 1_000_000)

    let durable = try RegistryOnStage(stage, "durable", durability: "full")
    let taken = try durable.load(values: 100)
    suite.say(
        "100,000 values imported, --durability full",
        seconds(taken) + (taken <= 10e9 ? "  ok (≤ 10 s)" : "  OVER 10 s"))
}

extension Suite {
    /// Takes down what was measured in turns: its name, what it is compared with, and the most that it may be of that.
    fileprivate mutating func record(
        _ turns: Turns, _ rows: [(name: String, baseline: String?, ratio: Double?)]
    ) {
        for row in rows {
            guard let result = turns.results[row.name] else { continue }
            record(
                row.name, result, median: turns.medians[row.name], baseline: row.baseline, atMost: row.ratio)
        }
    }
}

private func seconds(_ nanoseconds: Double) -> String {
    let hundredths = Int((nanoseconds / 1e7).rounded())
    return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10) s"
}

private func numbers(_ line: String) -> [Double] { line.split(separator: " ").compactMap { Double($0) } }

/// A registryd on a stage, with a database of its own.
final class RegistryOnStage {
    static let account: UInt32 = 61_903

    let socket: String
    private let stage: Stage
    private let state: String
    private let durability: String
    private var process: ChildProcess
    private var started = 0.0

    init(_ stage: Stage, _ name: String, durability: String = "process") throws {
        (self.stage, self.durability) = (stage, durability)
        socket = stage.directory + "/sockets/registry-" + name
        state = stage.directory + "/registry-" + name
        mkdir(state, 0o700)
        chown(state, Self.account, Self.account)
        process = try Self.start(stage, state, socket, durability)
    }

    private static func start(
        _ stage: Stage, _ state: String, _ socket: String, _ durability: String
    ) throws -> ChildProcess {
        try stage.tool(
            "guise", state + ".log", "run", "--runtime", stage.directory + "/run", "bench-registry", "--",
            stage.tools + "/registryd", "--state", state, "--socket", socket, "--durability", durability)
    }

    /// Has a file of 1,000 keys imported, with so many values each. Returns the nanoseconds that took.
    @discardableResult
    func load(values: Int) throws -> Double {
        let path = state + ".reg"
        guard let file = fopen(path, "w") else {
            throw BenchError("\(path): \(String(cString: strerror(errno)))")
        }
        defer { unlink(path) }
        fputs("Windows Registry Editor Version 5.00\r\n", file)
        for key in 0..<1000 {
            fputs("\r\n[HKEY_LOCAL_MACHINE\\\(RegistryWorker.path(key).dropFirst(8))]\r\n", file)
            for value in 0..<values { fputs("\"\(value)\"=dword:0000cafe\r\n", file) }
        }
        guard fclose(file) == 0 else { throw BenchError("\(path): \(String(cString: strerror(errno)))") }
        try awaitListening()
        let start = bench_now()
        try ChildProcess.run([stage.tools + "/reg", "import", "--socket", socket, path])
        return bench_now() - start
    }

    /// Ends it and starts it again, with nothing of its files in memory.
    func restart(cold: Bool) throws {
        process.end(SIGTERM)
        for name in ["/registry.db", "/registry.db-wal"] {
            let file = open(state + name, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            fsync(file)
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
            close(file)
        }
        started = bench_now()
        process = try Self.start(stage, state, socket, durability)
    }

    /// The nanoseconds from its start to when a client has looked up something.
    func timeToFirst(_ client: ChildProcess) throws -> Double {
        try awaitListening()
        _ = try client.ask("look-up 1 \(socket) 1000000")
        return bench_now() - started
    }

    private func awaitListening() throws {
        for _ in 0..<10_000 {
            let server = bench_dial(socket)
            if server >= 0 {
                close(server)
                return
            }
            usleep(1000)
        }
        throw BenchError("registryd did not start; its log is \(state).log")
    }

    /// What it has in memory.
    var memory: String {
        let status = open("/proc/\(process.pid)/statm", O_RDONLY | O_CLOEXEC)
        defer { close(status) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(status, &buffer, buffer.count)
        let words = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        return "\((words.count > 1 ? Int(words[1]) ?? 0 : 0) * 4 / 1024) MiB"
    }
}

/// The clients' part, in their processes.
enum RegistryWorker {
    /// What was told, and when.
    private static let told = Mutex<[Double]>([])

    static func path(_ key: Int) -> String { "Machine\\Bench\\\(key / 1000)\\\(key % 1000)" }

    /// Copies the first 1,000 keys, so many times. Returns the nanoseconds of all.
    static func multiply(_ count: Int, _ socket: String) throws -> Double {
        let all = try RegistryKey.open("Machine\\Bench", for: .allAccess, socket: socket)
        let first = try all.open("0", for: .allRead)
        let start = bench_now()
        for group in 1...count { try first.copy(to: try all.create("\(group)")) }
        return bench_now() - start
    }

    /// Opens keys, any of them, reads a value of each, and closes them. Returns the nanoseconds of one.
    static func lookUp(_ count: Int, _ socket: String, keys: Int) throws -> Double {
        var random = SystemRandomNumberGenerator()
        let start = bench_now()
        for _ in 0..<count {
            let key = try RegistryKey.open(
                path(Int.random(in: 0..<keys, using: &random)), for: .queryValue, socket: socket)
            guard try key.get("0", as: UInt32.self) == 0xcafe else { throw BenchError("another value") }
        }
        return (bench_now() - start) / Double(count)
    }

    static func watch(_ socket: String) throws {
        let changes = try RegistryKey.open(path(0), for: .notify, socket: socket).changes(.values)
        Task {
            for try await _ in changes {
                let now = bench_now()
                told.withLock { $0.append(now) }
            }
        }
    }

    /// Sets a value now and then; when each time.
    static func change(_ count: Int, _ socket: String) throws -> String {
        let key = try RegistryKey.open(path(0), for: .setValue, socket: socket)
        return try (0..<count).map { _ in
            usleep(10_000)
            let now = bench_now()
            try key.set("0", UInt32(0xcafe))
            return "\(now)"
        }.joined(separator: " ")
    }

    static func heard() -> String {
        usleep(100_000)
        return told.withLock { told in
            defer { told = [] }
            return told.map { "\($0)" }.joined(separator: " ")
        }
    }
}
