import ArgumentParser
import Guise
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

            Exit codes: 0 done, 1 refused or failed, 64 called wrongly.
            """,
        version: guiseVersion,
        subcommands: [Show.self, Threads.self],
        defaultSubcommand: Show.self)

    static func main() { Tool.main(IdnCommand.self, name: "idn") }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show whose identity a process or a thread has.",
            discussion: """
                Examples:
                  idn show              you
                  idn show 4711         the process 4711
                  idn show 4711/4713    its thread 4713
                  idn show 4711 --all   with integrity, groups and privileges

                Seeing another process takes rights on it.
                """)

        @Argument(help: ArgumentHelp("The process, or one of its threads.", valueName: "pid[/tid]"))
        var target: Target?
        @Flag(help: "Show integrity, groups and privileges too.")
        var all = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let request = WireTokenOf.with {
                $0.process = target?.process ?? 0
                $0.thread = target?.thread ?? 0
            }
            guard case .thread(let view) = try runtime.connect().call(.tokenOf(request)) else {
                throw AuthorityClient.surprise
            }
            let identity = Identity(view)
            if output.json { return try JSON.show(identity) }
            for line in identity.summary + (all ? identity.details : []) { Tool.say(line) }
        }
    }

    struct Threads: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List every thread of a process with its identity.",
            discussion: """
                Examples:
                  idn threads 4711
                  idn threads 4711 --json
                """)

        @Argument(help: ArgumentHelp("The process.", valueName: "pid"))
        var process: UInt32
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let threads = try runtime.connect().threads(of: process).map(Identity.init)
            if output.json { return try JSON.show(threads) }
            var table = Table("THREAD", "COMMAND", "IMPERSONATING", "LEVEL", "USER")
            for thread in threads {
                table.add(
                    thread.thread.map(String.init) ?? "-", thread.command,
                    thread.impersonating ? "yes" : "no", thread.level ?? "-", thread.user.description)
            }
            table.show()
        }
    }
}
