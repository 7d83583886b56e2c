import AccessControl
import CGuise
import Foundation
import Guise
import Synchronization

/// Whose file can be read at this moment: the identity as the authority sees it.
private func reader(_ paths: [String]) -> String {
    let open = paths.filter { Files.open($0, Int(O_RDONLY | O_CLOEXEC)).closed }
    return open.isEmpty ? "nobody" : open.map { ($0 as NSString).lastPathComponent }.joined(separator: "+")
}

extension Int {
    /// Closes an open descriptor; whether it was one.
    fileprivate var closed: Bool {
        guard self >= 0 else { return false }
        close(Int32(self))
        return true
    }
}

private actor Ledger {
    var seen: [String] = []
    func note(_ paths: [String]) { seen.append(reader(paths)) }

    /// What a task sees inside an actor that it shares with others.
    func look(_ paths: [String]) -> String { reader(paths) }
    func lookTwice(_ paths: [String]) async -> String {
        let before = reader(paths)
        await Task.yield()
        let after = reader(paths)
        return before == after ? before : "\(before) then \(after)"
    }
}

/// Who could open whose file, checked one by one.
private final class Tally: Sendable {
    let meeting = Meeting()
    private let home: String
    private let clients: Int
    private let state = Mutex((right: 0, wrong: [String: Int]()))

    init(home: String, clients: Int) {
        self.home = home
        self.clients = clients
    }

    /// The client's own file opens and that of the next does not; for the service none does.
    func check(as client: Int?, near: Int, _ place: String) {
        let opensOwn = Files.open("\(home)/\(near)", Int(O_RDONLY | O_CLOEXEC)).closed
        let opensNext = Files.open("\(home)/\((near + 1) % clients)", Int(O_RDONLY | O_CLOEXEC)).closed
        state.withLock {
            if opensOwn == (client == near), !opensNext {
                $0.right += 2
            } else {
                $0.wrong["\(place): own \(opensOwn), next \(opensNext)", default: 0] += 1
            }
        }
    }

    var summary: String { state.withLock { "\($0.right) right, wrong \($0.wrong)" } }

    /// Where tasks of all clients meet.
    actor Meeting {
        func check(_ tally: Tally, as client: Int?, near: Int, _ place: String) {
            tally.check(as: client, near: near, place)
        }
    }
}

/// An executor that knows nothing of Guise.
private final class Elsewhere: TaskExecutor, SerialExecutor {
    private let queue = DispatchQueue(label: "elsewhere")
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async {
            job.runSynchronously(
                isolatedTo: self.asUnownedSerialExecutor(), taskExecutor: self.asUnownedTaskExecutor())
        }
    }
}

/// An actor with an executor of its own.
private actor Owner {
    private let executor: Elsewhere
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    init(_ executor: Elsewhere) { self.executor = executor }
    func look(_ paths: [String]) -> String { reader(paths) }
}

extension Session {
    /// Scenarios of Swift concurrency. Each command blocks its thread until the tasks are done.
    func awaiting(_ words: [String]) throws -> Outcome? {
        guard words[0] == "async" else { return nil }
        let connection = try captured()
        let arguments = Array(words[2...])
        let body: @Sendable () async throws -> String
        switch words[1] {
        case "follow": body = { try await Self.follow(connection, arguments) }
        case "unstructured": body = { try await Self.unstructured(connection, arguments) }
        case "outliving":
            guard case .connection(let other) = Server.named.withLock({ $0[words[2]] }) else {
                return .errno(ENOENT)
            }
            body = { try await Self.outliving(connection, other, Array(arguments[1...])) }
        case "function":
            let function: @Sendable () throws -> String = { reader(arguments) }
            let asynchronous: @Sendable () async throws -> String = function
            body = { try await connection.impersonating(asynchronous) }
        case "leaving": body = { try await Self.leaving(connection, arguments) }
        case "nested":
            guard case .connection(let other) = Server.named.withLock({ $0[words[2]] }) else {
                return .errno(ENOENT)
            }
            body = { try await Self.nested(connection, other, Array(arguments[1...])) }
        case "crowd":
            guard case .connection(let other) = Server.named.withLock({ $0[words[2]] }) else {
                return .errno(ENOENT)
            }
            body = { try await Self.crowd(connection, other, Int(arguments[1])!, Array(arguments[2...])) }
        case "storm":
            body = { try await Self.storm(tasks: Int(words[2])!, clients: Int(words[3])!, home: words[4]) }
        case "throwing":
            body = { () async throws -> String in
                struct Thrown: Error {}
                try? await connection.impersonating {
                    await Task.yield()
                    throw Thrown()
                }
                return reader(arguments)
            }
        case "intent":
            body = {
                try await connection.impersonating {
                    await Task.yield()
                    let declared = try withIntent(.backup) { reader(arguments) }
                    await Task.yield()
                    return "\(declared) then \(reader(arguments))"
                }
            }
        case "perform":
            // At no more than a level: a command.
            let level = ImpersonationLevel(word: words[2])!
            body = {
                try await connection.impersonating(atMost: level) {
                    await Task.yield()
                    return self.perform(Array(arguments[1...])).line
                }
            }
        case "at-most":
            body = {
                try await connection.impersonating(atMost: .identification) {
                    await Task.yield()
                    return reader(arguments)
                }
            }
        default: return nil
        }
        return .value(try awaited(body))
    }

