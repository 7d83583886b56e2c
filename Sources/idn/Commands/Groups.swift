import ArgumentParser
import ToolSupport

extension IdnCommand {
    struct Groups: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the groups of a process or thread.",
            discussion: """
                Examples:
                  idn groups
                  idn groups 4711/4713 --json
                """)

        @OptionGroup var subject: SubjectOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let groups = try subject.identity(runtime).groups
            if output.json { return try JSON.show(groups) }
            var table = Table("SID", "NAME", "ATTRIBUTES")
            for group in groups {
                table.add(group.group.sid, group.group.name ?? "-", group.attributes.joined(separator: ", "))
            }
            table.show()
        }
    }
}
