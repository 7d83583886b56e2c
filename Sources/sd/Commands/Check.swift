import ArgumentParser
import ToolSupport

extension SdCommand {
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Decide access for made-up tokens: a question per line, in JSON, an answer per line.",
            discussion: """
                Example:
                  echo '{"sd": "O:SYD:(A;;FR;;;WD)", "desired": "read",
                    "token": {"user": "S-1-5-18", "groups": ["S-1-1-0"]}}' |
                    tr -d '\\n' | sd check --batch

                docs/sd-batch.md describes the fields. A question that makes no sense is
                answered with an error, and the next one is read. Needs no authority.
                """)

        @Flag(help: "Read questions from standard input until it ends.")
        var batch = false

        func validate() throws {
            guard batch else { throw ValidationError("say --batch; for one object there is `sd explain`") }
        }

        func run() throws {
            let batch = Batch()
            while let line = readLine() {
                if line.allSatisfy(\.isWhitespace) { continue }
                Tool.say(batch.answer(line))
            }
        }
    }
}
