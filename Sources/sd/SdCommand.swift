import ArgumentParser
import GuiseProtocol
import ToolSupport

/// Security descriptors of files.
@main
struct SdCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sd",
        abstract: "Show, change, explain and check security descriptors.",
        discussion: """
            Examples:
              sd show /srv/files/alice.txt
              sd grant alice read,write /srv/files/plan.txt
              sd explain /srv/files/plan.txt --as bob --want write
              sd set /srv/files/alice.txt 'D:P(A;;FA;;;SY)(A;;FA;;;OW)'

            Names are accounts (alice), well-known identities (Everyone), Unix users and
            groups ('Unix User\\bob'), or SIDs.

            Exit codes: 0 done, 1 refused or failed, 64 called wrongly.
            """,
        version: guiseVersion,
        groupedSubcommands: [
            CommandGroup(name: "Looking", subcommands: [Show.self, Explain.self, Effective.self, Compare.self]),
            CommandGroup(
                name: "Changing",
                subcommands: [
                    Grant.self, Deny.self, Revoke.self, Owner.self, Inherit.self, Propagate.self, Set.self,
                ]),
            CommandGroup(name: "Other systems", subcommands: [Import.self, Export.self, Check.self]),
        ])

    static func main() { Tool.main(SdCommand.self, name: "sd") }
}
