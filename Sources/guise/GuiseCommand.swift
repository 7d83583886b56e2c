import ArgumentParser
import GuiseProtocol
import ToolSupport

/// The operator's tool.
@main
struct GuiseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guise",
        abstract: "Run services that act as their clients, and keep the accounts they act as.",
        discussion: """
            Examples:
              guise account add alice --uid 1001
              guise account add files --service --uid 900 --grant SeImpersonatePrivilege
              guise root add /srv/files
              guise run files -- /usr/bin/fileservice
              guise audit --follow
              guise pipe list
              guise ticket --for files
              guise doctor

            Exit codes: 0 done, 1 refused or failed, 64 called wrongly.
            """,
        version: guiseVersion,
        subcommands: [
            Run.self, AccountCommand.self, MappingCommand.self, SessionCommand.self, RootCommand.self,
            PipeCommand.self, EndpointCommand.self, TicketCommand.self, AuditCommand.self, DoctorCommand.self,
        ])

    static func main() { Tool.main(GuiseCommand.self, name: "guise") }
}
