import AccessControl
import CGuise
import Foundation
import Testing

@Suite("Managed roots, Unix places, and objects in both", .asRoot)
struct PlaceTests {
    @Test("under a managed root the descriptor alone decides, whatever the Unix mode says")
    func managed() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let hers = try stage.managedFile(
                scene.root + "/hers", "hers", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            chmod(hers, 0o666)
            #expect(try scene.client.acting("cat \(hers)").value == "hers")
            #expect(try scene.bobs.acting("cat \(hers)").errno == EACCES)
            // And the other way round: a mode that gives nothing takes nothing from her.
            chmod(hers, 0)
            #expect(try scene.client.acting("cat \(hers)").value == "hers")
            // The service itself is judged by its own token there.
            #expect(try scene.client.ask("cat \(hers)").errno == EACCES)
            try stage.describe(hers, Stage.fill("D:(A;;FR;;;{files})", [scene.service.account]))
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
        }
    }

    @Test("a deny entry before an allow entry wins, and audits which rule refused")
    func deny() throws {
        try onScene { (scene) throws in
            let path = try scene.stage.managedFile(
                scene.root + "/denied", "x", "O:BAG:SYD:(D;;FW;;;{alice})(A;;FA;;;{alice})", for: scene.alice)
            #expect(try scene.client.acting("open \(path) \(Flags.write)").errno == EACCES)
            #expect(try scene.client.acting("cat \(path)").value == "x")
            try scene.stage.waitForAudit("access-denied", path, scene.alice.sid)
        }
    }

    @Test("elsewhere the kernel decides with the client's uid, groups and no capability")
    func unix() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let group = FreshUsers.take()
            let shared = try stage.file("home/shared", "shared", mode: 0o640)
            chown(shared, 0, group)
            let member = try Client(
                stage, as: scene.alice, groups: [group], to: scene.service.socket)
            #expect(try member.acting("cat \(shared)").value == "shared")
            #expect(try scene.client.acting("cat \(shared)").errno == EACCES)
            let roots = try stage.file("home/roots", "roots", mode: 0o600)
            #expect(try member.acting("cat \(roots)").errno == EACCES)
        }
    }

    @Test("one client's groups are gone when the next one's call is made")
    func groups() throws {
        try onScene { (scene) throws in
            let (one, other) = (FreshUsers.take(), FreshUsers.take())
            let folder = scene.stage.folder("shared", mode: 0o770)
            chown(folder, 0, one)
            let member = try Client(
                scene.stage, as: scene.alice, groups: [one, other], to: scene.service.socket)
            let stranger = try Client(scene.stage, as: scene.bob, groups: [other], to: scene.service.socket)
            for round in 0..<8 {
                let file = try scene.stage.file("shared/\(round)", "x", mode: 0o666)
                let unlink = "syscall \(SYS_unlink) @\(file)"
                for outsider in [stranger, scene.client, scene.bobs] {
                    #expect(try outsider.acting(unlink).errno == EACCES)
                }
                #expect(try member.acting(unlink).errno == nil)
                #expect(access(file, F_OK) != 0)
            }
        }
    }

    @Test("a file that opened before opens by what it is and says now", arguments: ["again", "sub/again"])
    func again(name: String) throws {
        try onScene { (scene) throws in
            let (stage, client) = (scene.stage, scene.client)
            let hers = Stage.fill("O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", [scene.alice])
            let nobodys = "O:SYG:SYD:(A;;FA;;;SY)"
            try stage.managedFolder(scene.root + "/sub", hers)
            let path = scene.root + "/" + name
            /// Puts something else where the file was, and the file back afterwards.
            func instead(_ make: () throws -> Void, _ body: () throws -> Void) throws {
                try stage.managedFile(path, "x", hers)
                for _ in 0..<4 { #expect(try client.acting("cat \(path)").value == "x") }
                unlink(path)
                try make()
                try body()
                unlink(path)
            }
            try stage.managedFile(path, "x", hers)
            for _ in 0..<4 {
                #expect(try client.acting("cat \(path)").value == "x")
                try stage.describe(path, nobodys)
                #expect(try client.acting("cat \(path)").errno == EACCES)
                try stage.describe(path, hers)
            }
            try instead({ try stage.managedFile(path, "other", hers) }) { () throws in
                #expect(try client.acting("cat \(path)").value == "other")
            }
            try instead({ try "bare".write(toFile: path, atomically: false, encoding: .utf8) }) { () throws in
                #expect(try client.acting("cat \(path)").errno == EACCES)
            }
            try instead({}) { () throws in
                #expect(try client.acting("cat \(path)").errno == ENOENT)
            }
            try stage.managedFile(scene.root + "/secret", "secret", nobodys)
            try instead({ symlink(scene.root + "/secret", path) }) { () throws in
                #expect(try client.acting("cat \(path)").errno == EACCES)
            }
            try instead({
                mknod(path, S_IFCHR | 0o666, 0x103)
                try stage.describe(path, hers)
            }) { () throws in
                #expect(try client.acting("cat \(path)").errno == EACCES)
            }
            try instead({
                mkfifo(path, 0o600)
                try stage.describe(path, hers)
            }) { () throws in
                _ = try client.ask("impersonate")
                try client.send("open \(path) \(Flags.read)")
                usleep(50_000)
                let writer = open(path, O_WRONLY | O_CLOEXEC)
                #expect(try client.reply().number != nil)
                close(writer)
                _ = try client.ask("revert")
            }
            // By the authority itself.
            try stage.managedFile(path, "x", hers)
            #expect(try client.acting("cat \(path)").value == "x")
            #expect(try client.acting("syscall \(SYS_rename) @\(path) @\(scene.root)/moved").errno == nil)
            #expect(try client.acting("cat \(path)").errno == ENOENT)
            #expect(try client.acting("cat \(scene.root)/moved").value == "x")
        }
    }

    @Test("an object with a descriptor in a Unix place has to pass both")
    func both() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let file = try stage.file("home/both", "both", mode: 0o644)
            #expect(try scene.client.acting("cat \(file)").value == "both")
            try stage.describe(file, "O:BAG:SYD:(A;;FR;;;\(scene.alice.sid))")
            #expect(try scene.client.acting("cat \(file)").value == "both")
            #expect(try scene.bobs.acting("cat \(file)").errno == EACCES)
            chmod(file, 0o600)
            #expect(try scene.client.acting("cat \(file)").errno == EACCES)
            chmod(file, 0o666)
            #expect(try scene.client.acting("open \(file) \(Flags.write)").errno == EACCES)
            // Refused by the descriptor means: not even truncated.
            #expect(
                try scene.client.acting("open \(file) \(Flags.readWrite | Flags.truncate)").errno == EACCES)
            #expect(try scene.client.acting("open \(file) \(Flags.read | Flags.truncate)").errno == EACCES)
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "both")
        }
    }

    @Test("a damaged descriptor refuses everybody and the log says why")
    func damaged() throws {
        try onScene { (scene) throws in
            let path = try scene.stage.managedFile(
                scene.root + "/damaged", "x", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            var bytes = [UInt8](repeating: 0, count: 512)
            let length = getxattr(path, "security.bpf.sd", &bytes, bytes.count)
            let whole = Array(bytes[..<max(0, length)])
            var generator = SystemRandomNumberGenerator()
            for round in 0..<40 {
                var broken = whole
                switch round % 4 {
                case 0:
                    broken = Array(
                        broken.dropLast(1 + Int.random(in: 0..<whole.count - 1, using: &generator)))
                case 1: broken = (0..<whole.count).map { _ in UInt8.random(in: 0...255, using: &generator) }
                // The offset of the DACL, and the size of the ACL it leads to.
                case 2: broken[16 + Int.random(in: 0..<4, using: &generator)] ^= 0x80
                default: broken = []
                }
                setxattr(path, "security.bpf.sd", broken, broken.count, 0)
                let answer = try scene.client.acting("cat \(path)")
                #expect(answer.errno == EACCES, "\(answer) with \(broken)")
            }
            try scene.stage.waitForAudit("access-denied", path, "descriptor")
            setxattr(path, "security.bpf.sd", whole, whole.count, 0)
            #expect(try scene.client.acting("cat \(path)").value == "x")
        }
    }

    @Test("an object without a descriptor under a managed root opens for nobody, and the log says why")
    func missing() throws {
        try onScene { (scene) throws in
            let path = try scene.stage.file(scene.root + "/bare", "x", mode: 0o666)
            #expect(try scene.client.acting("cat \(path)").errno == EACCES)
            try scene.stage.waitForAudit("access-denied", path, "carries no security descriptor")
        }
    }

    @Test("an ended account acts no more, on connections that were captured before")
    func ended() throws {
        try onScene { (scene) throws in
            let file = try scene.stage.file("home/hers", "hers", of: scene.alice)
            #expect(try scene.client.acting("cat \(file)").value == "hers")
            try scene.stage.ask(.accountRemove(.with { $0.name = "alice" }))
            #expect(try scene.client.acting("cat \(file)").errno == EACCES)
            try scene.stage.waitForAudit("access-denied", "logon session has ended")
        }
    }

    @Test("a folder takes TRAVERSE and READ_ATTRIBUTES to open and LIST_DIRECTORY to read")
    func folders() throws {
        try onScene { (scene) throws in
            let path = try scene.stage.managedFolder(
                scene.root + "/folder", "O:BAG:SYD:(A;;0x80;;;{alice})(A;;0xa0;;;{bob})", for: scene.alice,
                scene.bob)
            #expect(try scene.client.acting("open \(path) \(Flags.directory)").errno == EACCES)
            #expect(try scene.client.acting("open \(path) \(Flags.directory | Flags.path)").errno == EACCES)
            #expect(try scene.bobs.acting("open \(path) \(Flags.directory)").errno == EACCES)
            try scene.stage.describe(path, Stage.fill("D:(A;;0xa1;;;{alice})", [scene.alice]))
            let open = try #require(try scene.client.acting("open \(path) \(Flags.directory)").number)
            #expect(try scene.client.ask("list \(open)").value == "")
            for flags in [Flags.write, Flags.readWrite, Flags.create] {
                #expect(try scene.client.acting("open \(path) \(flags)").errno == EISDIR)
            }
        }
    }

    @Test("a name in a folder that the client may not list opens all the same")
    func traverseBypass() throws {
        try onScene { (scene) throws in
            let folder = try scene.stage.managedFolder(scene.root + "/closed", "O:BAG:SYD:(A;;FA;;;SY)")
            let file = try scene.stage.managedFile(
                folder + "/known", "known", "O:BAG:SYD:(A;;FR;;;{alice})", for: scene.alice)
            #expect(try scene.client.acting("cat \(file)").value == "known")
        }
    }
}
