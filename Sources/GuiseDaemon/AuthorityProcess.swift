import CGuise
import Glibc
import GuiseProtocol
import Logging
import ServiceLifecycle

/// The authority as a process: from its two directories to a clean stop.
package enum AuthorityProcess {
    /// Why the authority does not start.
    enum StartError: Error, CustomStringConvertible {
        case nobody
        case privileged
        case kernel(String)
        case noThread

        var description: String {
            switch self {
            case .nobody:
                "it cannot run as uid 65534, as which it acts for clients that have no Unix user: give it a user of its own"
            case .privileged:
                "it was given another uid or capabilities than its user has: start it as root, or plainly"
            case .kernel(let missing): "this kernel lacks \(missing); Linux 6.9 or newer is needed"
            case .noThread: "no thread could be started to write the audit log"
            }
        }
    }

    /// Runs until SIGTERM or SIGINT.
    ///
    /// - Parameters:
    ///   - state: the directory of the accounts, which only the authority's user may write.
    ///   - runtime: the directory of the control socket.
    ///   - audit: how much of the audit is kept, and where journald listens.
    ///   - pamDirectory: where PAM is configured; nil: where the machine has it.
    package static func run(
        state: String, runtime: String, audit options: (fileSize: Int, files: Int, journal: String),
        pamDirectory: String? = nil
    ) async throws {
        // Passwords pass through. Before the user is checked: of who refuses tracers some files in /proc are closed.
        guard guise_refuse_cores() == 0 else { throw StartError.kernel("RLIMIT_CORE and coredump_filter") }
        try checkUser()
        try checkKernel()
        raiseDescriptorLimit()
        // A reader that went away is an error of one call, not the end of the authority.
        signal(SIGPIPE, SIG_IGN)
        // So is a file that may not grow.
        signal(SIGXFSZ, SIG_IGN)
        // Whoever started this may have it ignored, and then nobody hears how a child ended.
        signal(SIGCHLD, SIG_DFL)
        umask(0o077)
        let log = Logger(label: "guised") { StreamLogHandler.standardError(label: $0) }
        let accounts = try AccountStore(directory: state)
        let audit = Audit()
        let file = try AuditLog(directory: state, largestSize: options.fileSize, count: options.files)
        let writer = AuditWriter(audit, to: file, journal: options.journal, log: log) {
            accounts.directory.knownName(of: $0)
        }
        let server = try ControlServer(
            runtimeDirectory: runtime, accounts: accounts, audit: audit, log: log,
            pam: PAMStack(directory: pamDirectory))
        guard writer.start() else { throw StartError.noThread }
        audit.record(AuditEvent(.authorityStarted, process: getpid()))
        log.info(
            "ready",
            metadata: [
                "runtime": "\(runtime)", "state": "\(state)",
                "user":
                    "\(AuthorityUser.isRoot ? "root" : "uid \(AuthorityUser.credentials.uid), without root")",
            ])
        notifyReady()
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: ControlService(server: server))],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: log))
        try await group.run()
        audit.record(AuditEvent(.authorityStopped, process: getpid()))
        writer.stop()
        log.info("stopped")
    }

    /// Writes a line to standard error.
    package static func complain(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }

    /// Root, or a plain user.
    private static func checkUser() throws {
        guard !AuthorityUser.isRoot else { return }
        guard AuthorityUser.credentials.uid != UnixCredentials.nobody.uid else { throw StartError.nobody }
        let none = Substring("0000000000000000")
        guard let status = ProcessStatus(of: getpid()), Set(status["Uid"] ?? []).count == 1,
            Set(status["Gid"] ?? []).count == 1, status["CapPrm"] == [none], status["CapEff"] == [none]
        else { throw StartError.privileged }
        // Other processes of this user shall not trace the authority, read its memory or take its descriptors.
        guard guise_refuse_tracers() == 0 else { throw StartError.kernel("PR_SET_DUMPABLE") }
    }

    /// Where an authority of this user keeps its accounts and makes its socket unless told otherwise: root in
    /// `/var/lib/guise` and `/run/guise`, others as the XDG Base Directory Specification has it.
    ///
    /// - Returns: nil where the environment does not say.
    package static func usualDirectories() -> (state: String?, runtime: String?) {
        guard !AuthorityUser.isRoot else {
            return ("/var/lib/guise", ControlPacket.defaultRuntimeDirectory)
        }
        func directory(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil }
        }
        let state = directory("XDG_STATE_HOME") ?? directory("HOME").map { $0 + "/.local/state" }
        return (state.map { $0 + "/guise" }, directory("XDG_RUNTIME_DIR").map { $0 + "/guise" })
    }

    private static func checkKernel() throws {
        let own = guise_pidfd_open(getpid(), false)
        guard own >= 0 else { throw StartError.kernel("pidfd_open") }
        defer { close(own) }
        let thread = guise_pidfd_open(guise_gettid(), true)
        guard thread >= 0 else { throw StartError.kernel("pidfds of threads (PIDFD_THREAD)") }
        defer { close(thread) }
        // On pidfs every process has an inode of its own; before it all shared one.
        guard guise_pidfd_identity(own) != 0, guise_is_pidfs(own) else { throw StartError.kernel("pidfs") }
    }

    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = max(limit.rlim_max, 1 << 19)
        limit.rlim_max = limit.rlim_cur
        if setrlimit(resource, &limit) != 0, getrlimit(resource, &limit) == 0 {
            limit.rlim_cur = limit.rlim_max
            setrlimit(resource, &limit)
        }
    }

    /// sd_notify(3), by its documented protocol: one datagram to the socket in the environment.
    private static func notifyReady() {
        guard let name = getenv("NOTIFY_SOCKET") else { return }
        if guise_notify(name, "READY=1") != 0 { complain("guised: telling \(String(cString: name)) failed") }
        unsetenv("NOTIFY_SOCKET")
    }
}

/// Runs the control thread for as long as the service group wants it.
private struct ControlService: Service {
    let server: ControlServer

    func run() async throws {
        await withGracefulShutdownHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let started = SystemThread.start("guise-control") {
                    server.run()
                    continuation.resume()
                }
                if !started { continuation.resume() }
            }
        } onGracefulShutdown: {
            server.stop()
        }
    }
}
