import CGuise
import Foundation
import Testing

@Suite("System calls that are not opens", .asRoot)
struct CallTests {
    /// What the filter notifies of, with arguments that do no harm, and why a name is left out.
    private static let names: [String] = (0..<512).compactMap { number in
        guise_call_name(Int32(number)).map { String(cString: $0) }
    }
    /// Carried out as the client, or asking nobody for anything; they have tests of their own.
    private static let mediated: Set<String> = [
        "open", "creat", "openat", "openat2", "stat", "lstat", "newfstatat", "statx", "access", "faccessat",
        "faccessat2", "readlink", "readlinkat", "unlink", "unlinkat", "rename", "renameat", "renameat2",
        "mkdir",
        "mkdirat", "rmdir", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod", "fchmod",
        "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat", "utime", "utimes", "futimesat",
        "utimensat", "truncate", "statfs", "chdir", "fchdir", "setxattr", "lsetxattr", "fsetxattr",
        "getxattr",
        "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "removexattr", "lremovexattr",
        "fremovexattr", "inotify_add_watch", "connect", "bind", "execve", "execveat", "getcwd", "getxattrat",
        "setxattrat",
        "listxattrat", "removexattrat", "fanotify_mark", "name_to_handle_at", "file_getattr", "file_setattr",
    ]
    /// By their arguments: these are looked at, and some asked for nothing.
    private static let byArguments: Set<String> = [
        "sendto", "sendmsg", "sendmmsg", "prlimit64", "ioctl", "kill", "tkill", "tgkill",
        "pidfd_send_signal", "clone", "unshare",
    ]

    @Test(
        "one that is not mediated is refused while impersonating, by name in the audit, and works otherwise")
    func unmediated() throws {
        try onScene { (scene) throws in
            // Bad arguments, so that what comes through comes back with another error or does nothing.
            let names = Self.names.filter { !Self.mediated.contains($0) && !Self.byArguments.contains($0) }
            #expect(names.count > 20)
            _ = try scene.client.ask("impersonate")
            for name in names {
                let answer = try scene.client.ask("syscall \(guise_call_number(name)) -1 -1 -1 -1 -1 -1")
                #expect(answer.errno == EACCES, "\(name): \(answer)")
            }
            _ = try scene.client.ask("revert")
            try scene.stage.waitForAudit("access-denied", "\"call\":\"\(names.last!)\"")
            let log = scene.stage.audit.filter { $0.event == "access-denied" && $0.user == scene.alice.sid }
            for name in names {
                #expect(log.contains { $0.call == name }, "\(name)")
                let answer = try scene.client.ask("syscall \(guise_call_number(name)) -1 -1 -1 -1 -1 -1")
                #expect(answer.errno != EACCES, "\(name): \(answer)")
            }
        }
    }

    @Test("the client's own processes are signalled while impersonating, and nobody else's")
    func signals() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let kill = SYS_kill
            func process(of person: Person) throws -> Int32 {
                let process = try stage.start(
                    Stage.command(["/bin/sleep", "infinity"], as: person.uid, groups: []))
                try eventually("the process to be the user's") {
                    var status = stat()
                    return stat("/proc/\(process.pid)", &status) == 0 && status.st_uid == person.uid
                }
                return process.pid
            }
            let (hers, his, files) = (
                try process(of: scene.alice), try process(of: scene.bob),
                try process(of: scene.service.account)
            )
            let root = getpid()
            _ = try scene.client.ask("impersonate")
            for pid in [his, files, root] {
                for number in [0, SIGTERM, SIGKILL, SIGSTOP] {
                    #expect(try scene.client.ask("syscall \(kill) \(pid) \(number)").errno == EPERM)
                }
                #expect(try scene.client.ask("syscall \(SYS_tgkill) \(pid) \(pid) 9").errno == EPERM)
                #expect(try scene.client.ask("syscall \(SYS_tkill) \(pid) 9").errno == EPERM)
            }
            // Groups and everybody, the authority's own threads, and what there is not.
            for pid in ["0", "-1", "-\(his)", "-\(root)"] {
                #expect(try scene.client.ask("syscall \(kill) \(pid) 0").errno == EPERM)
            }
            let authority = try #require(stage.authority).pid
            #expect(try scene.client.ask("syscall \(kill) \(authority) 9").errno == EPERM)
            #expect(try scene.client.ask("syscall \(kill) 4194304 0").errno == ESRCH)
            #expect(try scene.client.ask("syscall \(SYS_tgkill) \(root) \(hers) 9").errno == ESRCH)
            #expect(try scene.client.ask("syscall \(kill) \(hers) 999").errno == EINVAL)
            try stage.waitForAudit("access-denied", "\"call\":\"kill\"", scene.alice.sid)

            #expect(try scene.client.ask("syscall \(kill) \(hers) 0").value == "0")
            #expect(try scene.client.ask("syscall \(SYS_tgkill) \(hers) \(hers) 0").value == "0")
            #expect(try scene.client.ask("syscall \(SYS_tkill) \(hers) 0").value == "0")
            #expect(try scene.client.ask("syscall \(kill) \(hers) \(SIGKILL)").value == "0")
            var status: Int32 = 0
            #expect(waitpid(hers, &status, 0) == hers)
            #expect(status & 0x7f == SIGKILL)

