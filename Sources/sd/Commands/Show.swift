import AccessControl
import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

extension SdCommand {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the descriptor of a file or folder.",
            discussion: """
                Examples:
                  sd show /srv/files
                  sd show /srv/files --sddl
                  sd show /srv/files --json

                This takes READ_CONTROL on the object, or SeBackupPrivilege and --backup.
                """)

        enum Form: EnumerableFlag {
            case sddl, hex, json

            static func help(for form: Form) -> ArgumentHelp? {
                switch form {
                case .sddl: "Print the SDDL form alone."
                case .hex: "Print the binary form alone, in hexadecimal."
                case .json: "Print JSON, for programs."
                }
            }
        }

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @Flag(exclusivity: .exclusive)
        var form: Form?
        @Flag(help: "Read it as for a backup: SeBackupPrivilege counts instead of the DACL.")
        var backup = false
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let stored = try authority.descriptor(at: path, for: backup ? .backup : [])
            switch form {
            case .sddl: Tool.say(stored.wire.sddl)
            case .hex: Tool.say(Hex.text(stored.wire.binary))
            case .json: try JSON.show(try DescriptorView(stored, names: authority))
            case nil: try DescriptorView(stored, names: authority).show()
            }
        }
    }
}
