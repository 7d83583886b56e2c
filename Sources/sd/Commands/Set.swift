import AccessControl
import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

extension SdCommand {
    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set the descriptor of a file or folder.",
            discussion: """
                Examples:
                  sd set /srv/files/plan.txt 'O:BA'
                  sd set /srv/files/plan.txt 'D:PAI(A;;FA;;;SY)(A;;FR;;;AU)'

                Only the parts that are present are changed: O: the owner, G: the group, D:
                who may do what, S: the label and auditing. This takes WRITE_OWNER for O:
                and G:, WRITE_DAC for D: (or SeRestorePrivilege and --restore for these),
                ACCESS_SYSTEM_SECURITY for S:, which SeSecurityPrivilege alone grants. Outside
                managed roots only administrators may.
                """)

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @Argument(help: "The descriptor, in SDDL.")
        var sddl: String
        @Flag(help: "Set it as for a restore: SeRestorePrivilege counts instead of the DACL.")
        var restore = false
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let path = try absolutePath(path)
            let request = WireDescriptorSet.with {
                $0.path = path
                $0.sddl = sddl
                if restore { $0.intent = UInt32(AccessIntent.restore.rawValue) }
            }
            _ = try runtime.connect().call(.descriptorSet(request))
        }
    }
}
