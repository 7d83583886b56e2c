import AccessControl
import CGuise
import Foundation
import GuiseProtocol
import Synchronization

/// Random clients of several users and services, for a time, with everything that can die dying, and every decision
/// compared with the model's.
final class Soak: @unchecked Sendable {
    // Sendable by hand: what changes is behind locks; the stage's authority is used on the chaos thread alone while others
    // run.

    struct Summary {
        var sessions = 0, decisions = 0, granted = 0, refused = 0, disturbed = 0, impersonationsRefused = 0
        var changes = 0, serviceDeaths = 0, authorityDeaths = 0, clientDeaths = 0
        var wrong: [String] = []
        var leaks: [String] = []
        var figures: [String] = []
    }

    private let stage: Stage
    private let seconds: Double
    private let seed: UInt64
    private var accounts: [Person] = []
    private var people: [SoakPerson] = []
    private var groups: [Person] = []
    private var files: [SoakFile] = []
    private let workerCount = 6

    private struct Held: @unchecked Sendable {
        // Sendable by hand: clients read what a service is; whoever ends it has taken it out first.
        let service: Service
    }
    private struct Running {
        var services: [Held?]
        /// Raised before something of the service's dies, and after it is there again: odd in between.
        var generations: [Int]
        var starts = 0
    }
    private let running: Mutex<Running>
    private let summary = Mutex(Summary())
    private let isOver = Atomic(false)
    private let isPaused = Atomic(false)
    private let busy = Atomic(0)

    init(_ stage: Stage, seconds: Double, seed: UInt64) throws {
        (self.stage, self.seconds, self.seed) = (stage, seconds, seed)
        running = Mutex(Running(services: [nil, nil, nil], generations: [0, 0, 0]))
        accounts = try (0..<3).map { try stage.service("service\($0)") }
        people = try (0..<8).map { SoakPerson(try stage.user("user\($0)")) }
        groups = try (0..<3).map { try stage.group("group\($0)") }
        try makeFiles()
    }

