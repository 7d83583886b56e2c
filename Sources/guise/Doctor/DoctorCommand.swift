import ArgumentParser
import ToolSupport

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this machine can enforce, what is missing, and how to get it.",
        discussion: """
            Examples:
              guise doctor
              guise doctor --root /srv/files    whether this folder could be a managed root
              guise doctor --json

            Tries each thing that Guise needs and leaves nothing behind: ok, limited (it goes without,
            or could not be tried) or missing. Run it as root: others cannot try everything.

            Exit codes: 0 when all that is required is there, 1 when not, 64 called wrongly.
            """)

    private struct View: Encodable {
        let ok: Bool
        let findings: [Finding]
    }

    @Option(
        name: .customLong("root"),
        help: ArgumentHelp("A folder that shall become a managed root; may be repeated.", valueName: "dir"),
        completion: .directory)
    var places: [String] = []
    @OptionGroup var output: OutputOptions
    @OptionGroup var runtime: RuntimeOptions

    func run() throws {
        let findings =
            KernelExamination.findings() + [AuthorityExamination.journal()]
            + AuthorityExamination.findings(
                AuthorityExamination.ask(runtime.directory), places: try places.map(absolutePath))
        let isWell = !findings.contains(where: \.isObstacle)
        if output.json {
            try JSON.show(View(ok: isWell, findings: findings))
        } else {
            let width = findings.map(\.name.count).max() ?? 0
            for finding in findings { Tool.say(finding.line(width: width)) }
        }
        if !isWell { throw ExitCode(1) }
    }
}
