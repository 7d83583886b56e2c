import ArgumentParser
import Glibc
import Registry
import RegistryModel
import SystemPackage
import ToolSupport

extension RegCommand {
    struct Save: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Save a key and all below it, descriptors included, to a file.",
            discussion: """
                Examples:
                  reg save HKLM/Software/Acme acme.saved
                  reg save HKU/S-1-5-21-1-2-3-1001 alice.saved --force

                What the caller may not read takes SeBackupPrivilege; what is audited takes
                SeSecurityPrivilege, and is left out without it, as volatile keys are. The
                file is this registry's own, for reg restore; its owner alone may read it. It
                replaces one of that name once it is complete, when the terminal or --force
                says so.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @Argument(help: "The file.", completion: .file())
        var file: String
        @OptionGroup var force: ForceOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            let opened = try registry.open(key, for: [], options: .backupRestore)
            let new = try NewFile(file, force, mode: 0o600)
            var count = RegistryKey.SavedCount()
            var progress = Progress("saving")
            do {
                defer { progress.end() }
                try new.write { descriptor in
                    try opened.save(to: FileDescriptor(rawValue: descriptor)) { done in
                        count = done
                        progress.show(done.keys)
                    }
                }
            } catch RegistryError.accessDenied(let text) {
                throw ToolError("\(text), or save as somebody who holds SeBackupPrivilege")
            }
            if count.isWithoutSACLs {
                Tool.warn("what is audited (SACLs) is not in \(file): that takes SeSecurityPrivilege")
            }
            try count.show("Saved", output)
        }
    }

    struct Restore: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key, and all below it, what a saved file says.",
            discussion: """
                Examples:
                  reg restore HKLM/Software/Acme acme.saved
                  reg restore HKLM/Software/Acme acme.saved --force

                The key has to be there; all that is in it goes. It is done as a whole or not
                at all. What the caller may not change takes SeRestorePrivilege and
                SeBackupPrivilege. The terminal is asked first; where there is none, --force
                has to be said.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @Argument(help: "The file that reg save has written.", completion: .file())
        var file: String
        @OptionGroup var force: ForceOption
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            let descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC)
            var status = stat()
            guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
                throw ToolError("\(file): \(String(cString: strerror(errno)))")
            }
            defer { close(descriptor) }
            let opened = try openedForRestoring()
            guard try force.asks("Replace \(key) and all below it by what \(file) says?") else {
                throw ToolError("nothing was restored")
            }
            var count = RegistryKey.SavedCount()
            var progress = Progress("restoring", total: Int(status.st_size))
            do throws(RegistryError) {
                defer { progress.end() }
                try opened.restore(from: FileDescriptor(rawValue: descriptor)) { done in
                    count = done
                    progress.show(Int(lseek(descriptor, 0, SEEK_CUR)))
                }
            } catch {
                switch error {
                case .accessDenied(let text):
                    throw ToolError(
                        "\(text), or restore as somebody who holds SeRestorePrivilege and SeBackupPrivilege")
                case .notASavedKey(let text): throw ToolError("\(file): \(text)")
                default: throw error
                }
            }
            try count.show("Restored", output)
        }

        private func openedForRestoring() throws -> RegistryKey {
            do throws(RegistryError) {
                return try registry.open(key, for: [], options: .backupRestore)
            } catch {
                guard case .keyNotFound(let text) = error else { throw error }
                throw ToolError("\(text); reg add makes one to restore into")
            }
        }
    }
}

extension RegistryKey.SavedCount {
    private struct View: Encodable {
        let keys: Int
        let values: Int
    }

    fileprivate func show(_ what: String, _ output: OutputOptions) throws {
        if output.json { return try JSON.show(View(keys: keys, values: values)) }
        Tool.say("\(what): \(keys) keys, \(values) values")
    }
}
