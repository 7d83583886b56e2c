import AccessControl
import CGuise
import Foundation
import Testing

@Suite("Making files", .asRoot)
struct CreationTests {
    @Test("under a managed root a new file inherits its descriptor and belongs to the client")
    func inherited() throws {
        try onScene { (scene) throws in
            let folder = try scene.stage.managedFolder(
                scene.root + "/inbox",
                "O:BAG:SYD:(A;OICI;FA;;;SY)(A;OICIIO;FA;;;CO)(A;OICI;FR;;;{bob})(A;;0xa2;;;{alice})",
                for: scene.alice, scene.bob)
            let path = folder + "/new"
            let made = try #require(
                try scene.client.acting(
                    "open \(path) \(Flags.create | Flags.write | Flags.exclusive) \(0o666)"
                ).number)
            #expect(try scene.client.ask("write \(made) text").number == 4)
            guard
                case .descriptor(let carried) = try scene.stage.ask(.descriptorGet(.with { $0.path = path }))
            else {
                throw HarnessError("no descriptor")
            }
            #expect(carried.sddl.hasPrefix("O:\(scene.alice.sid)"))
            #expect(carried.sddl.contains("(A;ID;FA;;;\(scene.alice.sid))"))
            #expect(carried.sddl.contains("(A;ID;FR;;;\(scene.bob.sid))"))
            // Nobody but the authority by Unix mode, whatever mode was asked for.
            var status = statx()
            guise_stat(AT_FDCWD, path, 0, &status)
            #expect(status.stx_mode & 0o777 == 0o600 && status.stx_uid == 0)
            #expect(try scene.bobs.acting("cat \(path)").value == "text")
            #expect(try scene.bobs.acting("open \(path) \(Flags.write)").errno == EACCES)
            #expect(try scene.client.acting("open \(path) \(Flags.readWrite)").number != nil)
        }
    }

    @Test("making takes ADD_FILE on the folder, and leaves nothing behind when refused")
    func addFile() throws {
        try onScene { (scene) throws in
            let folder = try scene.stage.managedFolder(
                scene.root + "/readonly", "O:BAG:SYD:(A;OICI;FRFX;;;{alice})", for: scene.alice)
            for flags in [
                Flags.create | Flags.write, Flags.create, Flags.create | Flags.exclusive | Flags.readWrite,
            ] {
                #expect(try scene.client.acting("open \(folder)/new \(flags) \(0o666)").errno == EACCES)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
            #expect(try scene.client.acting("open \(folder)/none \(Flags.read)").errno == ENOENT)
            #expect(
                try scene.client.acting("open \(folder)/none/deeper \(Flags.create) \(0o666)").errno == ENOENT
            )
        }
    }

    @Test("whoever makes a file may have it open as asked, even if the descriptor gives less")
    func firstOpen() throws {
        try onScene { (scene) throws in
            let folder = try scene.stage.managedFolder(
                scene.root + "/drop", "O:BAG:SYD:(A;OICI;FA;;;SY)(A;;0xa2;;;{alice})", for: scene.alice)
            let made = try #require(
                try scene.client.acting("open \(folder)/once \(Flags.create | Flags.readWrite) 0").number)
            #expect(try scene.client.ask("write \(made) text").number == 4)
            #expect(try scene.client.acting("cat \(folder)/once").errno == EACCES)
        }
    }

    @Test(
        "in a Unix place a new file is the client's, with the service's umask applied",
        arguments: [0o022, 0o077, 0])
    func unix(mask: Int) throws {
        try onScene { (scene) throws in
            let path = scene.home + "/new"
            _ = try scene.client.ask("syscall 95 \(mask)")
            #expect(
                try scene.client.acting("open \(path) \(Flags.create | Flags.write) \(0o666)").number != nil)
            var status = statx()
            guise_stat(AT_FDCWD, path, 0, &status)
            #expect(status.stx_uid == scene.alice.uid && status.stx_gid == scene.alice.uid)
            #expect(Int(status.stx_mode & 0o777) == 0o666 & ~mask)
            #expect(try scene.bobs.acting("open \(scene.home)/his \(Flags.create) \(0o666)").errno == EACCES)
        }
    }

    @Test("through a dangling link the file is made where the link points")
    func dangling() throws {
        try onScene { (scene) throws in
            symlink("../managed/made", scene.home + "/into")
            symlink("../home/made", scene.root + "/out")
            for link in ["\(scene.home)/into", "\(scene.root)/out"] {
                let made = try scene.client.acting("open \(link) \(Flags.create | Flags.write) \(0o600)")
                #expect(made.number != nil, "\(link): \(made)")
            }
            #expect(owner(of: scene.root + "/made") == 0)
            #expect(owner(of: scene.home + "/made") == scene.alice.uid)
            let his = try scene.bobs.acting("open \(scene.home)/into \(Flags.write)")
            #expect(his.errno == EACCES)
        }
    }
}
