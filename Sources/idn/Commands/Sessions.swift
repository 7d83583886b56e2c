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

        func run() throws {
            let authority = try runtime.connect()
            let wanted = try subject.target.map { try authority.identity(of: $0).logonSession }
            let sessions = try authority.sessions().map(SessionView.init)
            try SessionView.show(sessions.filter { wanted == nil || $0.id == wanted }, as: output)
        }
    }
}
