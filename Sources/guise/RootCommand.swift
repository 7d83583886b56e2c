import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "root",
        abstract: "Keep managed roots: folders where security descriptors are the sole authority.",
        subcommands: [Add.self, List.self, Remove.self])

    private struct RootView: Encodable {
        let path: String
        let sddl: String
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a folder under management.",
            discussion: """
                Examples:
                  guise root add /srv/files
                  guise root add /srv/files --sddl 'O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FR;;;AU)'
                  guise root add /srv/old --adopt

                Without --sddl SYSTEM and administrators have full access, whoever makes
                something there has it to that, and nobody else has any.

                The folder becomes root's alone by its Unix mode: from then on only the
                authority comes in, for those whom the descriptors let in.
                """)

        @Argument(help: "The folder.", completion: .directory)
        var path: String
        @Option(help: "The descriptor of the folder itself, from which those of what is in it are inherited.")
        var sddl = ""
        @Flag(help: "Give every object in a folder that is not empty a descriptor.")
        var adopt = false
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let path = try absolutePath(path)
            let request = WireRootAdd.with {
                $0.path = path
                $0.sddl = sddl
                $0.adopt = adopt
            }
            _ = try runtime.connect().call(.rootAdd(request))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the managed roots.",
            discussion: """
                Example:
                  guise root list --json
                """)

        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            guard case .roots(let roots) = try runtime.connect().call(.rootList(WireRootList())) else {
                throw AuthorityClient.surprise
            }
            if output.json {
                return try JSON.show(roots.roots.map { RootView(path: $0.path, sddl: $0.sddl) })
            }
            var table = Table("PATH", "DESCRIPTOR")
            for root in roots.roots { table.add(root.path, root.sddl) }
            table.show()
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a folder out of management.",
            discussion: """
                Example:
                  guise root remove /srv/files

                What is in it stays as it is, closed to all but root, with its descriptors, until
                somebody changes that by hand.
                """)

        @Argument(help: "The folder.", completion: .directory)
        var path: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let path = try canonicalPath(path)
            _ = try runtime.connect().call(.rootRemove(WireRootRemove.with { $0.path = path }))
        }
    }
}
