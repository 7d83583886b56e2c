package import AccessControl
import Glibc
package import Logging

/// The one thread that takes events and writes them, to the audit log and to journald.
///
/// While the log cannot be written it holds on to what it took, and what comes after waits in ``Audit`` as long as
/// there is room; nothing else of the authority notices.
package final class AuditWriter: @unchecked Sendable {
    // Sendable by hand: everything but `audit` and `ended` is used on the writer's thread alone.

    /// Milliseconds: between batches, between attempts to write to a full disk, and between summaries.
    private static let pause: UInt32 = 20
    private static let retry: UInt32 = 500
    private static let summariesAfter: UInt64 = 1000
    /// About how many bytes are written at once.
    private static let chunk = 1 << 18

    private let audit: Audit
    private let file: AuditLog
    private var journal: AuditJournal
    private let name: @Sendable (SID) -> String?
    private let log: Logger
    private let ended: Semaphore?
    private var pending: [AuditEvent] = []
    private var hasSummaries = false
    private var toldSummaries: UInt64 = 0
    private var failingSince: UInt64?

    /// - Parameters:
    ///   - journal: the path of journald's socket; nobody need listen there.
    ///   - name: the name of a SID, if that is known without asking anybody.
    package init(
        _ audit: Audit, to file: AuditLog, journal: String, log: Logger,
        name: @escaping @Sendable (SID) -> String?
    ) {
        self.audit = audit
        self.file = file
        self.journal = AuditJournal(path: journal)
        self.name = name
        self.log = log
        ended = Semaphore()
    }

    /// Starts the thread; false when the machine has no more to give.
    package func start() -> Bool { SystemThread.start("guise-audit") { self.run() } }

    /// Has everything recorded so far written, as far as it can be, and the thread end.
    package func stop(milliseconds: Int32 = 5000) {
        audit.close()
        ended?.wait(milliseconds: milliseconds)
    }

    private func run() {
        while !audit.isClosed {
            if pending.isEmpty { take(all: false) }
            if writePending() {
                // Whoever records meanwhile need not ring.
                usleep(Self.pause * 1000)
                audit.wait(milliseconds: hasSummaries ? Int32(Self.summariesAfter) : -1)
            } else {
                usleep(Self.retry * 1000)
            }
        }
        let old = pending
        take(all: true)
        pending = old + pending
        if !writePending() {
            log.error("audit records lost at the end", metadata: ["count": "\(pending.count)"])
        }
        file.synchronize()
        journal.close()
        ended?.signal()
    }

    private func take(all: Bool) {
        let now = WallClock.steadyMilliseconds
        let withSummaries = all || now &- toldSummaries >= Self.summariesAfter
        let taken = audit.take(withSummaries: withSummaries)
        if withSummaries { toldSummaries = now }
        hasSummaries = taken.hasSummaries
        pending = taken.events
        if !taken.lost.isEmpty {
            var event = AuditEvent(.eventsLost)
            event.time = WallClock.milliseconds
            event.lost = taken.lost
            event.rule = "there was no room for them"
            pending.append(event)
        }
        for event in pending { journal.send(event, name: name) }
    }

    /// Writes what was taken; false: some of it has to wait.
    private func writePending() -> Bool {
        var written = 0
        defer { pending.removeFirst(written) }
        while written < pending.count {
            var lines: [UInt8] = []
            var next = written
            while next < pending.count, lines.count < Self.chunk {
                lines += AuditLine(pending[next], name: name).bytes
                next += 1
            }
            do throws(StateError) {
                try file.append(lines)
            } catch {
                fail(error)
                return false
            }
            written = next
        }
        if written > 0 { recover() }
        return true
    }

    private func fail(_ error: StateError) {
        guard failingSince == nil else { return }
        failingSince = WallClock.steadyMilliseconds
        audit.defect = "the audit log is not written: \(error)"
        log.error(
            "the audit log is not written; records wait, and are counted when there is no room for them",
            metadata: ["error": "\(error)"])
    }

    private func recover() {
        guard let since = failingSince else { return }
        failingSince = nil
        audit.defect = nil
        log.notice(
            "the audit log is written again",
            metadata: ["seconds": "\((WallClock.steadyMilliseconds - since) / 1000)"])
    }
}
