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
            let screen =
                !output.json && Terminal.canRedraw ? WatchScreen(title: "Process \(target.process)") : nil
            defer { screen?.leave() }
            var changes = ThreadChanges()
            while true {
                let news = changes.take(threads)
                if let screen { screen.draw(threads) } else { try tell(news) }
                switch guise_wait(process, Int64(interval * 1000)) {
                case -EINTR: return
                case 0: break
                default: return try end(screen)
                }
                do {
                    threads = try look(authority)
                } catch GuiseError.notFound {
                    return try end(screen)
                }
                guard target.thread == nil || !threads.isEmpty else {
                    // The thread has ended, and with it what there is to see.
                    return screen == nil ? try tell(changes.take([])) : ()
                }
                if process >= 0, guise_pidfd_has_ended(process) { return try end(screen) }
            }
        }

        private func look(_ authority: AuthorityClient) throws -> [Identity] {
            try authority.threads(of: target.process).map(Identity.init)
                .filter { target.thread == nil || $0.thread == target.thread }
        }

        private func end(_ screen: WatchScreen?) throws {
            if screen == nil { try tell([.init(endOf: target.process)]) }
        }

        private func tell(_ changes: [ThreadChanges.Change]) throws {
            for change in changes {
                if output.json { try JSON.showLine(change) } else { Tool.say(change.line) }
            }
        }
    }
}
