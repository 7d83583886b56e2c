import AccessControl
import ArgumentParser
import Guise
import ToolSupport

extension SdCommand {
    struct Compare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell how two descriptors differ.",
            discussion: """
                Examples:
                  sd compare /srv/files/one.txt /srv/files/two.txt
                  sd compare /srv/files/one.txt 'O:BAG:SYD:P(A;;FA;;;SY)'

                Entries of the first alone are marked -, entries of the second alone +.
                The exit code is 0 when they are the same, 1 when they differ.
                """)

        private struct View: Encodable {
            let same: Bool
            let differences: [DescriptorDifference]
        }

        @Argument(help: "A file or folder, or SDDL.", completion: .file())
        var first: String
        @Argument(help: "A file or folder, or SDDL.", completion: .file())
        var second: String
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let differences = DescriptorDifference.between(try descriptor(first), try descriptor(second))
            if output.json {
                try JSON.show(View(same: differences.isEmpty, differences: differences))
            } else {
                for difference in differences { for line in difference.lines { Tool.say(visible(line)) } }
            }
            if !differences.isEmpty { throw ExitCode(1) }
        }

        private func descriptor(_ argument: String) throws -> SecurityDescriptor {
            if let parsed = try? SecurityDescriptor(sddl: argument), !argument.isEmpty { return parsed }
            return try runtime.connect().descriptor(at: argument).descriptor
        }
    }
}
