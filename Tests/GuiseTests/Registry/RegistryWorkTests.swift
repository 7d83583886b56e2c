import Foundation
import Testing

/// GUISE_STEPS says how many steps all clients do together, GUISE_SEED which.
@Suite("Clients of the registry who all work at once", .asRoot)
struct RegistryWorkTests {
    private static let root = Person(name: "root", uid: 0, sid: "S-1-5-18")
    private static let shared = "Machine\\Shared"

    @Test("each finds what it left, and nobody a part of what another did")
    func model() throws { try work(kills: false) }

    @Test(
        "when the registry is killed, what was answered is there, and what was not is there whole or not at all"
    )
    func killed() throws { try work(kills: true) }

    private func work(kills: Bool) throws {
        let environment = ProcessInfo.processInfo.environment
        let steps = environment["GUISE_STEPS"].flatMap { Int($0) } ?? 1200
        let seed = environment["GUISE_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...(.max >> 1))
        print("registry work: GUISE_SEED=\(seed) GUISE_STEPS=\(steps)\(kills ? ", killed" : "")")
        try onStage { (stage) throws in
            // The kernel keeps what was written when a process ends; the disk would only take time.
            let registry = try RegistryService(stage, options: ["--durability", "process"])
            let system = try Client(commandsOn: stage, as: Self.root)
            #expect(
                try system.ask("registry create s \(Self.shared) f003f O:SYD:P(A;;KA;;;WD)").value == "new")
            for place in 0..<8 { _ = try system.ask("registry set-number s v\(place) 100") }
            let workers = try (0..<4).map { number in
                let client = try Client(commandsOn: stage, as: try stage.user("worker\(number)"))
                try client.send(
                    "registry-work \(seed &+ UInt64(number)) \(steps / 4) \(Self.shared) \(number)")
                return client
            }
            let watcher = try Watcher(stage, system)
            var (last, random) = (ContinuousClock.now, SystemRandomNumberGenerator())
            var killed = 0
            var pending = Array(workers.enumerated())
            while !pending.isEmpty {
                let round = try ContinuousClock().measure {
                    try watcher.round(Int.random(in: 1...5, using: &random))
                }
                // Between two ends each has to find out where it is, in hundreds of questions, and to do something.
                let isTime = ContinuousClock.now > last + max(Duration.seconds(1), round * 50)
                if kills, isTime, Int.random(in: 0..<3, using: &random) == 0 {
                    usleep(.random(in: 0...300_000, using: &random))
                    try registry.crash()
                    killed += 1
                    last = .now
                }
                pending = try pending.filter { number, client in
                    guard client.hasReply else { return true }
                    let reply = try client.reply()
                    #expect(reply.value != nil, "seed \(seed), client \(number): \(reply)")
                    print("registry work: client \(number): \(reply)")
                    return false
                }
            }
            try watcher.round(1)
            print("registry work: \(watcher.number) changes followed, \(killed) ends of the registry")
            let state = try registry.care("--check")
            #expect(state.status == 0, "\(state.errors)")
        }
    }

    /// A process of another user that follows a value, and lives through all that happens to the registry.
    private final class Watcher {
        private static let path = "Machine\\Board"
        private let system: Client
        private let client: Client
        private(set) var number = 0

        init(_ stage: Stage, _ system: Client) throws {
            self.system = system
            client = try Client(commandsOn: stage, as: try stage.user("watcher"))
            #expect(
                try system.ask("registry create b \(Self.path) f003f O:SYD:P(A;;KA;;;SY)(A;;KR;;;WD)").value
                    == "new")
            #expect(try client.ask("registry-follow \(Self.path)").value == "")
        }

        /// Some changes at once; the last of them is seen by whoever is only told that there are any.
        func round(_ count: Int) throws {
            for _ in 0..<count {
                number += 1
                #expect(try system.ask("registry-post \(Self.path) \(number)", seconds: 60).value == "")
            }
            let seen = try client.ask("registry-seen \(Self.path) \(number)", seconds: 60)
            #expect(seen.value == "seen", "change \(number): \(seen)")
        }
    }
}
