import CGuise
import Foundation
import Guise
import GuiseProtocol
import Testing

/// What is done with files besides opening them. Every call is tried by alice, whose folder it is, and by bob,
/// under a managed root and in a Unix place.
@Suite("File calls, while impersonating") struct FileCallTests {
    struct Call: CustomTestStringConvertible, Sendable {
        let name: String
        /// For the test service, on a folder that holds the file `f` and the folder `sub`.
        let command: @Sendable (_ folder: String, _ uid: UInt32) -> String
        /// Whether it did what it says.
        var held: @Sendable (_ folder: String) -> Bool = { _ in true }
        var testDescription: String { name }

        init(
            _ name: String, held: @escaping @Sendable (String) -> Bool = { _ in true },
            _ command: @escaping @Sendable (String, UInt32) -> String
        ) {
            self.name = name
            self.command = command
            self.held = held
        }
    }

    static let calls = [
        Call("stat") { (folder, _) in "syscall \(SYS_stat) @\(folder)/f #144" },
        Call("lstat") { (folder, _) in "syscall \(SYS_lstat) @\(folder)/f #144" },
        Call("newfstatat") { (folder, _) in "syscall \(SYS_newfstatat) -100 @\(folder)/f #144 0" },
        Call("statx") { (folder, _) in "syscall \(SYS_statx) -100 @\(folder)/f 0 4095 #256" },
        Call("statfs") { (folder, _) in "syscall \(SYS_statfs) @\(folder)/f #120" },
        Call("access") { (folder, _) in "syscall \(SYS_access) @\(folder)/f 4" },
        Call("faccessat2") { (folder, _) in "syscall \(SYS_faccessat2) -100 @\(folder)/f 6 0" },
        Call("unlink", held: { !exists($0 + "/f") }) { (folder, _) in "syscall \(SYS_unlink) @\(folder)/f" },
        Call("unlinkat", held: { !exists($0 + "/sub") }) { (folder, _) in
            "syscall \(SYS_unlinkat) -100 @\(folder)/sub 512"
        },
        Call("rmdir", held: { !exists($0 + "/sub") }) { (folder, _) in "syscall \(SYS_rmdir) @\(folder)/sub"
        },
        Call("mkdir", held: { exists($0 + "/new") }) { (folder, _) in
            "syscall \(SYS_mkdir) @\(folder)/new 448"
        },
        Call("mkdirat", held: { exists($0 + "/new") }) { (folder, _) in
            "syscall \(SYS_mkdirat) -100 @\(folder)/new/ 448"
        },
        Call("mknod", held: { exists($0 + "/p") }) { (folder, _) in
            "syscall \(SYS_mknod) @\(folder)/p \(0o010600) 0"
        },
        Call("rename", held: { exists($0 + "/g") && !exists($0 + "/f") }) { (folder, _) in
            "syscall \(SYS_rename) @\(folder)/f @\(folder)/g"
        },
        Call("renameat2 RENAME_EXCHANGE") { (folder, _) in
            "syscall \(SYS_renameat2) -100 @\(folder)/f -100 @\(folder)/sub 2"
        },
        Call("link", held: { exists($0 + "/h") }) { (folder, _) in
            "syscall \(SYS_link) @\(folder)/f @\(folder)/h"
        },
        Call("chmod") { (folder, _) in "syscall \(SYS_chmod) @\(folder)/f 448" },
        Call("fchmodat") { (folder, _) in "syscall \(SYS_fchmodat) -100 @\(folder)/f 448" },
        Call("chown") { (folder, uid) in "syscall \(SYS_chown) @\(folder)/f \(uid) -1" },
        Call("utimes") { (folder, _) in "syscall \(SYS_utimes) @\(folder)/f 0" },
        Call("utimensat") { (folder, _) in "syscall \(SYS_utimensat) -100 @\(folder)/f 0 0" },
        Call("truncate", held: { size($0 + "/f") == 3 }) { (folder, _) in
            "syscall \(SYS_truncate) @\(folder)/f 3"
        },
        Call("setxattr") { (folder, _) in "syscall \(SYS_setxattr) @\(folder)/f @user.x @abc 3 0" },
        Call("listxattr") { (folder, _) in "syscall \(SYS_listxattr) @\(folder)/f #1000 1000" },
    ]

    private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    private static func size(_ path: String) -> Int64? {
        var status = stat()
        return lstat(path, &status) == 0 ? Int64(status.st_size) : nil
    }

