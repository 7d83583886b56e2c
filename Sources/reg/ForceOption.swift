import ArgumentParser
import Glibc
import ToolSupport

/// What is done without asking.
struct ForceOption: ParsableArguments {
    @Flag(name: [.customShort("y"), .customShort("f"), .customLong("force")], help: "Do not ask.")
    var isForced = false

    /// Asks a question with yes or no for an answer, unless that is settled.
    ///
    /// - Throws: where there is no terminal to ask.
    func asks(_ question: String) throws -> Bool {
        guard !isForced else { return true }
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else {
            throw ToolError("there is no terminal to ask \"\(question)\"; say --force")
        }
        Tool.put("\(visible(question)) [y/N] ")
        return ["y", "yes"].contains(readLine()?.lowercased())
    }
}
