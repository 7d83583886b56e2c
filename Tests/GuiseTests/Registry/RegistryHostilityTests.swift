import Foundation
import Testing

/// GUISE_SOAK_SECONDS has them go on for longer, with all the connections that there may be.
@Suite("Hostile clients of the registry", .asRoot)
struct RegistryHostilityTests {
    private static let root = Person(name: "root", uid: 0, sid: "S-1-5-18")

    @Test("are limited: others are served meanwhile, and the registry's memory has a bound")
    func limited() throws {
        let long = ProcessInfo.processInfo.environment["GUISE_SOAK_SECONDS"].flatMap { Int($0) }
        let seconds = long ?? 2
        try onStage { (stage) throws in
            let registry = try RegistryService(stage, options: ["--durability", "process"])
            let system = try Client(commandsOn: stage, as: Self.root)
            let good = try Client(commandsOn: stage, as: try stage.user("good"))
            #expect(
                try system.ask("registry create k Machine\\Good f003f O:SYD:P(A;CI;KA;;;WD)").value == "new")
            for number in 0..<20 { _ = try system.ask("registry create s Machine\\Good\\\(number) f003f") }
            func measure(_ what: String) throws -> Times {
                let reply = try good.ask(
                    "registry-measure \(seconds) Machine\\Good", seconds: Double(seconds) + 120)
                let times = try #require(Times(reply), "\(what): \(reply)")
                print(
                    "registry hostility: \(what): \(times), \(Self.memory(registry.process.pid) >> 20) MiB")
                // As it is on a loaded machine and without optimization; how it ought to be is 100 ms at most.
                #expect(times.readMedian < 100_000, "\(what): \(times)")
                #expect(times.readLongest < 2_000_000, "\(what): \(times)")
                #expect(times.commitLongest < 20_000_000, "\(what): \(times)")
                return times
            }
            _ = try measure("nobody else")
            // What each does, on how many connections, and what comes of each of them. Large values take long without
            // optimization.
            for (kind, usual, expected) in [
                ("watches", 16, 256), ("keys", 8, 126), ("transactions", 1, 7), ("lists", 2, 1),
                ("halves", 8, 1),
            ] {
                let connections = long == nil ? usual : 256
                let hostile = try (0..<(kind == "watches" ? 2 : 1)).map { number in
                    let client = try Client(commandsOn: stage, as: try stage.user("\(kind)\(number)"))
                    try client.send("registry-hostile \(kind) \(long == nil ? usual : 264)")
                    return client
                }
                for client in hostile {
                    let reply = try client.reply(seconds: 900)
                    let words = try #require(reply.value, "\(kind): \(reply)").split(separator: " ")
                    let count = try #require(Int(words[0]))
                    #expect(count == connections, "\(kind): \(reply)")
                    print("registry hostility: \(kind): \(reply)")
                    // All transactions of one user hold so much, and no more.
                    if kind != "transactions" || long == nil {
                        #expect(Int(words[2]) == expected * count, "\(kind): \(reply)")
                    }
                }
                _ = try measure(kind)
            }
            let changing = try (0..<(long == nil ? 1 : 2)).map { number in
                let client = try Client(commandsOn: stage, as: try stage.user("changes\(number)"))
                try client.send("registry-hostile changes \(3 * seconds)")
                return client
            }
            while changing.contains(where: { !$0.hasReply }) { _ = try measure("changes") }
            for client in changing {
                let reply = try client.reply()
                #expect(reply.value?.contains("trees=") == true, "\(reply)")
                print("registry hostility: changes: \(reply)")
            }
            _ = try measure("all of them, quiet")
            #expect(Self.memory(registry.process.pid) < 3 << 30)
            #expect(!registry.process.hasEnded)
        }
    }

    @Test("who take all connections keep other users out, and no administrator")
    func connections() throws {
        try onStage { (stage) throws in
            _ = try RegistryService(stage, options: ["--durability", "process"])
            let system = try Client(commandsOn: stage, as: Self.root)
            #expect(try system.ask("registry create k Machine\\Good f003f").value == "new")
            let hostile = try (0..<9).map { number in
                let client = try Client(commandsOn: stage, as: try stage.user("greedy\(number)"))
                try client.send("registry-hostile connections 257")
                return client
            }
            let counts = try hostile.map { client in
                let reply = try client.reply(seconds: 300)
                return try #require(reply.value.flatMap { Int($0.split(separator: " ")[0]) }, "\(reply)")
            }
            #expect(counts.allSatisfy { $0 <= 256 })
            // The system's own connection is one of them.
            #expect((2000...2048).contains(counts.reduce(0, +)), "\(counts)")
            let other = try stage.run(
                [product("reg"), "query", "HKLM"], as: try stage.user("other"))
            #expect(other.status == 1 && other.errors.contains("too many clients"), "\(other)")
            let query = try stage.run([product("reg"), "query", "HKLM"])
            #expect(query.status == 0 && query.output.contains("Good"), "\(query)")
        }
    }

    /// Microseconds.
    private struct Times: CustomStringConvertible {
        let readMedian, readLongest, commitMedian, commitLongest: Int
        let description: String

        init?(_ reply: Reply) {
            let words = reply.value?.split(separator: " ").map(String.init) ?? []
            guard words.count == 10, let commitMedian = Int(words[2]), let commitLongest = Int(words[4]),
                let readMedian = Int(words[7]), let readLongest = Int(words[9])
            else { return nil }
            (self.commitMedian, self.commitLongest) = (commitMedian, commitLongest)
            (self.readMedian, self.readLongest) = (readMedian, readLongest)
            description = reply.value! + " µs (how many, median, 99 %, longest)"
        }
    }

    /// What a process holds of the machine's memory, in bytes.
    private static func memory(_ pid: pid_t) -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.split(separator: " ", omittingEmptySubsequences: true)[1]) }.map {
            $0 << 10
        } ?? 0
    }
}
