import ArgumentParser
import GuiseProtocol
import ToolSupport

/// The registry's tool.
@main
struct RegCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reg",
        abstract: "Look at, change, compare and move keys and values of the registry.",
        discussion: """
            Examples:
              reg query HKLM/Software/Acme --recursive
              reg add HKLM/Software/Acme -v Port -t REG_DWORD -d 8080
              reg export HKLM/Software/Acme acme.reg
              reg save HKLM/Software/Acme acme.saved
              reg sd show HKLM/Software/Acme

            A key is a hive and names: HKLM/Software/Acme, HKEY_LOCAL_MACHINE\\Software\\Acme
            or Machine\\Software\\Acme; so with HKU, HKEY_USERS, Users and HKCU,
            HKEY_CURRENT_USER, CurrentUser. Slashes separate names where there is no
            backslash; a name with a slash in it takes backslashes.

            Exit codes: 0 done, 1 refused or failed, 2 (compare) different, 64 called
            wrongly.
            """,
        version: guiseVersion,
        groupedSubcommands: [
            CommandGroup(name: "Looking", subcommands: [Query.self, Compare.self, Watch.self]),
            CommandGroup(name: "Changing", subcommands: [Add.self, Delete.self, Copy.self, Descriptor.self]),
            CommandGroup(name: "Files", subcommands: [Export.self, Import.self, Save.self, Restore.self]),
        ])

    static func main() { Tool.main(RegCommand.self, name: "reg") }
}
