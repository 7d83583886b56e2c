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

    @Test("O_TMPFILE makes a nameless file of the client's in a Unix place and none under a managed root")
    func temporary() throws {
        try onScene { (scene) throws in
            let open = try #require(
                try scene.client.acting("open \(scene.home) \(Flags.temporary | Flags.readWrite) \(0o600)")
                    .number)
            #expect(try scene.client.ask("write \(open) text").number == 4)
            #expect(owner(of: "/proc/\(scene.service.pid)/fd/\(open)") == scene.alice.uid)
            #expect(
                try scene.client.acting("open \(scene.root) \(Flags.temporary | Flags.readWrite) \(0o600)")
                    .errno
                    == EOPNOTSUPP)
            #expect(
                try scene.bobs.acting("open \(scene.home) \(Flags.temporary | Flags.readWrite) \(0o600)")
                    .errno
                    == EACCES)
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
