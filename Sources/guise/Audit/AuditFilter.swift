import ToolSupport

/// Which records are wanted; what is nil or empty wants all.
struct AuditFilter {
    var services: [String] = []
    /// Names and SIDs.
    var users: Set<String> = []
    var events: [String] = []
    var process: Int32?
    /// What a path starts with.
    var path: [UInt8]?
    var since: Moment?
    var until: Moment?

    func wants(_ record: AuditRecord) -> Bool {
        if !services.isEmpty, !services.contains(where: { Self.isSame($0, record.service) }) { return false }
        if !events.isEmpty, !events.contains(record.event) { return false }
        if let process, ![record.pid, record.tid, record.client].contains(process) { return false }
        if let path, !record.paths.contains(where: { Self.lies($0, under: path) }) { return false }
        if let since, record.moment < since { return false }
        if let until, record.moment > until { return false }
        return users.isEmpty || !users.isDisjoint(with: Self.names(record))
    }

    /// Names are the same in upper and lower case, and with or without what stands before the backslash.
    static func folded(_ name: String) -> String { name.lowercased() }

    private static func isSame(_ wanted: String, _ name: String?) -> Bool {
        name.map { folded($0) == folded(wanted) } ?? false
    }

    private static func names(_ record: AuditRecord) -> Set<String> {
        var names: Set<String> = []
        for name in [record.user, record.userName, record.by, record.byName].compactMap(\.self) {
            names.insert(folded(name))
            if let bare = name.split(separator: "\\").last { names.insert(folded(String(bare))) }
        }
        return names
    }

    /// The path itself, or one below it.
    private static func lies(_ path: [UInt8], under place: [UInt8]) -> Bool {
        path.starts(with: place)
            && (path.count == place.count || place.last == 0x2F || path[place.count] == 0x2F)
    }
}
