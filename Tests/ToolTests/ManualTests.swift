import Foundation
import Testing

/// Manual pages and completions, against what the tools themselves say they take.
@Suite("The manual pages and completions")
struct ManualTests {
    private struct Help: Decodable {
        let command: Command
    }

    private struct Command: Decodable {
        let commandName: String
        let subcommands: [Command]?
        let arguments: [Argument]?

        /// This one and those below, `help` and what every tool has left out.
        var all: [Command] {
            commandName == "help" ? [] : [self] + (subcommands ?? []).flatMap(\.all)
        }
    }

    private struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String
        }
        let names: [Name]?

        var longNames: [String] {
            (names ?? []).filter { $0.kind == "long" && !["help", "version"].contains($0.name) }.map(\.name)
        }
    }

    private func commands(of tool: String) throws -> [Command] {
        let dump = try runAlone(tool, ["--experimental-dump-help"])
        return try JSONDecoder().decode(Help.self, from: Data(dump.output.utf8)).command.all
    }

    private func manual(_ tool: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(
            contentsOf: root.appendingPathComponent("Documentation/man/\(tool).1"), encoding: .utf8)
    }

    @Test("name every command and every option", arguments: ["idn", "guise", "reg", "sd"])
    func complete(tool: String) throws {
        let manual = try manual(tool)
        let words = Set(manual.split { $0 == " " || $0 == "\n" })
        let wanted = try commands(of: tool).flatMap { command in
            [command.commandName] + (command.arguments ?? []).flatMap(\.longNames).map { "-\($0)" }
        }
        #expect(wanted.filter { !words.contains(Substring($0)) } == [])
    }

    @Test("complete every command", arguments: ["idn", "guise", "reg", "sd"], ["bash", "zsh", "fish"])
    func completion(tool: String, shell: String) throws {
        let script = try runAlone(tool, ["--generate-completion-script", shell])
        #expect(script.status == 0)
        for command in try commands(of: tool) {
            #expect(script.output.contains(command.commandName), "\(command.commandName)")
        }
    }

    @Test("have examples in the help of every command", arguments: ["idn", "guise", "reg", "sd"])
    func examples(tool: String) throws {
        for command in try commands(of: tool).dropFirst() where (command.subcommands ?? []).isEmpty {
            let parents = try path(to: command.commandName, in: tool)
            let help = try runAlone(tool, parents + ["--help"])
            #expect(help.status == 0)
            #expect(help.output.contains("Example"), "\(tool) \(command.commandName)")
        }
    }

    /// The words that lead to a command; names of commands are unique but for those of groups.
    private func path(to name: String, in tool: String) throws -> [String] {
        func search(_ command: Command) -> [String]? {
            for child in command.subcommands ?? [] {
                if child.commandName == name, (child.subcommands ?? []).isEmpty { return [name] }
                if let rest = search(child) { return [child.commandName] + rest }
            }
            return nil
        }
        let dump = try runAlone(tool, ["--experimental-dump-help"])
        return search(try JSONDecoder().decode(Help.self, from: Data(dump.output.utf8)).command) ?? []
    }
}
