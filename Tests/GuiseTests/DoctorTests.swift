import CGuise
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("guise doctor, on machines that lack something", .asRoot)
struct DoctorTests {
    private struct Report: Decodable {
        struct Finding: Decodable {
            let name: String
            let state: String
            let detail: String?
            let remedy: String?
        }
        let ok: Bool
        let findings: [Finding]

        func state(_ name: String) -> String? { findings.first { $0.name == name }?.state }
        func detail(_ name: String) -> String? { findings.first { $0.name == name }?.detail }
    }

    private func examine(
        _ stage: Stage, _ wrapper: [String] = [], _ arguments: [String] = [], as person: Person? = nil
    ) throws -> (Report, status: Int32) {
        let run = try stage.run(wrapper + [product("guise"), "doctor", "--json"] + arguments, as: person)
        return (try JSONDecoder().decode(Report.self, from: Data(run.output.utf8)), run.status)
    }

    @Test("where all is well it ends with 0, and has left nothing behind")
    func well() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)")
            let place = stage.folder("place")
            let (report, status) = try examine(stage, [], ["--root", place])
            #expect(report.ok && status == 0, "\(report)")
            for name in [
                "kernel", "seccomp", "authority", "namespaces", "state", "root \(root)", "xattr \(place)",
            ] {
                #expect(report.state(name) == "ok", "\(name)")
            }
            #expect(report.detail("state") == stage.directory + "/state")
            #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: root).isEmpty)
        }
    }

    @Test("an ordinary user is told what could not be tried, and not how the state is")
    func ordinary() throws {
        try onStage { (stage) throws in
            let (report, status) = try examine(stage, as: try stage.user("alice"))
            #expect(report.ok && status == 0, "\(report)")
            for name in ["root", "service user", "state"] {
                #expect(report.state(name) == "limited", "\(name)")
            }
            #expect(report.state("authority") == "ok")
            guard case .status(let told) = try stage.ask(.status(.init())) else {
                throw HarnessError("no status")
            }
            #expect(told.state == stage.directory + "/state" && told.stateDefect.isEmpty)
        }
    }

    @Test("root without its capabilities is not the root that is needed")
    func capabilities() throws {
        try onStage { (stage) throws in
            let (report, status) = try examine(
                stage, ["/usr/bin/setpriv", "--bounding-set", "-setuid,-sys_admin", "--inh-caps=-all", "--"],
                ["--root", stage.folder("place")])
            #expect(status == 1 && !report.ok)
            #expect(report.state("root") == "missing")
            #expect(report.state("service user") == "missing")
            #expect(report.state("xattr \(stage.directory)/place") == "missing")
            #expect(report.state("sock_diag") == "ok")
            let (untraced, _) = try examine(
                stage, ["/usr/bin/setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps=-all", "--"])
            #expect(untraced.state("root") == "ok")
            #expect(untraced.state("pidfd_getfd") == "missing")
            #expect(untraced.state("process memory") == "missing")
            #expect(untraced.state("seccomp answers") == "missing")
        }
    }

    @Test("under a filter that forbids it, mediation is missing and io_uring gone without")
    func filtered() throws {
        try onStage { (stage) throws in
            let account = try stage.service("files")
            let (report, status) = try examine(stage, [product("guise"), "run", account.name, "--"])
            #expect(status == 1)
            #expect(report.state("seccomp") == "missing")
            #expect(report.state("io_uring") == "limited")
            #expect(report.state("sock_diag") == "ok")
        }
    }

    @Test("in namespaces of its own it says from where services cannot be started")
    func namespaces() throws {
        try onStage { (stage) throws in
            let (report, status) = try examine(stage, ["/usr/bin/unshare", "--mount", "--"])
            #expect(status == 1)
            #expect(report.state("namespaces") == "missing")
            #expect(report.detail("namespaces")?.hasSuffix(": mnt") == true)
        }
    }

    @Test("a state directory that is not in order any more is told of")
    func state() throws {
        try onStage { (stage) throws in
            let state = stage.directory + "/state"
            chmod(state, 0o777)
            let (open, status) = try examine(stage)
            #expect(status == 1 && open.state("state") == "missing")
            #expect(open.detail("state")?.contains("can be written by others") == true)
            chmod(state, 0o700)
            #expect(try examine(stage).0.state("state") == "ok")

            try FileManager.default.moveItem(atPath: state + "/guise.db", toPath: state + "/aside")
            #expect(try examine(stage).0.state("state") == "missing")
            try FileManager.default.moveItem(atPath: state + "/aside", toPath: state + "/guise.db")
            #expect(try examine(stage).0.state("state") == "ok")

            try FileManager.default.moveItem(atPath: state, toPath: state + "-aside")
            mkdir(state, 0o700)
            #expect(try examine(stage).0.detail("state")?.contains("another directory") == true)
        }
    }

    @Test("a managed root that nothing opens in is told of")
    func root() throws {
        try onStage { (stage) throws in
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)")
            removexattr(root, "security.bpf.sd")
            #expect(try examine(stage).0.detail("root \(root)") == "it carries no descriptor")
            stage.killAuthority()
            chmod(root, 0o755)
            try stage.startAuthority()
            let (report, status) = try examine(stage)
            #expect(status == 1)
            #expect(report.detail("root \(root)")?.contains("not as Guise left it") == true)
        }
    }
}
