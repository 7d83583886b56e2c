import ArgumentParser
import CGuise
import Glibc
import Guise
import ToolSupport

extension IdnCommand {
    struct Watch: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Watch the threads of a service, and whom they act as.",
            discussion: """
                Examples:
                  idn watch 4711
                  idn watch 4711/4713 --interval 0.2
                  idn watch 4711 --json         one line for each change

                Looks again and again; what begins and ends between two looks is not seen.
                Ends with the process, or when it is interrupted (Ctrl-C).
                """)

        @Argument(help: ArgumentHelp("The process, or one of its threads.", valueName: "pid[/tid]"))
        var target: Target
        @Option(help: ArgumentHelp("Seconds from one look to the next.", valueName: "seconds"))
        var interval = 1.0
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard interval >= 0.05, interval <= 86_400 else {
                throw ValidationError("the interval is a number of seconds from 0.05 to 86400")
            }
        }

        func run() throws {
            let authority = try runtime.connect()
            // Taken before the first look: should the number change hands, this one has ended.
            let process = guise_pidfd_open(Int32(bitPattern: target.process), false)
            defer { if process >= 0 { close(process) } }
            var threads = try look(authority)
            guard target.thread == nil || !threads.isEmpty else {
                throw ToolError("process \(target.process) has no thread \(target.thread ?? 0)")
            }
            guard guise_interruption_prepare() == 0 else { throw ToolError("signals cannot be waited for") }
            var changes = ThreadChanges()
            let end: End
            if !output.json, Terminal.canRedraw {
                let screen = WatchScreen(title: "Process \(target.process)")
                defer { screen.leave() }
                end = try follow(authority, process, &threads) { threads in
                    _ = changes.take(threads)
                    screen.draw(threads)
                }
            } else {
                end = try follow(authority, process, &threads) { try tell(changes.take($0)) }
            }
            switch end {
            case .interrupted: break
            case .thread: try tell(changes.take([]))
            case .process: try tell([.init(endOf: target.process)])
            }
        }

        /// Why there is nothing more to see.
        private enum End {
            case interrupted
            /// The one that was asked for.
            case thread
            case process
        }

        /// Shows the threads, again and again.
        private func follow(
            _ authority: AuthorityClient, _ process: Int32, _ threads: inout [Identity],
            _ show: ([Identity]) throws -> Void
        ) throws -> End {
            while true {
                try show(threads)
                switch guise_wait(process, Int64(interval * 1000)) {
                case -EINTR: return .interrupted
                case 0: break
                case let result:
                    guard result > 0 else {
                        throw ToolError("waiting failed: \(String(cString: strerror(-result)))")
                    }
                    return .process
                }
                do {
                    threads = try look(authority)
                } catch GuiseError.notFound {
                    return .process
                }
                if process >= 0, guise_pidfd_has_ended(process) { return .process }
                if threads.isEmpty { return target.thread == nil ? .process : .thread }
            }
        }

        private func look(_ authority: AuthorityClient) throws -> [Identity] {
            try authority.threads(of: target.process).map(Identity.init)
                .filter { target.thread == nil || $0.thread == target.thread }
        }

        private func tell(_ changes: [ThreadChanges.Change]) throws {
            for change in changes {
                if output.json { try JSON.showLine(change) } else { Tool.say(change.line) }
            }
        }
    }
}
