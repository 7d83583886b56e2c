import Glibc
import ToolSupport

/// A question with yes or no for an answer.
enum Question {
    /// - Throws: where there is no terminal to ask.
    static func ask(_ question: String) throws -> Bool {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else {
            throw ToolError("there is no terminal to ask \"\(question)\"; say --force")
        }
        Tool.put("\(question) [y/N] ")
        return ["y", "yes"].contains(readLine()?.lowercased())
    }
}
