import Foundation
import ToolSupport

/// A line of the audit log, read; docs/audit.md says what the fields are.
struct AuditRecord: Decodable {
    let time: String
    let event: String
    let service: String?
    let pid: Int32?
    let tid: Int32?
    let user: String?
    let userName: String?
    let level: String?
    let client: Int32?
    let by: String?
    let byName: String?
    let call: String?
    let path: String?
    let pathHex: String?
    let pathLength: Int?
    let target: String?
    let targetHex: String?
    let targetLength: Int?
    let object: String?
    let objectHex: String?
    let objectLength: Int?
    let outcome: String?
    let wanted: [String]?
    let refused: [String]?
    let granted: [String]?
    let privileges: [String]?
    let change: String?
    let rule: String?
    let count: UInt64?
    let until: String?
    let lost: [String: [String: UInt64]]?

    /// nil: the line is no record.
    init?(line: some DataProtocol) {
        guard let record = try? JSONDecoder().decode(Self.self, from: Data(line)),
            Moment(parsing: record.time) != nil
        else { return nil }
        self = record
    }

    var moment: Moment { Moment(parsing: time) ?? .now }

    /// The paths' exact bytes.
    var paths: [[UInt8]] {
        [(path, pathHex), (object, objectHex), (target, targetHex)].compactMap { text, digits in
            digits.map(Self.bytes) ?? text.map { Array($0.utf8) }
        }
    }

    private static func bytes(_ digits: String) -> [UInt8] {
        let digits = Array(digits.utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16) ?? 0
        }
    }

    // MARK: For people

    static let header = columns("TIME", "EVENT", "SERVICE", "PID/TID", "USER") + "WHAT"

    private static func columns(_ cells: String...) -> String {
        zip(cells, [23, 20, 12, 13, 14]).map { cell, width in
            cell + String(repeating: " ", count: max(0, width - cell.count)) + "  "
        }.joined()
    }

    /// One line: when, what, where, who, and the rest in words.
    var text: String {
        let process = pid.map { pid in tid.map { "\(pid)/\($0)" } ?? "\(pid)" } ?? "-"
        let who = userName ?? user ?? byName ?? by ?? "-"
        let line =
            Self.columns(moment.precise, visible(event), visible(service ?? "-"), process, visible(who))
            + visible(details)
        return colour.map { Terminal.painted(line, $0) } ?? line
    }

    private var colour: Terminal.Colour? {
        switch event {
        case "access-denied", "impersonation-refused", "logon-failed", "root-unavailable", "events-lost": .red
        case "privilege-used", "access-audited": .yellow
        default: nil
        }
    }

    private static func cut(_ length: Int?) -> String { length.map { "… (\($0) bytes)" } ?? "" }

    private var details: String {
        var words: [String] = []
        if let call { words.append(call) }
        if let path {
            words.append(path + Self.cut(pathLength))
        } else if let object {
            words.append(object + Self.cut(objectLength))
        }
        if let target { words.append("to " + target + Self.cut(targetLength)) }
        if let outcome { words.append(outcome) }
        if let change { words.append(change) }
        if let privileges { words.append(privileges.joined(separator: ", ")) }
        if let wanted { words.append("wanted " + wanted.joined(separator: ", ")) }
        if let level { words.append("at " + level) }
        if let client { words.append("client \(client)") }
        if user != nil, let by = byName ?? by { words.append("by " + by) }
        if let lost {
            words += lost.sorted { $0.key < $1.key }.map { payer, counts in
                payer + ": "
                    + counts.sorted { $0.key < $1.key }.map { "\($1) \($0)" }.joined(separator: ", ")
            }
        }
        if let count, count > 1 { words.append("(\(count) times)") }
        return words.joined(separator: " ") + (rule.map { (words.isEmpty ? "" : ": ") + $0 } ?? "")
    }
}
