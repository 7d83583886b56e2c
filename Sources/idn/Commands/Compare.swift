import ArgumentParser
import ToolSupport

extension IdnCommand {
    struct Compare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell how two identities differ.",
            discussion: """
                Examples:
                  idn compare 4711 4711/4713
                  idn compare 4711 4812 --json

                What the first alone has is marked -, what the second alone has +.
                The exit code is 0 when they are the same, 1 when they differ.
                """)

        private struct View: Encodable {
            let same: Bool
            let differences: [IdentityDifference]
        }

        @Argument(help: ArgumentHelp("The one process, or one of its threads.", valueName: "pid[/tid]"))
        var first: Target
        @Argument(help: ArgumentHelp("The other.", valueName: "pid[/tid]"))
        var second: Target
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let differences = IdentityDifference.between(
                try authority.identity(of: first), try authority.identity(of: second))
            if output.json {
                try JSON.show(View(same: differences.isEmpty, differences: differences))
            } else {
                for line in differences.flatMap(\.lines) { Tool.say(line) }
            }
            if !differences.isEmpty { throw ExitCode(1) }
        }
    }
}
