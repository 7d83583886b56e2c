import Foundation

/// A record of the audit.
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
    let target: String?
    let object: String?
    let outcome: String?
    let wanted: [String]?
    let refused: [String]?
    let granted: [String]?
    let privileges: [String]?
    let change: String?
    let rule: String?
    let count: Int?
    let lost: [String: [String: Int]]?
}

extension Stage {
    var auditPath: String { directory + "/state/audit.log" }

    /// The lines of the audit that are written so far, the newest file's.
    var auditLines: [Substring] {
        let text = (try? String(contentsOfFile: auditPath, encoding: .utf8)) ?? ""
        return text.split(separator: "\n")
    }

    /// The whole lines among them, read.
    var audit: [AuditRecord] {
        auditLines.compactMap { try? JSONDecoder().decode(AuditRecord.self, from: Data($0.utf8)) }
    }

    /// Waits until there is a record of an event whose line has all of the words in it.
    func waitForAudit(_ event: String, _ words: String..., seconds: Double = 5) throws {
        try eventually("a record of \(event) with \(words); there is \(auditLines)", seconds: seconds) {
            auditLines.contains { line in
                line.contains("\"event\":\"\(event)\"") && words.allSatisfy { line.contains($0) }
            }
        }
    }

    /// Waits until there is a record that fits, and returns the last one that does.
    @discardableResult
    func waitForRecord(
        _ event: String, seconds: Double = 5, where fits: (AuditRecord) -> Bool = { _ in true }
    ) throws -> AuditRecord {
        var found: AuditRecord?
        try eventually("a record of \(event); there is \(auditLines.suffix(20))", seconds: seconds) {
            found = audit.last { $0.event == event && fits($0) }
            return found != nil
        }
        return found!
    }
}
