import Glibc
import GuiseProtocol

/// How the process is started.
extension GSSProcess {
    /// The program, beside this one.
    private static let program: String = {
        var path = [CChar](repeating: 0, count: 4096)
        let length = max(0, readlink("/proc/self/exe", &path, path.count))
        let own = String(decoding: path.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/guise-gss"
    }()

    /// Starts it.
    ///
    /// - Parameter descriptors: ours, and what they are to it.
    static func spawn(
        delegates: Bool, descriptors: [(own: Int32, theirs: Int32)]
    ) throws(Refused) -> pid_t {
        var environment = [
            "KRB5RCACHENAME=file2:/proc/self/fd/\(GSSDescriptor.replayCache)", "KRB5CCNAME=MEMORY:none",
        ]
        for name in ["KRB5_CONFIG", "KRB5_TRACE", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        let arguments = [program, AuthorityUser.isRoot ? "\(user)" : "-", delegates ? "1" : "0"]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Any of them may stand where another one is to be: first they go beyond them all.
        let free = (descriptors.map { max($0.own, $0.theirs) }.max() ?? 0) + 1
        for (index, (own, _)) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, own, free + Int32(index))
        }
        for (index, (_, theirs)) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, free + Int32(index), theirs)
            posix_spawn_file_actions_addclose(&actions, free + Int32(index))
        }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pid: pid_t = 0
        let error = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                posix_spawn(&pid, program, &actions, &attributes, arguments, environment)
            }
        }
        guard error == 0 else {
            throw Refused(
                .unsupported,
                error == ENOENT
                    ? "Kerberos is not installed: there is no \(program); it is built with the package trait Kerberos"
                    : "\(program) cannot be started: \(errnoText(error))")
        }
        return pid
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }
}
