import AccessControl
import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

extension StoredDescriptor {
    /// What to tell before an answer, so that it is taken for no more than it is.
    func introduce(as user: NamedSID) {
        Tool.say("Path: \(visible(wire.path))")
        Tool.say("As: \(user)")
        if !wire.managed { Tool.say("Note: not under a managed root, so Unix permissions decide too") }
    }
}

extension SdCommand {
    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell what grants or refuses somebody each right, and what would have to change.",
            discussion: """
                Examples:
                  sd explain /srv/files/plan.txt --as alice --want read,write
                  sd explain /srv/files/plan.txt --want full --json

                The answer is about the object alone, not about the folders on the way, and
                for a token as the account would get at a new logon. This takes READ_CONTROL,
                and for others than oneself an administrator.
                """)

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @OptionGroup var subject: SubjectOptions
        @Option(help: ArgumentHelp(stringLiteral: "What they want: " + Rights.help + " Also: maximum."))
        var want: Rights
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let (token, user) = try subject.subject(authority)
            let stored = try authority.descriptor(at: path)
            let explanation: AccessExplanation<FileKind>
            do {
                explanation = try AccessCheck.explain(stored.descriptor, token: token, desired: want.mask)
            } catch { throw ToolError("\(error)") }
            if output.json { return Tool.say(explanation.json) }
            stored.introduce(as: user)
            for line in explanation.description.split(separator: "\n") { Tool.say(visible(String(line))) }
        }
    }

    struct Effective: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell everything that somebody may do.",
            discussion: """
                Examples:
                  sd effective /srv/files/plan.txt --as alice
                  sd effective /srv/files/plan.txt

                As with explain, about the object alone.
                """)

        private struct Answer: Encodable {
            let path: String
            let user: NamedSID
            let granted: UInt32
            let rights: [String]
        }

        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @OptionGroup var subject: SubjectOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let (token, user) = try subject.subject(authority)
            let stored = try authority.descriptor(at: path)
            let granted: AccessMask<FileKind>
            do {
                granted = try AccessCheck.decide(stored.descriptor, token: token, desired: .maximumAllowed)
                    .granted
            } catch { throw ToolError("\(error)") }
            if output.json {
                let rights =
                    granted.isEmpty ? [] : granted.description.split(separator: " | ").map(String.init)
                return try JSON.show(
                    Answer(path: stored.wire.path, user: user, granted: granted.rawValue, rights: rights))
            }
            stored.introduce(as: user)
            Tool.say("Effective: " + (granted.isEmpty ? "nothing" : granted.words))
            Tool.say("Mask: 0x" + String(granted.rawValue, radix: 16))
        }
    }
}
