import CGuise
import Foundation
import GuiseProtocol
import Testing

@Suite("The working directory", .asRoot)
struct WorkingDirectoryTests {
    enum Place: CaseIterable { case unix, managed }

    /// Runs a test with a folder of alice's, which holds the file `file` with the text "hers", and one of bob's.
    private func onFolders(
        _ place: Place, _ body: (Scene, _ hers: String, _ his: String) throws -> Void
    ) throws {
        try onScene { (scene) throws in
            func folder(_ name: String, _ person: Person) throws -> String {
                if place == .unix {
                    let path = scene.stage.folder(name, of: person, mode: 0o700)
                    try scene.stage.file(path + "/file", name, of: person)
                    return path
                }
                let path = try scene.stage.managedFolder(
                    scene.root + "/" + name,
                    "O:{\(person.name)}G:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;{\(person.name)})", for: person)
                try scene.stage.managedFile(
                    path + "/file", name, "O:{\(person.name)}G:SYD:P(A;;FA;;;SY)(A;;FA;;;{\(person.name)})",
                    for: person)
                return path
            }
            try body(scene, try folder("hers", scene.alice), try folder("his1", scene.bob))
        }
    }

    /// Where the kernel has the service.
    private func kernels(_ scene: Scene) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(scene.service.pid)/cwd")
    }

    @Test("is where the client goes, if the client may traverse it", arguments: Place.allCases)
    func goes(_ place: Place) throws {
        try onFolders(place) { (scene, hers, his) throws in
            let before = try kernels(scene)
            #expect(try scene.client.ask("getcwd").value == before)
            for (client, path) in [(scene.bobs, hers), (scene.client, his)] {
                #expect(try client.acting("chdir \(path)").errno == EACCES)
                #expect(try scene.client.ask("getcwd").value == before)
            }
            try scene.stage.waitForAudit("access-denied", "\"call\":\"chdir\"", hers)
            #expect(try scene.client.ask("chdir \(hers)").errno == EACCES)
            #expect(try scene.client.acting("chdir \(hers)/file").errno == ENOTDIR)
            #expect(try scene.client.acting("chdir \(hers)/none").errno == ENOENT)
            #expect(try scene.client.acting("syscall \(SYS_chdir) 0").errno == EFAULT)

            #expect(try scene.client.acting("chdir \(hers)").number == 0)
            #expect(try scene.client.acting("getcwd").value == hers)
            #expect(try scene.client.acting("cat file").value == "hers")
            #expect(try scene.client.acting("cat ./../hers/file").value == "hers")
            #expect(try scene.client.acting("syscall \(SYS_mkdir) @new 448").number == 0)
            #expect(try scene.client.acting("chdir new").number == 0)
            #expect(try scene.client.acting("getcwd").value == hers + "/new")
            #expect(try scene.client.acting("cat ../file").value == "hers")
            #expect(try scene.client.acting("chdir ..").number == 0)
            #expect(try scene.client.acting("syscall \(SYS_rename) @new @moved").number == 0)
            #expect(access(hers + "/moved", F_OK) == 0)
            #expect(try scene.client.acting("syscall \(SYS_getcwd) #4 4").errno == ERANGE)
            // It is every thread's, and decided by for each as it acts.
            for command in ["getcwd", "thread getcwd"] {
                #expect(try scene.bobs.ask(command).value == hers)
                #expect(try scene.bobs.acting(command).value == hers)
            }
            for command in ["cat file", "thread cat file", "syscall \(SYS_stat) @file #144", "chdir ."] {
                #expect(try scene.client.ask(command).errno == EACCES, "\(command)")
                #expect(try scene.bobs.acting(command).errno == EACCES, "\(command)")
            }
            #expect(try scene.client.acting("syscall \(SYS_stat) @file #144").number == 0)
            // The kernel has not let it go.
            #expect(try kernels(scene) == before)
            #expect(try scene.client.acting("chdir \(before)").number == 0)
            #expect(try scene.client.ask("getcwd").value == before)
            #expect(try scene.client.ask("cat file").errno == ENOENT)
        }
    }

    @Test(
        "is where a descriptor leads, if the client may traverse what it stands for",
        arguments: Place.allCases)
    func descriptor(_ place: Place) throws {
        try onFolders(place) { (scene, hers, _) throws in
            let folder = try #require(
                try scene.client.acting("open \(hers) \(Flags.directory)").number)
            let file = try #require(try scene.client.acting("open \(hers)/file \(Flags.read)").number)
            let before = try scene.client.ask("getcwd").value
            #expect(try scene.bobs.acting("fchdir \(folder)").errno == EACCES)
            #expect(try scene.client.ask("fchdir \(folder)").errno == EACCES)
            #expect(try scene.client.acting("fchdir \(file)").errno == ENOTDIR)
            for none in ["999", "-1", "-100"] {
                #expect(try scene.client.acting("fchdir \(none)").errno == EBADF)
            }
            try scene.stage.waitForAudit("access-denied", "\"call\":\"fchdir\"", hers)
            #expect(try scene.client.ask("getcwd").value == before)
            #expect(try scene.client.acting("fchdir \(folder)").number == 0)
            #expect(try scene.client.ask("getcwd").value == hers)
            #expect(try scene.client.acting("cat file").value == "hers")
        }
    }

    @Test("is where FileManager goes", arguments: Place.allCases)
    func fileManager(_ place: Place) throws {
        try onFolders(place) { (scene, hers, his) throws in
            #expect(try scene.client.acting("manager-chdir \(his)").errno != nil)
            #expect(try scene.client.acting("manager-chdir \(hers)").value == hers)
            #expect(try scene.client.ask("manager-chdir \(hers)").errno != nil)
            #expect(try scene.client.acting("cat file").value == "hers")
            #expect(try scene.client.ask("manager-chdir /").value == "/")
        }
    }

    /// A managed root with a folder of the service's own, with a file, and one of alice's.
    private func onOwnRoot(_ body: (Scene, _ own: String, _ hers: String) throws -> Void) throws {
        try onScene { (scene) throws in
            let account = scene.service.account
            let root = try scene.stage.root(
                "work", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;{files})", for: account)
            let own = try scene.stage.managedFolder(
                root + "/own", "O:{files}G:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;{files})", for: account)
            try scene.stage.managedFile(
                own + "/file", "own", "O:{files}G:SYD:P(A;;FA;;;{files})", for: account)
            let hers = try scene.stage.managedFolder(
                root + "/hers", "O:{alice}G:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;{alice})", for: scene.alice)
            try body(scene, own, hers)
        }
    }

    @Test("of a service that does not impersonate is under a managed root where its own token may traverse")
    func ownRights() throws {
        try onOwnRoot { (scene, own, hers) throws in
            let client = scene.client
            let before = try kernels(scene)
            #expect(try client.ask("chdir \(hers)").errno == EACCES)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"chdir\"", hers)
            #expect(try client.ask("getcwd").value == before)
            #expect(try client.ask("chdir \(own)").number == 0)
            #expect(try client.ask("getcwd").value == own)
            #expect(try client.ask("cat file").value == "own")
            #expect(try client.ask("open made \(Flags.create | Flags.write) \(0o600)").number != nil)
            #expect(access(own + "/made", F_OK) == 0)
            #expect(try client.ask("chdir ../hers").errno == EACCES)
            #expect(try client.ask("getcwd").value == own)
            for name in ["/proc/self/cwd/file", "/proc/thread-self/cwd/file"] {
                #expect(try client.ask("cat \(name)").value == "own")
            }
            #expect(
                try client.ask("syscall \(SYS_readlink) @/proc/self/cwd #4096 4096").number == own.utf8.count)
            let above = try #require(try client.ask("open .. \(Flags.directory)").number)
            #expect(try client.ask("fchdir \(above)").number == 0)
            #expect(try client.ask("getcwd").value == scene.stage.directory + "/work")
            // Out of the root by names that start in it: to where the service's user may.
            #expect(try client.ask("chdir ../services").number == 0)
            #expect(try client.ask("getcwd").value == scene.stage.directory + "/services")
            #expect(try client.ask("chdir ../state").errno == EACCES)
            #expect(try kernels(scene) == before)
            // alice has nothing in the service's own folder, wherever the service is.
            #expect(try client.ask("chdir \(own)").number == 0)
            #expect(try client.acting("cat file").errno == EACCES)
            #expect(try client.acting("cat \(own)/file").errno == EACCES)
        }
    }

    @Test("is the kernel's again once the process goes where its own user may")
    func kernelsAgain() throws {
        try onOwnRoot { (scene, own, hers) throws in
            let client = scene.client
            let before = try kernels(scene)
            let tools = scene.stage.folder("tools")
            try FileManager.default.copyItem(atPath: "/bin/echo", toPath: tools + "/echo")
            #expect(try client.ask("chdir \(own)").number == 0)
            // Nothing but the kernel executes programs, and for it the process is elsewhere.
            #expect(try client.ask("syscall \(SYS_execve) @echo 0 0").errno == EACCES)
            // A call that fails leaves it where it is.
            #expect(try client.ask("chdir /none").errno == ENOENT)
            #expect(try client.ask("chdir \(scene.stage.directory)/state").errno == EACCES)
            #expect(try client.ask("getcwd").value == own)
            #expect(try client.ask("chdir \(tools)").number == 0)
            #expect(try kernels(scene) == tools)
            #expect(try client.ask("getcwd").value == tools)
            #expect(try client.ask("spawn ./echo here").value == "here")
            // From there to where it had the process when it went under the root, and nothing of that comes back.
            #expect(try client.ask("chdir \(before)").number == 0)
            #expect(try client.ask("getcwd").value == before)
            #expect(try kernels(scene) == before)
            // To where the kernel has it already.
            #expect(try client.ask("chdir \(own)").number == 0)
            #expect(try client.ask("getcwd").value == own)
            #expect(try client.ask("chdir \(before)").number == 0)
            #expect(try client.ask("getcwd").value == before)
            #expect(try client.ask("cat file").errno == ENOENT)
            #expect(try client.acting("chdir \(hers)").number == 0)
            #expect(try client.ask("getcwd").value == hers)
        }
    }

    @Test("goes along to children and programs, as it is when they are made")
    func children() throws {
        try onOwnRoot { (scene, own, hers) throws in
            let client = scene.client
            let before = try kernels(scene)
            #expect(try client.ask("chdir \(own)").number == 0)
            for way in ["fork", "raw-fork", "orphan", "fork orphan", "thread fork"] {
                #expect(try client.ask("\(way) getcwd").value?.hasSuffix("OK \(own)") == true, "\(way)")
                #expect(try client.ask("\(way) cat file").value?.hasSuffix("OK own") == true, "\(way)")
            }
            #expect(try client.ask("spawn /bin/pwd -P").value == own)
            #expect(try client.ask("spawn /bin/cat file").value == "own")
            #expect(try client.ask("process /bin/cat file").value == "own (0)")
            // A child's own steps are its own.
            #expect(try client.ask("fork all chdir / + getcwd + cat file").value?.contains("OK / |") == true)
            #expect(try client.ask("getcwd").value == own)
            #expect(try client.ask("left-behind \(before) getcwd").value == "OK \(own)")
            #expect(try client.ask("getcwd").value == before)
            #expect(try client.ask("left-behind \(own) getcwd").value == "OK \(before)")
            #expect(try client.ask("chdir /").number == 0)
            #expect(try client.ask("process-in \(own) /bin/cat file").value == "own")
            #expect(try client.ask("getcwd").value == "/")
            // Where a client led: the child is the service.
            #expect(try client.acting("chdir \(hers)").number == 0)
            #expect(try client.acting("open file \(Flags.create | Flags.write) \(0o600)").number != nil)
            #expect(try client.acting("spawn /bin/pwd -P").value == hers)
            #expect(try client.acting("fork-revert cat file").value == "ERRNO \(EACCES)")
            // Foundation has its child go there by name, and so as the service.
            #expect(try client.acting("process /bin/true").thrown != nil)
            #expect(try client.acting("process-in / /bin/pwd").value == "/")
        }
    }

    @Test(
        "is not taken elsewhere by who rewrites the path or swaps a link on the way",
        arguments: Place.allCases)
    func races(_ place: Place) throws {
        try onFolders(place) { (scene, hers, his) throws in
            let same = hers + "/sub1"
            #expect(try scene.client.acting("syscall \(SYS_mkdir) @\(same) 448").number == 0)
            let longer = his + String(repeating: "/", count: same.utf8.count - his.utf8.count)
            // Half of one and half of the other is hers, or nothing.
            let rewritten = try scene.client.acting("chdir-rewritten 500 \(same) \(longer)").value ?? ""
            let places = rewritten.split(separator: " ").map(String.init)
            #expect(places.contains(same) && places.last == "refused", "\(rewritten)")
            #expect(places.allSatisfy { [same, hers, "refused"].contains($0) }, "\(rewritten)")

            let link = scene.home + "/link"
            let spare = scene.home + "/spare"
            let swapper = try scene.stage.start([
                "/bin/sh", "-c",
                "while :; do ln -sfn '\(hers)' '\(spare)'; mv -T '\(spare)' '\(link)';"
                    + " ln -sfn '\(his)' '\(spare)'; mv -T '\(spare)' '\(link)'; done",
            ])
            defer { swapper.end() }
            try eventually("the link") { access(link, F_OK) == 0 }
            let swapped = try scene.client.acting("chdir-often 500 \(link)")
            #expect(swapped.value == "\(hers) refused", "\(swapped)")
        }
    }

    @Test("may be removed, and then there is nothing in it", arguments: Place.allCases)
    func removed(_ place: Place) throws {
        try onFolders(place) { (scene, hers, _) throws in
            let gone = hers + "/gone"
            #expect(try scene.client.acting("syscall \(SYS_mkdir) @\(gone) 448").number == 0)
            #expect(try scene.client.acting("chdir \(gone)").number == 0)
            #expect(rmdir(gone) == 0)
            #expect(try scene.client.ask("getcwd").errno == ENOENT)
            #expect(try scene.client.acting("cat file").errno == ENOENT)
            let made = try scene.client.acting("open made \(Flags.create | Flags.write) \(0o600)")
            #expect(made.errno != nil, "\(made)")
            #expect(mkdir(gone, 0o755) == 0)
            #expect(try scene.client.ask("getcwd").errno == ENOENT)
            #expect(try scene.client.acting("chdir \(hers)").number == 0)
            #expect(try scene.client.acting("cat file").value == "hers")
        }
    }

    @Test("leads to sockets as to files")
    func sockets() throws {
        try onFolders(.unix) { (scene, hers, _) throws in
            let server = try PlainServer(at: hers + "/socket")
            chown(hers + "/socket", scene.alice.uid, scene.alice.uid)
            #expect(try scene.client.ask("connect socket").errno == ENOENT)
            #expect(try scene.client.acting("chdir \(hers)").number == 0)
            #expect(try scene.client.acting("connect socket").number != nil)
            let accepted = try #require(server.next()).socket
            close(accepted)
            #expect(try scene.client.ask("connect socket").errno == EACCES)
            #expect(try scene.bobs.acting("connect socket").errno == EACCES)
            let mail = try PlainServer(at: hers + "/mail", type: SOCK_DGRAM, of: scene.alice)
            for command in ["send-to", "send-message-to"] {
                #expect(try scene.client.acting("\(command) datagram mail text").number == 4)
                #expect(try scene.bobs.acting("\(command) datagram mail text").errno == EACCES)
                // For the kernel, who would send it, it is no address at all.
                #expect(try scene.client.ask("\(command) datagram mail text").errno == EACCES)
            }
            #expect(try scene.client.ask("send-many mail,mail text").value?.hasPrefix("-\(EACCES) ") == true)
            let named = try #require(try scene.client.ask("socket stream").number)
            #expect(try scene.client.ask("bind \(named) made").errno == EACCES)
            #expect(try scene.client.acting("bind \(named) made").number == 0)
            var status = stat()
            #expect(lstat(hers + "/made", &status) == 0 && status.st_uid == scene.alice.uid)
            withExtendedLifetime(mail) {}
        }
    }

    @Test("is anywhere for who backs up or restores, with the privilege and the intent")
    func intent() throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let root = try stage.root(
                "managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;{alice})", for: alice)
            for privilege in ["SeBackupPrivilege", "SeRestorePrivilege", "SeTakeOwnershipPrivilege"] {
                let account = try stage.service(privilege, privileges: ["SeImpersonatePrivilege", privilege])
                let client = try stage.serve(account, name: privilege).client(alice)
                #expect(try client.ask("chdir \(root)").errno == EACCES)
                for intent in ["backup", "restore"] {
                    let holds = privilege.lowercased().contains(intent)
                    let went = try client.ask("intent \(intent) chdir \(root)")
                    #expect(went.errno == (holds ? nil : EACCES), "\(privilege) \(intent): \(went)")
                }
            }
        }
    }

    @Test("that is not the same for all threads is nothing that a client leads to")
    func apart() throws {
        try onFolders(.managed) { (scene, hers, _) throws in
            let alone = 0x200
            #expect(try scene.client.acting("chdir \(hers)").number == 0)
            #expect(try scene.client.ask("syscall \(SYS_unshare) \(alone)").errno == EPERM)
            #expect(try scene.client.acting("syscall \(SYS_unshare) \(alone)").errno == EPERM)
            // A process that would share it, and a thread that would not.
            for flags in [0x200 | 17, 0x10000 | 0x100 | 0x800] {
                #expect(try scene.client.ask("syscall \(SYS_clone) \(flags) 0 0 0 0").errno == EPERM)
            }
            #expect(try scene.client.ask("chdir /").number == 0)
            #expect(try scene.client.ask("syscall \(SYS_unshare) \(alone)").number == 0)
            #expect(try scene.client.acting("chdir \(hers)").errno == EACCES)
            try scene.stage.waitForAudit("access-denied", "\"call\":\"chdir\"", "same for all threads")
            #expect(try scene.client.ask("fork getcwd").value == "OK /")
            #expect(try scene.client.ask("chdir \(scene.stage.directory)").number == 0)
            #expect(try scene.client.ask("getcwd").value == scene.stage.directory)
        }
    }

    @Test("is known by a mark that the process does not set, and one that stands for nothing leads nowhere")
    func marks() throws {
        try onFolders(.managed) { (scene, hers, _) throws in
            let locks = 10
            for words in ["160 \(locks) @\(String(repeating: "x", count: 16))"] {
                #expect(try scene.client.ask("syscall \(words)").errno == EPERM)
            }
            let set = "302 0 \(locks) @\(String(repeating: "x", count: 16)) 0"
            #expect(try scene.client.ask("syscall \(set)").errno == EPERM)
            #expect(try scene.client.ask("syscall 302 \(scene.service.pid) \(locks) #16 0").errno == EPERM)
            // To ask is free, and so are other limits.
            #expect(try scene.client.ask("syscall 302 0 \(locks) 0 #16").number == 0)
            #expect(try scene.client.ask("syscall 97 \(locks) #16").number == 0)
            #expect(try scene.client.ask("syscall 160 4 #16").number == 0)

            let account = scene.service.account
            func mark() -> UInt64 {
                var mark: UInt64 = 0
                _ = guise_mark_read(scene.service.pid, &mark)
                return mark
            }
            #expect(mark() == GUISE_MARK_NONE)
            #expect(try scene.client.acting("chdir \(hers)").number == 0)
            let given = mark()
            #expect(given != GUISE_MARK_NONE)
            #expect(guise_mark_write(scene.service.pid, account.uid, account.uid, given + 1) == 0)
            for command in ["cat file", "getcwd", "chdir .", "chdir ..", "connect socket"] {
                #expect(try scene.client.acting(command).errno == EACCES, "\(command)")
                #expect(try scene.client.ask(command).errno == EACCES, "\(command)")
            }
            #expect(try scene.client.acting("cat \(hers)/file").value == "hers")
            #expect(try scene.client.acting("chdir \(hers)").number == 0)
            #expect(try scene.client.acting("cat file").value == "hers")
            #expect(mark() == given)
            #expect(guise_mark_write(scene.service.pid, account.uid, account.uid, given + 1) == 0)
            #expect(try scene.client.ask("chdir /").number == 0)
            #expect(try scene.client.ask("getcwd").value == "/")
        }
    }

    @Test("keeps nothing open in the authority that no process is in")
    func kept() throws {
        try onScene { (scene) throws in
            let authority = try #require(scene.stage.authority).pid
            func count() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/fd").count
            }
            // More than are noted at once, twice over.
            let names = (0..<600).map { "home/f\($0)" }
            let folders = names.map { scene.stage.folder($0, of: scene.alice, mode: 0o700) }
            #expect(try scene.client.acting("chdir \(folders[0])").number == 0)
            let before = try count()
            for folder in folders {
                try #require(try scene.client.acting("chdir \(folder)").number == 0)
            }
            #expect(try scene.client.ask("getcwd").value == folders.last)
            #expect(try count() > before)
            try eventually("the directories to be given up", seconds: 30) { try count() <= before + 2 }
            #expect(try scene.client.ask("getcwd").value == folders.last)
            #expect(try scene.client.ask("chdir /").number == 0)
        }
    }

    @Test("of services without root is held to the descriptors, too")
    func rootless() throws {
        try onRootlessScene { (scene) throws in
            let hers = scene.root + "/hers"
            #expect(try scene.acting(scene.alices, "syscall \(SYS_mkdir) @\(hers) 448").number == 0)
            #expect(
                try scene.acting(scene.alices, "open \(hers)/file \(Flags.create | Flags.write)").number
                    != nil)
            #expect(try scene.acting(scene.bobs, "chdir \(hers)").errno == EACCES)
            #expect(try scene.ask(scene.alices, "chdir \(hers)").errno == EACCES)
            #expect(try scene.acting(scene.alices, "chdir \(hers)").number == 0)
            #expect(try scene.ask(scene.bobs, "getcwd").value == hers)
            #expect(try scene.acting(scene.alices, "cat file").value == "")
            #expect(try scene.acting(scene.bobs, "cat file").errno == EACCES)
            #expect(try scene.ask(scene.alices, "cat file").errno == EACCES)
            #expect(try scene.ask(scene.alices, "chdir /").number == 0)
            #expect(try scene.ask(scene.alices, "getcwd").value == "/")
        }
    }
}
