import CGuise
import Foundation
import GuiseProtocol
import Testing

@Suite("An authority without root", .asRoot)
struct RootlessTests {
    @Test("holds clients to the descriptors of what lies under its managed roots")
    func managed() throws {
        try onRootlessScene { scene in
            let hers = try scene.managedFile("hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})")
            let his = try scene.managedFile("his", "his", "O:BAG:SYD:(A;;FA;;;{bob})")
            #expect(
                try scene.ask(scene.alices, "client").value?.hasPrefix("\(scene.alice.sid) alice") == true)
            #expect(try scene.acting(scene.alices, "cat \(hers)").value == "hers")
            #expect(try scene.acting(scene.alices, "cat \(his)").errno == EACCES)
            #expect(try scene.acting(scene.bobs, "cat \(his)").value == "his")
            #expect(try scene.acting(scene.bobs, "cat \(hers)").errno == EACCES)
            // What she makes is hers by its descriptor, and the operator's for the kernel.
            let path = scene.root + "/made"
            #expect(
                try scene.acting(scene.alices, "open \(path) \(Flags.create | Flags.write)").number != nil)
            #expect(try scene.acting(scene.alices, "open \(path) \(Flags.readWrite)").number != nil)
            #expect(try scene.acting(scene.bobs, "open \(path) \(Flags.read)").errno == EACCES)
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_uid == scene.owner.uid)
            #expect(getxattr(path, "user.guise.sd", nil, 0) > 0)
            let folder = scene.root + "/folder"
            #expect(try scene.acting(scene.alices, "syscall \(SYS_mkdir) @\(folder) 511").number == 0)
            #expect(
                try scene.acting(scene.alices, "open \(folder)/made \(Flags.create | Flags.write)").number
                    != nil)
            #expect(try scene.acting(scene.bobs, "open \(folder)/made \(Flags.read)").errno == EACCES)
            #expect(try scene.acting(scene.bobs, "syscall \(SYS_unlink) @\(path)").errno == EACCES)
            #expect(
                try scene.acting(scene.alices, "syscall \(SYS_rename) @\(path) @\(folder)/moved").number == 0)
            #expect(try scene.acting(scene.alices, "syscall \(SYS_unlink) @\(folder)/moved").number == 0)
        }
    }

    @Test("acts for nobody but its user elsewhere, even where everybody may")
    func elsewhere() throws {
        try onRootlessScene { scene in
            let open = try scene.file("open", "open", mode: 0o644)
            let closed = try scene.file("closed", "closed")
            let plain = try scene.service.client(scene.stage.stranger())
            for path in [open, closed, "/etc/passwd", "/proc/self/status"] {
                #expect(try scene.acting(scene.alices, "cat \(path)").errno == EACCES)
                #expect(try plain.acting("cat \(path)").errno == EACCES)
            }
            #expect(try scene.acting(scene.alices, "syscall \(SYS_unlink) @\(open)").errno == EACCES)
            #expect(
                try scene.acting(scene.alices, "open /tmp/guise-\(UUID()) \(Flags.create | Flags.write)")
                    .errno
                    == EACCES)
            try scene.stage.waitForAudit("access-denied", "without root", "acts for nobody else")
            // The service itself, and its user as a client, are whom the kernel takes them for.
            #expect(try plain.ask("cat \(closed)").value == "closed")
            let own = try scene.service.client(scene.owner)
            #expect(try own.acting("cat \(closed)").value == "closed")
            #expect(try own.acting("cat /etc/shadow").errno == EACCES)
            // No server takes the authority's user for a client.
            let server = try PlainServer(at: scene.stage.directory + "/services/plain")
            let abstract = try PlainServer(at: "@guise-test-\(UUID())")
            for address in [server.address, abstract.address] {
                #expect(try scene.acting(scene.alices, "dial stream \(address)").errno == EACCES)
                #expect(try plain.acting("dial stream \(address)").errno == EACCES)
                #expect(try own.acting("dial stream \(address)").number != nil)
            }
            #expect(server.next()?.uid == scene.owner.uid && abstract.next()?.uid == scene.owner.uid)
            // Whoever acts as its user does not come to it as that user, who may change everything.
            _ = try own.acting("dial seqpacket \(scene.stage.runtime)/guise.sock")
            try scene.stage.waitForLog("a thread that impersonates tried to reach the authority")
            // Nor does a client at Anonymous become it.
            let anonymous = try scene.service.client(scene.owner, level: "anonymous")
            #expect(try anonymous.acting("cat \(open)").errno == EACCES)
        }
    }

    @Test("lets no path lead out of a managed root, nor any into it past the descriptors")
    func paths() throws {
        try onRootlessScene { scene in
            let secret = try scene.file("secret", "secret", mode: 0o644)
            let his = try scene.managedFile("his", "his", "O:BAG:SYD:(A;;FA;;;{bob})")
            let hers = try scene.managedFile("hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})")
            for (name, target) in [
                ("out", secret), ("up", "../secret"), ("to-his", "his"), ("to-hers", "hers"), ("top", "/"),
            ] { symlink(target, scene.root + "/" + name) }
            for path in [
                "\(scene.root)/../secret", "\(scene.root)/out", "\(scene.root)/up", "\(scene.root)/to-his",
                "\(scene.root)/top/etc/passwd", "\(scene.root)/./../managed/../secret",
            ] { #expect(try scene.acting(scene.alices, "cat \(path)").errno == EACCES, "\(path)") }
            #expect(try scene.acting(scene.alices, "cat \(scene.root)/to-hers").value == "hers")
            #expect(try scene.acting(scene.alices, "cat \(scene.root)//./hers").value == "hers")
            // A name from outside: the operator's, who may have anything, is held to the descriptors, too.
            symlink(scene.root, scene.stage.directory + "/in")
            let own = try scene.service.client(scene.owner)
            let through = scene.stage.directory + "/in"
            #expect(try own.acting("cat \(through)/his").errno == EACCES)
            #expect(try own.acting("cat \(scene.stage.directory)/managed/../managed/his").errno == EACCES)
            #expect(try own.acting("cat \(his)").errno == EACCES)
            #expect(try own.acting("cat \(scene.stage.directory)/secret").value == "secret")
            // Another name for what carries no descriptor, or its own.
            link(secret, scene.root + "/linked")
            #expect(try scene.acting(scene.alices, "cat \(scene.root)/linked").errno == EACCES)
            #expect(
                try scene.acting(scene.alices, "syscall \(SYS_link) @\(secret) @\(scene.root)/taken").errno
                    != nil)
            #expect(access(scene.root + "/taken", F_OK) != 0)
            #expect(
                try scene.acting(
                    scene.alices, "syscall \(SYS_link) @\(hers) @\(scene.stage.directory)/services/x"
                )
                .errno != nil)
            let carrying = try scene.file("carrying", "carrying", mode: 0o644)
            var bytes = [UInt8](repeating: 0, count: 4096)
            let length = getxattr(hers, "user.guise.sd", &bytes, bytes.count)
            #expect(length > 0 && setxattr(carrying, "user.guise.sd", bytes, length, 0) == 0)
            #expect(try own.acting("cat \(carrying)").errno == EACCES, "it must grant as well")
            #expect(try scene.acting(scene.alices, "cat \(carrying)").errno == EACCES)
        }
    }

    @Test("lets no mediated thread reach a descriptor's attribute, acting as somebody or not")
    func attribute() throws {
        try onRootlessScene { scene in
            let hers = try scene.managedFile(
                "hers", "hers",
                "O:BAG:SYD:(A;;FA;;;{alice})(A;;FA;;;{files})"
                    .replacing("{files}", with: scene.service.account.sid))
            var before = [UInt8](repeating: 0, count: 4096)
            let length = getxattr(hers, "user.guise.sd", &before, before.count)
            #expect(length > 0)
            let (set, get) = (SYS_setxattr, SYS_getxattr)
            for isActing in [true, false] {
                func ask(_ command: String) throws -> Reply {
                    isActing ? try scene.acting(scene.alices, command) : try scene.ask(scene.alices, command)
                }
                #expect(try ask("syscall \(set) @\(hers) @user.guise.sd @x 1 0").errno == EPERM)
                #expect(try ask("syscall \(get) @\(hers) @user.guise.sd 0 0").errno == ENODATA)
                #expect(try ask("syscall \(SYS_removexattr) @\(hers) @user.guise.sd").errno == ENODATA)
                #expect(try ask("syscall \(set) @\(hers) @user.other @x 1 0").number == 0)
                #expect(try ask("syscall \(get) @\(hers) @user.other 0 0").number == 1)
                let open = try #require(try ask("open \(hers) \(Flags.readWrite)").number)
                #expect(try ask("syscall \(SYS_fsetxattr) \(open) @user.guise.sd @x 1 0").errno == EPERM)
                #expect(try ask("syscall \(SYS_fremovexattr) \(open) @user.guise.sd").errno == ENODATA)
                #expect(try ask("syscall 463 -100 @\(hers) 0 @user.guise.sd 0 16").errno != nil)
            }
            let elsewhere = try scene.file("elsewhere", "")
            #expect(
                try scene.ask(scene.alices, "syscall \(set) @\(elsewhere) @user.guise.sd @x 1 0").errno
                    == EPERM)
            #expect(
                try scene.ask(scene.alices, "syscall \(set) @\(elsewhere) @user.other @x 1 0").number == 0)
            var after = [UInt8](repeating: 0, count: 4096)
            #expect(getxattr(hers, "user.guise.sd", &after, after.count) == length && before == after)
            // In a list it does not show.
            let names = try scene.acting(scene.alices, "syscall \(SYS_listxattr) @\(hers) 0 0")
            #expect(names.number == "user.other".utf8.count + 1)
        }
    }

    @Test("makes nothing under a managed root that cannot carry a descriptor")
    func kinds() throws {
        try onRootlessScene { scene in
            try scene.stage.ask(
                .accountChange(
                    .with {
                        $0.name = "Users"
                        $0.grant = ["SeCreateSymbolicLinkPrivilege"]
                    }))
            _ = try scene.outsider.ask("logon again alice \(RootlessScene.password) network")
            let alice = try #require(
                try scene.outsider.ask("logon-dial again \(scene.service.socket) impersonation").number)
            let made = scene.root + "/made"
            #expect(try scene.acting(alice, "syscall \(SYS_symlink) @/etc/passwd @\(made)").errno == EPERM)
            #expect(
                try scene.acting(alice, "syscall \(SYS_mknod) @\(made) \(GUISE_S_IFIFO | 0o600) 0").errno
                    == EPERM)
            let socket = try #require(try scene.ask(alice, "socket stream").number)
            #expect(try scene.acting(alice, "bind \(socket) \(made)").errno == EPERM)
            var status = stat()
            #expect(lstat(made, &status) != 0)
            // One that is there opens for nobody.
            mkfifo(made, 0o600)
            chown(made, scene.owner.uid, scene.owner.uid)
            #expect(try scene.acting(alice, "open \(made) \(Flags.read | Flags.nonBlocking)").errno == EACCES)
        }
    }

    @Test("starts services of its own user only, and is its user's to administer")
    func others() throws {
        try onRootlessScene { scene in
            let stage = scene.stage
            let other = stage.stranger()
            let guise = product("guise")
            let started = try stage.run([guise, "run", "files", "--", "/bin/true"], as: other)
            #expect(
                started.status == 1 && started.errors.contains("services of its own user"),
                "\(started.errors)")
            let asRoot = try stage.run([guise, "run", "files", "--", "/bin/true"])
            #expect(
                asRoot.status == 1 && asRoot.errors.contains("services of its own user"), "\(asRoot.errors)")
            for command in [
                [guise, "account", "add", "eve"], [guise, "account", "password", "alice", "--remove"],
                [guise, "root", "remove", scene.root], [guise, "account", "join", "alice", "Administrators"],
            ] {
                let refused = try stage.run(command, as: other)
                #expect(refused.status == 1 && refused.errors.contains("administrator"), "\(refused.errors)")
            }
            #expect(try stage.run([guise, "account", "add", "eve"], as: scene.owner).status == 0)
            // The service is not its user.
            let asService = try scene.ask(scene.alices, "client")
            #expect(asService.value != nil)
            let doctor = try stage.run([guise, "doctor"], as: scene.owner)
            #expect(doctor.output.contains("without root, as uid \(scene.owner.uid)"), "\(doctor.output)")
            let foreign = stage.folder("foreign", of: other, mode: 0o700)
            let added = try stage.run([guise, "root", "add", foreign], as: scene.owner)
            #expect(added.status == 1)
            let mixed = stage.folder("mixed", of: scene.owner, mode: 0o700)
            try stage.file("mixed/others", "", of: other)
            let adopted = try stage.run([guise, "root", "add", mixed, "--adopt"], as: scene.owner)
            #expect(adopted.status == 1 && adopted.errors.contains("not yours"), "\(adopted.errors)")
        }
    }

    @Test("shows its memory and descriptors to no other process of its user, nor to a client by its own hand")
    func itself() throws {
        try onRootlessScene { scene in
            let pid = scene.stage.authority!.pid
            for file in ["environ", "maps", "mem"] {
                let read = try scene.stage.run(["/bin/cat", "/proc/\(pid)/\(file)"], as: scene.owner)
                #expect(read.status != 0, "\(file)")
                let own = try scene.service.client(scene.owner)
                #expect(try own.acting("open /proc/\(pid)/\(file) \(Flags.read)").errno == EACCES)
                #expect(try own.ask("open /proc/\(pid)/\(file) \(Flags.read)").errno == EACCES)
            }
        }
    }

    @Test("killed, fails every call, and lets none pass")
    func killed() throws {
        try onRootlessScene { scene in
            let hers = try scene.managedFile("hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})")
            #expect(try scene.ask(scene.alices, "impersonate").value != nil)
            #expect(try scene.ask(scene.alices, "cat \(hers)").value == "hers")
            scene.stage.killAuthority()
            #expect(try scene.ask(scene.alices, "cat \(hers)").errno == ENOSYS)
            #expect(try scene.ask(scene.alices, "cat /etc/passwd").errno == ENOSYS)
            // The next one has what the first knew.
            try scene.stage.startAuthority(wrapper: Stage.command([], as: scene.owner.uid))
            #expect(try scene.ask(scene.alices, "cat \(hers)").errno == ENOSYS)
            let service = try scene.stage.serve(
                scene.service.account, startedBy: scene.owner.uid, name: "again")
            let own = try service.client(scene.owner)
            #expect(try own.ask("logon a alice \(RootlessScene.password) network").number != nil)
            #expect(try own.ask("logon-scoped a cat \(hers)").value == "hers")
        }
    }

    @Test("is found where the XDG directories are, and does not run as nobody or with capabilities")
    func start() throws {
        try onStage(withAuthority: false) { stage in
            let user = stage.stranger()
            let home = stage.folder("home", of: user, mode: 0o700)
            let run = stage.folder("run", of: user, mode: 0o700)
            let environment = ["HOME": home, "XDG_RUNTIME_DIR": run]
            let started = try stage.start(
                Stage.command([product("guised")], as: user.uid), environment: environment)
            try eventually("the socket") {
                guard !started.hasEnded else { throw HarnessError("guised ended") }
                return access(run + "/guise/guise.sock", F_OK) == 0
            }
            #expect(access(home + "/.local/state/guise/guise.db", F_OK) == 0)
            let listed = try stage.run(
                [
                    "/usr/bin/env", "-u", "GUISE_RUNTIME_DIR", "XDG_RUNTIME_DIR=\(run)", product("guise"),
                    "account",
                    "list",
                ], as: user)
            // Unless this machine has an authority of its own, which comes first.
            if access("/run/guise/guise.sock", F_OK) != 0 {
                #expect(listed.status == 0 && listed.output.contains("Administrators"), "\(listed.errors)")
            }
            for (wrapper, words) in [
                (Stage.command([], as: 65534), "65534"),
                (
                    [
                        "/usr/bin/setpriv", "--reuid", "\(user.uid)", "--regid", "\(user.uid)",
                        "--clear-groups",
                        "--inh-caps", "+chown", "--ambient-caps", "+chown", "--",
                    ], "capabilities"
                ),
            ] {
                let refused = try stage.run(
                    wrapper + [product("guised"), "--state", home + "/other", "--runtime", run + "/other"])
                #expect(refused.status == 1 && refused.errors.contains(words), "\(refused.errors)")
            }
        }
    }
}
