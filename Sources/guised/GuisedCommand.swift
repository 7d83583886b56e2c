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

            Examples:
              guised
              guised --state /tmp/state --runtime /tmp/runtime

            Exit codes: 0 after a clean stop, 1 when it could not start, 64 called wrongly.
            """,
        version: guiseVersion)

    @Option(help: ArgumentHelp("Where the accounts are kept.", valueName: "dir"), completion: .directory)
    var state = "/var/lib/guise"

    @Option(help: ArgumentHelp("Where the socket is made.", valueName: "dir"), completion: .directory)
    var runtime = "/run/guise"

    func run() async throws {
        do {
            try await AuthorityProcess.run(state: state, runtime: runtime)
        } catch {
            AuthorityProcess.complain("guised: \(error)")
            throw ExitCode(1)
        }
    }
}
