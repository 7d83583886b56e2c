import ArgumentParser
import Registry
import RegistryModel
import ToolSupport

extension RegCommand {
    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a key, or set a value of it.",
            discussion: """
                Examples:
                  reg add HKLM/Software/Acme
                  reg add HKLM/Software/Acme -v Port -t REG_DWORD -d 8080
                  reg add HKLM/Software/Acme -v Hosts -t REG_MULTI_SZ -d 'one,two' --separator ,
                  reg add HKLM/Software/Acme -v Key -t REG_BINARY -d 01ff

                The key is made, with those above it, where it is not there. A value that is
                there is replaced.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @OptionGroup var value: ValueOptions
        @Option(name: .shortAndLong, help: "The value's type.")
        var type = TypeArgument(.string)
        @Option(
            name: .shortAndLong, parsing: .unconditional,
            help: "What it holds: text, a number such as 8080 or 0x1f90, or bytes in hexadecimal.")
        var data: String?
        @Option(parsing: .unconditional, help: "What is between the texts of REG_MULTI_SZ.")
        var separator = #"\0"#
        @OptionGroup var registry: RegistryOptions

        func validate() throws {
            guard value.chosen != nil || data == nil else {
                throw ValidationError("which value? say --value or --default")
            }
            guard !separator.isEmpty else { throw ValidationError("nothing separates no texts") }
        }

        func run() throws {
            guard let name = value.chosen else {
                _ = try registry.create(key, for: [])
                return
            }
            let value = try RegistryValue(typed: data ?? "", as: type.type, separator: separator)
            try registry.create(key, for: .setValue).set(name, to: value)
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a key with all below it, or a value of it.",
            discussion: """
                Examples:
                  reg delete HKLM/Software/Acme -v Port
                  reg delete HKLM/Software/Acme --all-values
                  reg delete HKLM/Software/Acme --force

                Before a key goes, the terminal is asked; where there is none, --force has
                to be said. Of a tree of more keys than the registry deletes at once, parts
                go one after the other: a failure may leave some of it.
                """)

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @OptionGroup var value: ValueOptions
        @Flag(name: [.customLong("va"), .long], help: "All values of the key, not the key itself.")
        var allValues = false
        @OptionGroup var force: ForceOption
        @OptionGroup var registry: RegistryOptions

        func validate() throws {
            guard !allValues || value.chosen == nil else {
                throw ValidationError("say one value or --all-values, not both")
            }
        }

        func run() throws {
            if let name = value.chosen {
                return try registry.open(key, for: .setValue).deleteValue(name)
            }
            if allValues {
                return try RegistryTransaction.run(socket: registry.socket) { transaction in
                    let opened = try registry.open(key, for: [.queryValue, .setValue], in: transaction)
                    for (name, _) in try opened.values() { try opened.deleteValue(name.text) }
                }
            }
            guard try force.asks("Delete \(key) and all below it?") else {
                throw ToolError("nothing was deleted")
            }
            try deleteTree(key)
        }

        private func deleteTree(_ path: RegistryPath) throws {
            // A link goes itself, not what it leads to.
            let opened = try registry.open(path, for: [.delete, .enumerateSubKeys], options: .openLink)
            do { try opened.delete(tree: true) } catch RegistryError.limitReached {
                try deleteInParts(path)
            }
        }

        private func deleteInParts(_ path: RegistryPath) throws {
            var (paths, next) = ([path], 0)
            while next < paths.count {
                let above = paths[next]
                let key = try registry.open(above, for: .enumerateSubKeys, options: .openLink)
                for subkey in try key.subkeys() { paths.append(try above.appending(subkey.name)) }
                next += 1
            }
            // Each comes after the one above it.
            let count = paths.count
            var progress = Progress("deleting", total: count)
            defer { progress.end() }
            while !paths.isEmpty {
                let part = paths.suffix(1000)
                try RegistryTransaction.run(socket: registry.socket) { transaction in
                    for path in part.reversed() {
                        do {
                            try registry.open(path, for: .delete, options: .openLink, in: transaction)
                                .delete()
                        } catch RegistryError.keyNotFound {
                            // Somebody else was faster.
                        }
                    }
                }
                paths.removeLast(part.count)
                progress.show(count - paths.count)
            }
        }
    }

    struct Copy: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy a key's values into another key.",
            discussion: """
                Examples:
                  reg copy HKCU/Software/Acme HKCU/Software/Acme2
                  reg copy HKCU/Software/Acme HKLM/Software/Acme --recursive

                What the other key has of the same name is replaced; what it has besides stays.
                All is copied or nothing, unless there is more than the registry takes at
                once: then it is copied in parts, one after the other, and keys that refuse it
                are told on standard error; the exit code is 1 then.
                """)

        @Argument(help: "The key to copy.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var source: RegistryPath
        @Argument(
            help: "The key to copy into.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var target: RegistryPath
        @Flag(name: [.customShort("s"), .long], help: "And the keys below it.")
        var recursive = false
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            guard !recursive else {
                let goal = try registry.create(target, for: [.setValue, .createSubKey])
                do { try registry.open(source).copy(to: goal) } catch RegistryError.limitReached {
                    try copyInParts()
                }
                return
            }
            try RegistryTransaction.run(socket: registry.socket) { transaction in
                let values = try registry.open(source, for: .queryValue, in: transaction).values()
                let copy = try registry.create(target, for: .setValue, in: transaction)
                for (name, value) in values { try copy.set(name.text, to: value) }
            }
        }

        private func copyInParts() throws {
            var progress = Progress("copying")
            defer { progress.end() }
            var importer = Importer(registry)
            let visit = KeyVisit(registry: registry, isRecursive: true)
            try visit.go(through: source) { path, opened in
                var change = KeyChange(
                    try path.names.dropFirst(source.names.count).reduce(target) { try $0.appending($1) })
                let information = try opened.information()
                (change.className, change.isLink) = (information.className, information.isLink)
                for (name, value) in try opened.values() { change.set(name, value) }
                try importer.take(change)
                progress.show(importer.count.keys)
            }
            try importer.finish()
            if visit.hasSkipped { throw ExitCode(1) }
        }
    }
}
