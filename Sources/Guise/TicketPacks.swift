import AccessControl
import Synchronization

/// Tickets that were fetched ahead, for processes that make one call after the other.
///
/// Who asks for one gets one. Who has used up all that it got within a second gets twice as many, up to 32. What is left
/// of them is dropped after five seconds or half of their lifetime, and as soon as it is for another token than the
/// caller's: an identity counts as another one once this process has adjusted any.
enum TicketPacks {
    /// What a ticket is good for.
    struct Purpose: Hashable {
        let identity: EffectiveIdentity
        let server: String
        let level: ImpersonationLevel?
        let isEffectiveOnly: Bool
        let lifetime: Duration
    }

    enum Taken {
        case ticket([UInt8])
        /// There is none, and as many are to be asked for.
        case none(Int)
    }

    private struct Pack {
        /// Who issued it: a later authority knows none of it. A connection that nobody else keeps is not kept for it.
        weak var client: AuthorityClient?
        /// Those that are left.
        var tickets: [[UInt8]] = []
        /// How many were asked for.
        var size = 1
        /// When, in milliseconds of the steady clock.
        var time: UInt64
        /// Whether the answer has not come yet. Others ask for one ticket each meanwhile.
        var isAwaited = false

        func isOver(_ purpose: Purpose, at now: UInt64) -> Bool {
            let half = UInt64(purpose.lifetime.components.seconds) * 500
            return now >= time + min(5000, half)
        }

        mutating func take(_ purpose: Purpose, at now: UInt64) -> Taken {
            if !isOver(purpose, at: now), let ticket = tickets.popLast() { return .ticket(ticket) }
            guard !isAwaited else { return .none(1) }
            size = tickets.isEmpty && now < time + 1000 ? min(2 * size, largestSize) : 1
            (tickets, time, isAwaited) = ([], now, size > 1)
            return .none(size)
        }
    }

    /// The most tickets that are asked for at once.
    private static let largestSize = 32
    /// The most packs that are kept.
    private static let largestCount = 64
    private static let packs = Mutex<[Purpose: Pack]>([:])

    /// A ticket of a pack, or how many are to be asked for, and then kept with ``keep(_:_:on:)`` if that is more than one.
    static func take(_ purpose: Purpose, on client: AuthorityClient) -> Taken {
        let now = SteadyClock.nanoseconds / 1_000_000
        let isUsable = client.isUsable
        // In a child made by fork the lock may be held for ever, by a thread that is not there.
        let taken = packs.withLockIfAvailable { packs -> Taken in
            guard packs[purpose]?.client === client, isUsable else {
                packs[purpose] = Pack(client: client, time: now)
                makeRoom(&packs, now)
                return .none(1)
            }
            return packs[purpose]!.take(purpose, at: now)
        }
        return taken ?? .none(1)
    }

    /// Keeps what came of asking for more than one: those besides the first.
    static func keep(_ tickets: [[UInt8]], _ purpose: Purpose, on client: AuthorityClient) {
        packs.withLock { packs in
            guard packs[purpose]?.client === client else { return }
            packs[purpose]?.tickets = tickets
            packs[purpose]?.isAwaited = false
        }
    }

    private static func makeRoom(_ packs: inout [Purpose: Pack], _ now: UInt64) {
        guard packs.count > largestCount else { return }
        packs = packs.filter { !$0.value.isOver($0.key, at: now) }
        guard packs.count > largestCount, let oldest = packs.min(by: { $0.value.time < $1.value.time })?.key
        else { return }
        packs[oldest] = nil
    }
}
