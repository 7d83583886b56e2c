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
            Runs in the foreground and logs to standard error. Tells systemd when it is ready, if asked to
            ($NOTIFY_SOCKET), and stops on SIGTERM or SIGINT.

            As root it acts for every user of the machine. As any other user it needs no
            privilege, starts services of that user's own, and acts for clients under
            managed roots alone.

            Examples:
              guised
              guised --state /tmp/state --runtime /tmp/runtime

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

    func run() async throws {
        let usual = AuthorityProcess.usualDirectories()
        guard let state = state ?? usual.state else {
            throw ValidationError("$HOME is not set: say --state.")
        }
        guard let runtime = runtime ?? usual.runtime else {
            throw ValidationError("$XDG_RUNTIME_DIR is not set: say --runtime.")
        }
        do {
            try await AuthorityProcess.run(state: state, runtime: runtime)
        } catch {
            AuthorityProcess.complain("guised: \(error)")
            throw ExitCode(1)
        }
    }
}
