import ArgumentParser
import Guise
import GuiseProtocol
import ToolSupport

extension SdCommand {
    struct Propagate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have everything below a folder inherit from it anew.",
            discussion: """
                Example:
                  sd propagate /srv/files

                What an object had inherited is replaced by what its folder passes on now;
                its own entries stay. This takes WRITE_DAC on the folder and on each object
                below; what lies below an object that refuses it is left alone. What is
                inherited of SACLs changes with SeSecurityPrivilege only. Everything that was
                left out is told, and makes the exit code 1.
                """)

        private struct Report: Encodable {
            struct Failure: Encodable {
                let path: String
                let reason: String
            }
            let changed: UInt64
            let unchanged: UInt64
            let refused: UInt64
            let keptSACLs: UInt64
            let failures: [Failure]
        }

        @Argument(help: "The folder, under a managed root.", completion: .directory)
        var path: String
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let path = try absolutePath(path)
            let body = try runtime.connect().call(.propagate(.with { $0.path = path }))
            guard case .propagated(let report) = body else { throw AuthorityClient.surprise }
            if output.json {
                try JSON.show(
                    Report(
                        changed: report.changed, unchanged: report.unchanged, refused: report.refused,
                        keptSACLs: report.keptSacls,
                        failures: report.failures.map { .init(path: $0.path, reason: $0.reason) }))
            } else {
                show(report)
            }
            if report.refused > 0 || report.keptSacls > 0 { throw ExitCode(1) }
        }

        private func show(_ report: WirePropagated) {
            Tool.say("Changed: \(report.changed)")
            Tool.say("Unchanged: \(report.unchanged)")
            Tool.say("Refused: \(report.refused)")
            if report.keptSacls > 0 {
                Tool.say("SACLs left as they were, for want of SeSecurityPrivilege: \(report.keptSacls)")
            }
            for failure in report.failures { Tool.say("  \(visible(failure.path)): \(visible(failure.reason))") }
            let untold = report.refused - min(report.refused, UInt64(report.failures.count))
            if untold > 0 { Tool.say("  and \(untold) more") }
        }
    }
}
