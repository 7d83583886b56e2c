import ArgumentParser
import ToolSupport

extension IdnCommand {
    struct Threads: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List every thread of a process with its identity.",
            discussion: """
                Examples:
                  idn threads 4711
                  idn threads 4711 --json
                """)

        @Argument(help: ArgumentHelp("The process, or one of its threads.", valueName: "pid[/tid]"))
        var target: Target
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let threads =
                target.thread == nil
                ? try authority.threads(of: target.process).map(Identity.init)
                : [try authority.identity(of: target)]
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
