import CGuise
import Foundation
import Testing

@Suite("What open's flags need", .asRoot)
struct OpenFlagTests {
    /// Rights of FileKind, as SDDL takes them.
    private static let readData = 0x1, writeData = 0x2, appendData = 0x4, readAttributes = 0x80,
        writeAttributes = 0x100

    @Test(
        "each combination opens with exactly the rights it needs, and not with one less",
        arguments: [
            (Flags.read, readData | readAttributes),
            (Flags.write, writeData | readAttributes),
            (Flags.readWrite, readData | writeData | readAttributes),
            (Flags.write | Flags.append, appendData | readAttributes),
            (Flags.readWrite | Flags.append, readData | appendData | readAttributes),
            (Flags.write | Flags.truncate, writeData | readAttributes),
            (Flags.read | Flags.truncate, readData | writeData | readAttributes),
            (Flags.write | Flags.append | Flags.truncate, appendData | writeData | readAttributes),
            // The kernel passes no O_PATH descriptor on: a readable one stands in for it.
            (Flags.path, readData | readAttributes),
            (Flags.read | 0o1000000, readData | readAttributes | writeAttributes),  // O_NOATIME
            (Flags.read | Flags.create, readData | readAttributes),
        ])
    func rights(flags: Int, needed: Int) throws {
        try onScene { (scene) throws in
            let path = try scene.stage.managedFile(scene.root + "/file", "text", "O:BAG:SYD:(A;;FA;;;SY)")
            func grant(_ mask: Int) throws {
                try scene.stage.describe(path, "D:(A;;0x\(String(mask, radix: 16));;;\(scene.alice.sid))")
            }
            try grant(needed)
            let opened = try scene.client.acting("open \(path) \(flags)")
            #expect(opened.number != nil, "\(opened)")
            for bit in (0..<9).map({ 1 << $0 }) where needed & bit != 0 {
                try grant(0x1ff & ~bit)
                #expect(try scene.client.acting("open \(path) \(flags)").errno == EACCES, "without \(bit)")
            }
        }
    }

    @Test("a descriptor allows what was asked for, nothing else, and keeps it")
    func descriptors() throws {
        try onScene { (scene) throws in
            let path = try scene.stage.managedFile(
                scene.root + "/file", "text", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            let reading = try #require(try scene.client.acting("open \(path) \(Flags.read)").number)
            #expect(try scene.client.ask("write \(reading) more").errno == EBADF)
            let appending = try #require(
                try scene.client.acting("open \(path) \(Flags.write | Flags.append | Flags.closeOnExec)")
                    .number)
            #expect(try scene.client.ask("write \(appending) more").number == 4)
            #expect(try scene.client.ask("read \(appending)").errno == EBADF)
            #expect(try scene.client.ask("descriptor-flags \(appending)").number == 1)
            #expect(try scene.client.ask("descriptor-flags \(reading)").number == 0)
            // Checked at open, kept by whoever holds it.
            try scene.stage.describe(path, "D:(A;;FA;;;SY)")
            #expect(try scene.client.ask("read \(reading)").value == "textmore")
            #expect(try scene.client.acting("cat \(path)").errno == EACCES)
        }
    }

