import ArgumentParser
import ToolSupport

extension IdnCommand {
    struct Privileges: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the privileges of a process or thread.",
            discussion: """
                Examples:
                  idn privileges
                  idn privileges 4711 --enabled     only those that count now
                """)

        @OptionGroup var subject: SubjectOptions
        @Flag(help: "Leave out those that are not enabled.")
        var enabled = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let privileges = try subject.identity(runtime).privileges.filter { $0.enabled || !enabled }
            if output.json { return try JSON.show(privileges) }
            var table = Table("PRIVILEGE", "STATE", "BY DEFAULT")
            for privilege in privileges {
                table.add(
                    privilege.name, privilege.enabled ? "enabled" : "disabled",
                    privilege.enabledByDefault ? "enabled" : "disabled")
            }
            table.show()
        }
    }
}
