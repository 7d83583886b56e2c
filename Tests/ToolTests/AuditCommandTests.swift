import Foundation
import GuiseDaemon
import Testing
import ToolSupport

@Suite("guise audit")
struct AuditCommandTests {
    /// A log of its own, which goes with this.
    private final class Log {
        let directory: String
        let log: AuditLog
        var path: String { directory + "/audit.log" }

        init(largestSize: Int = 1 << 20, files: Int = 4) throws {
            var template = Array("/tmp/guise-tools-XXXXXX\0".utf8CString)
            directory = String(cString: try #require(mkdtemp(&template)))
            log = try AuditLog(directory: directory, largestSize: largestSize, count: files)
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        func add(_ lines: String...) throws {
            for line in lines { try log.append(Array((line + "\n").utf8)) }
        }

        func run(_ arguments: String...) throws -> StandInAuthority.Outcome {
            try runAlone("guise", ["audit", "--state", directory, "--runtime", directory] + arguments)
        }

        /// The numbers in `tid` of the records that are shown.
        func numbers(_ arguments: String...) throws -> [Int] {
            let shown = try runAlone(
                "guise", ["audit", "--json", "--state", directory, "--runtime", directory] + arguments)
            #expect(shown.status == 0 && shown.errors == "", "\(shown)")
            return shown.output.split(separator: "\n").compactMap(Self.number)
        }

        static func number(_ line: Substring) -> Int? {
            let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return object?["tid"] as? Int
        }
    }

    private static let lines = [
        #"{"time":"2026-11-20T10:00:00.000Z","event":"access-denied","service":"files","pid":10,"tid":1,"user":"S-1-5-21-1-2-3-1001","userName":"alice","path":"/srv/a","rule":"r"}"#,
        #"{"time":"2026-11-20T11:00:00.000Z","event":"impersonation","service":"Files","pid":10,"tid":2,"user":"S-1-5-21-1-2-3-1002","userName":"bob","client":77}"#,
        #"{"time":"2026-11-20T12:00:00.500Z","event":"access-denied","service":"other","pid":11,"tid":3,"user":"S-1-5-21-1-2-3-1001","path":"/srv/a/b","rule":"r"}"#,
        #"{"time":"2026-11-20T13:00:00.000Z","event":"account-changed","pid":12,"tid":4,"by":"S-1-5-18","byName":"NT AUTHORITY\\SYSTEM","change":"remove alice"}"#,
        #"{"time":"2026-11-20T14:00:00.000Z","event":"access-denied","service":"files","pid":10,"tid":5,"user":"S-1-5-7","path":"/srv/ab","pathHex":"2f7372762f61ff","object":"/srv/c\n","rule":"r","count":3}"#,
    ]

    private func filled() throws -> Log {
        let log = try Log()
        for line in Self.lines { try log.add(line) }
        return log
    }

    @Test("shows what is asked for, and only that")
    func filters() throws {
        let log = try filled()
        #expect(try log.numbers() == [1, 2, 3, 4, 5])
        #expect(try log.numbers("--service", "files") == [1, 2, 5])
        #expect(try log.numbers("--service", "files", "--service", "other") == [1, 2, 3, 5])
        #expect(try log.numbers("--user", "Alice") == [1])
        #expect(try log.numbers("--user", "S-1-5-21-1-2-3-1001") == [1, 3])
        #expect(try log.numbers("--user", "system") == [4])
        #expect(try log.numbers("--event", "access-denied", "--service", "other") == [3])
        #expect(try log.numbers("--pid", "77") == [2])
        #expect(try log.numbers("--path", "/srv/a") == [1, 3])
        #expect(try log.numbers("--path", "/srv/") == [1, 3, 5])
        #expect(
            try log.numbers("--since", "2026-11-20T12:00:00Z", "--until", "2026-11-20T13:00:00Z") == [3, 4])
        #expect(try log.numbers("-n", "2") == [4, 5])
        #expect(try log.numbers("-n", "1", "--event", "impersonation") == [2])
        #expect(try log.numbers("-n", "0") == [])
    }

