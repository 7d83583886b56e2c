import AccessControl
import ArgumentParser
import Guise
import ToolSupport

extension SdCommand {
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give Samba an object's descriptor.",
            discussion: """
                Examples:
                  sd export ntacl /srv/files/plan.txt --to /srv/samba/plan.txt
                  sd export ntacl /srv/files/plan.txt --file plan.ntacl

                Writes version 1 of security.NTACL, which has no hashes, so that Samba takes
                it whatever the POSIX permissions are. This takes READ_CONTROL, and root to
                set the attribute.
                """)

        @Argument(help: "ntacl.")
        var form: ForeignForm
        @Argument(help: "The file or folder whose descriptor is read.", completion: .file())
        var path: String
        @Option(help: "The file or folder that gets the attribute, if it is another one.", completion: .file())
        var to: String?
        @Option(help: "A file for the attribute's value instead; - is standard output.", completion: .file())
        var file: String?
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard form == .ntacl else { throw ValidationError("POSIX permissions can only be imported") }
            guard file == nil || to == nil else { throw ValidationError("--to and --file exclude each other") }
        }

        func run() throws {
            let bytes = NTACL(try runtime.connect().descriptor(at: path).descriptor).bytes
            if let file { return try ForeignFile.write(bytes, to: file) }
            try Attribute.ntacl.set(bytes, on: to ?? path)
        }
    }
}
