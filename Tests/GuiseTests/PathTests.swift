import CTestSupport
import Foundation
import Synchronization
import Testing

@Suite("Paths, links and the edge of a managed root", .asRoot)
struct PathTests {
    private func onPlaces(_ body: (Scene, _ hers: String, _ secret: String, _ plain: String) throws -> Void)
        throws
    {
        try onScene { (scene) throws in
            let stage = scene.stage
            let hers = try stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})", for: scene.alice)
            let secret = try stage.managedFile(scene.root + "/secret", "secret", "O:BAG:SYD:(A;;FA;;;SY)")
            let plain = try stage.file("home/plain", "plain", of: scene.alice)
            try body(scene, hers, secret, plain)
        }
    }

    @Test("dots, doubled slashes and detours lead where they lead, and are judged there")
    func spellings() throws {
        try onPlaces { (scene, hers, secret, plain) throws in
            let directory = scene.stage.directory
            for spelled in [
                "\(directory)/managed/./hers", "\(directory)//managed///hers",
                "\(directory)/home/../managed/hers",
                "/tmp/../\(hers)", "/proc/../\(hers)", "/..\(hers)", "\(directory)/managed/../managed/hers",
            ] {
                #expect(try scene.client.acting("cat \(spelled)").value == "hers", "\(spelled)")
                #expect(try scene.bobs.acting("cat \(spelled)").errno == EACCES, "\(spelled)")
                // As itself the service is judged there by its own token.
                #expect(try scene.client.ask("cat \(spelled)").errno == EACCES, "\(spelled)")
                let elsewhere = spelled.dropLast(4) + "secret"
                #expect(try scene.client.acting("cat \(elsewhere)").errno == EACCES, "\(elsewhere)")
            }
            for spelled in ["\(scene.root)/../home/plain", "\(scene.root)/./../home/./plain"] {
                #expect(try scene.client.acting("cat \(spelled)").value == "plain", "\(spelled)")
                #expect(try scene.bobs.acting("cat \(spelled)").errno == EACCES, "\(spelled)")
            }
            #expect(try scene.client.acting("cat \(scene.root)/missing/../hers").errno == ENOENT)
            #expect(try scene.client.acting("cat \(hers)/../hers").errno == ENOTDIR)
        }
    }

    @Test("links into a root and out of it are followed, and what they lead to is judged where it is")
    func links() throws {
        try onPlaces { (scene, hers, secret, plain) throws in
            symlink(hers, scene.home + "/to-hers")
            symlink("../managed/secret", scene.home + "/to-secret")
            symlink(plain, scene.root + "/to-plain")
            symlink("../home/to-hers", scene.root + "/and-back")
            symlink("../managed", scene.home + "/to-root")
            symlink("loop", scene.home + "/loop")
            symlink("../home/loop", scene.root + "/loop")
            let home = scene.home, root = scene.root
            #expect(try scene.client.acting("cat \(home)/to-hers").value == "hers")
            #expect(try scene.bobs.acting("cat \(home)/to-hers").errno == EACCES)
            #expect(try scene.client.acting("cat \(home)/to-secret").errno == EACCES)
            #expect(try scene.client.acting("cat \(root)/to-plain").value == "plain")
            #expect(try scene.bobs.acting("cat \(root)/to-plain").errno == EACCES)
            #expect(try scene.client.acting("cat \(root)/and-back").value == "hers")
            #expect(try scene.client.acting("cat \(home)/to-root/hers").value == "hers")
            #expect(try scene.client.acting("cat \(home)/to-root/secret").errno == EACCES)
            #expect(try scene.client.acting("cat \(home)/loop").errno == ELOOP)
            #expect(try scene.client.acting("cat \(root)/loop").errno == ELOOP)
            #expect(try scene.client.acting("cat \(home)/to-root/to-plain").value == "plain")
        }
    }

    @Test("relative paths start at the directory that was given, in places of both kinds")
    func relative() throws {
        try onPlaces { (scene, _, _, _) throws in
            let client = scene.client
            let home = try #require(try client.acting("open \(scene.home) \(Flags.directory)").number)
            let root = try #require(try client.acting("open \(scene.root) \(Flags.directory)").number)
            #expect(try client.acting("cat plain \(home)").value == "plain")
            #expect(try client.acting("cat ../managed/hers \(home)").value == "hers")
            #expect(try client.acting("cat hers \(root)").value == "hers")
            #expect(try client.acting("cat secret \(root)").errno == EACCES)
            #expect(try client.acting("cat ../home/plain \(root)").value == "plain")
            #expect(try client.acting("cat plain 4000").errno == EBADF)
            let file = try #require(try client.acting("open \(scene.home)/plain 0").number)
            #expect(try client.acting("cat plain \(file)").errno == ENOTDIR)
            #expect(try client.acting("cat /etc/hostname \(file)").value != nil)
            // The service as itself, on a descriptor that a client's rights opened.
            #expect(try client.ask("cat hers \(root)").errno == EACCES)
            #expect(try client.ask("cat secret \(root)").errno == EACCES)
            #expect(try client.ask("cat plain \(home)").errno == EACCES)
        }
    }

    @Test("what is no path is refused as the kernel does")
    func nonsense() throws {
        try onPlaces { (scene, _, _, _) throws in
            let openat = 257
            #expect(try scene.client.acting("syscall \(openat) -100 1 0 0").errno == EFAULT)
            #expect(try scene.client.acting("syscall \(openat) -100 @ 0 0").errno == ENOENT)
            let long = String(repeating: "a/", count: 2048)
            #expect(try scene.client.acting("cat \(scene.root)/\(long)").errno == ENAMETOOLONG)
            #expect(
                try scene.client.acting("cat \(scene.root)/\(String(repeating: "n", count: 256))").errno
                    == ENAMETOOLONG)
            #expect(try scene.client.acting("cat /").errno == EISDIR)
            #expect(try scene.client.acting("cat \(scene.root)").errno == EISDIR)
        }
    }

    @Test(
        "names swapped while they are opened never lead to what the client may not open",
        arguments: [0, 1, 2, 3, 4])
    func races(kind: Int) throws {
        try onPlaces { (scene, hers, secret, plain) throws in
            let stage = scene.stage
            let hidden = try stage.file("hidden", "secret", mode: 0o600)
            let contested: (String, String, String)
            switch kind {
            case 0:
                // A link under the client's own hand, to a file of root's.
                symlink(plain, scene.home + "/a")
                symlink(hidden, scene.home + "/b")
                contested = (scene.home + "/a", scene.home + "/b", scene.home + "/a")
            case 1:
                // A link that leads into the managed root, to what is hers and what is not.
                symlink(hers, scene.home + "/a")
                symlink(secret, scene.home + "/b")
                contested = (scene.home + "/a", scene.home + "/b", scene.home + "/a")
            case 3:
                // Folders on the way under a managed root, of which one holds what is hers.
                for (name, text, subject) in [("open", "harmless", "{alice}"), ("closed", "secret", "SY")] {
                    let folder = try stage.managedFolder(scene.root + "/" + name, "O:BAG:SYD:(A;;FRFX;;;SY)")
                    try stage.managedFolder(folder + "/below", "O:BAG:SYD:(A;;FRFX;;;SY)")
                    try stage.managedFile(
                        folder + "/below/file", text, "O:BAG:SYD:(A;;FA;;;\(subject))", for: scene.alice)
                }
                let (open, closed) = (scene.root + "/open", scene.root + "/closed")
                contested = (open, closed, open + "/below/file")
            case 4:
                // The first of several folders, which is a link to a folder with a secret at times.
                for (name, text, mode) in [("open", "harmless", 0o644), ("closed", "secret", 0o600)] {
                    stage.folder("home/" + name)
                    stage.folder("home/\(name)/below")
                    try stage.file("home/\(name)/below/file", text, mode: mode_t(mode))
                }
                symlink(scene.home + "/closed", scene.home + "/link")
                contested = (scene.home + "/open", scene.home + "/link", scene.home + "/open/below/file")
            default:
                // A folder on the way, which is the managed root at times.
                mkdir(scene.home + "/a", 0o755)
                try stage.file("home/a/secret", "harmless", mode: 0o644)
                symlink(scene.root, scene.home + "/b")
                contested = (scene.home + "/a", scene.home + "/b", scene.home + "/a/secret")
            }
            let stop = Mutex(false)
            let swapper = Thread {
                while !stop.withLock({ $0 }) { _ = test_exchange(contested.0, contested.1) }
            }
            swapper.start()
            defer { stop.withLock { $0 = true } }
            #expect(try scene.client.acting("cat-until-leak 1500 secret \(contested.2)").value == "none")
            #expect(try scene.client.ask("cat-until-leak 1500 secret \(contested.2)").value == "none")
        }
    }
}
