import AccessControl
import ArgumentParser
import Guise
import ToolSupport

/// What granting and denying have in common.
struct EntryArguments: ParsableArguments {
    @Argument(help: "Whom it is about: a name or a SID.")
    var name: String
    @Argument(help: ArgumentHelp(stringLiteral: "What: " + Rights.help))
    var rights: Rights
    @Argument(help: "The file or folder.", completion: .file())
    var path: String
    @Flag(help: "For a folder: for everything that inherits from it, too.")
    var inherit = false
    @Flag(help: "For a folder: for everything that inherits from it, but not for itself.")
    var inheritOnly = false

    func validate() throws {
        guard !(inherit && inheritOnly) else {
            throw ValidationError("--inherit and --inherit-only exclude each other")
        }
        guard rights.mask.isDisjoint(with: [.maximumAllowed, .accessSystemSecurity]) else {
            throw ValidationError("MAXIMUM_ALLOWED and ACCESS_SYSTEM_SECURITY are nothing an entry can give")
        }
    }

    var inheritance: Entries.Inheritance { inheritOnly ? .onlyBelow : inherit ? .below : .none }

    /// Adds an entry of this type to the object's DACL.
    func add(_ type: ACEType, _ authority: AuthorityClient) throws {
        let sid = try authority.trustee(named: name)
        try authority.changeDACL(at: path) { stored in
            guard inheritance == .none || stored.wire.container else {
                throw ToolError("\(path) is no folder: nothing inherits from it")
            }
            var changed = stored.descriptor
            changed.dacl = try Entries.adding(
                rights.mask.mapped.rawValue, for: sid, type: type, inheritance, to: changed.dacl)
            return changed
        }
    }
}

extension SdCommand {
    struct Grant: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let somebody do something.",
            discussion: """
                Examples:
                  sd grant alice read,write /srv/files/plan.txt
                  sd grant Users read,execute /srv/files --inherit

                What they may do already stays. What lies in a folder inherits when it is
                made, or by `sd propagate`. This takes READ_CONTROL and WRITE_DAC.
                """)

        @OptionGroup var entry: EntryArguments
        @OptionGroup var runtime: RuntimeOptions

        func run() throws { try entry.add(.allow, try runtime.connect()) }
    }

    struct Deny: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep somebody from something, whatever else grants it.",
            discussion: """
                Example:
                  sd deny bob write /srv/files/plan.txt

                This takes READ_CONTROL and WRITE_DAC.
                """)

        @OptionGroup var entry: EntryArguments
        @OptionGroup var runtime: RuntimeOptions

        func run() throws { try entry.add(.deny, try runtime.connect()) }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take back every entry that names somebody.",
            discussion: """
                Example:
                  sd revoke bob /srv/files/plan.txt

                Entries that grant and entries that deny both go; inherited ones stay.
                This takes READ_CONTROL and WRITE_DAC.
                """)

        @Argument(help: "Whom the entries are about: a name or a SID.")
        var name: String
        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let sid = try authority.trustee(named: name)
            try authority.changeDACL(at: path) { stored in
                var changed = stored.descriptor
                changed.dacl = try Entries.removing(sid, from: changed.dacl)
                return changed
            }
        }
    }
}
