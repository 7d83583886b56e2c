import ArgumentParser
import Foundation
import Guise
import ToolSupport

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show who was allowed and refused what.",
        discussion: """
            Examples:
              guise audit -n 20
              guise audit --follow --event access-denied
              guise audit --user alice --since '2h ago'
              guise audit --service files --path /srv/files --since 2026-11-20 --until 2026-11-21
              guise audit --event privilege-used --json

            Reads the audit log in guised's state directory, from its oldest file on, which takes
            root. Of several --service, --user or --event one has to fit; of everything else all.

            Events: authority-started, authority-stopped, service-started, service-ended,
            impersonation, impersonation-refused, connection, access-denied, access-audited,
            privilege-used, logon, logon-failed, session-ended, account-changed, root-changed,
            descriptor-changed, mapping-changed, root-unavailable, events-lost.

            Times: '10m ago' (s, m, h, d, w), today, yesterday, now, 2026-11-21, '2026-11-21 04:30',
            2026-11-21T04:30:00Z; in local time unless they say otherwise.
            """)

    @Flag(name: [.short, .long], help: "Go on with what is recorded from now on, until interrupted.")
    var follow = false
    @Option(
        name: .customShort("n"),
        help: ArgumentHelp(
            "Only the last so many records; with --follow 10 unless said otherwise.", valueName: "count"))
    var last: Int?
    @Option(
        name: .customLong("service"),
        help: ArgumentHelp("Of this service; may be repeated.", valueName: "name"))
    var services: [String] = []
    @Option(
        name: .customLong("user"),
        help: ArgumentHelp("For or by this user; may be repeated.", valueName: "name or SID"))
    var users: [String] = []
    @Option(
        name: .customLong("event"), help: ArgumentHelp("Of this kind; may be repeated.", valueName: "event"))
    var events: [String] = []
    @Option(help: "Of this process or thread, or of this client.")
    var pid: Int32?
    @Option(help: "About this file, or what lies below it.", completion: .file())
    var path: String?
    @Option(help: ArgumentHelp("No earlier than this.", valueName: "time"))
    var since: Moment?
    @Option(help: ArgumentHelp("No later than this.", valueName: "time"))
    var until: Moment?
    @Option(help: ArgumentHelp("guised's state directory.", valueName: "dir"), completion: .directory)
    var state = "/var/lib/guise"
    @Flag(help: "Print the lines as they are in the log, for programs.")
    var json = false
    @OptionGroup var runtime: RuntimeOptions

    func validate() throws {
        if let last, last < 0 { throw ValidationError("-n takes a number of records.") }
    }

    func run() throws {
        let filter = try filter()
        let files = try AuditFiles(directory: state) { Tool.warn("guise: " + $0) }
        if !json { Tool.say(Terminal.emphasized(AuditRecord.header)) }
        if let limit = last ?? (follow ? 10 : nil) {
            var kept: [String] = []
            try files.read { line, record in
                guard limit > 0, filter.wants(record) else { return }
                kept.append(shown(line, record))
                // Dropped now and then, not one by one.
                if kept.count >= 2 * limit + 64 { kept.removeFirst(kept.count - limit) }
            }
            kept.suffix(limit).forEach(Tool.say)
        } else {
            try files.read { line, record in
                if filter.wants(record) { Tool.say(shown(line, record)) }
            }
        }
        guard follow else { return files.finish() }
        while true {
            usleep(100_000)
            try files.readOn { line, record in
                if filter.wants(record) { Tool.say(shown(line, record)) }
            }
        }
    }

    private func shown(_ line: ArraySlice<UInt8>, _ record: AuditRecord) -> String {
        json ? String(decoding: line, as: UTF8.self) : record.text
    }

    private func filter() throws -> AuditFilter {
        var filter = AuditFilter()
        filter.services = services
        filter.events = events
        filter.process = pid
        filter.path = try path.map { Array(try absolutePath($0).utf8) }
        filter.since = since
        filter.until = until
        for user in users {
            filter.users.insert(AuditFilter.folded(user))
            // The log has the names that were known; a SID is known to the authority, if that runs.
            if let sid = try? runtime.connect().sid(named: user) {
                filter.users.insert(AuditFilter.folded(sid))
            }
        }
        return filter
    }
}

extension Moment: ExpressibleByArgument {
    /// Reads a time as people write it.
    public init?(argument: String) { self.init(parsing: argument) }
}
