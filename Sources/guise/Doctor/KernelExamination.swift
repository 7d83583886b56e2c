import CGuise
import Glibc

/// What the kernel lets an authority do, found out by doing it.
enum KernelExamination {
    static func findings() -> [Finding] {
        [architecture(), kernel(), root()] + mediation() + [
            clientSearch(), clientProcess(), sharedMemory(), ring(), attributesByPath(),
        ]
    }

    private static func uname() -> (release: String, machine: String) {
        var names = utsname()
        guard Glibc.uname(&names) == 0 else { return ("", "") }
        func text<Tuple>(_ field: Tuple) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        return (text(names.release), text(names.machine))
    }

    static func architecture() -> Finding {
        let machine = uname().machine
        let remedy = "use an x86-64 machine"
        let purpose = "the filter that stops a service's calls"
        switch machine {
        case "x86_64": return Finding("architecture", .ok, for: purpose, detail: machine)
        case "aarch64":
            return Finding(
                "architecture", .limited, for: purpose, detail: "\(machine): nobody has tried it",
                remedy: remedy)
        default: return Finding("architecture", .missing, for: purpose, detail: machine, remedy: remedy)
        }
    }

    static func kernel() -> Finding {
        let own = guise_pidfd_open(getpid(), false)
        let thread = guise_pidfd_open(guise_gettid(), true)
        defer { for descriptor in [own, thread] where descriptor >= 0 { close(descriptor) } }
        let lacks: String? =
            own < 0
            ? "no pidfd_open"
            : thread < 0 ? "no descriptors of threads" : guise_is_pidfs(own) ? nil : "no pidfs"
        let found = "Linux \(uname().release)"
        return Finding(
            "kernel", lacks == nil ? .ok : .missing, for: "telling processes and threads apart for good",
            detail: [found, lacks].compactMap(\.self).joined(separator: ": "),
            remedy: "boot Linux 6.9 or newer")
    }

    /// Whether a process of a user's may look into another of the same user's, which an authority without root has to.
    ///
    /// - Parameter scope: what `kernel.yama.ptrace_scope` says; nil where there is no Yama.
    static func tracing(isRootless: Bool, scope: Int? = Self.scope) -> [Finding] {
        guard isRootless else { return [] }
        let (name, purpose) = ("tracing", "mediating services without root")
        switch scope ?? 0 {
        case 0: return [Finding(name, .ok, for: purpose)]
        case 1:
            return [
                Finding(
                    name, .limited, for: purpose,
                    detail: "kernel.yama.ptrace_scope is 1: calls of processes that a service makes fail",
                    remedy: "set it to 0, or use services of one process")
            ]
        case let scope:
            return [
                Finding(
                    name, .missing, for: purpose, detail: "kernel.yama.ptrace_scope is \(scope)",
                    remedy: "set it to 0 or 1, or run guised as root")
            ]
        }
    }

    private static var scope: Int? {
        var text = [UInt8](repeating: 0, count: 16)
        let length = guise_file_read("/proc/sys/kernel/yama/ptrace_scope", &text, text.count)
        return Int(String(decoding: text[..<max(0, length)].prefix { $0 != 0x0A }, as: UTF8.self))
    }

    static func root() -> Finding {
        let purpose = "taking on the credentials of clients"
        guard geteuid() == 0 else {
            return Finding(
                "root", .limited, for: purpose, detail: "not tried: this runs as uid \(geteuid())",
                remedy: "run `guise doctor` as root to try all")
        }
        // Whom the kernel takes anonymous clients for.
        let nobody: UInt32 = 65534
        var result = guise_credentials_assume(nobody, nobody, [UInt32](), 0)
        if result == 0 { result = guise_credentials_restore() }
        return Finding(
            "root", of: result, for: purpose,
            remedy: "run guised with all of root's capabilities (a container may have taken some away)")
    }

    static func mediation() -> [Finding] {
        var trial = guise_trial()
        guise_probe_mediation(&trial)
        let scope = number(in: "/proc/sys/kernel/yama/ptrace_scope")
        let tracing = scope.map { "kernel.yama.ptrace_scope is \($0)" }
        let trace = "set kernel.yama.ptrace_scope to 2 or less (sysctl), and leave CAP_SYS_PTRACE to guised"
        let starting = "starting services under their own user"
        return [
            geteuid() == 0
                ? Finding(
                    "service user", of: trial.credentials, for: starting,
                    remedy: "leave CAP_SETUID and CAP_SETGID to root")
                : Finding(
                    "service user", .limited, for: starting, detail: "all was tried as uid \(geteuid())",
                    remedy: "run `guise doctor` as root to try all"),
            Finding(
                "seccomp", of: trial.filter, for: "stopping a service's calls",
                detail: trial.filter == -EBUSY ? "the process has a filter with a listener already" : nil,
                remedy: "use a kernel with CONFIG_SECCOMP_FILTER, and no container profile that forbids it"),
            Finding(
                "seccomp killable", of: trial.killable, for: "calls that a signal ends only in time",
                remedy: "boot Linux 5.19 or newer (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)"),
            Finding(
                "pidfd_getfd", of: trial.listener, for: "taking over the listener of a service's filter",
                detail: tracing, remedy: trace),
            Finding(
                "seccomp answers", of: trial.answer, for: "carrying out a service's calls in its stead",
                remedy: "boot Linux 6.9 or newer"),
            Finding(
                "seccomp files", of: trial.descriptor, for: "handing open files to a service",
                remedy: "boot Linux 6.9 or newer (SECCOMP_IOCTL_NOTIF_ADDFD)"),
            Finding(
                "seccomp wake-up", of: trial.synchronous, for: "speed: waking a service at once",
                without: "mediated calls take several times as long",
                remedy: "boot Linux 6.6 or newer (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)"),
            Finding(
                "process memory", of: trial.memory, for: "reading the paths that services name",
                detail: tracing, remedy: trace),
        ]
    }

