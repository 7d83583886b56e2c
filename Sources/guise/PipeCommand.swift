import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

struct PipeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipe",
        abstract: "Look at the named pipes.",
        discussion: #"""
            Their descriptors are shown and changed by sd, as '\\.\pipe\NAME':
              sd show '\\.\pipe\files'
              sd grant alice read,write '\\.\pipe\files'
            """#,
        subcommands: [List.self])

    private struct PipeView: Encodable {
        let name: String
        let mode: String
        let direction: String
        let instances: UInt32
        /// nil: as many as clients come.
        let maximumInstances: UInt32?
        let waiting: UInt32
        let servers: [UInt32]
        /// Both nil for who may not read the descriptor.
        let owner: NamedSID?
        let sddl: String?

        init(_ view: WirePipeView) {
            name = view.name
            mode = view.messages ? "message" : "byte"
            direction =
                switch view.direction {
                case .inbound: "inbound"
                case .outbound: "outbound"
                case .duplex: "duplex"
                case .unspecified, .UNRECOGNIZED: "unknown"
                }
            instances = view.instances
            maximumInstances =
                view.maximumInstances == NamedPipe.unlimitedInstances ? nil : view.maximumInstances
            waiting = view.waiting
            servers = view.processes
            owner = view.hasOwner ? NamedSID(view.owner) : nil
            sddl = view.sddl.isEmpty ? nil : view.sddl
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the named pipes, who serves them, and how many clients they have.",
            discussion: """
                Examples:
                  guise pipe list
                  guise pipe list --json

                Owner and descriptor are shown to those who have READ_CONTROL.
                """)

        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let pipes = try runtime.connect().pipes().map(PipeView.init)
            if output.json { return try JSON.show(pipes) }
            var table = Table("NAME", "MODE", "DIRECTION", "CLIENTS", "WAITING", "SERVERS", "OWNER")
            for pipe in pipes {
                table.add(
                    pipe.name, pipe.mode, pipe.direction,
                    "\(pipe.instances)" + (pipe.maximumInstances.map { " of \($0)" } ?? ""),
                    "\(pipe.waiting)",
                    pipe.servers.map(String.init).joined(separator: ","),
                    pipe.owner.map { $0.name ?? $0.sid } ?? "-")
            }
            table.show()
        }
    }
}
