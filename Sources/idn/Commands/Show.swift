import ArgumentParser
import ToolSupport

extension IdnCommand {
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

        @OptionGroup var subject: SubjectOptions
        @Flag(help: "Show integrity, logon session, groups and privileges too.")
        var all = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let identity = try subject.identity(runtime)
            if output.json { return try JSON.show(identity) }
            for line in identity.summary + (all ? identity.details : []) { Tool.say(line) }
        }
    }
}
