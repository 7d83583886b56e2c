import AccessControl
import Synchronization

/// What the rules say of clients by Kerberos, until they or the accounts change: the same clients come again and again, and
/// to ask the database takes longer than to judge one.
final class RememberedMappings: Sendable {
    /// The most clients.
    static let largestCount = 1024

    /// Compared byte by byte: texts that only look alike are other clients.
    struct Client: Hashable {
        private let realm: [UInt8]
        private let name: [UInt8]
        private let service: SID

        /// nil for clients of other kinds, of whom something else is said each time.
        init?(_ client: VerifiedClient, for service: SID) {
            guard client.kind == .kerberos else { return nil }
            (realm, name) = (Array(client.issuer.utf8), Array(client.name.utf8))
            self.service = service
        }
    }

    typealias Answer = (issuer: Issuer, rules: [MappingRule])

    private struct State {
        var answers: [Client: Answer] = [:]
        var rules: Set<Int64> = []
        var changes: UInt64 = 0
    }
    private let state = Mutex(State())

    /// The issuer and the rules of a client, read if they are not known.
    func answer(
        for client: Client?, read: () throws(Refused) -> Answer
    ) throws(Refused) -> Answer {
        guard let client else { return try read() }
        let (known, changes) = state.withLock { ($0.answers[client], $0.changes) }
        if let known { return known }
        let answer = try read()
        state.withLock { state in
            // What was read may be what was there before.
            guard state.changes == changes else { return }
            if state.answers.count >= Self.largestCount { (state.answers, state.rules) = ([:], []) }
            state.answers[client] = answer
            state.rules.formUnion(answer.rules.map(\.id))
        }
        return answer
    }

    /// Whether the rule is known to be there.
    func has(_ rule: Int64) -> Bool { state.withLock { $0.rules.contains(rule) } }

    /// To be called after each change, before anybody is told of it.
    func forget() {
        state.withLock { state in
            (state.answers, state.rules) = ([:], [])
            state.changes += 1
        }
    }
}
