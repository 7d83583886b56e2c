import AccessControl
import ArgumentParser
import Guise
import ToolSupport

/// Where descriptors of another system are kept.
enum ForeignForm: String, ExpressibleByArgument, CaseIterable {
    /// Samba's extended attribute security.NTACL.
    case ntacl
    /// Mode and POSIX lists.
    case posix
}

extension SdCommand {
    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set the descriptor that Samba or POSIX permissions give an object.",
            discussion: """
                Examples:
                  sd import ntacl /srv/files/plan.txt --from /srv/samba/plan.txt
                  sd import ntacl /srv/files/plan.txt --file plan.ntacl
                  sd import posix /srv/files/plan.txt --from /home/alice/plan.txt
                  sd import posix /home/alice/plan.txt --show

                ntacl is the extended attribute security.NTACL, versions 1 to 4. posix is the
                mode and the lists that getfacl(1) shows; its users and groups become the
                accounts they belong to. Both are read with your own rights, and set by the
                authority, which takes what `sd set` takes.
                """)

        @Argument(help: "ntacl or posix.")
        var form: ForeignForm
        @Argument(help: "The file or folder whose descriptor is set.", completion: .file())
        var path: String
        @Option(help: "The file or folder to read from, if it is another one.", completion: .file())
        var from: String?
        @Option(help: "With ntacl: a file that holds the attribute's value; - is standard input.", completion: .file())
        var file: String?
        @Flag(help: "Print the descriptor as SDDL, and set nothing.")
        var show = false
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard file == nil || from == nil else { throw ValidationError("--from and --file exclude each other") }
            guard file == nil || form == .ntacl else { throw ValidationError("--file goes with ntacl") }
        }

        func run() throws {
            let descriptor = try descriptor()
            if show { return Tool.say(descriptor.sddl()) }
            try runtime.connect().set(descriptor, at: path)
        }

        private func descriptor() throws -> SecurityDescriptor {
            let source = from ?? path
            switch form {
            case .posix:
                return try PosixPermissions(of: source).descriptor(accounts: try runtime.connect().accounts())
            case .ntacl:
                guard let bytes = try file.map(ForeignFile.read) ?? Attribute.ntacl.value(of: source) else {
                    throw ToolError("\(source) has no \(Attribute.ntacl.rawValue)")
                }
                do {
                    return try NTACL(bytes: bytes).descriptor
                } catch { throw ToolError("\(file ?? source) holds no NTACL: \(error)") }
            }
        }
    }
}
