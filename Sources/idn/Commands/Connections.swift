import ArgumentParser
import GuiseProtocol
import ToolSupport

extension IdnCommand {
    struct Connections: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the clients that a service has captured, and the threads that act as them.",
            discussion: """
                Examples:
                  idn connections 4711
                  idn connections 4711/4713     whom the thread acts as
                  idn connections 4711 --json

                The client's process is the one that connected; it may have ended since. Of a
                client that connected at Anonymous nothing is told.
                """)

        @Argument(help: ArgumentHelp("The service, or one of its threads.", valueName: "pid[/tid]"))
        var target: Target
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        private struct View: Encodable {
            let capture: UInt64
            let process: UInt32?
            let user: NamedSID
            let level: String?
            let captured: Moment
            /// The first of those that act as the client.
            let threads: [UInt32]
            /// How many do.
            let acting: UInt32

            init(_ wire: WireConnectionView) {
                capture = wire.capture
                process = wire.process == 0 ? nil : wire.process
                user = NamedSID(wire.user)
                level = Identity.name(of: wire.level)
                captured = Moment(milliseconds: wire.captured)
                threads = wire.threads
                acting = wire.acting
            }

            var threadText: String {
                guard acting > 0 else { return "-" }
                let shown = threads.prefix(4).map(String.init).joined(separator: " ")
                return acting > 4 ? "\(shown) and \(acting - 4) more" : shown
            }
        }

        func run() throws {
            let connections = try runtime.connect()
                .connections(of: target.process, thread: target.thread ?? 0).map(View.init)
            if output.json { return try JSON.show(connections) }
            var table = Table("CLIENT", "LEVEL", "CAPTURED", "THREADS", "USER")
            for one in connections {
                table.add(
                    one.process.map(String.init) ?? "-", one.level ?? "-", one.captured.description,
                    one.threadText, one.user.description)
            }
            table.show()
        }
    }
}