    private func makeFiles() throws {
        var random = Repeatable(state: seed)
        let subjects = (accounts + people.map(\.person) + groups).map(\.sid)
        // Who is nobody has no SeChangeNotifyPrivilege: the folder lets everybody pass.
        let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;;0x20;;;AN)")
        let home = stage.folder("home")
        for index in 0..<24 {
            let sddl = soakDescriptor(&random, subjects: subjects)
            let descriptor = try SecurityDescriptor(sddl: sddl, domain: .users)
            if index < 12 {
                let path = try stage.managedFile("\(root)/\(index)", "x", sddl)
                files.append(SoakFile(path, isManaged: true, descriptor: descriptor))
                continue
            }
            let owners = accounts + people.map(\.person) + [Person(name: "root", uid: 0, sid: "")]
            let owner = owners[Int(random.next() % UInt64(owners.count))]
            let mode = [0o600, 0o400, 0o644, 0o666, 0o604, 0o606][Int(random.next() % 6)] as UInt32
            let path = try stage.file("\(home)/\(index)", "x", of: owner, mode: mode_t(mode))
            if index % 2 == 0 { try stage.describe(path, sddl) }
            files.append(
                SoakFile(
                    path, isManaged: false, owner: owner.uid, mode: mode,
                    descriptor: index % 2 == 0 ? descriptor : nil))
        }
    }

    // MARK: The course of it

    /// Runs for the time given. Two parts: everything dies; then nothing but clients does, and what is left is counted.
    func run() throws -> Summary {
        for index in 0..<3 { try startService(index) }
        let started = ContinuousClock.now
        let workers = (0..<workerCount).map { number in
            start { self.work(Repeatable(state: self.seed &+ UInt64(number + 1) &* 0x1234_5678)) }
        }
        let reporter = start { self.report(since: started) }
        defer {
            isOver.store(true, ordering: .relaxed)
            (workers + [reporter]).forEach { $0.wait() }
        }
        try disturb(until: started + .seconds(seconds * 0.6))
        try restartAuthority(gently: true)
        try measure(until: started + .seconds(seconds))
        return summary.withLock { $0 }
    }

    private func start(_ body: @escaping @Sendable () -> Void) -> DispatchSemaphore {
        let done = DispatchSemaphore(value: 0)
        Thread {
            body()
            done.signal()
        }.start()
        return done
    }

    private func report(since started: ContinuousClock.Instant) {
        var next = 10.0
        while !isOver.load(ordering: .relaxed) {
            usleep(100_000)
            let passed = Double((ContinuousClock.now - started).components.seconds)
            guard passed >= next else { continue }
            next += 10
            let now = summary.withLock { $0 }
            print(
                "soak: \(Int(passed)) s: \(now.sessions) sessions, \(now.decisions) decisions (\(now.granted) granted,"
                    + " \(now.disturbed) disturbed), \(now.changes) changes; died: \(now.clientDeaths) clients,"
                    + " \(now.serviceDeaths) services, guised \(now.authorityDeaths) times; wrong: \(now.wrong.count)"
            )
            fflush(nil)
        }
    }

    // MARK: What dies and changes

    private func disturb(until end: ContinuousClock.Instant) throws {
        var random = Repeatable(state: seed ^ 0xC0FFEE)
        var round = 0
        while ContinuousClock.now < end {
            usleep(useconds_t(20_000 + random.next() % 100_000))
            round += 1
            switch random.next() % 100 {
            case 0..<4 where round > 20: try restartAuthority(gently: random.next() % 2 == 0)
            case 4..<10:
                try restartService(Int(random.next() % 3))
                summary.withLock { $0.serviceDeaths += 1 }
            default: change(&random)
            }
        }
    }

    /// Changes a descriptor, or somebody's groups or level. An authority that dies meanwhile leaves open what came of it.
    private func change(_ random: inout Repeatable) {
        let subjects = (accounts + people.map(\.person) + groups).map(\.sid)
        summary.withLock { $0.changes += 1 }
        if random.next() % 3 > 0 {
            let described = files.filter { $0.descriptor != nil }
            let file = described[Int(random.next() % UInt64(described.count))]
            let sddl = soakDescriptor(&random, subjects: subjects)
            guard let descriptor = try? SecurityDescriptor(sddl: sddl, domain: .users) else { return }
            file.descriptor?.begin(descriptor)
            if (try? stage.describe(file.path, sddl)) != nil { file.descriptor?.end() }
            return
        }
        let one = people[Int(random.next() % UInt64(people.count))]
        var standing = SoakPerson.Standing(groups: [], isLow: random.next() % 4 == 0)
        for index in groups.indices where random.next() % 2 == 0 { standing.groups.insert(index) }
        one.standing.begin(standing)
        let names = groups.map(\.name)
        let wanted = standing
        let answer = try? stage.ask(
            .accountChange(
                .with {
                    $0.name = one.person.name
                    $0.join = wanted.groups.map { names[$0] }
                    $0.leave = names.indices.filter { !wanted.groups.contains($0) }.map { names[$0] }
                    if wanted.isLow { $0.level = 0x1000 } else { $0.usualIntegrity = true }
                }))
        if answer != nil { one.standing.end() }
    }

    private func restartAuthority(gently: Bool) throws {
        raiseGenerations(0..<3)
        if gently {
            stage.authority?.signal(SIGTERM)
            try stage.authority?.wait()
        } else {
            stage.killAuthority()
        }
        try stage.startAuthority()
        for index in 0..<3 {
            endService(index)
            try startService(index)
        }
        raiseGenerations(0..<3)
        summary.withLock { $0.authorityDeaths += 1 }
    }

    private func restartService(_ index: Int) throws {
        raiseGenerations(index..<(index + 1))
        endService(index)
        try startService(index)
        raiseGenerations(index..<(index + 1))
    }

    private func raiseGenerations(_ range: Range<Int>) {
        running.withLock { running in for index in range { running.generations[index] += 1 } }
    }

    private func endService(_ index: Int) {
        let held = running.withLock { running -> Held? in
            defer { running.services[index] = nil }
            return running.services[index]
        }
        guard let service = held?.service else { return }
        service.process.end()
        unlink(service.socket)
    }

    private func startService(_ index: Int) throws {
        let number = running.withLock { running in
            running.starts += 1
            return running.starts
        }
        let held = Held(service: try stage.serve(accounts[index], threads: 64, name: "s\(number)"))
        running.withLock { $0.services[index] = held }
    }

    // MARK: Clients

    private func work(_ generator: Repeatable) {
        var random = generator
        while !isOver.load(ordering: .relaxed) {
            guard !isPaused.load(ordering: .acquiring) else {
                usleep(5000)
                continue
            }
            busy.add(1, ordering: .acquiringAndReleasing)
            session(&random)
            busy.subtract(1, ordering: .acquiringAndReleasing)
        }
    }

    private func session(_ random: inout Repeatable) {
        let index = Int(random.next() % 3)
        let (found, generation) = running.withLock { running -> (Held?, Int) in
            (running.services[index], running.generations[index])
        }
        guard let service = found?.service else {
            usleep(10_000)
            return
        }
        let one = people[Int(random.next() % UInt64(people.count))]
        let level = ["plain", "anonymous", "identification", "impersonation", "delegation"][
            Int(random.next() % 5)]
        do {
            let since = ContinuousClock.now
            let client = try service.client(one.person, level: level == "plain" ? nil : level)
            summary.withLock { $0.sessions += 1 }
            let adopted = try client.ask("adopt", seconds: 20)
            guard adopted.value != nil else {
                return fail("adopt came to \(adopted)", index, generation)
            }
            // The token is that of the announcement or of the capture.
            let tokens = try Self.tokens(of: one, level: level, since: since, groups)
            for _ in 0..<(1 + random.next() % 40) {
                if random.next() % 100 == 0 {
                    // Leaves without waiting for what it asked for.
                    try client.send("scoped probe \(files[0].path) 0")
                    summary.withLock { $0.clientDeaths += 1 }
                    break
                }
                try decision(client, index, generation, one, level, tokens, &random)
            }
            try client.leave()
        } catch {
            fail("\(one.person.name) at \(level): \(error)", index, generation)
        }
    }

    private static func tokens(
        of one: SoakPerson, level: String, since start: ContinuousClock.Instant, _ groups: [Person]
    ) throws -> [Token] {
        try one.standing.values(since: start).map { try one.token($0, groups: groups) }
    }

    private func decision(
        _ client: Client, _ index: Int, _ generation: Int, _ one: SoakPerson, _ level: String,
        _ tokens: [Token],
        _ random: inout Repeatable
    ) throws {
        let file = files[Int(random.next() % UInt64(files.count))]
        let access = SoakFile.Access.allCases[Int(random.next() % 4)]
        let words = ["anonymous", "identification", "impersonation", "delegation"]
        let limit = words[Int(random.next() % 4)]
        let allowed = level == "plain" ? 2 : words.firstIndex(of: level)!
        let effective = min(allowed, words.firstIndex(of: limit)!)
        let probe = "probe \(file.path) \(access.word)"
        let since = ContinuousClock.now
        let answer: Reply
        let expected: Set<Bool>
        switch random.next() % 8 {
        case 0:
            // The service as itself.
            answer = try client.ask(probe)
            let account = accounts[index]
            expected =
                file.isManaged
                ? file.answers(
                    access, try .soak(user: account, integrity: .system), uid: account.uid, since: since)
                : [file.modeAllows(access, account.uid)]
        case let way:
            let command = way < 3 ? "async perform \(limit) \(probe)" : probe
            let acted = way < 3 ? try client.ask(command) : try client.acting(command, atMost: limit)
            // A task's command comes back within the answer.
            answer = way < 3 ? acted.value.map { Reply(line: $0) } ?? acted : acted
            expected =
                effective < 2
                ? file.answers(access, .anonymous, uid: 65534, since: since)
                : tokens.reduce(into: []) {
                    $0.formUnion(file.answers(access, $1, uid: one.person.uid, since: since))
                }
        }
        let isGranted = answer.value != nil
        let isUndisturbed = isUndisturbed(index, since: generation)
        // A grant is always to be one that the model gives; a failure may come of what died meanwhile.
        let isRight = isGranted ? expected.contains(true) : answer.errno == EACCES && expected.contains(false)
        summary.withLock { summary in
            summary.decisions += 1
            if isGranted { summary.granted += 1 } else { summary.refused += 1 }
            if !isUndisturbed { summary.disturbed += 1 }
            if !isRight, isGranted || isUndisturbed {
                summary.wrong.append(
                    "\(one.person.name) at \(level), \(limit), \(access) of \(file.path): \(answer), model \(expected)"
                )
            }
        }
    }

    /// Whether nothing of a service's died.
    private func isUndisturbed(_ index: Int, since generation: Int) -> Bool {
        generation % 2 == 0 && running.withLock { $0.generations[index] == generation }
    }

    private func fail(_ text: String, _ index: Int, _ generation: Int) {
        let isUndisturbed = isUndisturbed(index, since: generation)
        summary.withLock { summary in
            if isUndisturbed, !isOver.load(ordering: .relaxed) {
                summary.wrong.append(text)
            } else {
                summary.disturbed += 1
            }
        }
    }

    // MARK: What is left

    private struct Count {
        var descriptors = 0, threads = 0, kilobytes = 0
    }

    private func count(_ pid: pid_t) throws -> Count {
        let manager = FileManager.default
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return Count(
            descriptors: try manager.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count,
            threads: try manager.contentsOfDirectory(atPath: "/proc/\(pid)/task").count,
            kilobytes: Int(line.filter(\.isNumber)) ?? 0)
    }

    /// No client is there, and nothing is under way.
    private func quietly<Result>(_ body: () throws -> Result) throws -> Result {
        isPaused.store(true, ordering: .releasing)
        defer { isPaused.store(false, ordering: .releasing) }
        try eventually("the clients to leave", seconds: 60) { busy.load(ordering: .acquiring) == 0 }
        usleep(500_000)
        return try body()
    }

    private func services() -> [pid_t] { running.withLock { $0.services.compactMap { $0?.service.pid } } }

    private func sessionCount() throws -> Int {
        guard case .sessions(let list) = try stage.ask(.sessions(.init())) else { return -1 }
        return list.sessions.count
    }

    private func captureCount() throws -> Int {
        try services().reduce(0) { sum, pid in
            let answer = try stage.ask(.connections(.with { $0.process = UInt32(pid) }))
            guard case .connections(let list) = answer else { return -1 }
            return sum + list.connections.count
        }
    }

    private func measure(until end: ContinuousClock.Instant) throws {
        guard let authority = stage.authority?.pid else { throw HarnessError("no authority") }
        var random = Repeatable(state: seed ^ 0xFEED)
        func goOn(until moment: ContinuousClock.Instant, _ sample: () throws -> Void) throws {
            while ContinuousClock.now < moment {
                usleep(100_000)
                change(&random)
                try sample()
            }
        }
        let begun = ContinuousClock.now
        try goOn(until: begun + (end - begun) / 4) {}
        let pids = [authority] + services()
        let (before, sessionsBefore) = try quietly { (try pids.map(count), try sessionCount()) }
        var samples: [(seconds: Double, kilobytes: Double)] = []
        let sampling = ContinuousClock.now
        try goOn(until: end) {
            let passed = ContinuousClock.now - sampling
            samples.append(
                (
                    Double(passed.components.seconds) + Double(passed.components.attoseconds) / 1e18,
                    Double(try count(authority).kilobytes)
                ))
        }
        let (after, sessionsAfter, captures) = try quietly {
            (try pids.map(count), try sessionCount(), try captureCount())
        }
        let slope = Self.slope(samples) * 60
        summary.withLock { summary in
            func expect(_ isSo: Bool, _ text: String) { if !isSo { summary.leaks.append(text) } }
            for (index, name) in (["guised"] + accounts.map(\.name)).enumerated() {
                let (old, new) = (before[index], after[index])
                let text =
                    "\(name): \(old.descriptors) then \(new.descriptors) descriptors, \(old.threads) then"
                    + " \(new.threads) threads, \(old.kilobytes) then \(new.kilobytes) KiB"
                summary.figures.append(text)
                // A thread that impersonated is remembered until its slot is another's: 256 slots in three services.
                expect(new.descriptors <= old.descriptors + (index == 0 ? 3 * 256 : 8), text)
                expect(new.threads <= old.threads + 8, text)
                expect(new.kilobytes <= old.kilobytes + 16 * 1024, text)
            }
            summary.figures.append("guised grew by \(Int(slope)) KiB a minute, while clients came and went")
            expect(seconds < 300 || slope < 1024, "guised grew by \(Int(slope)) KiB a minute")
            summary.figures.append(
                "\(sessionsBefore) then \(sessionsAfter) logon sessions, \(captures) captures left")
            expect(captures == 0, "\(captures) captures left")
            expect(
                sessionsAfter <= sessionsBefore + people.count,
                "\(sessionsBefore), then \(sessionsAfter) sessions")
        }
    }

    /// By least squares.
    private static func slope(_ samples: [(seconds: Double, kilobytes: Double)]) -> Double {
        let count = Double(max(1, samples.count))
        let (x, y) = (
            samples.map(\.seconds).reduce(0, +) / count, samples.map(\.kilobytes).reduce(0, +) / count
        )
        let above = samples.map { ($0.seconds - x) * ($0.kilobytes - y) }.reduce(0, +)
        let below = samples.map { ($0.seconds - x) * ($0.seconds - x) }.reduce(0, +)
        return below > 0 ? above / below : 0
    }
}