    private static func follow(_ connection: Connection, _ paths: [String]) async throws -> String {
        var seen = [reader(paths)]
        let ledger = Ledger()
        seen += try await connection.impersonating {
            var seen = [reader(paths)]
            for _ in 0..<20 {
                await Task.yield()
                seen.append(reader(paths))
            }
            try await Task.sleep(for: .milliseconds(5))
            seen.append(reader(paths))
            async let child = reader(paths)
            seen.append(await child)
            seen += await withTaskGroup(of: String.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        await Task.yield(); return reader(paths)
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                DispatchQueue.global().async { continuation.resume() }
            }
            seen.append(reader(paths))
            await ledger.note(paths)
            seen += await ledger.seen
            return seen
        }
        seen.append(reader(paths))
        return Self.runs(seen)
    }

    /// `a,a,b` as `a b`.
    private static func runs(_ seen: [String]) -> String {
        var result: [String] = []
        for one in seen where result.last != one { result.append(one) }
        return result.joined(separator: " ")
    }

    private static func unstructured(_ connection: Connection, _ paths: [String]) async throws -> String {
        try await connection.impersonating {
            await Task.detached { reader(paths) }.value
        }
    }

    private static func nested(_ one: Connection, _ other: Connection, _ paths: [String]) async throws
        -> String
    {
        try await one.impersonating {
            let outer = reader(paths)
            let inner = try await other.impersonating {
                await Task.yield()
                return reader(paths)
            }
            let (replaced, reverted) = try { () throws -> (String, String) in
                try impersonate(other)
                let replaced = reader(paths)
                revertToSelf()
                revertToSelf()
                return (replaced, reader(paths))
            }()
            await Task.yield()
            return [outer, inner, replaced, reverted, reader(paths)].joined(separator: " ")
        }
    }

    /// What runs under the executor of somebody else, from a body.
    private static func leaving(_ connection: Connection, _ paths: [String]) async throws -> String {
        let elsewhere = Elsewhere()
        let owner = Owner(elsewhere)
        return try await connection.impersonating {
            let before = reader(paths)
            let own = await owner.look(paths)
            let preference = await withTaskExecutorPreference(elsewhere) { reader(paths) }
            let unstructured = await Task { reader(paths) }.value
            return [
                before, "own executor \(own)", "preference \(preference)",
                "unstructured \(unstructured)", reader(paths),
            ].joined(separator: ", ")
        }
    }

    /// A body that goes on when the process has lost its connection and attached anew, where the other client has the
    /// handle that this one had.
    private static func outliving(
        _ connection: Connection, _ other: Connection, _ paths: [String]
    ) async throws -> String {
        let (seen, next) = try await connection.impersonating {
            let before = reader(paths)
            let next = try await Task.detached {
                shutdown(Session.controlSocket()!, Int32(SHUT_RDWR))
                while true {
                    do { try Authority.attach(); break } catch { usleep(1000) }
                }
                return try Connection(adopting: .init(rawValue: dup(other.fileDescriptor.rawValue)))
            }.value
            return ("\(before) \(reader(paths))", next)
        }
        return "\(seen) \(reader(paths)) \(try next.impersonating { reader(paths) })"
    }

