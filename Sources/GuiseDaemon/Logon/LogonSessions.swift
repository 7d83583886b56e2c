package import AccessControl
import Synchronization

/// One logon: what its tokens have in common, and what ends them all at once.
package struct LogonSession: Sendable, Hashable {
    /// How the logon came about.
    package enum Kind: Sendable, Hashable {
        /// The kernel vouched for a process's Unix credentials.
        case unix
        /// A service was started under its account.
        case service
        /// The account's password was said.
        case password(LogonType)
        /// A security package of that name found out who it is.
        case package(String)
    }

    /// Never reused while the authority runs; the two halves are those of the logon SID.
    package let id: UInt64
    package let user: SID
    package let kind: Kind
    /// When it began, in milliseconds since 1970.
    package var since: UInt64 = 0
    /// The session that the password was said in.
    package var creator: UInt64?
    /// The mapping rule by which it came about.
    package var rule: Int64?
    /// When it ends by itself, in milliseconds since 1970.
    package var expiry: UInt64?

    fileprivate var hasExpired: Bool { expiry.map { $0 <= WallClock.milliseconds } ?? false }

    /// `S-1-5-5-x-y`.
    package var sid: SID { .logonSession(id) }
}

/// What a logon by password is for, as `LogonUser` has it (`LOGON32_LOGON_…`).
package enum LogonType: Sendable, Hashable {
    case interactive, network, batch, service

    /// The group that says so in the token.
    var sid: SID {
        switch self {
        case .interactive: .interactive
        case .network: .network
        case .batch: .batch
        case .service: .service
        }
    }
}

/// The logon sessions that are alive. Every decision asks for one: they are spread by their numbers, so that threads that
/// ask for different ones hardly ever meet at a lock.
package final class LogonSessions: Sendable {
    private final class Shard: Sendable { let alive = Mutex<[UInt64: LogonSession]>([:]) }

    private let shards = (0..<64).map { _ in Shard() }
    // Random, so that a number kept from an earlier run names no session of this one. Numbers below 2³² are left to the
    // fixed sessions of Windows (0x3e7 and its kin).
    private let next = Atomic<UInt64>(.random(in: (1 << 32)..<(1 << 62)))
    /// What processes may redeem by themselves; each ends with its client's session.
    let leases = TicketLeases()

    package init() {}

    private func shard(of id: UInt64) -> Shard { shards[Int(id % UInt64(shards.count))] }

    /// Starts a session.
    ///
    /// - Parameters:
    ///   - creator: the session that it was made in, for a logon by password.
    ///   - rule: the mapping rule by which it came about.
    ///   - expiry: when it ends by itself, in milliseconds since 1970.
    package func begin(
        user: SID, kind: LogonSession.Kind, creator: UInt64? = nil, rule: Int64? = nil, expiry: UInt64? = nil
    ) -> LogonSession {
        let session = LogonSession(
            id: next.add(1, ordering: .relaxed).oldValue, user: user, kind: kind,
            since: WallClock.milliseconds, creator: creator, rule: rule, expiry: expiry)
        shard(of: session.id).alive.withLock { $0[session.id] = session }
        return session
    }

    /// Whether the session has not ended. Asked for every decision.
    package func isAlive(_ id: UInt64) -> Bool {
        shard(of: id).alive.withLock { alive in
            // In place: a copy of it would count its references.
            alive.index(forKey: id).map { !alive.values[$0].hasExpired } ?? false
        }
    }

    /// The session, as long as it is alive.
    package func session(_ id: UInt64) -> LogonSession? {
        shard(of: id).alive.withLock { $0[id].flatMap { $0.hasExpired ? nil : $0 } }
    }

    /// Every session that is alive, the oldest first.
    package func list() -> [LogonSession] {
        shards.flatMap { $0.alive.withLock { $0.values.filter { !$0.hasExpired } } }.sorted { $0.id < $1.id }
    }

    /// Ends a session: every later decision with one of its tokens fails.
    ///
    /// - Returns: whether it was alive.
    @discardableResult
    package func end(_ id: UInt64) -> Bool {
        let wasAlive = shard(of: id).alive.withLock { $0.removeValue(forKey: id) != nil }
        leases.end(session: id)
        return wasAlive
    }

    /// Ends every session of a user, for instance of an account that was removed.
    ///
    /// - Returns: the sessions that ended.
    @discardableResult
    package func end(user: SID) -> [LogonSession] { end { $0.user == user } }

    /// Ends every session that came about by one of these mapping rules.
    @discardableResult
    package func end(rules: Set<Int64>) -> [LogonSession] {
        end { $0.rule.map(rules.contains) ?? false }
    }

    private func end(where condition: (LogonSession) -> Bool) -> [LogonSession] {
        let ended = shards.flatMap { shard in
            shard.alive.withLock { alive in
                let ended = alive.values.filter(condition)
                for session in ended { alive[session.id] = nil }
                return ended
            }
        }
        for session in ended { leases.end(session: session.id) }
        return ended.sorted { $0.id < $1.id }
    }
}
