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
