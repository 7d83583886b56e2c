import AccessControl
import Foundation
import Guise

/// Tickets, asked for and redeemed.
extension Session {
    func tickets(_ words: [String]) throws -> Outcome? {
        func word(after word: String) -> String? { words.firstIndex(of: word).map { words[$0 + 1] } }
        switch words[0] {
        case "ticket-issue":
            // ticket-issue SERVER [level LEVEL] [effective] [lifetime SECONDS]
            let ticket = try Ticket.issue(
                for: words[1], level: word(after: "level").flatMap { ImpersonationLevel(word: $0) },
                effectiveOnly: words.contains("effective"),
                lifetime: .seconds(word(after: "lifetime").flatMap(Int.init) ?? 30))
            return .value(ticket.bytes.map { String(format: "%02x", $0) }.joined() + " \(ticket.level.word)")
        case "ticket-next":
            // ticket-next SERVER COUNT [level LEVEL] [effective] [lifetime SECONDS], one after the other, as the process
            let level = word(after: "level").flatMap { ImpersonationLevel(word: $0) }
            let lifetime = word(after: "lifetime").flatMap(Int.init) ?? 30
            let tickets = try awaited {
                var tickets: [String] = []
                for _ in 0..<Int(words[2])! {
                    let ticket = try await Ticket.next(
                        for: words[1], level: level, effectiveOnly: words.contains("effective"),
                        lifetime: .seconds(lifetime), runtimeDirectory: nil)
                    tickets.append(ticket.map { String(format: "%02x", $0) }.joined())
                }
                return tickets
            }
            return .value(tickets.joined(separator: " "))
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
