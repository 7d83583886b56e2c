import ArgumentParser
import GuiseProtocol
import ToolSupport

extension IdnCommand {
    struct Sessions: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the logon sessions: all for administrators, else your own.",
            discussion: """
                Examples:
                  idn sessions
                  idn sessions 4711             the one of the process 4711
                  idn sessions --json
                """)

        @OptionGroup var subject: SubjectOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        private struct View: Encodable {
            let id: UInt64
            let sid: String
            let user: NamedSID
            let type: String
            let since: Moment

            init(_ wire: WireSessionView) {
                id = wire.id
                sid = wire.sid
                user = NamedSID(wire.user)
                type =
                    switch wire.kind {
                    case .unix: "unix"
                    case .service: "service"
                    case .unspecified, .UNRECOGNIZED: "unknown"
                    }
                since = Moment(milliseconds: wire.since)
            }
        }

        func run() throws {
            let authority = try runtime.connect()
            let wanted = try subject.target.map { try authority.identity(of: $0).logonSession }
            let sessions = try authority.sessions().filter { wanted == nil || $0.id == wanted }.map(View.init)
            if output.json { return try JSON.show(sessions) }
            var table = Table("SESSION", "TYPE", "SINCE", "USER")
            for session in sessions {
                table.add(session.sid, session.type, session.since.description, session.user.description)
            }
            table.show()
        }
    }
}
