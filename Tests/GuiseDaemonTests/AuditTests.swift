import AccessControl
import CGuise
import Foundation
import Synchronization
import Testing

@testable import GuiseDaemon

@Suite("The audit")
struct AuditTests {
    private static let alice = SID("S-1-5-21-1-2-3-1001")!

    private func refusal(_ service: String, of user: SID = alice, _ path: String = "/srv/x") -> AuditEvent {
        var event = AuditEvent(.accessDenied, process: 1)
        event.service = service
        event.user = user
        event.call = "openat"
        event.path = Array(path.utf8)
        event.rule = "the security descriptor does not grant READ_DATA"
        return event
    }

    private func line(_ event: AuditEvent) -> [UInt8] { AuditLine(event, name: { _ in "alice" }).bytes }

    // MARK: Lines

    @Test(
        "is one line that a terminal obeys nothing of, whatever the path is",
        arguments: [
            "/a\nb", "/a\"b\\", "/\u{1b}[2J", "/a\u{202e}txt", "/a\u{2028}b", "/é\u{7f}\u{85}", "/\u{e0001}",
            "/\u{fffd}", "/plain",
        ])
    func hostilePaths(path: String) throws {
        let bytes = line(refusal("files", path))
        #expect(bytes.last == 0x0A && bytes.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        let text = try #require(String(validating: bytes.dropLast(), as: UTF8.self))
        #expect(
            text.unicodeScalars.allSatisfy {
                ![.control, .format, .lineSeparator].contains($0.properties.generalCategory)
            })
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        #expect((object["path"] as? String).map { Array($0.unicodeScalars) } == Array(path.unicodeScalars))
        #expect(object["pathHex"] == nil)
        #expect(object["userName"] as? String == "alice")
    }

    @Test("tells paths apart that are no text")
    func bytesOfPaths() throws {
        var seen: Set<String> = []
        for byte: UInt8 in [0x80, 0xC3, 0xFF] {
            var event = refusal("files")
            event.path = [0x2F, byte, 0x61]
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(line(event))) as? [String: Any])
            #expect(object["path"] as? String == "/\u{fffd}a")
            seen.insert(try #require(object["pathHex"] as? String))
        }
        #expect(seen == ["2f8061", "2fc361", "2fff61"])
    }

    @Test("says all bytes of a long path, and of too long a one how long it was")
    func longPaths() throws {
        for count in [5000, 8193, 8194] {
            var event = refusal("files")
            event.path = [UInt8](repeating: 0x80, count: count)
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(line(event))) as? [String: Any])
            #expect(object["pathHex"] as? String == String(repeating: "80", count: min(count, 8193)))
            #expect(object["pathLength"] as? Int == (count > 8193 ? count : nil))
        }
    }

    @Test("cuts what is too long, and says so")
    func long() throws {
        var event = refusal("files")
        event.rule = String(repeating: "é", count: 50_000)
        let bytes = line(event)
        #expect(bytes.count < 3 * AuditLine.longestField)
        #expect(String(decoding: bytes, as: UTF8.self).contains("(100000 bytes)"))
    }

    // MARK: Room

    private func count(_ taken: Audit.Taken, of service: String) -> UInt64 {
        taken.events.filter { $0.service == service }.reduce(0) { $0 + $1.count }
            + (taken.lost[service]?.values.reduce(0, +) ?? 0)
    }

    @Test("keeps a service's room from others, and forgets to count nothing", arguments: [true, false])
    func flood(isAlike: Bool) {
        var limits = Audit.Limits()
        limits.burst = 400
        limits.burstPerUser = 300
        // Time stands still.
        let audit = Audit(limits, clock: { 1000 })
        for number in 0..<50_000 {
            audit.record(refusal("noisy", isAlike ? "/x" : "/\(number)"))
            if number % 10_000 == 0 { audit.record(refusal("quiet", "/quiet/\(number)")) }
        }
        let taken = audit.take(withSummaries: true)
        #expect(taken.events.count { $0.service == "quiet" } == 5)
        #expect(count(taken, of: "noisy") == 50_000)
        #expect(taken.events.count < 700)
        // Alike, they are one record; else no more than so many, and a count.
        #expect((taken.lost["noisy"] == nil) == isAlike)
        #expect(taken.lost["quiet"] == nil)
    }

    @Test("keeps one user of a service from the others")
    func users() {
        var limits = Audit.Limits()
        limits.burstPerUser = 100
        limits.ratePerUser = 0
        let audit = Audit(limits)
        for number in 0..<5000 { audit.record(refusal("files", "/\(number)")) }
        let bob = SID("S-1-5-21-1-2-3-1002")!
        for number in 0..<50 { audit.record(refusal("files", of: bob, "/\(number)")) }
        let taken = audit.take(withSummaries: true)
        #expect(taken.events.count { $0.user == bob && $0.count == 1 } == 50)
        #expect(count(taken, of: "files") == 5050)
    }

    @Test("keeps no more of what a caller says than anybody reads")
    func longWords() {
        let audit = Audit()
        var event = refusal("files", "/" + String(repeating: "x", count: 60_000))
        event.change = String(repeating: "é", count: 30_000)
        audit.record(event)
        let kept = audit.take(withSummaries: true).events
        #expect(kept.count == 1 && kept[0].size < 20_000)
    }

    @Test("takes bounded memory while nobody writes, and a part of it for each")
    func memory() {
        var limits = Audit.Limits()
        limits.size = 1 << 20
        limits.sizePerPayer = 1 << 18
        (limits.burst, limits.burstPerUser) = (1e9, 1e9)
        let audit = Audit(limits)
        let path = "/" + String(repeating: "x", count: 4000)
        for service in 0..<6 {
            for number in 0..<1000 { audit.record(refusal("service\(service)", path + "\(number)")) }
        }
        // However much they all have said, who comes late is heard.
        audit.record(refusal("late", "/late"))
        let taken = audit.take(withSummaries: true)
        #expect(taken.events.reduce(0) { $0 + $1.size } <= 1 << 20)
        for service in 0..<6 { #expect(count(taken, of: "service\(service)") == 1000) }
        #expect(taken.events.contains { $0.service == "service3" })
        #expect(taken.events.contains { $0.service == "late" && $0.path == Array("/late".utf8) })
        // There is room again.
        audit.record(refusal("service5", "/again"))
        #expect(audit.take(withSummaries: false).events.count == 1)
    }

    @Test("tells thousands of payers apart within bounds")
    func payers() {
        var limits = Audit.Limits()
        limits.payers = 16
        let audit = Audit(limits)
        for number in 0..<1000 { audit.record(refusal("service\(number)")) }
        let taken = audit.take(withSummaries: true)
        #expect(taken.events.count == 1000 && taken.lost.isEmpty)
    }

    @Test("loses nothing and no count when many threads record at once while it is taken")
    func threads() {
        let audit = Audit()
        let total = Atomic<UInt64>(0)
        let running = Atomic(8)
        DispatchQueue.concurrentPerform(iterations: 9) { index in
            if index < 8 {
                for number in 0..<4000 { audit.record(refusal("service\(index)", "/\(number % 7)")) }
                running.subtract(1, ordering: .sequentiallyConsistent)
            } else {
                while running.load(ordering: .sequentiallyConsistent) > 0 {
                    total.add(sum(audit.take(withSummaries: true)), ordering: .relaxed)
                }
            }
        }
        let all = total.load(ordering: .relaxed) + sum(audit.take(withSummaries: true))
        #expect(all == 32_000)
    }

    private func sum(_ taken: Audit.Taken) -> UInt64 {
        taken.events.reduce(0) { $0 + $1.count }
            + taken.lost.values.flatMap(\.values).reduce(0, +)
    }

    // MARK: Files

    private func inScratch(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/guise-test-XXXXXX\0".utf8CString)
        let directory = String(cString: try #require(mkdtemp(&template)))
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    private func size(_ path: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
    }

    @Test("takes no more of the disk than it may, and drops the oldest")
    func rotation() throws {
        try inScratch { (directory) throws in
            let log = try AuditLog(directory: directory, largestSize: 1000, count: 3)
            for number in 0..<100 {
                try log.append(
                    Array("{\"number\":\(number),\"text\":\"\(String(repeating: "x", count: 80))\"}\n".utf8))
            }
            let files = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
            #expect(files == ["audit.log", "audit.log.1", "audit.log.2"])
            for file in files { #expect(size(directory + "/" + file)! <= 1000) }
            let newest = try String(contentsOfFile: directory + "/audit.log", encoding: .utf8)
            #expect(newest.contains("\"number\":99,"))
            let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/audit.log")
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test("goes on with a new line after half a one, and with a new file after one that is gone")
    func recovery() throws {
        try inScratch { (directory) throws in
            let path = directory + "/audit.log"
            try "{\"whole\":1}\n{\"ha".write(toFile: path, atomically: false, encoding: .utf8)
            chmod(path, 0o600)
            let log = try AuditLog(directory: directory, largestSize: 1 << 20, count: 2)
            try log.append(Array("{\"next\":1}\n".utf8))
            #expect(
                try String(contentsOfFile: path, encoding: .utf8) == "{\"whole\":1}\n{\"ha\n{\"next\":1}\n")
            rename(path, directory + "/moved")
            usleep(1_100_000)
            try log.append(Array("{\"later\":1}\n".utf8))
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "{\"later\":1}\n")
        }
    }

    @Test("is written to no file but the authority's own")
    func foreignFiles() throws {
        try inScratch { (directory) throws in
            let path = directory + "/audit.log"
            func refusal() -> StateError? {
                do throws(StateError) {
                    _ = try AuditLog(directory: directory, largestSize: 1000, count: 2)
                    return nil
                } catch { return error }
            }
            symlink("/dev/null", path)
            #expect(refusal() == .symbolicLink(path: path))
            unlink(path)
            mkfifo(path, 0o600)
            guard case .foreign? = refusal() else {
                Issue.record("a FIFO")
                return
            }
            unlink(path)
            try "x".write(toFile: path, atomically: false, encoding: .utf8)
            chmod(path, 0o666)
            guard case .writableByOthers? = refusal() else {
                Issue.record("a file of everybody's")
                return
            }
            chmod(path, 0o600)
            link(path, directory + "/other")
            guard case .foreign? = refusal() else {
                Issue.record("a file of two names")
                return
            }
        }
    }

    // MARK: journald

    @Test("comes to journald as fields, in the form for any bytes where they need it")
    func fields() throws {
        var event = refusal("files", "/a\nGUISE_EVENT=forged")
        event.wanted = [.readData, .readAttributes]
        let bytes = AuditJournal.datagram(event, name: { _ in "alice" })
        var fields: [String: [UInt8]] = [:]
        var rest = bytes[...]
        while !rest.isEmpty {
            let end = try #require(rest.firstIndex { $0 == 0x3D || $0 == 0x0A })
            let key = String(decoding: rest[..<end], as: UTF8.self)
            #expect(fields[key] == nil)
            if rest[end] == 0x3D {
                let line = try #require(rest[end...].firstIndex(of: 0x0A))
                fields[key] = Array(rest[(end + 1)..<line])
                rest = rest[(line + 1)...]
            } else {
                let length = rest[(end + 1)..<(end + 9)].reversed().reduce(0) { $0 << 8 | Int($1) }
                fields[key] = Array(rest[(end + 9)..<(end + 9 + length)])
                #expect(rest[end + 9 + length] == 0x0A)
                rest = rest[(end + 10 + length)...]
            }
        }
        func text(_ key: String) -> String? { fields[key].map { String(decoding: $0, as: UTF8.self) } }
        #expect(text("GUISE_EVENT") == "access-denied")
        #expect(text("GUISE_PATH") == "/a\nGUISE_EVENT=forged")
        #expect(text("GUISE_WANTED") == "READ_DATA | READ_ATTRIBUTES")
        #expect(text("SYSLOG_IDENTIFIER") == "guised" && text("PRIORITY") == "4")
        #expect(
            text("MESSAGE")?.hasPrefix("access-denied files as alice openat /a?GUISE_EVENT=forged: the")
                == true)
    }

    @Test("is not kept waiting by a journald that reads nothing, and tells it later what it missed")
    func slowJournal() throws {
        try inScratch { (directory) throws in
            let path = directory + "/journal"
            let socket = guise_unix_socket(Int32(SOCK_DGRAM.rawValue), true)
            defer { close(socket) }
            let address = UnixAddress.bytes(ofPath: path)
            try #require(guise_socket_bind(socket, address, UInt32(address.count)) == 0)
            var journal = AuditJournal(path: path)
            defer { journal.close() }
            let start = Date()
            for _ in 0..<5000 { journal.send(refusal("files"), name: { _ in nil }) }
            #expect(Date().timeIntervalSince(start) < 5)
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0 {}
            journal.send(refusal("files"), name: { _ in nil })
            let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            let message = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
            #expect(
                message.contains("GUISE_EVENT=events-lost") && message.contains("did not reach the journal"))
        }
    }
}
