import AccessControl
import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

struct SessionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "See who is logged on, and end sessions.",
        discussion: """
            What has tokens of one logon in common is their session. When it ends, every
            later decision with one of them fails.
            """,
        subcommands: [List.self, End.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the logon sessions: all for administrators, else your own.",
            discussion: """
                Examples:
                  guise session list
                  guise session list --json
                """)

        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            try SessionView.show(try runtime.connect().sessions().map(SessionView.init), as: output)
        }
    }

    struct End: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a logon session.",
            discussion: """
                Examples:
                  guise session end S-1-5-5-274877-906943
                  guise session end 1180591620717411

                Administrators end any session; others their own, and those of accounts that
                they logged on. A service that lost its session has to be started anew.
                """)

        @Argument(help: "The session's SID, as `guise session list` shows it, or its number.")
        var session: String
        @OptionGroup var runtime: RuntimeOptions

        /// The session's number.
        var number: UInt64? {
            if let number = UInt64(session) { return number }
            guard let sid = SID(session), sid.subAuthorityCount == 3 else { return nil }
            let number = UInt64(sid.subAuthorities[1]) << 32 | UInt64(sid.subAuthorities[2])
            return sid == .logonSession(number) ? number : nil
        }

        func validate() throws {
            guard number != nil else { throw ValidationError("A session is S-1-5-5-x-y, or its number.") }
        }

        func run() throws {
            _ = try runtime.connect().call(.sessionEnd(.with { $0.session = number ?? 0 }))
        }
    }
}
