import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Ways around that lead nowhere", .asRoot)
struct AttackTests {
    /// Something mounted, for as long as this is kept.
    private final class Mount {
        private let path: String

        init(_ source: String, at path: String, type: String? = nil) throws {
            self.path = path
            let flags = type == nil ? UInt(MS_BIND) : 0
            guard mount(source, path, type, flags, nil) == 0 else {
                throw HarnessError("mount: errno \(errno)")
            }
        }

        deinit { umount2(path, Int32(MNT_DETACH)) }
    }

    @Test("/proc/PID/root, cwd and fd lead to what a client may have, and no further")
    func magicLinks() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let hers = try stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})", for: scene.alice)
            let secret = try stage.managedFile(scene.root + "/secret", "secret", "O:BAG:SYD:(A;;FA;;;SY)")
            let hidden = try stage.file("hidden", "secret", mode: 0o600)
            let authority = try #require(stage.authority).pid
            for process in ["self", "thread-self", "\(scene.service.pid)", "\(scene.client.process.pid)"] {
                for path in [secret, hidden] {
                    for way in [
                        "root\(path)", "root/./\(path)", "cwd/..\(path)", "cwd/../../../../..\(path)",
                    ] {
                        let answer = try scene.client.acting("cat /proc/\(process)/\(way)")
                        #expect(answer.errno != nil, "\(process)/\(way): \(answer)")
                    }
                }
            }
            // Of the service's own root she gets nothing either: it is the service's, looked at as her.
            #expect(try scene.client.acting("cat /proc/self/root\(hers)").errno == EACCES)
            symlink("/proc/self/root\(secret)", scene.home + "/link")
            #expect(try scene.client.acting("cat \(scene.home)/link").errno == EACCES)
            #expect(try scene.client.ask("cat \(scene.home)/link").errno == EACCES)
            for way in ["root", "cwd"] {
                #expect(try scene.client.acting("cat /proc/\(authority)/\(way)\(secret)").errno == EACCES)
            }
            // A folder of the root that the service got hold of as nobody may is no way in.
            let above = try #require(
                try scene.client.acting("open \(scene.root) \(Flags.directory)").number)
            for process in ["self", "\(scene.service.pid)"] {
                let answer = try scene.client.acting("cat /proc/\(process)/fd/\(above)/secret")
                #expect(answer.errno == EACCES, "\(process): \(answer)")
                #expect(try scene.bobs.acting("cat /proc/\(process)/fd/\(above)/hers").errno == EACCES)
            }
        }
    }

    @Test("what is mounted under a managed root, or of it elsewhere, opens for nobody that may not")
    func mounts() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let folder = try stage.managedFolder(
                scene.root + "/folder", "O:{alice}G:SYD:(A;OICI;FA;;;{alice})", for: scene.alice)
            try stage.managedFile(
                folder + "/hers", "hers", "O:{alice}G:SYD:(A;;FA;;;{alice})", for: scene.alice)
            try stage.managedFile(folder + "/secret", "secret", "O:BAG:SYD:(A;;FA;;;SY)")
            // Part of the root in a Unix place: modes and descriptors, and root's mode lets nobody in.
            let elsewhere = stage.folder("elsewhere", of: scene.alice)
            let bound = try Mount(folder, at: elsewhere)
            for name in ["hers", "secret", "../home/../elsewhere/secret"] {
                #expect(try scene.client.acting("cat \(elsewhere)/\(name)").errno == EACCES, "\(name)")
                #expect(try scene.client.ask("cat \(elsewhere)/\(name)").errno == EACCES, "\(name)")
            }
            #expect(try scene.client.acting("cat \(folder)/hers").value == "hers")
            // A Unix place in the root: what carries no descriptor there opens for nobody, `..` leads back.
            let inner = try stage.managedFolder(
                scene.root + "/inner", "O:{alice}G:SYD:(A;OICI;FA;;;{alice})", for: scene.alice)
            let plain = stage.folder("plain", of: scene.alice, mode: 0o777)
            try stage.file("plain/file", "plain", of: scene.alice, mode: 0o666)
            let mounted = try Mount(plain, at: inner)
            #expect(try scene.client.acting("cat \(inner)/file").errno != nil)
            #expect(try scene.client.acting("open \(inner)/new \(Flags.write | Flags.create)").errno != nil)
            #expect(try scene.client.acting("syscall \(SYS_unlink) @\(inner)/file").errno != nil)
            #expect(try scene.client.acting("cat \(inner)/../folder/secret").errno == EACCES)
            #expect(try scene.client.acting("cat \(plain)/file").value == "plain")
            withExtendedLifetime((bound, mounted)) {}
        }
    }

    @Test("a service without room for a descriptor is told so, and nothing is left open in the authority")
    func noDescriptors() throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let managed = try scene.stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})", for: scene.alice)
            let authority = try #require(scene.stage.authority).pid
            func count() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/fd").count
            }
            _ = try scene.client.ask("impersonate")
            for path in [hers, managed] { #expect(try scene.client.ask("cat \(path)").value == "hers") }
            let before = try count()
            for path in [hers, managed] {
                for _ in 0..<20 {
                    #expect(try scene.client.ask("without-descriptors cat \(path)").errno == EMFILE)
                }
                #expect(try scene.client.ask("cat \(path)").value == "hers")
            }
            #expect(try count() <= before + 4)
        }
    }

    @Test(
        "a process that captures again and again comes to an end, and nobody else does",
        .enabled(
            if: ProcessInfo.processInfo.environment["GUISE_STRESS"] != nil,
            "takes a minute: set GUISE_STRESS"))
    func captures() throws {
        try onScene { (scene) throws in
            // The test itself is the process.
            let path = scene.stage.directory + "/services/greedy"
            let server = try PlainServer(at: path)
            let client = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(client) }
            try #require(guise_unix_connect(client, path, path.utf8.count) == 0)
            let accepted = try #require(server.next()).socket
            defer { close(accepted) }
            do {
                let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
                _ = try authority.call(
                    .attach(
                        .with {
                            $0.pid = UInt32(getpid())
                            $0.threads = 16
                            $0.nonce = .init(count: 16)
                        }))
                var count = 0
                var refusal: GuiseError?
                while refusal == nil, count <= 70_000 {
                    do throws(GuiseError) {
                        _ = try authority.call(.capture(.init()), descriptor: accepted)
                        count += 1
                    } catch { refusal = error }
                }
                #expect(count == 65_536)
                guard case .limitReached = refusal else {
                    Issue.record("\(String(describing: refusal))")
                    return
                }
                #expect(try scene.client.acting("cat \(scene.root)/none").errno == ENOENT)
            }
            // What the process held goes with it.
            #expect(try scene.service.client(scene.bob).ask("impersonate").value != nil)
        }
    }
}