    @Test("prints lines as they are, or a table that a terminal obeys nothing of")
    func forms() throws {
        let log = try filled()
        #expect(try log.run("--json", "-n", "5").output == Self.lines.map { $0 + "\n" }.joined())
        let table = try log.run().output.split(separator: "\n")
        #expect(table.count == 6 && table[0].hasPrefix("TIME "))
        #expect(table[1].contains("access-denied") && table[1].contains("10/1") && table[1].contains("alice"))
        #expect(table[5].contains("(3 times)"))
        #expect(!table.joined().contains("\u{1b}"))
    }

    @Test("reports lines that are no records, and passes them over")
    func damaged() throws {
        let log = try filled()
        try log.add("{\"time\":\"never\",\"event\":\"x\"}", "garbage", Self.lines[0])
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: log.path))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"time\":\"20".utf8))
        let shown = try log.run("--json", "--pid", "10")
        #expect(shown.status == 0)
        #expect(shown.output.split(separator: "\n").compactMap(Log.number) == [1, 2, 5, 1])
        #expect(
            shown.errors == """
                guise: audit.log:6: passed over: this is no record
                guise: audit.log:7: passed over: this is no record
                guise: audit.log:9: passed over: half a record

                """)
    }

    @Test("says where the log would be, and what is a time")
    func mistakes() throws {
        let none = try runAlone("guise", ["audit", "--state", "/nowhere"])
        #expect(none.status == 1)
        #expect(
            none.errors
                == "guise: there is no /nowhere/audit.log; name guised's state directory with --state\n")
        #expect(try filled().run("--since", "tomorrowish").status == 64)
    }

    private func line(_ number: Int) -> String {
        "{\"time\":\"2026-11-20T10:00:00.000Z\",\"event\":\"impersonation\",\"tid\":\(number)}"
    }

    @Test("reads all files in the order of time")
    func files() throws {
        let log = try Log(largestSize: 4096)
        for number in 0..<120 { try log.add(line(number)) }
        let shown = try log.numbers()
        #expect(shown.last == 119 && shown.count > 60)
        #expect(shown == Array((120 - shown.count)..<120))
        #expect(try log.numbers("-n", "90") == Array(30..<120))
    }

    @Test("follows through any number of new files, and misses nothing")
    func follow() throws {
        let log = try Log(largestSize: 4096)
        try log.add(line(0))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("guise")
        process.arguments = ["audit", "--follow", "--json", "--state", log.directory]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        // What Foundation's threads block its children block, too: only this signal ends one.
        defer {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        var text = ""
        func wait(for count: Int) {
            while text.split(separator: "\n").count < count {
                let data = output.fileHandleForReading.availableData
                guard !data.isEmpty else { return }
                text += String(decoding: data, as: UTF8.self)
            }
        }
        wait(for: 1)
        // A file takes about fifty: two and a half turns at once, three times.
        for burst in 0..<3 {
            for number in 1...130 { try log.add(line(130 * burst + number)) }
            wait(for: 1 + 130 * (burst + 1))
        }
        #expect(text.split(separator: "\n").compactMap(Log.number) == Array(0...390))
    }

    @Test("reads times as people write them")
    func times() throws {
        let now = Moment(milliseconds: 1_795_000_000_000)
        func read(_ text: String) -> Moment? { Moment(parsing: text, now: now) }
        #expect(read("10m ago") == Moment(milliseconds: 1_795_000_000_000 - 600_000))
        #expect(read("2h") == Moment(milliseconds: 1_795_000_000_000 - 7_200_000))
        #expect(read("1970-01-02T00:00:00Z") == Moment(milliseconds: 86_400_000))
        #expect(read("1970-01-02 01:30+01:30") == Moment(milliseconds: 86_400_000))
        #expect(read("1970-01-02T00:00:00.25Z") == Moment(milliseconds: 86_400_250))
        #expect(read("now") == now)
        let today = try #require(read("today"))
        #expect(today <= now && today > Moment(milliseconds: 1_795_000_000_000 - 90_000_000))
        #expect(read("yesterday")! < today)
        let morning = try #require(read("04:30"))
        #expect(morning.description.hasSuffix("04:30:00"))
        for text in [
            "", "10", "10x", "-10m", "ago", "2026-13-01", "2026-02-30", "2026-1-1", "25:00", "2026-11-20T",
            "1:2",
            "2026-11-20T10:00:00.Z", "99999999999999w",
        ] {
            #expect(read(text) == nil, "\(text)")
        }
    }
}
