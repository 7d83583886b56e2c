import ArgumentParser
import Registry
import RegistryModel
import ToolSupport

extension RegCommand {
    struct Query: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a key: its values, and the keys below it.",
            discussion: """
                Examples:
                  reg query HKLM/Software/Acme
                  reg query HKLM/Software/Acme -v Port
                  reg query HKLM/Software --recursive --json

                Keys below that refuse it are passed over, and told on standard error; the
                exit code is 1 then.
                """)

        private struct ValueView: Encodable {
            let name: String
            let type: String
            let data: ValueData
        }

        private struct KeyView: Encodable {
            let path: String
            let values: [ValueView]
            let subkeys: [String]
        }

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @OptionGroup var value: ValueOptions
        @Flag(name: [.customShort("s"), .long], help: "Go through the keys below, too.")
        var recursive = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            var views: [KeyView] = []
            let visit = KeyVisit(registry: registry, isRecursive: recursive)
            var isFound = false
            try visit.go(through: key) { path, opened in
                let (all, subkeys) = (try opened.values(), try opened.subkeys())
                let wanted = try value.chosen.map { try RegistryValueName($0) }
                let values = all.filter { wanted == nil || $0.name == wanted }
                guard wanted == nil || !values.isEmpty else { return }
                isFound = true
                if output.json {
                    views.append(
                        KeyView(
                            path: path.description,
                            values: values.map {
                                ValueView(
                                    name: $0.name.text, type: $0.value.type.description, data: .init($0.value)
                                )
                            },
                            subkeys: subkeys.map(\.name.text)))
                } else {
                    show(path, values, wanted == nil && !recursive ? subkeys : [])
                }
            }
            guard isFound || value.chosen == nil else {
                throw RegistryError.valueNotFound("\(key) has no such value")
            }
            if output.json {
                if !recursive, let view = views.first { try JSON.show(view) } else { try JSON.show(views) }
            }
            if visit.hasSkipped { throw ExitCode(1) }
        }

        private func show(
            _ path: RegistryPath, _ values: [(name: RegistryValueName, value: RegistryValue)],
            _ subkeys: [RegistryKey.Information]
        ) {
            Tool.say(Terminal.emphasized(visible(path.description)))
            for (name, value) in values {
                Tool.say("    \(visible(name.description))    \(value.type)    \(value.line)")
            }
            for subkey in subkeys { Tool.say(visible("\(path)\\\(subkey.name)")) }
            if recursive || !values.isEmpty && !subkeys.isEmpty { Tool.say("") }
        }
    }
}
