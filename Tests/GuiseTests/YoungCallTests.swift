import CGuise
import CTestSupport
import Foundation
import Testing

@Suite("Younger file calls, while impersonating", .asRoot)
struct YoungCallTests {
    /// Places of both kinds with a file `f`, a link `l` to it, which alice has and bob has not.
    private func onPlaces(_ body: (Scene, _ place: String) throws -> Void) throws {
        try onScene { (scene) throws in
            for place in [scene.home, scene.root] {
                let folder = place + "/own"
                try #require(try scene.client.acting("syscall \(SYS_mkdir) @\(folder) 448").errno == nil)
                let made = try scene.client.acting(
                    "open \(folder)/f \(Flags.create | Flags.write) \(0o600)")
                try #require(made.number != nil)
                symlink("f", folder + "/l")
                try body(scene, folder)
            }
        }
    }

    // MARK: Extended attributes by directory

    @Test("attributes by directory and path take READ_EA and WRITE_EA")
    func attributes() throws {
        try onPlaces { (scene, place) throws in
            let (alice, bob) = (scene.client, scene.bobs)
            #expect(try alice.acting("setxattrat \(place)/f user.x abc").number == 0)
            #expect(try alice.acting("getxattrat \(place)/f user.x").value == "abc")
            #expect(try alice.acting("syscall 465 -100 @\(place)/f 0 #100 100").number == 7)
            for command in [
                "setxattrat \(place)/f user.x other", "getxattrat \(place)/f user.x",
                "syscall 465 -100 @\(place)/f 0 #100 100", "syscall 466 -100 @\(place)/f 0 @user.x",
            ] {
                #expect(try bob.acting(command).errno == EACCES, "\(place): \(command)")
            }
            try scene.stage.waitForAudit("access-denied", "\"call\":\"setxattrat\"", scene.bob.sid)
            // By a descriptor alone, too; what was opened does not open the attributes to somebody else.
            let open = try #require(try alice.acting("open \(place)/f \(Flags.read)").number)
            _ = try alice.ask("impersonate")
            #expect(try alice.ask("syscall 464 \(open) @ 4096 @user.x #16 16").number == 3)
            _ = try alice.ask("revert")
            #expect(try bob.acting("syscall 464 \(open) @ 4096 @user.x #16 16").errno == EACCES)
            #expect(try alice.acting("syscall 466 -100 @\(place)/f 0 @user.x").number == 0)
            #expect(try alice.acting("getxattrat \(place)/f user.x").errno == ENODATA)
        }
    }

    @Test("attributes by directory and path keep the descriptor's own out of reach, and take no nonsense")
    func attributesOutOfReach() throws {
        try onPlaces { (scene, place) throws in
            let client = scene.client
            _ = try client.ask("impersonate")
            #expect(try client.ask("getxattrat \(place)/f security.bpf.sd").errno == ENODATA)
            #expect(try client.ask("setxattrat \(place)/f security.bpf.sd x").errno == EPERM)
            #expect(try client.ask("syscall 466 -100 @\(place)/f 0 @security.bpf.sd").errno == ENODATA)
            #expect(try client.ask("getxattrat \(place)/f user.x 512").errno == EINVAL)
            #expect(try client.ask("getxattrat \(place)/f user.x 0 8").errno == EINVAL)
            #expect(try client.ask("getxattrat \(place)/f user.x 0 8192").errno == E2BIG)
            #expect(try client.ask("syscall 464 -100 @\(place)/f 0 @user.x 0 16").errno == EFAULT)
            // A link itself, which has none.
            #expect(try client.ask("getxattrat \(place)/l user.x \(0x100)").errno != nil)
        }
    }