    static func clientSearch() -> Finding {
        var ends: [Int32] = [-1, -1]
        var result = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 ? 0 : -guise_errno()
        defer { for end in ends where end >= 0 { close(end) } }
        let diag = result == 0 ? guise_diag_open() : -1
        defer { if diag >= 0 { close(diag) } }
        if result == 0, diag < 0 { result = diag }
        if result == 0 {
            var (inode, cookie) = (UInt32(0), UInt64(0))
            result = guise_diag_peer(
                diag, guise_socket_inode(ends[0]), guise_socket_cookie(ends[0]), &inode, &cookie)
            if result == 0, inode != guise_socket_inode(ends[1]) || cookie != guise_socket_cookie(ends[1]) {
                result = -EPROTO
            }
        }
        return Finding(
            "sock_diag", of: result, for: "finding the other end of a connection",
            remedy: "load the module (modprobe unix_diag), or use a kernel with CONFIG_UNIX_DIAG")
    }

    static func clientProcess() -> Finding {
        var ends: [Int32] = [-1, -1]
        var result = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 ? 0 : -guise_errno()
        defer { for end in ends where end >= 0 { close(end) } }
        if result == 0 {
            var peer = guise_peer()
            peer.pidfd = -1
            result = guise_peer_of(ends[0], &peer)
            let own = guise_pidfd_open(getpid(), false)
            if result == 0, peer.pidfd < 0 { result = -ENOPROTOOPT }
            if result == 0, own >= 0, guise_pidfd_identity(own) != guise_pidfd_identity(peer.pidfd) {
                result = -EPROTO
            }
            for descriptor in [peer.pidfd, own] where descriptor >= 0 { close(descriptor) }
        }
        return Finding(
            "SO_PEERPIDFD", of: result, for: "knowing the process of a client",
            remedy: "boot Linux 6.9 or newer")
    }

    static func sharedMemory() -> Finding {
        let page = guise_memfd_sealed("guise-doctor", 4096)
        defer { if page >= 0 { close(page) } }
        // Sealed is what cannot be cut off under the authority's feet.
        let isSealed = page >= 0 && ftruncate(page, 0) != 0
        return Finding(
            "memfd", of: page < 0 ? page : isSealed ? 0 : -EPROTO, for: "the identity page of a service",
            remedy: "use a kernel with CONFIG_MEMFD_CREATE; look at vm.memfd_noexec")
    }

    static func ring() -> Finding {
        let disabled = number(in: "/proc/sys/kernel/io_uring_disabled")
        var result: Int32 = 0
        if let ring = guise_ring_create() {
            defer { guise_ring_destroy(ring) }
            result = guise_ring_register(ring)
            if result > 0 {
                var how = open_how()
                how.flags = GUISE_O_CLOEXEC | GUISE_O_DIRECTORY
                let root = guise_ring_open(ring, result, AT_FDCWD, "/", &how)
                result = min(root, 0)
                if root >= 0 { close(root) }
            }
        } else {
            result = -guise_errno()
        }
        return Finding(
            "io_uring", of: result, for: "speed: opening files as a client",
            detail: disabled.flatMap { $0 == 0 ? nil : "kernel.io_uring_disabled is \($0)" },
            without: "each file takes a few system calls more",
            remedy: "set kernel.io_uring_disabled to 0, or to 1 (sysctl); services cannot use it in any case")
    }

    static func attributesByPath() -> Finding {
        var byte: UInt8 = 0
        let got = guise_xattr_get_at(AT_FDCWD, "/", FileSystemExamination.attribute, &byte, 1)
        return Finding(
            "getxattrat", of: got == -Int(ENOSYS) ? -ENOSYS : 0,
            for: "speed: reading a descriptor before a file is opened",
            without: "opening under managed roots takes longer", remedy: "boot Linux 6.13 or newer")
    }

    /// The number in a file of the kernel's; nil when there is none.
    private static func number(in path: String) -> Int? {
        var bytes = [UInt8](repeating: 0, count: 32)
        let length = guise_file_read(path, &bytes, bytes.count)
        guard length > 0 else { return nil }
        return Int(String(decoding: bytes[..<length].prefix { $0 != 0x0A }, as: UTF8.self))
    }
}
