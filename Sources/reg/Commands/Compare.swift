import ArgumentParser
import Registry
import RegistryModel
import ToolSupport

extension RegCommand {
    struct Compare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell how two keys differ.",
            discussion: """
                Examples:
                  reg compare HKLM/Software/Acme HKCU/Software/Acme
                  reg compare HKLM/Software/Acme HKLM/Software/Old --recursive

                What the first has is marked <, what the second has >. The exit code is 0
                when they are the same, 2 when they differ, 1 when one cannot be read.
                """)

        private struct Difference: Encodable {
            enum Side: String, Encodable {
                case first = "<"
                case second = ">"
            }

            let side: Side
            let path: String
            var name: String?
            var type: String?
            var data: ValueData?
            var text = ""

            private enum CodingKeys: CodingKey { case side, path, name, type, data }

            init(_ side: Side, _ path: RegistryPath) { (self.side, self.path) = (side, path.description) }

            init(_ side: Side, _ path: RegistryPath, _ name: RegistryValueName, _ value: RegistryValue) {
                self.init(side, path)
                (self.name, type, data) = (name.text, value.type.description, ValueData(value))
                text = "    \(visible(name.description))    \(value.type)    \(value.line)"
            }

            var line: String {
                "\(side.rawValue) \(name == nil ? "Key:  " : "Value:")  \(visible(path))\(text)"
            }
        }

        private struct View: Encodable {
            let same: Bool
            let differences: [Difference]
        }

        @Argument(help: "A key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var first: RegistryPath
        @Argument(help: "Another key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var second: RegistryPath
        @OptionGroup var value: ValueOptions
        @Flag(name: [.customShort("s"), .long], help: "Compare the keys below, too.")
        var recursive = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            var differences: [Difference] = []
            var rest = [(first, second)]
            while let (one, other) = rest.popLast() {
                let (left, right) = (try registry.open(one), try registry.open(other))
                differences += try compareValues(left, one, right, other)
                guard recursive else { break }
                var common: [(RegistryPath, RegistryPath)] = []
                let theirs = Dictionary(try right.subkeys().map { ($0.name, $0) }) { first, _ in first }
                let ours = try left.subkeys()
                for subkey in ours {
                    let path = try one.appending(subkey.name)
                    if let twin = theirs[subkey.name] {
                        common.append((path, try other.appending(twin.name)))
                    } else {
                        differences.append(Difference(.first, path))
                    }
                }
                let names = Swift.Set(ours.map(\.name))
                for (name, _) in theirs.sorted(by: { $0.key < $1.key }) where !names.contains(name) {
                    differences.append(Difference(.second, try other.appending(name)))
                }
                rest += common.reversed()
            }
            if output.json {
                try JSON.show(View(same: differences.isEmpty, differences: differences))
            } else {
                for difference in differences { Tool.say(difference.line) }
            }
            if !differences.isEmpty { throw ExitCode(2) }
        }

        private func compareValues(
            _ left: RegistryKey, _ one: RegistryPath, _ right: RegistryKey, _ other: RegistryPath
        ) throws -> [Difference] {
            let wanted = try value.chosen.map { try RegistryValueName($0) }
            func values(_ key: RegistryKey) throws -> [RegistryValueName: RegistryValue] {
                Dictionary(try key.values().filter { wanted == nil || $0.name == wanted }) { first, _ in first
                }
            }
            let (ours, theirs) = (try values(left), try values(right))
            var differences: [Difference] = []
            for name in Swift.Set(ours.keys).union(theirs.keys).sorted() {
                let (here, there) = (ours[name], theirs[name])
                // Bytes: texts that look alike may differ.
                guard here?.type != there?.type || here?.bytes != there?.bytes else { continue }
                if let here { differences.append(Difference(.first, one, name, here)) }
                if let there { differences.append(Difference(.second, other, name, there)) }
            }
            return differences
        }
    }
}