    /// storm TASKS CLIENTS HOME: so many tasks at once, each as one of the named clients, in every way a task can go on.
    /// Each may open HOME/N of its own and nobody else's, the service none. Says how many opens were right, and what was
    /// wrong.
    private static func storm(tasks: Int, clients: Int, home: String) async throws -> String {
        let connections = try (0..<clients).map { index in
            guard case .connection(let connection) = Server.named.withLock({ $0["\(index)"] }) else {
                throw GuiseError.notFound("client \(index)")
            }
            return connection
        }
        let tally = Tally(home: home, clients: clients)
        await withTaskGroup { group in
            for index in 0..<tasks {
                group.addTask { await oneOfStorm(index, connections, tally) }
                if index % 10 == 0 {
                    group.addTask {
                        await Task.yield()
                        tally.check(as: nil, near: index % clients, "service")
                        await tally.meeting.check(
                            tally, as: nil, near: index % clients, "service in the actor")
                        tally.check(as: nil, near: index % clients, "service behind the actor")
                    }
                }
            }
        }
        return tally.summary
    }

    private static func oneOfStorm(_ index: Int, _ connections: [Connection], _ tally: Tally) async {
        struct Thrown: Error {}
        let own = index % connections.count
        let way = index / connections.count % 8
        let task = Task {
            try await connections[own].impersonating {
                tally.check(as: own, near: own, "body")
                switch way {
                case 0:
                    async let child: Void = tally.check(as: own, near: own, "child")
                    await child
                case 1:
                    await withTaskGroup { group in
                        for _ in 0..<3 { group.addTask { tally.check(as: own, near: own, "group") } }
                    }
                case 2: await tally.meeting.check(tally, as: own, near: own, "actor")
                case 3:
                    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                        DispatchQueue.global().async { continuation.resume() }
                    }
                case 4:
                    let other = (own + 1) % connections.count
                    try await connections[other].impersonating {
                        await Task.yield()
                        tally.check(as: other, near: other, "nested")
                    }
                case 5: usleep(500)
                case 6: try await Task.sleep(for: .seconds(100))
                default: throw Thrown()
                }
                tally.check(as: own, near: own, "after \(way)")
            }
        }
        if way == 6 { task.cancel() }
        _ = await task.result
        tally.check(as: nil, near: own, "after the body")
    }

    /// Two clients' tasks and the service's own in one crowd, meeting in actors; what each kind saw.
    private static func crowd(
        _ one: Connection, _ other: Connection, _ rounds: Int, _ paths: [String]
    ) async throws -> String {
        let shared = Ledger()
        let tallies = try await withThrowingTaskGroup(of: (String, [String]).self) { group in
            for _ in 0..<8 {
                group.addTask { ("one", try await one.impersonating { await look(shared, rounds, paths) }) }
                group.addTask {
                    ("other", try await other.impersonating { await look(shared, rounds, paths) })
                }
                group.addTask { ("self", await look(shared, rounds, paths)) }
            }
            return try await group.reduce(into: [String: Set<String>]()) {
                $0[$1.0, default: []].formUnion($1.1)
            }
        }
        return tallies.sorted { $0.key < $1.key }
            .map { "\($0.key)=\($0.value.sorted().joined(separator: "|"))" }.joined(separator: ";")
    }

    private static func look(_ shared: Ledger, _ rounds: Int, _ paths: [String]) async -> [String] {
        var seen: [String] = []
        for round in 0..<rounds {
            seen.append(reader(paths))
            seen.append("actor " + (await shared.look(paths)))
            if round % 3 == 0 { seen.append("actor " + (await shared.lookTwice(paths))) }
            if round % 2 == 0 { await Task.yield() }
            seen.append(reader(paths))
        }
        return seen
    }
}

/// What a task comes to, whose thread this one is not.
func awaited<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    Task.detached {
        let value: Result<Value, any Error>
        do { value = .success(try await body()) } catch { value = .failure(error) }
        result.withLock { $0 = value }
        done.signal()
    }
    done.wait()
    return try result.withLock { $0! }.get()
}
