import ArgumentParser
import Foundation
import Glibc
import Registry
import RegistryFiles
import RegistryModel
import ToolSupport

extension RegCommand {
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a key, its values and all below it as a registry file.",
            discussion: """
                Examples:
                  reg export HKLM/Software/Acme acme.reg
                  reg export HKLM/Software/Acme - --utf8 | less

                The file is of version 5 and in UTF-16, as regedit's are. It replaces one of
                that name once it is complete, when the terminal or --force says so. Such
                files have no descriptors, class names or links; links, and keys that refuse
                it, are told on standard error, and the exit code is 1 then.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @Argument(help: "The file; - is standard output.", completion: .file())
        var file: String
        @Flag(help: "In UTF-8, for people and for version control.")
        var utf8 = false
        @OptionGroup var force: ForceOption
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            var isComplete = false
            do {
                if file == "-" {
                    isComplete = try write(to: STDOUT_FILENO)
                } else {
                    try NewFile(file, force).write { isComplete = try write(to: $0) }
                }
            } catch let error as RegistryFileError { throw ToolError("\(file): \(error)") }
            if !isComplete { throw ExitCode(1) }
        }

        /// - Returns: whether nothing had to be left out.
        private func write(to descriptor: Int32) throws -> Bool {
            var writer = try RegistryFileWriter(utf8 ? .utf8 : .utf16) {
                (bytes: [UInt8]) throws(RegistryFileError) in
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                    guard count >= 0 || errno == EINTR else {
                        throw .system(String(cString: strerror(errno)))
                    }
                    rest = rest.dropFirst(max(0, count))
                }
            }
            let visit = KeyVisit(registry: registry, isRecursive: true)
            var hasLinks = false
            try visit.go(through: key) { path, opened in
                guard try !opened.information().isLink else {
                    hasLinks = true
                    return Tool.warn("\(path) is a link, which no registry file can say")
                }
                let values = try opened.values()
                try writer.append(.key(path))
                for (name, value) in values { try writer.append(.value(name: name, value)) }
            }
            try writer.finish()
            return !visit.hasSkipped && !hasLinks
        }
    }
}