    @Test("without root, too, no attribute call reaches a descriptor")
    func rootlessAttributes() throws {
        try onRootlessScene { scene in
            let hers = try scene.managedFile("hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})")
            let file = try scene.file("own", "own")
            let name = "user.guise.sd"
            #expect(try scene.acting(scene.alices, "setxattrat \(hers) user.x abc").number == 0)
            #expect(try scene.acting(scene.alices, "setxattrat \(hers) \(name) x").errno == EPERM)
            #expect(try scene.acting(scene.alices, "getxattrat \(hers) \(name)").errno == ENODATA)
            // The service itself is the file's owner for the kernel.
            #expect(try scene.ask(scene.alices, "setxattrat \(hers) \(name) x").errno == EACCES)
            #expect(try scene.ask(scene.alices, "syscall 466 -100 @\(hers) 0 @\(name)").errno == EACCES)
            #expect(try scene.ask(scene.alices, "setxattrat \(file) \(name) x").errno == EPERM)
            #expect(try scene.ask(scene.alices, "setxattrat \(file) user.x abc").number == 0)
            #expect(try scene.acting(scene.alices, "cat \(hers)").value == "hers")
            #expect(try scene.acting(scene.bobs, "cat \(hers)").errno == EACCES)
        }
    }

    @Test("calls that the kernel does not have are ENOSYS, impersonating or not, and one that nobody knows")
    func missing() throws {
        try onStage(withAuthority: false) { (stage) throws in
            let numbers = "463,464,465,466,468,469"
            try stage.startAuthority(wrapper: [product("guise-test-service"), "without-calls", numbers])
            let (alice, account) = (try stage.user("alice"), try stage.service("files"))
            let client = try (try stage.serve(account)).client(alice)
            let file = try stage.file("file", "text", of: alice)
            _ = try client.ask("impersonate")
            for command in [
                "getxattrat \(file) user.x", "setxattrat \(file) user.x abc",
                "syscall 465 -100 @\(file) 0 #100 100",
                "syscall 466 -100 @\(file) 0 @user.x", "file-attributes \(file)",
                "set-file-attributes \(file) 0 0", "syscall 470 0", "syscall 999 0",
            ] {
                #expect(try client.ask(command).errno == ENOSYS, "\(command)")
            }
            // The authority finds out descriptors in the older way.
            #expect(try client.ask("cat \(file)").value == "text")
            _ = try client.ask("revert")
            for call in ["syscall 470 0", "syscall 999 0"] {
                #expect(try client.ask(call).errno == ENOSYS)
            }
        }
    }

    // MARK: File attributes

    @Test(
        "a file's flags take READ_ATTRIBUTES and WRITE_ATTRIBUTES",
        .enabled(if: guise_has_file_attributes(), "needs file_getattr, Linux 6.17"))
    func fileFlags() throws {
        try onPlaces { (scene, place) throws in
            let (alice, bob) = (scene.client, scene.bobs)
            let before = try #require(try alice.acting("file-attributes \(place)/f").value)
            let flags = try #require(UInt64(before.split(separator: " ")[0]))
            #expect(try bob.acting("file-attributes \(place)/f").errno == EACCES)
            #expect(try bob.acting("set-file-attributes \(place)/f \(flags | 0x80) 0").errno == EACCES)
            #expect(try alice.acting("set-file-attributes \(place)/f \(flags | 0x80) 0").number == 0)
            #expect(try alice.acting("file-attributes \(place)/f").value == "\(flags | 0x80) 0")
            // A structure that has grown, of which nothing is known but that it is zero.
            #expect(try alice.acting("file-attributes \(place)/f 0 64").value == "\(flags | 0x80) 0")
            #expect(try alice.acting("set-file-attributes \(place)/f \(flags) 0 0 64 0").number == 0)
            #expect(try alice.acting("set-file-attributes \(place)/f \(flags) 0 0 64 1").errno == E2BIG)
            #expect(try alice.acting("file-attributes \(place)/f 0 8192").errno == E2BIG)
            #expect(try alice.acting("syscall 468 -100 @\(place)/f #24 16 0").errno == EINVAL)
            #expect(try alice.acting("file-attributes \(place)/f 1").errno == EINVAL)
            // Immutable and append-only take a capability that no client has, least of all the authority's.
            for flag in [0x8, 0x10] {
                let answer = try alice.acting("set-file-attributes \(place)/f \(flags | UInt64(flag)) 0")
                #expect(answer.errno == EPERM, "\(place): \(answer)")
            }
            try scene.stage.waitForAudit("access-denied", "\"call\":\"file_setattr\"", scene.alice.sid)
        }
        try onScene { (scene) throws in
            let file = try scene.stage.managedFile(
                scene.root + "/f", "", "O:{alice}G:SYD:(A;;FA;;;{alice})", for: scene.alice)
            let client = scene.client
            let before = try #require(try client.acting("file-attributes \(file)").value)
            let flags = try #require(UInt64(before.split(separator: " ")[0]))
            // Whose quota it counts for, and what would be passed on.
            #expect(try client.acting("set-file-attributes \(file) \(flags) 7").errno == EPERM)
            #expect(try client.acting("set-file-attributes \(file) \(flags | 0x200) 0").errno == EPERM)
        }
    }

