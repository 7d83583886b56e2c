import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

struct EndpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoint",
        abstract: "Keep abstract socket names for the services that may listen there.",
        discussion: """
            An abstract name (unix(7)) belongs to whoever binds it first. One that is registered is the
            authority's, which hands it to mediated services that may listen (0x4, in the
            descriptor), and connects clients that may connect (0x2, WRITE_DATA).
            """,
        subcommands: [Add.self, List.self, Remove.self])

    private struct EndpointView: Encodable {
        let name: String
        let sddl: String
        /// Whether the authority has the name; false: somebody was quicker.
        let held: Bool
        let services: [String]

        init(_ endpoint: WireEndpoint) {
            name = endpoint.name
            sddl = endpoint.sddl
            held = endpoint.held
            services = endpoint.services
        }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Register an abstract name, or give it another descriptor.",
            discussion: """
                Example:
                  guise endpoint add @files --sddl 'D:(A;;0x4;;;S-1-5-21-1-2-3-1001)(A;;0x2;;;AU)'

                The descriptor says who may listen (0x4) and who may connect (0x2). FW and FA
                hold both: do not give them to clients. A name that somebody has is refused:
                start its service after it was registered.
                """)

        @Argument(help: "The name, with or without the @ that stands for its first byte.")
        var name: String
        @Option(help: "Who may listen and who may connect.")
        var sddl: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let request = WireEndpointAdd.with {
                $0.name = withoutMark(name)
                $0.sddl = sddl
            }
            _ = try runtime.connect().call(.endpointAdd(request))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the registered names, and which services have them.",
            discussion: """
                Examples:
                  guise endpoint list
                  guise endpoint list --json
                """)

        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let endpoints = try runtime.connect().endpoints().map(EndpointView.init)
            if output.json { return try JSON.show(endpoints) }
            var table = Table("NAME", "SERVICE", "DESCRIPTOR")
            for endpoint in endpoints {
                let services = endpoint.services.joined(separator: ",")
                table.add(
                    "@" + endpoint.name,
                    endpoint.held ? (services.isEmpty ? "-" : services) : "taken by somebody else",
                    endpoint.sddl)
            }
            table.show()
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a registered name up.",
            discussion: """
                Example:
                  guise endpoint remove @files

                A service that has the name keeps it, like any other abstract name.
                """)

        @Argument(help: "The name, with or without the @ that stands for its first byte.")
        var name: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            _ = try runtime.connect().call(
                .endpointRemove(WireEndpointRemove.with { $0.name = withoutMark(name) }))
        }
    }
}

/// The name itself, of one that is spelled with the mark for its first byte.
private func withoutMark(_ name: String) -> String {
    name.hasPrefix("@") ? String(name.dropFirst()) : name
}
