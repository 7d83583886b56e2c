import AccessControl
import ArgumentParser
import Foundation
import Guise
import ToolSupport

extension SdCommand {
    struct Inherit: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have a file or folder inherit from the folder it is in, or not.",
            discussion: """
                Examples:
                  sd inherit off /srv/files/private
                  sd inherit off /srv/files/private --remove
                  sd inherit on /srv/files/private

                off: what it has inherited becomes its own, or goes with --remove.
                on: it gets what the folder passes on now, after its own entries; this takes
                READ_CONTROL on the folder. What lies below follows by `sd propagate`.
                Both take READ_CONTROL and WRITE_DAC.
                """)

        enum Switch: String, ExpressibleByArgument, CaseIterable { case on, off }

        @Argument(help: "on or off.")
        var inheritance: Switch
        @Argument(help: "The file or folder.", completion: .file())
        var path: String
        @Flag(help: "With off: drop what it has inherited.")
        var remove = false
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard inheritance == .off || !remove else { throw ValidationError("--remove goes with off") }
        }

        func run() throws {
            let authority = try runtime.connect()
            try authority.changeDACL(at: path) { stored in
                switch inheritance {
                case .off: try stored.descriptor.protected(keepingInherited: !remove)
                case .on:
                    try stored.descriptor.inheriting(
                        from: try parent(of: stored, authority), isContainer: stored.wire.container)
                }
            }
        }

        /// The descriptor of the folder that an object is in; `nil` where descriptors are not inherited: at the
        /// top of a managed root, and outside.
        private func parent(of stored: StoredDescriptor, _ authority: AuthorityClient) throws -> SecurityDescriptor? {
            guard stored.wire.managed, let slash = stored.wire.path.lastIndex(of: "/") else { return nil }
            let folder = String(stored.wire.path[..<slash])
            guard !(try authority.roots().contains(stored.wire.path)), !folder.isEmpty else { return nil }
            return try authority.descriptor(at: folder).descriptor
        }
    }
}

extension AuthorityClient {
    /// The paths of the managed roots.
    fileprivate func roots() throws -> [String] {
        guard case .roots(let list) = try call(.rootList(.init())) else { throw Self.surprise }
        return list.roots.map(\.path)
    }
}