    // MARK: Handles

    @Test("a file's handle takes READ_ATTRIBUTES, and nobody opens by it")
    func handles() throws {
        try onPlaces { (scene, place) throws in
            let (alice, bob) = (scene.client, scene.bobs)
            let handle = try alice.acting("handle \(place)/f").value
            #expect(handle != nil)
            #expect(try bob.acting("handle \(place)/f").errno == EACCES)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"name_to_handle_at\"", scene.bob.sid)
            // As stat: a link unless it is to be followed, and a descriptor that is open asks for nothing.
            #expect(try alice.acting("handle \(place)/l 1024").value == handle)
            #expect(try alice.acting("handle \(place)/l").value != handle)
            let open = try #require(try alice.acting("open \(place)/f \(Flags.read)").number)
            #expect(
                try bob.acting("syscall \(SYS_name_to_handle_at) \(open) @ #8 #8 4096").errno == EOVERFLOW)
            #expect(try alice.acting("handle \(place)/f 0 4").value?.hasPrefix("takes ") == true)
            #expect(try alice.acting("handle \(place)/f 0 129").errno == EINVAL)
            #expect(try alice.acting("handle \(place)/f 8").errno == EINVAL)
            #expect(try alice.acting("handle \(place)/none").errno == ENOENT)
            // Linux 6.12 and 6.13; one that is too old says so.
            for flags in [1, 2, 512] {
                let answer = try alice.acting("handle \(place)/f \(flags)")
                #expect(answer.value != nil || answer.errno == EINVAL, "\(flags): \(answer)")
            }
            #expect(try alice.acting("handle \(place)/f \(2 | 512)").errno == EINVAL)
            #expect(
                try alice.acting("syscall \(SYS_open_by_handle_at) \(open) #136 0").errno == EACCES)
        }
    }

    // MARK: fanotify

    private static let modified = 0x2
    private static let reportsHandles = 0x200 | 0x2

    @Test("a mark on an object takes READ_DATA, and its events open nothing")
    func marks() throws {
        try onPlaces { (scene, place) throws in
            let (alice, bob) = (scene.client, scene.bobs)
            let make = "syscall 300 \(Self.reportsHandles) 0"
            let group = try #require(try alice.acting(make).number)
            func mark(_ flags: Int, _ path: String) -> String {
                "syscall \(SYS_fanotify_mark) \(group) \(flags) \(Self.modified) -100 @\(path)"
            }
            for flags in [1, 2] { #expect(try bob.acting(mark(flags, "\(place)/f")).errno == EACCES) }
            try scene.stage.waitForAudit("access-denied", "\"call\":\"fanotify_mark\"", scene.bob.sid)
            #expect(try alice.acting(mark(1, "\(place)/f")).number == 0)
            #expect(try alice.ask("fanotify-events \(group)").errno == EAGAIN)
            try "more".write(toFile: place + "/f", atomically: false, encoding: .utf8)
            #expect(try alice.ask("fanotify-events \(group)").value == "2")
            #expect(try alice.acting(mark(2, "\(place)/f")).number == 0)
            #expect(try alice.acting(mark(1 | 8, "\(place)/f")).errno == ENOTDIR)
            // What is in a folder, by the folder's descriptor.
            let folder = try #require(try alice.acting("open \(place) \(Flags.directory)").number)
            let children = Self.modified | 0x0800_0000
            let byDescriptor = "syscall \(SYS_fanotify_mark) \(group) 1 \(children) \(folder) 0"
            #expect(try bob.acting(byDescriptor).errno == EACCES)
            #expect(try alice.acting(byDescriptor).number == 0)
            #expect(
                try alice.acting("syscall \(SYS_fanotify_mark) \(group) 1 2 -100 0").errno == EBADF)
            #expect(try bob.acting("syscall \(SYS_fanotify_mark) \(group) 128 0 -100 0").number == 0)
            try "most".write(toFile: place + "/f", atomically: false, encoding: .utf8)
            #expect(try alice.ask("fanotify-events \(group)").errno == EAGAIN)
            // Whole mounts and file systems are for nobody.
            for kind in [0x10, 0x100, 0x110] {
                #expect(try alice.acting(mark(1 | kind, place)).errno == EPERM)
            }
            #expect(try alice.acting("syscall \(SYS_fanotify_mark) 0 1 2 -100 @\(place)").errno == EINVAL)
            #expect(try alice.acting("syscall \(SYS_fanotify_mark) 999 1 2 -100 @\(place)").errno == EBADF)
        }
    }

    @Test("a group that would open what it tells of is not made, and gets no mark if it comes from elsewhere")
    func openingGroups() throws {
        try onScene { (scene) throws in
            for flags in [0, 0x2, 0x4, 0x8, 0x200 | 0x80] {
                #expect(try scene.client.acting("syscall 300 \(flags) 0").errno == EPERM)
                #expect(try scene.client.ask("syscall 300 \(flags) 0").errno == EPERM)
            }
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            // The test makes one as root, which the service takes by SCM_RIGHTS.
            let path = scene.stage.directory + "/services/hand"
            let listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_STREAM.rawValue), 8, 0o666)
            defer { close(listener) }
            for flags in [0x2, 0x200 | 0x80 | 0x2] {
                let group = Int32(test_call(300, [flags, Int(O_RDONLY), 0, 0, 0, 0]))
                try #require(group >= 0)
                defer { close(group) }
                let number = try hand(group, to: scene.client, at: path, listener)
                let mark = "syscall \(SYS_fanotify_mark) \(number) 1 2 -100 @\(hers)"
                #expect(try scene.client.acting(mark).errno == EPERM)
            }
        }
    }

    /// Gives the service a descriptor; its number there.
    private func hand(
        _ descriptor: Int32, to client: Client, at path: String, _ listener: Int32
    ) throws -> Int {
        let socket = try #require(try client.ask("connect \(path)").number)
        let accepted = guise_unix_accept(listener, false)
        defer { close(accepted) }
        try #require(guise_packet_send(accepted, "x", 1, descriptor, 0) == 1)
        return try #require(try client.ask("take-descriptor \(socket)").number)
    }

    // MARK: Signals

    @Test("by pidfd the client's own processes are signalled, and nobody else's")
    func signals() throws {
        try onScene { (scene) throws in
            func process(of person: Person) throws -> Int32 {
                let process = try scene.stage.start(
                    Stage.command(["/bin/sleep", "infinity"], as: person.uid, groups: []))
                try eventually("the process to be the user's") {
                    var status = stat()
                    return stat("/proc/\(process.pid)", &status) == 0 && status.st_uid == person.uid
                }
                return process.pid
            }
            let (hers, his) = (try process(of: scene.alice), try process(of: scene.bob))
            let own = scene.service.pid
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("pidfd-signal \(his) 9").errno == EPERM)
            #expect(try scene.client.ask("pidfd-signal \(getpid()) 0").errno == EPERM)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"pidfd_send_signal\"", scene.alice.sid)
            #expect(try scene.client.ask("pidfd-signal \(hers) 0").number == 0)
            #expect(try scene.client.ask("pidfd-signal \(own) 0").number == 0)
            // Groups, and in somebody else's name.
            #expect(try scene.client.ask("pidfd-signal \(hers) 0 4").errno == EPERM)
            #expect(try scene.client.ask("pidfd-signal \(hers) 15 0 info").errno == EPERM)
            #expect(try scene.client.ask("syscall 424 0 0 0 0").errno == EBADF)
            #expect(try scene.client.ask("syscall 424 999 0 0 0").errno == EBADF)
            // A number that comes to stand for a process of the service's own user meanwhile.
            let files = try process(of: scene.service.account)
            let answer = try scene.client.ask("pidfd-swapping \(own) \(files) 500")
            #expect(answer.value == "-1 0" || answer.value == "-1" || answer.value == "0", "\(answer)")
            #expect(try scene.client.ask("pidfd-signal \(files) 9").errno == EPERM)
            #expect(try scene.client.ask("pidfd-signal \(hers) 9").number == 0)
            var status: Int32 = 0
            #expect(waitpid(hers, &status, 0) == hers && status & 0x7f == SIGKILL)
        }
    }

    // MARK: Making files

    @Test("a file in a Unix place takes ADD_FILE on a folder that carries a descriptor")
    func making() throws {
        try onScene { (scene) throws in
            let folder = scene.stage.folder("open", mode: 0o777)
            try scene.stage.file("open/there", "there", mode: 0o666)
            let outside = scene.stage.folder("outside", mode: 0o777)
            symlink("\(folder)/made", outside + "/link")
            func describe(_ rights: String) throws {
                try scene.stage.describe(
                    folder, Stage.fill("O:SYG:SYD:P(A;;FA;;;SY)(A;;\(rights);;;{alice})", [scene.alice]))
            }
            let create = Flags.create | Flags.write
            func made(_ path: String, _ flags: Int) throws -> Reply {
                try scene.client.acting("open \(path) \(flags) \(0o644)")
            }
            // Everything but ADD_FILE, which the mode allows.
            try describe("0x1f01fd")
            for path in ["\(folder)/new", "\(outside)/link", "\(folder)/../open/new"] {
                #expect(try made(path, create).errno == EACCES, "\(path)")
                #expect(try made(path, create | Flags.exclusive).errno != nil, "\(path)")
            }
            #expect(try made(folder, Flags.temporary | Flags.readWrite).errno == EACCES)
            #expect(try made(folder + "/", Flags.temporary | Flags.readWrite).errno == EACCES)
            #expect(try made(folder + "/new/", create).errno == EISDIR)
            let within = try #require(try scene.client.acting("open \(folder) \(Flags.directory)").number)
            #expect(
                try scene.client.acting("openat \(within) new \(create) \(0o644)").errno == EACCES)
            #expect(access(folder + "/new", F_OK) != 0 && access(folder + "/made", F_OK) != 0)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"openat\"", scene.alice.sid)
            // What is there is opened as ever.
            #expect(try made("\(folder)/there", create).number != nil)
            #expect(try made("\(folder)/there", create | Flags.truncate).number != nil)
            #expect(try made(folder, create).errno == EISDIR)
            #expect(try made("\(outside)/new", create).number != nil)
            try describe("FA")
            #expect(try made("\(folder)/new", create | Flags.exclusive).number != nil)
            #expect(try made("\(folder)/new", create | Flags.exclusive).errno == EEXIST)
            #expect(try made("\(outside)/link", create).number != nil)
            #expect(access(folder + "/made", F_OK) == 0)
            #expect(try made(folder, Flags.temporary | Flags.readWrite).number != nil)
        }
    }

    // MARK: FIFOs

    @Test("one client's FIFOs leave the other clients of a service room to wait")
    func waiting() throws {
        try onScene { (scene) throws in
            func fifo(_ name: String, of person: Person) throws -> String {
                let path = scene.stage.directory + "/" + name
                try #require(mkfifo(path, 0o600) == 0)
                chown(path, person.uid, person.uid)
                return path
            }
            let (hers, his) = (try fifo("hers", of: scene.alice), try fifo("his", of: scene.bob))
            let clients = try (0..<20).map { _ in try scene.service.client(scene.alice) }
            for client in clients { _ = try client.ask("impersonate") }
            for client in clients { try client.send("open \(hers) \(Flags.read)") }
            // Four of them wait in vain.
            var refused = 0
            for client in clients.reversed() where refused < 4 {
                if let answer = try? client.reply(seconds: 1), answer.errno == EAGAIN { refused += 1 }
            }
            #expect(refused == 4)
            _ = try scene.bobs.ask("impersonate")
            try scene.bobs.send("open \(his) \(Flags.read)")
            var writer: Int32 = -1
            try eventually("bob's open to wait") {
                writer = open(his, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
                return writer >= 0
            }
            #expect(try scene.bobs.reply().number != nil)
            close(writer)
        }
    }
}
