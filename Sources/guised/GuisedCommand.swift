import ArgumentParser
import GuiseDaemon
import GuiseProtocol

/// The authority.
@main
struct GuisedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guised",
        abstract: "The authority of Guise: accounts, tokens, mediation.",
        discussion: """
            Every refusal, impersonation and use of a privilege goes to audit.log in the state
            directory; `guise audit` reads it.

            Runs in the foreground and logs to standard error. Tells systemd when it is ready, if asked to
            ($NOTIFY_SOCKET), and stops on SIGTERM or SIGINT.

            As root it acts for every user of the machine. As any other user it needs no
            privilege, starts services of that user's own, and acts for clients under
            managed roots alone.

            Examples:
              guised
              guised --state /tmp/state --runtime /tmp/runtime
              guised --audit-size 256 --audit-files 4

            Exit codes: 0 after a clean stop, 1 when it could not start, 64 called wrongly.
            """,
        version: guiseVersion)

    @Option(
        help: ArgumentHelp(
            "Where the accounts are kept (else /var/lib/guise; without root $XDG_STATE_HOME/guise or ~/.local/state/guise).",
            valueName: "dir"), completion: .directory)
    var state: String?

    @Option(
        help: ArgumentHelp(
            "Where the socket is made (else /run/guise; without root $XDG_RUNTIME_DIR/guise).",
            valueName: "dir"),
        completion: .directory)
    var runtime: String?

    @Option(
        help: ArgumentHelp("How large a file of the audit log grows, in MiB.", valueName: "size"))
    var auditSize = 64

    @Option(help: ArgumentHelp("How many files of the audit log are kept.", valueName: "count"))
    var auditFiles = 8

    @Option(
        help: ArgumentHelp("Where journald listens, which is told of the audit, too.", valueName: "socket"),
        completion: .file())
    var journal = AuditJournal.path

    @Option(
        help: ArgumentHelp(
            "Where PAM finds the file guise, about the machine's own users (else where the machine has it, /etc/pam.d).",
            valueName: "dir"), completion: .directory)
    var pamDirectory: String?

    func validate() throws {
        guard (1...65_536).contains(auditSize) else {
            throw ValidationError("--audit-size is a number of MiB from 1 to 65536.")
        }
        guard (2...1000).contains(auditFiles) else {
            throw ValidationError("--audit-files is a number from 2 to 1000.")
        }
        guard pamDirectory.map({ $0.hasPrefix("/") && $0.utf8.count <= 1024 }) != false else {
            throw ValidationError("--pam-directory is a path from / on, of 1024 bytes at most.")
        }
    }

    func run() async throws {
        let usual = AuthorityProcess.usualDirectories()
        guard let state = state ?? usual.state else {
            throw ValidationError("$HOME is not set: say --state.")
        }
        guard let runtime = runtime ?? usual.runtime else {
            throw ValidationError("$XDG_RUNTIME_DIR is not set: say --runtime.")
        }
        do {
            try await AuthorityProcess.run(
                state: state, runtime: runtime,
                audit: (fileSize: auditSize << 20, files: auditFiles, journal: journal),
                pamDirectory: pamDirectory)
        } catch {
            AuthorityProcess.complain("guised: \(error)")
            throw ExitCode(1)
        }
    }
}
