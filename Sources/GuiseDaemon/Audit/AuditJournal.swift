import AccessControl
import CGuise
import Glibc

/// Tells journald of events by its native protocol: a datagram for each, which waits for nobody.
/// Belongs to one thread.
package struct AuditJournal {
    /// Where journald listens.
    package static let path = "/run/systemd/journal/socket"
    /// No value is longer, in bytes.
    private static let longestValue = 8192

    private let socket: Int32
    private let address: [UInt8]
    /// Whether it ever took a record: then it is missed when it does not.
    private var wasThere = false
    private var missed: UInt64 = 0

    init(path: String) {
        address = UnixAddress.bytes(ofPath: path)
        socket = guise_unix_socket(Int32(SOCK_DGRAM.rawValue), true)
    }

    func close() { if socket >= 0 { Glibc.close(socket) } }

    /// Tells of an event; what journald does not take is counted, and told of when it takes the next one.
    mutating func send(_ event: AuditEvent, name: (SID) -> String?) {
        if missed > 0 {
            var lost = AuditEvent(.eventsLost)
            lost.time = WallClock.milliseconds
            lost.rule = "\(missed) records did not reach the journal; the audit log has them"
            guard deliver(lost, name) else {
                missed += 1
                return
            }
            missed = 0
        }
        if deliver(event, name) { wasThere = true } else if wasThere { missed += 1 }
    }

    private func deliver(_ event: AuditEvent, _ name: (SID) -> String?) -> Bool {
        guard socket >= 0, address.count <= MemoryLayout<sockaddr_un>.size else { return false }
        let bytes = Self.datagram(event, name: name)
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return guise_socket_send_to(
            socket, bytes, bytes.count, flags, address, UInt32(address.count), nil, 0, getpid(), geteuid(),
            getegid())
            >= 0
    }

    /// systemd, "Native Journal Protocol".
    static func datagram(_ event: AuditEvent, name: (SID) -> String?) -> [UInt8] {
        var bytes: [UInt8] = []
        func add(_ field: String, _ value: some Collection<UInt8>) {
            var value = Array(value.prefix(longestValue))
            if value.count == longestValue { value.replaceSubrange((longestValue - 3)..., with: "…".utf8) }
            bytes += field.utf8
            if value.allSatisfy({ $0 >= 0x20 }) {
                bytes.append(0x3D)
            } else {
                bytes.append(0x0A)
                withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += $0 }
            }
            bytes += value
            bytes.append(0x0A)
        }
        func add(_ field: String, _ value: String?) { if let value { add(field, value.utf8) } }
        func add(_ field: String, _ value: Int32?) { add(field, value.map { "\($0)" }) }

        add("MESSAGE", message(event, name))
        add("PRIORITY", "\(priority(event.kind))")
        add("SYSLOG_IDENTIFIER", "guised")
        add("GUISE_EVENT", event.kind.rawValue)
        add("GUISE_SERVICE", event.service)
        add("GUISE_PID", event.process)
        add("GUISE_TID", event.thread)
        add("GUISE_USER", event.user?.description)
        add("GUISE_USER_NAME", event.user.flatMap(name))
        add("GUISE_LEVEL", event.level?.description)
        add("GUISE_CLIENT", event.client)
        add("GUISE_BY", event.by?.description)
        add("GUISE_CALL", event.call)
        if let path = event.path { add("GUISE_PATH", path) }
        if let target = event.target { add("GUISE_TARGET", target) }
        if let object = event.object { add("GUISE_OBJECT", object) }
        add("GUISE_OUTCOME", event.isSuccess.map { $0 ? "success" : "failure" })
        add("GUISE_WANTED", event.wanted?.description)
        add("GUISE_REFUSED", event.refused?.description)
        add("GUISE_GRANTED", event.granted?.description)
        if !event.privileges.isEmpty {
            add("GUISE_PRIVILEGES", event.privileges.map(\.name).joined(separator: " "))
        }
        add("GUISE_CHANGE", event.change)
        add("GUISE_RULE", event.rule)
        if event.count > 1 { add("GUISE_COUNT", "\(event.count)") }
        return bytes
    }

    /// syslog(3): 3 error, 4 warning, 5 notice, 6 informational.
    private static func priority(_ kind: AuditEvent.Kind) -> Int {
        switch kind {
        case .eventsLost, .rootUnavailable: 3
        case .accessDenied, .impersonationRefused, .logonFailed: 4
        case .privilegeUsed, .accountChanged, .rootChanged, .descriptorChanged, .mappingChanged,
            .accessAudited:
            5
        case .authorityStarted, .authorityStopped, .serviceStarted, .serviceEnded, .impersonation,
            .connection, .logon, .sessionEnded:
            6
        }
    }

    private static func message(_ event: AuditEvent, _ name: (SID) -> String?) -> String {
        var words = [event.kind.rawValue]
        if let service = event.service { words.append(service) }
        if let user = event.user { words.append("as " + (name(user) ?? user.description)) }
        if let by = event.by { words.append("by " + (name(by) ?? by.description)) }
        if let call = event.call { words.append(call) }
        if let path = event.path ?? event.object { words.append(printable(text(ofBytes: path))) }
        if let change = event.change { words.append(printable(change)) }
        var text = words.joined(separator: " ")
        if let rule = event.rule { text += ": " + printable(rule) }
        if !event.lost.isEmpty { text += ": " + event.lost.keys.sorted().joined(separator: ", ") }
        return text
    }

    private static func text(ofBytes bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }
}
