import ArgumentParser
import GuiseProtocol
import ToolSupport

/// The identity inspector.
@main
struct IdnCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idn",
        abstract: "Show who processes and threads are.",
        discussion: """
            Examples:
              idn show
              idn show 4711/4713
              idn threads 4711
              idn connections 4711
              idn watch 4711

            Exit codes: 0 done, 1 refused or failed, 64 called wrongly.
            """,
        version: guiseVersion,
        subcommands: [
            Show.self, Sid.self, Groups.self, Privileges.self, Elevation.self, Compare.self, Threads.self,
            Connections.self, Sessions.self, Watch.self,
        ],
        defaultSubcommand: Show.self)

    static func main() { Tool.main(IdnCommand.self, name: "idn") }
}
