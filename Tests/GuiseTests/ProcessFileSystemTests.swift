import CGuise
import CTestSupport
import Foundation
import Testing

@Suite("/proc, /dev and what depends on who opens", .asRoot)
struct ProcessFileSystemTests {
    @Test(
        "/proc/self is the service, never the authority",
        arguments: ["/proc/self", "/proc/thread-self", "/home/proc/self"])
    func itself(path: String) throws {
        try onScene { (scene) throws in
            symlink("/proc", scene.home + "/proc")
            let spelled = path.hasPrefix("/home") ? scene.stage.directory + path : path
            let own = try #require(try scene.client.ask("cat \(spelled)/status").value)
            let acting = try #require(try scene.client.acting("cat \(spelled)/status").value)
            for status in [own, acting] { #expect(status.contains("Tgid:\t\(scene.service.pid)\\n")) }
            #expect(acting.contains("Name:\tguise-test-serv"))
            let mounts = try scene.client.acting("cat /proc/mounts")
            #expect(mounts.value?.contains("/proc") == true, "\(mounts)")
        }
    }

    @Test("nothing of the authority's own is reached by its /proc directory")
    func authority() throws {
        try onScene { (scene) throws in
            let authority = try #require(scene.stage.authority).pid
            // A thread that stays: those that mediate come and go.
            let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/task")
            let thread = try #require(
                tasks.first { task in
                    (try? String(contentsOfFile: "/proc/\(authority)/task/\(task)/comm", encoding: .utf8))
                        == "guise-control\n"
                })
            let ways = [
                "/proc/\(authority)", "/proc/\(authority)/task/\(authority)",
                "/proc/\(authority)/task/\(thread)",
                "/proc/\(thread)", "/proc/../proc/\(authority)",
            ]
            for way in ways {
                for name in ["maps", "fd", "fd/0", "ns/mnt", "exe", "smaps", "fdinfo"] {
                    let answer = try scene.client.acting("open \(way)/\(name) 0")
                    #expect(answer.errno == EACCES, "\(way)/\(name): \(answer)")
                }
            }
            let directory = try #require(
                try scene.client.ask("open /proc/\(authority)/fd \(Flags.path | Flags.directory)").number)
            #expect(try scene.client.acting("openat \(directory) . 0").errno == EACCES)
            #expect(try scene.client.acting("openat \(directory) 0 0").errno == EACCES)
        }
    }

    @Test("/proc/self/fd/N gives no more than the client may have")
    func reopening() throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})(A;;FR;;;{bob})", for: scene.alice,
                scene.bob)
            let plain = try scene.stage.file("home/plain", "plain", of: scene.alice, mode: 0o644)
            for path in [hers, plain] {
                let reading = try #require(try scene.bobs.acting("open \(path) 0").number)
                for way in ["/proc/self/fd", "/dev/fd", "/proc/thread-self/fd"] {
                    let more = try scene.bobs.acting("open \(way)/\(reading) \(Flags.readWrite)")
                    #expect(more.errno == EACCES, "\(path) by \(way): \(more)")
                    // The service itself has no more either.
                    #expect(try scene.bobs.ask("open \(way)/\(reading) \(Flags.readWrite)").errno == EACCES)
                }
            }
            // What root left open in the service opens for nobody.
            #expect(try scene.client.acting("open /proc/1/fd/0 0").errno != nil)
        }
    }

    @Test("a terminal of the client's does not become the authority's, nor the authority's the client's")
    func terminals() throws {
        try onStage { (stage) throws in
            stage.killAuthority()
            // As under systemd: a session leader without a terminal.
            try stage.startAuthority(wrapper: ["/usr/bin/setsid"])
            let alice = try stage.user("alice")
            let service = try stage.serve(try stage.service("files"))
            let client = try service.client(alice)
            var name = [CChar](repeating: 0, count: 64)
            let master = test_terminal(&name, name.count)
            try #require(master >= 0)
            let path = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            chown(path, alice.uid, alice.uid)
            let opened = try client.acting("open \(path) \(Flags.readWrite)")
            #expect(opened.number != nil, "\(opened)")
            #expect(try client.acting("open /dev/tty \(Flags.readWrite)").errno == ENXIO)
            close(master)
            usleep(100_000)
            let file = try stage.file("file", "alive", of: alice)
            #expect(try client.acting("cat \(file)").value == "alive")
            #expect(stage.authority?.hasEnded == false)
        }
    }
}
