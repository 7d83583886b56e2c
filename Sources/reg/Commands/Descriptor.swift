import AccessControl
import ArgumentParser
import Guise
import Registry
import RegistryModel
import ToolSupport

extension RegCommand {
    struct Descriptor: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sd",
            abstract: "Show, set and explain the descriptor of a key.",
            discussion: """
                Examples:
                  reg sd show HKLM/Software/Acme
                  reg sd set HKLM/Software/Acme 'D:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)'
                  reg sd explain HKLM/Software/Acme --as bob --want KEY_SET_VALUE
                """,
            subcommands: [Show.self, Set.self, Explain.self])
    }
}

extension RegCommand.Descriptor {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the descriptor of a key.",
            discussion: """
                Examples:
                  reg sd show HKLM/Software/Acme
                  reg sd show HKLM/Software/Acme --sddl

                This takes READ_CONTROL; --sacl, which shows what is audited, takes
                SeSecurityPrivilege.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @Flag(help: "Print the SDDL form alone.")
        var sddl = false
        @Flag(help: "Show what is audited, too.")
        var sacl = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard !sddl || !output.json else { throw ValidationError("say --sddl or --json, not both") }
        }

        func run() throws {
            let access: RegistryAccess = sacl ? [.readControl, .accessSystemSecurity] : .readControl
            let descriptor = try registry.open(key, for: access).descriptor(
                [.owner, .group, .dacl, sacl ? .sacl : .label])
            if sddl { return Tool.say(descriptor.sddl()) }
            // Without an authority there are SIDs, and no names.
            let view = try DescriptorView(
                of: descriptor, at: key.description, sddl: descriptor.sddl(), names: try? runtime.connect()
            ) { AccessMask<RegistryKeyKind>(rawValue: $0).words }
            if output.json { try JSON.show(view) } else { view.show() }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set the descriptor of a key, and have those below inherit anew.",
            discussion: """
                Example:
                  reg sd set HKLM/Software/Acme 'D:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)'

                Only the parts that are present are changed. O: and G: take WRITE_OWNER, D:
                WRITE_DAC, S: WRITE_OWNER for a label alone and SeSecurityPrivilege for
                auditing. --restore has SeRestorePrivilege count.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @Argument(help: "The descriptor, in SDDL.")
        var sddl: String
        @Flag(help: "Set it as for a restore: SeRestorePrivilege counts instead of the DACL.")
        var restore = false
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            let descriptor: SecurityDescriptor
            do { descriptor = try SecurityDescriptor(sddl: sddl) } catch { throw ToolError("\(error)") }
            let parts = descriptor.presentParts
            guard !parts.isEmpty else { throw ToolError("an empty descriptor changes nothing") }
            try registry.open(key, for: parts.neededToSet, options: restore ? .backupRestore : [])
                .setDescriptor(parts, to: descriptor)
        }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell what grants or refuses somebody each right on a key.",
            discussion: """
                Example:
                  reg sd explain HKLM/Software/Acme --as alice --want read,KEY_SET_VALUE

                This takes READ_CONTROL, and for others than oneself an administrator.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @OptionGroup var subject: SubjectOptions
        @Option(help: ArgumentHelp(stringLiteral: "What they want: " + KeyRights.help))
        var want: KeyRights
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let (token, user) = try subject.subject(try runtime.connect())
            let descriptor = try registry.open(key, for: .readControl).descriptor()
            let explanation: AccessExplanation<RegistryKeyKind>
            do {
                explanation = try AccessCheck.explain(descriptor, token: token, desired: want.mask)
            } catch { throw ToolError("\(error)") }
            if output.json { return Tool.say(explanation.json) }
            Tool.say("Path: \(visible(key.description))")
            Tool.say("As: \(user)")
            for line in explanation.description.split(separator: "\n") { Tool.say(visible(String(line))) }
        }
    }
}
