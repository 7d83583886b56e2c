import AccessControl
import Foundation
import Guise

/// Tickets, asked for and redeemed.
extension Session {
    func tickets(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "ticket-issue":
            // ticket-issue SERVER [level LEVEL] [effective] [lifetime SECONDS]
            func word(after word: String) -> String? { words.firstIndex(of: word).map { words[$0 + 1] } }
            let ticket = try Ticket.issue(
                for: words[1], level: word(after: "level").flatMap { ImpersonationLevel(word: $0) },
                effectiveOnly: words.contains("effective"),
                lifetime: .seconds(word(after: "lifetime").flatMap(Int.init) ?? 30))
            return .value(ticket.bytes.map { String(format: "%02x", $0) }.joined() + " \(ticket.level.word)")
        case "ticket-flood":
            // How many tickets for SERVER could be had, and what was thrown then.
            var count = 0
            do {
                while count < Int(words[2])! {
                    _ = try Ticket.issue(for: words[1], lifetime: .seconds(300))
                    count += 1
                }
                return .value("\(count)")
            } catch {
                return .value("\(count) \(Mirror(reflecting: error).children.first?.label ?? "?")")
            }
        case "ticket-redeem":
            // From now on it is this session's client.
            let digits = Array(words.count > 1 ? words[1] : "")
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).map {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)!
            }
            let client = try Connection(redeeming: bytes)
            revertToSelf()
            connection = client
            return .value("\(client.level.word) \(client.peer.process ?? 0)")
        default:
            return nil
        }
    }
}
