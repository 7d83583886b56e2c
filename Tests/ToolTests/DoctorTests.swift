import CGuise
import Foundation
import GuiseProtocol
import Testing
import ToolSupport

@testable import guise

@Suite("guise doctor")
struct DoctorTests {
    @Test("a finding is one line: how it is, what it is for, how to get it")
    func lines() {
        let missing = Finding(
            "sock_diag", of: -ENOENT, for: "finding clients", remedy: "load the module")
        #expect(missing.state == .missing && missing.isObstacle)
        #expect(
            missing.line(width: 11)
                == "missing  sock_diag    finding clients (No such file or directory); load the module")
        let limited = Finding(
            "io_uring", of: -EPERM, for: "speed", detail: "disabled is 2", without: "it is slower",
            remedy: "enable it")
        #expect(limited.state == .limited && !limited.isObstacle)
        #expect(
            limited.line(width: 8)
                == "limited  io_uring  speed (Operation not permitted; it is slower; disabled is 2); enable it"
        )
        let there = Finding("memfd", of: 0, for: "the page", without: "slow", remedy: "get it")
        #expect(there.state == .ok && there.remedy == nil && there.detail == nil)
        #expect(there.line(width: 5) == "ok       memfd  the page")
        let untried = Finding("x", of: GUISE_NOT_TRIED, for: "y", remedy: "z")
        #expect(untried.isObstacle)
        #expect(!Finding("x", .ok, for: "a\u{1b}[2Jb\nc").line(width: 1).contains("\n"))
    }

    @Test("what the kernel of the test machine has is found by trying")
    func kernel() {
        for finding in KernelExamination.findings() {
            #expect(!finding.isObstacle, "\(finding)")
        }
    }

    @Test("a file system is asked for what a managed root needs", .enabled(if: geteuid() == 0, "needs root"))
    func fileSystems() {
        #expect(FileSystemExamination.candidate("/dev/shm").state == .ok)
        #expect(FileSystemExamination.candidate("/proc").isObstacle)
        #expect(FileSystemExamination.candidate("/no/such/folder").isObstacle)
        // Not a root, and so without a descriptor; and one that the authority could not open.
        #expect(FileSystemExamination.root("/dev/shm", isUnavailable: false).isObstacle)
        #expect(FileSystemExamination.root("/dev/shm", isUnavailable: true).isObstacle)
        #expect(FileSystemExamination.root("/no/such/folder", isUnavailable: false).isObstacle)
    }

    @Test("a journal is there when it takes what is sent to it")
    func journal() throws {
        var template = Array("/tmp/guise-journal-XXXXXX\0".utf8CString)
        let directory = String(cString: try #require(mkdtemp(&template)))
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/socket"
        #expect(AuthorityExamination.journal(path).state == .limited)
        let socket = guise_unix_socket(Int32(SOCK_DGRAM.rawValue), true)
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, size) }
        }
        try #require(bound == 0)
        #expect(AuthorityExamination.journal(path).state == .ok)
    }

    @Test("an authority's answer is judged by what it says")
    func authority() {
        var status = WireAuthorityStatus.with {
            $0.version = guiseVersion
            $0.process = 7
        }
        #expect(AuthorityExamination.running(status).state == .ok)
        #expect(AuthorityExamination.namespaces(status).state == .ok)
        #expect(AuthorityExamination.state(status).state == .limited)
        status.state = "/var/lib/guise"
        #expect(AuthorityExamination.state(status).state == .ok)
        status.stateDefect = "it is damaged"
        #expect(AuthorityExamination.state(status).isObstacle)
        status.otherNamespaces = ["pid"]
        #expect(AuthorityExamination.namespaces(status).isObstacle)
        #expect(AuthorityExamination.pam(status).state == .ok)
        status.pamDefect = "there is no /etc/pam.d/guise"
        #expect(AuthorityExamination.pam(status).state == .limited)
        #expect(!AuthorityExamination.pam(status).isObstacle)
        status.version = "0.0.1"
        #expect(AuthorityExamination.running(status).state == .limited)
    }

    private struct Report: Decodable {
        struct Finding: Decodable {
            let name: String
            let state: String
        }
        let ok: Bool
        let findings: [Finding]
    }

    @Test("without an authority it ends with 1, in both forms")
    func noAuthority() throws {
        let text = try runAlone("guise", ["doctor", "--runtime", "/nowhere"])
        #expect(text.status == 1)
        #expect(text.errors.isEmpty)
        let lines = text.output.split(separator: "\n")
        #expect(lines.allSatisfy { ["ok", "missing", "limited"].contains($0.prefix { $0 != " " }) })
        #expect(lines.contains { $0.hasPrefix("missing  authority") && $0.contains("start guised") })
        #expect(!text.output.contains("\u{1b}"))
        let json = try runAlone("guise", ["doctor", "--runtime", "/nowhere", "--json"])
        #expect(json.status == 1)
        let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
        #expect(!report.ok)
        #expect(report.findings.count == lines.count)
        #expect(try runAlone("guise", ["doctor", "more"]).status == 64)
    }

    @Test("an authority that does not answer is not waited for for ever")
    func silent() throws {
        var template = Array("/tmp/guise-silent-XXXXXX\0".utf8CString)
        let directory = String(cString: try #require(mkdtemp(&template)))
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/" + ControlPacket.socketName
        let listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_SEQPACKET.rawValue), 16, 0o600)
        try #require(listener >= 0)
        defer { close(listener) }
        guard case .none(let why) = AuthorityExamination.ask(directory, seconds: 1) else {
            Issue.record("answered")
            return
        }
        #expect(why == "it does not answer in 1 s")
    }

    @Test("an authority that does not know the question is older, not missing")
    func oldAuthority() throws {
        let authority = try StandInAuthority()
        let found = try authority.run("guise", "doctor", "--json")
        let report = try JSONDecoder().decode(Report.self, from: Data(found.output.utf8))
        #expect(report.findings.first { $0.name == "authority" }?.state == "limited")
    }
}