            // Her own process, but of more trust than she has now: as on Windows, to end it is no writing.
            let more = try process(of: scene.alice)
            _ = try scene.client.ask("revert")
            try stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"; $0.level = 0x1000
                    }))
            let low = try scene.service.client(scene.alice)
            _ = try low.ask("adopt")
            try stage.ask(
                .accountChange(
                    .with {
                        $0.name = "alice"; $0.usualIntegrity = true
                    }))
            #expect(try low.acting("syscall \(kill) \(more) \(SIGSTOP)").errno == EPERM)
            #expect(try low.acting("syscall \(kill) \(more) 0").value == "0")
            #expect(try scene.client.acting("syscall \(kill) \(more) \(SIGSTOP)").value == "0")
            #expect(try low.acting("syscall \(kill) \(more) \(SIGKILL)").value == "0")
        }
    }

    @Test("no other process is signalled, nor are its limits changed, while impersonating")
    func others() throws {
        try onScene { (scene) throws in
            _ = try scene.client.ask("impersonate")
            // A message is the socket's business, with a name or without.
            #expect(try scene.client.ask("syscall 44 0 #8 8 0 #16 16").errno == ENOTSOCK)
            #expect(try scene.client.ask("syscall 44 0 #8 8 0 0 0").errno == ENOTSOCK)
            #expect(try scene.client.ask("syscall 46 0 #64 0").errno == ENOTSOCK)
            // It may signal its own process, and no other.
            let own = scene.service.pid
            #expect(try scene.client.ask("syscall 62 \(own) 0").value == "0")
            #expect(try scene.client.ask("syscall 62 \(getpid()) 0").errno == EPERM)
            // fstat, and changing limits of its own.
            #expect(try scene.client.ask("syscall 5 0 #256").value == "0")
            #expect(try scene.client.ask("syscall 302 0 7 0 #16").value == "0")
            #expect(try scene.client.ask("syscall 302 1 7 0 #16").errno == EACCES)
        }
    }

    @Test("no identity of the kernel's is taken on while impersonating")
    func credentials() throws {
        try onScene { (scene) throws in
            let calls = ["setuid", "setresuid", "setgroups", "capset", "setfsuid"]
            for name in calls {
                let answer = try scene.client.acting("syscall \(guise_call_number(name)) 0 0 0")
                #expect(answer.errno == EACCES, "\(name)")
            }
            let answer = try scene.client.ask("syscall \(guise_call_number("setresuid")) 0 0 0")
            #expect(answer.errno == EPERM)
        }
    }

    #if arch(x86_64)
        /// Number, arguments, and what it must come to whoever asks.
        @Test(
            "what would lead past the mediator is refused, impersonating or not",
            arguments: [
                ("io_uring_setup", "425 4 #120", EPERM), ("io_uring_enter", "426 3 0 0 0 0 0", EPERM),
                ("io_uring_register", "427 3 0 0 0", EPERM), ("ptrace TRACEME", "101 0 0 0 0", EPERM),
                ("ptrace ATTACH", "101 16 1 0 0", EPERM), ("seccomp", "317 1 0 #16", EPERM),
                ("prctl SET_SECCOMP", "157 22 2 #16", EPERM),
                ("clone NEWUSER", "56 0x10000011 0 0 0 0", EPERM),
                ("clone NEWNS", "56 0x20011 0 0 0 0", EPERM), ("clone3", "435 #88 88", ENOSYS),
                ("unshare NEWUSER", "272 0x10000000", EPERM), ("unshare NEWNS", "272 0x20000", EPERM),
                ("setns", "308 0 0", EPERM), ("mount", "165 @none @/tmp @tmpfs 0 0", EPERM),
                ("umount2", "166 @/tmp 0", EPERM), ("pivot_root", "155 @/ @/", EPERM),
                ("fsopen", "430 @tmpfs 0", EPERM), ("open_tree", "428 -100 @/ 1", EPERM),
                ("move_mount", "429 -100 @/ -100 @/ 0", EPERM),
                ("process_vm_readv", "310 1 #16 1 #16 1 0", EPERM),
                ("process_vm_writev", "311 1 #16 1 #16 1 0", EPERM), ("pidfd_getfd", "438 0 0 0", EPERM),
                ("kcmp", "312 1 1 0 0 0", EPERM), ("userfaultfd", "323 0", EPERM),
                ("bpf", "321 0 #120 120", EPERM),
                ("perf_event_open", "298 #120 0 -1 -1 0", EPERM), ("one nobody knows", "600 0 0 0", ENOSYS),
            ])
        func refused(name: String, call: String, error: Int32) throws {
            try onScene { (scene) throws in
                let asItself = try scene.client.ask("syscall \(call)")
                #expect(asItself.errno == error, "\(name): \(asItself)")
                let acting = try scene.client.acting("syscall \(call)")
                #expect(acting.errno == error, "\(name) acting: \(acting)")
            }
        }

        @Test("other ABIs than the machine's own are none here")
        func foreign() throws {
            try onScene { (scene) throws in
                for prefix in ["", "fork "] {
                    #expect(try scene.client.acting("\(prefix)x32").line.contains("\(ENOSYS)"))
                }
                // A kernel without 32-bit support ends the caller instead.
                let int80 = try #require(try scene.client.ask("fork int80").value)
                #expect(int80 == "ERRNO \(ENOSYS)" || int80.hasPrefix("SIGNAL"), "\(int80)")
            }
        }
    #endif
}