    /// Has alice make a folder with a file and a folder in it.
    private static func furnish(_ folder: String, _ client: Client) throws {
        try #require(try client.acting("syscall \(SYS_mkdir) @\(folder) 448").errno == nil)
        try #require(try client.acting("syscall \(SYS_mkdir) @\(folder)/sub 448").errno == nil)
        try #require(
            try client.acting("open \(folder)/f \(Flags.create | Flags.write) \(0o600)").number != nil)
    }

    @Test("take the client's rights", arguments: calls) func rights(_ call: Call) throws {
        try onScene { (scene) throws in
            for place in [scene.root, scene.home] {
                let folder = place + "/own"
                try Self.furnish(folder, scene.client)
                let refused = try scene.bobs.acting(call.command(folder, scene.alice.uid))
                #expect(refused.errno == EACCES || refused.errno == EPERM, "\(place): bob got \(refused)")
                let allowed = try scene.client.acting(call.command(folder, scene.alice.uid))
                #expect(allowed.errno == nil, "\(place): alice got \(allowed)")
                #expect(call.held(folder), "\(place)")
            }
        }
    }

    @Test("keep the descriptor's attribute out of reach") func descriptorAttribute() throws {
        try onScene { (scene) throws in
            let file = scene.root + "/f"
            try #require(
                try scene.client.acting("open \(file) \(Flags.create | Flags.write) \(0o600)").number != nil)
            #expect(
                try scene.client.acting("syscall \(SYS_getxattr) @\(file) @security.bpf.sd #1000 1000").errno
                    == ENODATA)
            #expect(
                try scene.client.acting("syscall \(SYS_setxattr) @\(file) @security.bpf.sd @x 1 0").errno
                    == EPERM)
            #expect(
                try scene.client.acting("syscall \(SYS_removexattr) @\(file) @security.bpf.sd").errno
                    == ENODATA)
            #expect(try scene.client.acting("syscall \(SYS_listxattr) @\(file) #1000 1000").number == 0)
        }
    }

    @Test("move nothing across the edge of a managed root") func edge() throws {
        try onScene { (scene) throws in
            try Self.furnish(scene.root + "/own", scene.client)
            try Self.furnish(scene.home + "/own", scene.client)
            for (from, to) in [(scene.root, scene.home), (scene.home, scene.root)] {
                #expect(
                    try scene.client.acting("syscall \(SYS_rename) @\(from)/own/f @\(to)/own/moved").errno
                        == EXDEV)
                #expect(
                    try scene.client.acting("syscall \(SYS_link) @\(from)/own/f @\(to)/own/moved").errno
                        == EXDEV)
            }
            #expect(try scene.client.acting("syscall \(SYS_rmdir) @\(scene.root)").errno != nil)
            #expect(
                try scene.client.acting("syscall \(SYS_rename) @\(scene.root) @\(scene.home)/taken").errno
                    != nil)
        }
    }

    @Test("another name for a file gives nobody another right") func hardLink() throws {
        try onScene { (scene) throws in
            let shared = try scene.stage.root(
                "shared", "O:{alice}G:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;{alice})(A;OICI;FA;;;{bob})",
                for: scene.alice,
                scene.bob)
            let own = shared + "/own"
            try Self.furnish(own, scene.client)
            // Alone for alice: what the folder passes on is taken away.
            try scene.stage.describe(own + "/f", Stage.fill("D:P(A;;FA;;;{alice})", [scene.alice]))
            try #require(
                try scene.client.acting("syscall \(SYS_link) @\(own)/f @\(shared)/other").errno == nil)
            #expect(try scene.bobs.acting("open \(shared)/other \(Flags.read)").errno == EACCES)
            // The folder is bob's as well, so he may take the name away: DELETE_CHILD.
            #expect(try scene.bobs.acting("syscall \(SYS_unlink) @\(shared)/other").errno == nil)
            #expect(Self.exists(own + "/f"))
        }
    }

    @Test("another name that a file had before its descriptor gives nobody more either") func earlierLink()
        throws
    {
        try onScene { (scene) throws in
            let file = try scene.stage.file("home/file", "hers", of: scene.alice, mode: 0o644)
            let other = scene.home + "/other"
            try #require(link(file, other) == 0)
            #expect(try scene.bobs.acting("cat \(other)").value == "hers")
            try scene.stage.describe(file, Stage.fill("O:{alice}G:SYD:P(A;;FA;;;{alice})", [scene.alice]))
            #expect(try scene.bobs.acting("cat \(other)").errno == EACCES)
            #expect(try scene.client.acting("cat \(other)").value == "hers")
            // A folder is not taken over with what has a name elsewhere.
            let folder = scene.stage.folder("linked")
            try #require(link(file, folder + "/file") == 0)
            let request = WireRootAdd.with { ($0.path, $0.adopt) = (folder, true) }
            let refusal = #expect(throws: GuiseError.self) { try scene.stage.ask(.rootAdd(request)) }
            #expect(refusal.map { "\($0)" }?.contains("hard links") == true)
        }
    }

    @Test("go by the descriptor that an object has now, however well it was known") func changedDescriptor()
        throws
    {
        try onScene { (scene) throws in
            let mine = Stage.fill(
                "O:{alice}G:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;{alice})", [scene.alice])
            let nobodys = "O:SYG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)"
            let places = [
                try scene.stage.managedFile(scene.root + "/f", "hers", mine),
                try scene.stage.file("home/f", "hers", of: scene.alice, mode: 0o644),
            ]
            func look(_ file: String) throws -> Int32? {
                try scene.client.acting("syscall \(SYS_stat) @\(file) #144").errno
            }
            for file in places {
                try scene.stage.describe(file, mine)
                // Long enough to be remembered.
                usleep(200_000)
                for _ in 0..<3 { #expect(try look(file) == nil) }
                for _ in 0..<3 {
                    try scene.stage.describe(file, nobodys)
                    #expect(try look(file) == EACCES)
                    usleep(200_000)
                    #expect(try look(file) == EACCES)
                    try scene.stage.describe(file, mine)
                    #expect(try look(file) == nil)
                    usleep(200_000)
                    #expect(try look(file) == nil)
                }
            }
        }
    }

    @Test("make symbolic links under a managed root with the privilege only") func symbolicLink() throws {
        try onScene { (scene) throws in
            #expect(try scene.client.acting("syscall \(SYS_symlink) @f @\(scene.root)/link").errno == EPERM)
            #expect(try scene.client.acting("syscall \(SYS_symlink) @f @\(scene.home)/link").errno == nil)
            #expect(
                try scene.client.acting("syscall \(SYS_readlink) @\(scene.home)/link #100 100").number == 1)
        }
    }
}
