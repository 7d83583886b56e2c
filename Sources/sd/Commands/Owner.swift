import AccessControl
import ArgumentParser
import Guise
import ToolSupport

extension SdCommand {
    struct Owner: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make somebody the owner.",
            discussion: """
                Example:
                  sd owner /srv/files/plan.txt alice

                This takes WRITE_OWNER. Anybody but oneself and groups marked for it can be
                made the owner with SeRestorePrivilege only, which with --restore counts
                instead of WRITE_OWNER, too.
                """)

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @Argument(help: "The new owner: a name or a SID.")
        var name: String
        @Flag(help: "Set it as for a restore: SeRestorePrivilege counts instead of the DACL.")
        var restore = false
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let owner = try authority.trustee(named: name)
            try authority.set(
                SecurityDescriptor(owner: owner, group: nil, dacl: .absent), at: path,
                for: restore ? .restore : [])
        }
    }
}
