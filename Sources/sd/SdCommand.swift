import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

/// Security descriptors of files.
@main
struct SdCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sd",
        abstract: "Show and set security descriptors.",
        discussion: """
            Examples:
              sd show /srv/files/alice.txt
              sd set /srv/files/alice.txt 'D:P(A;;FA;;;SY)(A;;FA;;;OW)'

            Exit codes: 0 done, 1 refused or failed, 64 called wrongly.
            """,
        version: guiseVersion,
        subcommands: [Show.self, Set.self])

    static func main() { Tool.main(SdCommand.self, name: "sd") }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the descriptor of a file or folder.",
            discussion: """
                Examples:
                  sd show /srv/files
                  sd show /srv/files --sddl
                  sd show /srv/files --json

                This takes READ_CONTROL on the object.
                """)

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @Flag(help: "Print the SDDL form alone.")
        var sddl = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let path = try absolutePath(path)
            let body = try authority.call(.descriptorGet(WireDescriptorGet.with { $0.path = path }))
            guard case .descriptor(let found) = body else { throw AuthorityClient.surprise }
            if sddl { return Tool.say(found.sddl) }
            let view = try DescriptorView(found, names: authority)
            if output.json { try JSON.show(view) } else { view.show() }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set the descriptor of a file or folder.",
            discussion: """
                Examples:
                  sd set /srv/files/plan.txt 'O:BA'
                  sd set /srv/files/plan.txt 'D:PAI(A;;FA;;;SY)(A;;FR;;;AU)'

                Only the parts that are present are changed: O: the owner, G: the group, D:
                who may do what, S: the label and auditing. This takes WRITE_OWNER for O:
                and G:, WRITE_DAC for D:, ACCESS_SYSTEM_SECURITY for S:. Outside managed
                roots only administrators may.
                """)

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @Argument(help: "The descriptor, in SDDL.")
        var sddl: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let path = try absolutePath(path)
            let request = WireDescriptorSet.with {
                $0.path = path
                $0.sddl = sddl
            }
            _ = try runtime.connect().call(.descriptorSet(request))
        }
    }
}
