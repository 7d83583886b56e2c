import AccessControl
import ArgumentParser
import ToolSupport

extension IdnCommand {
    struct Sid: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the SID of a process's or thread's user.",
            discussion: """
                Examples:
                  idn sid               yours
                  idn sid 4711/4713     that of whom the thread acts as
                  idn sid --logon       that of your logon session
                """)

        @OptionGroup var subject: SubjectOptions
        @Flag(help: "Print the SID of the logon session instead.")
        var logon = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        private struct View: Encodable {
            let sid: String
            let name: String?
        }

        func run() throws {
            let identity = try subject.identity(runtime)
            let view =
                logon
                ? View(sid: SID.logonSession(identity.logonSession).description, name: nil)
                : View(sid: identity.user.sid, name: identity.user.name)
            if output.json { return try JSON.show(view) }
            Tool.say(visible(view.sid))
        }
    }
}