    @Test("a descriptor's access mode is the one asked for, in places of both kinds")
    func accessMode() throws {
        try onScene { (scene) throws in
            let managed = try scene.stage.managedFile(
                scene.root + "/file", "text", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            let plain = try scene.stage.file("home/file", "text", of: scene.alice)
            for path in [managed, plain] {
                for flags in [
                    Flags.read, Flags.write, Flags.readWrite, Flags.read | Flags.truncate,
                    Flags.write | Flags.append, Flags.read | Flags.nonBlocking,
                ] {
                    let opened = try #require(try scene.client.acting("open \(path) \(flags)").number)
                    let got = try #require(try scene.client.ask("status-flags \(opened)").number)
                    let compared = 3 | Flags.append | Flags.nonBlocking
                    #expect(got & compared == flags & compared, "\(path) \(flags)")
                    _ = try scene.client.ask("close \(opened)")
                }
            }
        }
    }

    @Test("O_TRUNC empties, O_EXCL refuses what is there, O_DIRECTORY what is none, O_NOFOLLOW links")
    func effects() throws {
        try onScene { (scene) throws in
            let managed = try scene.stage.managedFile(
                scene.root + "/file", "text", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            let plain = try scene.stage.file("home/file", "text", of: scene.alice)
            for path in [managed, plain] {
                #expect(
                    try scene.client.acting("open \(path) \(Flags.create | Flags.exclusive | Flags.write)")
                        .errno
                        == EEXIST)
                #expect(try scene.client.acting("open \(path) \(Flags.directory)").errno == ENOTDIR)
                #expect(try scene.client.acting("open \(path)/ \(Flags.read)").errno == ENOTDIR)
                #expect(try scene.client.acting("open \(path)/x \(Flags.read)").errno == ENOTDIR)
                symlink(path, path + ".link")
                #expect(try scene.client.acting("open \(path).link \(Flags.noFollow)").errno == ELOOP)
                #expect(
                    try scene.client.acting(
                        "open \(path).link \(Flags.create | Flags.exclusive | Flags.write)"
                    ).errno
                        == EEXIST)
                #expect(try scene.client.acting("cat \(path).link").value == "text")
                #expect(try scene.client.acting("open \(path) \(Flags.write | Flags.truncate)").number != nil)
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "")
            }
        }
    }

    @Test("O_TMPFILE makes a nameless file of the client's, for who may add one to the directory")
    func temporary() throws {
        try onScene { (scene) throws in
            let flags = Flags.temporary | Flags.readWrite
            for folder in [scene.home, scene.root] {
                let open = try #require(try scene.client.acting("open \(folder) \(flags) \(0o600)").number)
                #expect(try scene.client.ask("write \(open) text").number == 4)
                let uid = folder == scene.home ? scene.alice.uid : 0
                #expect(owner(of: "/proc/\(scene.service.pid)/fd/\(open)") == uid)
                #expect(try scene.bobs.acting("open \(folder) \(flags) \(0o600)").errno == EACCES)
                // What the kernel takes for no request at all, and what is no directory.
                for wrong in [Flags.temporary, flags & ~Flags.directory, flags | Flags.create] {
                    #expect(try scene.client.acting("open \(folder) \(wrong) \(0o600)").errno == EINVAL)
                }
                let names = try FileManager.default.contentsOfDirectory(atPath: folder)
                #expect(names == [])
            }
            try scene.stage.managedFile(scene.root + "/file", "text", "O:BAG:SYD:(A;;FA;;;WD)")
            #expect(try scene.client.acting("open \(scene.root)/file \(flags) \(0o600)").errno == ENOTDIR)
            #expect(try scene.client.acting("open \(scene.root)/none \(flags) \(0o600)").errno == ENOENT)
        }
    }

    @Test(
        "what O_TMPFILE made is named by linkat, where the client may add a file, with the descriptor it had")
    func linked() throws {
        try onScene { (scene) throws in
            let (client, flags) = (scene.client, Flags.temporary | Flags.readWrite)
            // A drop: alice adds files to it and has no right to them; and a folder where she may not.
            let drop = try scene.stage.managedFolder(
                scene.root + "/drop", "O:BAG:SYD:P(A;OICI;FA;;;SY)(A;;0xa3;;;{alice})(A;OIIO;FR;;;{bob})",
                for: scene.alice, scene.bob)
            let closed = try scene.stage.managedFolder(
                scene.root + "/closed", "O:BAG:SYD:P(A;;FA;;;SY)(A;;FR;;;{alice})(A;;FA;;;{bob})",
                for: scene.alice, scene.bob)
            func made(_ more: Int = 0, in folder: String) throws -> Int {
                let file = try #require(
                    try client.acting("open \(folder) \(flags | more) \(0o600)").number, "\(folder)")
                _ = try client.ask("write \(file) text")
                return file
            }
            func link(_ file: Int, _ to: String, byPath: Bool) -> String {
                byPath
                    ? "syscall \(SYS_linkat) -100 @/proc/self/fd/\(file) -100 @\(to) 1024"
                    : "syscall \(SYS_linkat) \(file) @ -100 @\(to) 4096"
            }
            for byPath in [false, true] {
                for folder in [drop, scene.home] {
                    let file = try made(in: folder)
                    let name = "\(folder)/named-\(byPath)"
                    #expect(try scene.bobs.acting(link(file, name, byPath: byPath)).errno != nil)
                    let named = try client.acting(link(file, name, byPath: byPath))
                    #expect(named.value == "0", "\(folder) \(byPath): \(named)")
                    #expect(
                        try client.acting(link(file, name, byPath: byPath)).errno
                            == (folder == drop ? EACCES : EEXIST))
                    // The one asks once more for the first name only.
                    #expect(try String(contentsOfFile: name, encoding: .utf8) == "text")
                    // From one kind of place to the other it does not go.
                    let other = folder == drop ? scene.home : drop
                    #expect(
                        try client.acting(link(try made(in: folder), "\(other)/moved", byPath: byPath)).errno
                            == EXDEV)
                    // With O_EXCL it stays nameless.
                    let lonely = try made(Flags.exclusive, in: folder)
                    #expect(
                        try client.acting(link(lonely, "\(folder)/lonely", byPath: byPath)).errno == ENOENT)
                }
                let name = "\(drop)/named-\(byPath)"
                #expect(try scene.bobs.acting("cat \(name)").value == "text")
                #expect(try client.acting("cat \(name)").errno == EACCES)
                guard
                    case .descriptor(let carried) = try scene.stage.ask(
                        .descriptorGet(.with { $0.path = name }))
                else { throw HarnessError("no descriptor") }
                #expect(carried.sddl.hasPrefix("O:\(scene.alice.sid)"))

                // Where she may add nothing, whatever she made elsewhere; and bob names nothing of hers.
                let hers = try made(in: drop)
                #expect(try client.acting(link(hers, "\(closed)/hers", byPath: byPath)).errno == EACCES)
                #expect(try client.acting("open \(closed) \(flags) \(0o600)").errno == EACCES)
                #expect(try scene.bobs.acting(link(hers, "\(closed)/hers", byPath: byPath)).errno == EACCES)
                // The service itself is nobody there.
                #expect(try client.ask(link(hers, "\(closed)/hers", byPath: byPath)).errno == EACCES)
                // The right to add is asked again, when the name is given.
                try scene.stage.describe(
                    drop, Stage.fill("D:P(A;OICI;FA;;;SY)(A;;0xa1;;;{alice})", [scene.alice]))
                #expect(try client.acting(link(hers, "\(drop)/late", byPath: byPath)).errno == EACCES)
                try scene.stage.describe(
                    drop,
                    Stage.fill(
                        "D:P(A;OICI;FA;;;SY)(A;;0xa3;;;{alice})(A;OIIO;FR;;;{bob})", [scene.alice, scene.bob])
                )
                #expect(try client.acting(link(hers, "\(drop)/late-\(byPath)", byPath: byPath)).value == "0")
                // A file whose name is gone gets no other.
                try scene.stage.managedFile(
                    "\(drop)/gone", "text", "O:{alice}G:SYD:P(A;;FA;;;{alice})", for: scene.alice)
                let gone = try #require(try client.acting("open \(drop)/gone \(Flags.read)").number)
                unlink("\(drop)/gone")
                #expect(try client.acting(link(gone, "\(drop)/back", byPath: byPath)).errno == ENOENT)
            }
        }
    }

    @Test("a device under a managed root opens for nobody")
    func devices() throws {
        try onScene { (scene) throws in
            let path = scene.root + "/null"
            try #require(mknod(path, S_IFCHR | 0o666, 0x103) == 0)
            try scene.stage.describe(path, "O:BAG:SYD:(A;;FA;;;\(scene.alice.sid))")
            #expect(try scene.client.acting("open \(path) \(Flags.read)").errno == EACCES)
            #expect(try scene.client.acting("open /dev/null \(Flags.readWrite)").number != nil)
        }
    }

    @Test("open, creat and openat2 are the same call by other names")
    func otherNames() throws {
        try onScene { (scene) throws in
            let path = try scene.stage.managedFile(
                scene.root + "/file", "text", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            #if arch(x86_64)
                #expect(try scene.client.acting("open-legacy \(path) \(Flags.read)").number != nil)
                #expect(try scene.bobs.acting("open-legacy \(path) \(Flags.read)").errno == EACCES)
                #expect(try scene.bobs.acting("creat \(path) \(0o644)").errno == EACCES)
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "text")
                #expect(try scene.client.acting("creat \(path) \(0o644)").number != nil)
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "")
            #endif
            #expect(try scene.client.acting("openat2 -100 \(path) \(Flags.read) 0 0").number != nil)
            #expect(try scene.bobs.acting("openat2 -100 \(path) \(Flags.read) 0 0").errno == EACCES)
            #expect(try scene.client.acting("openat2 -100 \(path) 0 0 0 16").errno == EINVAL)
            #expect(try scene.client.acting("openat2 -100 \(path) 0 0 0 32 0").number != nil)
            #expect(try scene.client.acting("openat2 -100 \(path) 0 0 0 32 1").errno == E2BIG)
            #expect(try scene.client.acting("openat2 -100 \(path) 0 0 0 8192").errno == E2BIG)
        }
    }

    @Test("RESOLVE_BENEATH, NO_SYMLINKS and NO_MAGICLINKS hold, across a root's edge too")
    func resolve() throws {
        try onScene { (scene) throws in
            let file = try scene.stage.managedFile(
                scene.root + "/file", "text", "O:{alice}G:SYD:(A;;FA;;;SY)(A;;FA;;;{alice})", for: scene.alice
            )
            symlink(file, scene.home + "/into")
            symlink("../home/outside", scene.root + "/out")
            try scene.stage.file("home/outside", "outside", of: scene.alice)
            let home = try #require(try scene.client.acting("open \(scene.home) \(Flags.path)").number)
            let root = try #require(try scene.client.acting("open \(scene.root) \(Flags.path)").number)
            let beneath = Int(GUISE_RESOLVE_BENEATH), noLinks = Int(GUISE_RESOLVE_NO_SYMLINKS)
            func ask(_ directory: Int, _ path: String, _ resolve: Int) throws -> Reply {
                try scene.client.acting("openat2 \(directory) \(path) 0 0 \(resolve)")
            }
            #expect(try ask(home, "into", 0).number != nil)
            #expect(try ask(home, "into", beneath).errno == EXDEV)
            #expect(try ask(home, "into", noLinks).errno == ELOOP)
            #expect(try ask(root, "out", 0).number != nil)
            #expect(try ask(root, "out", beneath).errno == EXDEV)
            #expect(try ask(root, "out", noLinks).errno == ELOOP)
            #expect(try ask(root, "../home/outside", beneath).errno == EXDEV)
            #expect(try ask(root, "file", beneath | noLinks).number != nil)
            #expect(try ask(-100, "/proc/self/exe", Int(GUISE_RESOLVE_NO_MAGICLINKS)).errno == ELOOP)
        }
    }
}

/// The uid that a path belongs to.
func owner(of path: String) -> UInt32? {
    var status = statx()
    return guise_stat(AT_FDCWD, path, 0, &status) == 0 ? status.stx_uid : nil
}
