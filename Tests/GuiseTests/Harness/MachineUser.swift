import Foundation

/// A user of the machine's own, in /etc/passwd for as long as the test runs and no longer, however that ends.
final class MachineUser {
    let name: String
    let uid: UInt32
    /// Of his own group.
    private(set) var gid: UInt32 = 0
    private let watchdog: ChildProcess
    private let lifeline: Int32

    /// Makes the user and gives him a password.
    ///
    /// - Parameter other: the uid of another user, which is to be his, too.
    init(_ stage: Stage, password: String, uid other: UInt32? = nil) throws {
        name = "guise-\(String(UInt64.random(in: 0..<(1 << 48)), radix: 36))"
        uid = other ?? FreshUsers.take()
        let channel = try Channel()
        lifeline = channel.writing
        // Somebody else may hold the files' lock.
        watchdog = try ChildProcess(
            [
                "/bin/sh", "-c",
                "read nothing; for i in 1 2 3 4 5; do userdel \(name); [ $? -ne 1 ] && [ $? -ne 10 ] && exit; sleep 1; done",
            ], group: 0, streams: (channel.reading, -1, -1))
        close(channel.reading)
        try change(
            stage,
            "useradd --no-log-init --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin"
                + " --user-group --uid \(uid) \(other == nil ? "" : "--non-unique ")\(name)")
        try setPassword(stage, password)
        let told = try stage.run(["/usr/bin/id", "--group", name]).output
        guard let gid = UInt32(told.dropLast()) else { throw HarnessError("id: \(told)") }
        self.gid = gid
    }

    func setPassword(_ stage: Stage, _ password: String) throws {
        try change(stage, "echo '\(name):\(password)' | chpasswd")
    }

    /// Runs a command that changes the user, as root.
    func change(_ stage: Stage, _ command: String) throws {
        let made = try stage.run(["/bin/sh", "-c", command])
        guard made.status == 0 else { throw HarnessError("\(command): \(made.errors)") }
    }

    func remove() {
        close(lifeline)
        _ = try? watchdog.wait()
    }

    /// As those are whom the tests have everywhere.
    var person: Person { Person(name: name, uid: uid, sid: "S-1-22-1-\(uid)") }
}

/// A module of PAM that does to its process what no module should. Its first argument says what; with `for=NAME` only when
/// it is about this user.
private let moduleSource = #"""
    #include <fcntl.h>
    #include <security/pam_ext.h>
    #include <security/pam_modules.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>

    static int act(pam_handle_t *pam, int count, const char **words) {
        const char *user = NULL;
        pam_get_item(pam, PAM_USER, (const void **)&user);
        if (count > 1 && strncmp(words[1], "for=", 4) == 0 && (!user || strcmp(words[1] + 4, user) != 0))
            return PAM_IGNORE;
        if (strcmp(words[0], "hang") == 0) {
            sigset_t all;
            sigfillset(&all);
            sigprocmask(SIG_SETMASK, &all, NULL);
            fork();
            for (;;) sleep(1);
        }
        if (strcmp(words[0], "crash") == 0) abort();
        if (strcmp(words[0], "exit") == 0) _exit(0);
        if (strcmp(words[0], "print") == 0) {
            for (int i = 0; i < 100000; i++) {
                puts("right");
                pam_info(pam, "this is message %d of many", i);
            }
            fflush(stdout);
            return PAM_IGNORE;
        }
        if (strcmp(words[0], "ask") == 0) {
            char *answer = NULL;
            int result = pam_prompt(pam, PAM_PROMPT_ECHO_ON, &answer, "What is your quest? ");
            free(answer);
            return result;
        }
        if (strncmp(words[0], "rename=", 7) == 0) return pam_set_item(pam, PAM_USER, words[0] + 7);
        if (strncmp(words[0], "tell=", 5) == 0) {
            const char *items[4] = {0};
            const int kinds[4] = {PAM_SERVICE, PAM_TTY, PAM_RUSER, PAM_RHOST};
            for (int i = 0; i < 4; i++) pam_get_item(pam, kinds[i], (const void **)&items[i]);
            FILE *out = fopen(words[0] + 5, "w");
            for (int i = 0; i < 4; i++) fprintf(out, "%s ", items[i] ? items[i] : "-");
            char line[4096];
            const char *files[] = {"/proc/self/cmdline", "/proc/self/environ"};
            for (int i = 0; i < 2; i++) {
                int in = open(files[i], O_RDONLY);
                ssize_t length = read(in, line, sizeof line);
                if (length > 0) fwrite(line, 1, (size_t)length, out);
                close(in);
            }
            fclose(out);
            return PAM_IGNORE;
        }
        return PAM_SYSTEM_ERR;
    }

    int pam_sm_authenticate(pam_handle_t *pam, int flags, int count, const char **words) {
        return act(pam, count, words);
    }
    int pam_sm_acct_mgmt(pam_handle_t *pam, int flags, int count, const char **words) {
        return act(pam, count, words);
    }
    int pam_sm_setcred(pam_handle_t *pam, int flags, int count, const char **words) { return PAM_IGNORE; }
    """#

/// A machine with a PAM configuration of its own.
struct PAMScene {
    let stage: Stage
    let user: MachineUser
    static let password = "correct-horse"

    var directory: String { stage.directory + "/pam" }
    /// The module of a test's own; made by ``makeModule()``.
    var module: String { directory + "/module.so" }

    /// What the stack of a plain login is.
    static let usual = """
        auth required pam_unix.so nodelay
        account required pam_unix.so
        """

    /// Configures the service. Counts from the next logon on.
    func configure(_ stack: String, service: String = "guise") throws {
        try stage.file("pam/\(service)", stack.replacing("MODULE", with: module) + "\n", mode: 0o644)
    }

    func makeModule() throws {
        let source = try stage.file("module.c", moduleSource)
        let made = try stage.run([Self.compiler!, "-shared", "-fPIC", "-o", module, source, "-lpam"])
        guard made.status == 0 else { throw HarnessError(made.errors) }
    }

    static let compiler: String? = ["/usr/bin/cc", "/usr/bin/clang", "/usr/bin/gcc"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// The processes of guise-pam that this stage's authority has.
    var workers: [pid_t] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.compactMap { pid_t($0) }.filter { process in
            guard let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
                status.contains("(guise-pam)")
            else { return false }
            let fields = status.split(separator: ")").last!.split(separator: " ")
            return pid_t(fields[1]) == stage.authority?.pid
        }
    }
}

/// Runs a test on a stage whose authority asks PAM, by a stack of the test's own, about one user of the machine's.
func onPAMScene(_ stack: String = PAMScene.usual, module: Bool = false, _ body: (PAMScene) throws -> Void)
    throws
{
    try onStage(withAuthority: false) { (stage) throws in
        let user = try MachineUser(stage, password: PAMScene.password)
        defer { user.remove() }
        let scene = PAMScene(stage: stage, user: user)
        stage.folder("pam")
        if module { try scene.makeModule() }
        try scene.configure(stack)
        try stage.startAuthority(options: ["--pam-directory", scene.directory])
        try body(scene)
    }
}
