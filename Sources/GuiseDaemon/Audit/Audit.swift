import AccessControl
import Glibc
import Synchronization

/// Where events wait to be written, from whoever decides to the one thread that writes (``AuditWriter``).
///
/// Recording never waits for a disk and takes bounded memory. A payer (a service, or a user's processes) that has
/// more to tell than its share has it told by count: events that are alike become one record a second. What does not
/// fit even so is counted, and the counts go on record.
package final class Audit: Sendable {
    struct Limits {
        /// Bytes of memory for all events that wait, and a payer's part of them.
        var size = 16 << 20
        var sizePerPayer = 4 << 20
        /// Records that a payer has at once, and for each second after.
        var burst = 8192.0
        var rate = 300.0
        /// The same for the events about one user among a payer's.
        var burstPerUser = 3072.0
        var ratePerUser = 100.0
        /// Records that stand for many events, of one payer in a second.
        var summaries = 256
        /// Payers, and users of a payer, that are told apart at once.
        var payers = 1024
    }

    /// What was taken to be written.
    struct Taken {
        var events: [AuditEvent] = []
        var lost: AuditLosses = [:]
        /// Whether there is more to come that nobody rings for.
        var hasSummaries = false
    }

    /// How much somebody may still record: tokens that come back with time.
    private struct Allowance {
        var tokens: Double
        var time: UInt64

        init(_ burst: Double, _ now: UInt64) { (tokens, time) = (burst, now) }

        mutating func refill(_ burst: Double, _ rate: Double, _ now: UInt64) {
            // Read before the lock was held: another thread's may be later.
            guard now > time else { return }
            tokens = min(burst, tokens + rate * Double(now - time) / 1000)
            time = now
        }
    }

    private struct Share {
        var allowance: Allowance
        var users: [SID?: Allowance] = [:]
        var size = 0
        var summaries: [AuditEvent.Likeness: AuditEvent] = [:]
    }

    private struct State {
        var events: [AuditEvent] = []
        var size = 0
        var shares: [String: Share] = [:]
        var lost: AuditLosses = [:]
        var writerSleeps = false
        var isClosed = false
    }

    private let limits: Limits
    private let clock: @Sendable () -> UInt64
    private let state = Mutex(State())
    private let bell: Semaphore?
    private let defectText = Mutex<String?>(nil)

    package convenience init() { self.init(Limits()) }

    /// - Parameter clock: milliseconds that only rise.
    init(_ limits: Limits, clock: @escaping @Sendable () -> UInt64 = { WallClock.steadyMilliseconds }) {
        self.limits = limits
        self.clock = clock
        bell = Semaphore()
    }

    /// What keeps records from being written right now, one sentence; nil: nothing.
    var defect: String? {
        get { defectText.withLock { $0 } }
        set { defectText.withLock { $0 = newValue } }
    }

    /// Puts an event on record. From any thread; takes a microsecond and waits for nobody.
    package func record(_ event: AuditEvent) {
        var event = event
        event.time = WallClock.milliseconds
        event.shorten()
        let now = clock()
        let rings = state.withLock { state in
            take(event, now, &state)
            defer { state.writerSleeps = false }
            return state.writerSleeps
        }
        if rings { bell?.signal() }
    }

    private func take(_ event: AuditEvent, _ now: UInt64, _ state: inout State) {
        let payer = payer(of: event, now, &state)
        // Taken out meanwhile, so that it is changed in place.
        var share = state.shares.removeValue(forKey: payer) ?? Share(allowance: Allowance(limits.burst, now))
        defer { state.shares[payer] = share }
        let size = event.size
        // However many pay, there is room left for who has not said anything yet.
        let hasRoom = share.size + size <= min(limits.sizePerPayer, (limits.size - state.size) / 2)
        if hasRoom, spend(event.user, now, &share) {
            state.events.append(event)
        } else if var summary = share.summaries[event.likeness] {
            summary.count += 1
            summary.until = event.time
            share.summaries[event.likeness] = summary
            return
        } else if hasRoom, share.summaries.count < limits.summaries {
            share.summaries[event.likeness] = event
        } else {
            state.lost[payer, default: [:]][event.kind, default: 0] += 1
            return
        }
        state.size += size
        share.size += size
    }

    /// Past as many as are told apart they share one share.
    private func payer(of event: AuditEvent, _ now: UInt64, _ state: inout State) -> String {
        let payer = event.payer
        guard state.shares[payer] == nil, state.shares.count >= limits.payers else { return payer }
        for (key, var share) in state.shares where share.size == 0 {
            share.allowance.refill(limits.burst, limits.rate, now)
            if share.allowance.tokens >= limits.burst { state.shares[key] = nil }
        }
        return state.shares.count < limits.payers ? payer : "*"
    }

    /// Takes what one record costs from the payer and from its user; false: one of them has not got it.
    private func spend(_ user: SID?, _ now: UInt64, _ share: inout Share) -> Bool {
        var user = user
        if share.users[user] == nil, share.users.count >= limits.payers {
            let (burst, rate) = (limits.burstPerUser, limits.ratePerUser)
            share.users = share.users.filter { _, allowance in
                var allowance = allowance
                allowance.refill(burst, rate, now)
                return allowance.tokens < burst
            }
            if share.users.count >= limits.payers { user = nil }
        }
        var own = share.users[user] ?? Allowance(limits.burstPerUser, now)
        own.refill(limits.burstPerUser, limits.ratePerUser, now)
        share.allowance.refill(limits.burst, limits.rate, now)
        let isEnough = own.tokens >= 1 && share.allowance.tokens >= 1
        if isEnough {
            own.tokens -= 1
            share.allowance.tokens -= 1
        }
        share.users[user] = own
        return isEnough
    }

    // MARK: The writer's end

    /// Takes what waits.
    ///
    /// - Parameter withSummaries: what stands for many events, too.
    func take(withSummaries: Bool) -> Taken {
        state.withLock { state in
            var taken = Taken()
            swap(&taken.events, &state.events)
            swap(&taken.lost, &state.lost)
            state.size = 0
            for (payer, share) in state.shares where share.size > 0 {
                if withSummaries {
                    taken.events += share.summaries.values
                    state.shares[payer]?.summaries = [:]
                    state.shares[payer]?.size = 0
                } else {
                    let size = share.summaries.values.reduce(0) { $0 + $1.size }
                    state.shares[payer]?.size = size
                    state.size += size
                    taken.hasSummaries = taken.hasSummaries || size > 0
                }
            }
            return taken
        }
    }

    /// Waits until there is something to take.
    ///
    /// - Parameter milliseconds: no longer than that; -1: for ever.
    func wait(milliseconds: Int32) {
        let sleeps = state.withLock { state in
            // What is held back as summaries is looked at soon, and rings for nobody.
            state.writerSleeps =
                state.events.isEmpty && state.lost.isEmpty && !state.isClosed
                && (milliseconds >= 0 || state.size == 0)
            return state.writerSleeps
        }
        guard sleeps else { return }
        // Without a bell, for want of descriptors, somebody has to look.
        if let bell { bell.wait(milliseconds: milliseconds) } else { usleep(50_000) }
        state.withLock { $0.writerSleeps = false }
    }

    /// Nothing is recorded any more that the writer would have to wait for.
    func close() {
        state.withLock { $0.isClosed = true }
        bell?.signal()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }
}
