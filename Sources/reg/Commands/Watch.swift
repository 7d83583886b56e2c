import ArgumentParser
import Dispatch
import Registry
import RegistryModel
import Synchronization
import ToolSupport

extension RegCommand {
    struct Watch: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell changes of a key as they are made.",
            discussion: """
                Examples:
                  reg watch HKLM/Software/Acme
                  reg watch HKLM/Software --recursive --json     one line for each change

                Tells names (keys below it), values, security (descriptors) and attributes.
                What changes faster than it is told is told once. Ends when it is interrupted
                (Ctrl-C), or with the registry's service: exit code 1 then.
                """)

        private struct Change: Encodable {
            let time: Moment
            let path: String
            let changes: [String]
        }

        @Argument(help: "The key.", completion: KeyArgument.completion, transform: KeyArgument.path)
        var key: RegistryPath
        @Flag(name: [.customShort("s"), .long], help: "And all keys below it.")
        var recursive = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            let opened = try registry.open(key, for: .notify)
            let changes = try opened.changes(includingSubtree: recursive)
            let (name, isJSON) = (key.description, output.json)
            let ended = DispatchSemaphore(value: 0)
            let failure = Mutex<(any Error)?>(nil)
            Task {
                do {
                    for try await kinds in changes {
                        let change = Change(time: .now, path: name, changes: kinds.words)
                        if isJSON {
                            try JSON.showLine(change)
                        } else {
                            Tool.say(
                                "\(change.time.time)  \(visible(name))  "
                                    + kinds.words.joined(separator: ", "))
                        }
                    }
                } catch { failure.withLock { $0 = error } }
                ended.signal()
            }
            ended.wait()
            if let error = failure.withLock({ $0 }) { throw error }
        }
    }
}

extension RegistryChangeKinds {
    fileprivate var words: [String] {
        let words: [(RegistryChangeKinds, String)] = [
            (.names, "names"), (.values, "values"), (.security, "security"), (.attributes, "attributes"),
        ]
        return words.filter { contains($0.0) }.map(\.1)
    }
}
