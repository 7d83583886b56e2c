import CGuise

/// The identity page: shared memory in which each thread of an attached process says whose token it acts
/// under. The process writes it, the authority reads it on every trapped call, and takes nothing in it for
/// granted.
///
/// Layout, version 1, all numbers little-endian, `count` slots, a power of two from 16 to 65,536:
///
/// | offset                    | content                                                             |
/// |---------------------------|---------------------------------------------------------------------|
/// | 0                         | 8 bytes: not 0 once a task acted as a client                        |
/// | 8                         | 8 bytes: not 0 once the authority put a handle into a thread's slot |
/// | 16                        | 8 bytes: changes when the process's token does; the rest of 4,096 zero |
/// | 4,096                     | `count` thread ids, 4 bytes each, in buckets of 16; 0 = free        |
/// | 4,096 + max(4,096, 4 × count) | `count` slots of 64 bytes: the handle, the body, the thread, the intent, four words of tickets (8 bytes each) |
///
/// A thread's slot is in one of the four buckets that follow the hash of its id. Handle 0 is the process's
/// primary token. The body is 0, or the ``TaskMark/body`` of the task that stored the handle: it then counts only
/// while the thread runs tasks of that body. The thread is the inode of a pidfd of it, which no later thread of the
/// same id has; 0 leaves it at the id. The intent is 1 for backup, 2 for restore, 3 for both; it asks for what the thread's
/// token has the privileges for, and gives nothing. A word of tickets has nothing to do with the slot's thread: it is the
/// number of the lease that it stands for a ticket of, as long as that was not redeemed.
package struct IdentityPage: @unchecked Sendable {
    package static let defaultCount = 4096
    package static let largestCount = 65536
    static let header = 4096
    static let bucket = 16
    static let reach = 4

    package let base: UnsafeMutableRawPointer
    package let count: Int
    private let tids: UnsafeMutablePointer<UInt32>
    private let slots: UnsafeMutableRawPointer

    /// - Parameter base: at least ``size(count:)`` bytes, mapped as long as the value is used.
    package init(base: UnsafeMutableRawPointer, count: Int) {
        self.base = base
        self.count = count
        tids = (base + Self.header).assumingMemoryBound(to: UInt32.self)
        slots = base + Self.header + Self.tidBytes(count)
    }

    /// The number of slots for `threads` threads: a power of two with room for the hash to spread.
    package static func count(forThreads threads: Int) -> Int {
        var count = bucket
        while count < threads && count < largestCount { count *= 2 }
        return count
    }

    /// The size in bytes of a page with `count` slots.
    package static func size(count: Int) -> Int { header + tidBytes(count) + 64 * count }

    /// The number of slots in a page of `size` bytes; nil when no page has that size.
    package static func count(size: Int) -> Int? {
        var count = bucket
        while count <= largestCount {
            if Self.size(count: count) == size { return count }
            count *= 2
        }
        return nil
    }

    private static func tidBytes(_ count: Int) -> Int { max(4096, 4 * count) }

    /// Calls `body` with the index of every slot that could be the thread's, nearest first, until it is true.
    @inline(__always)
    private func probe(_ tid: UInt32, _ body: (Int) -> Bool) -> Int? {
        let buckets = count / Self.bucket
        let first = Int((tid &* 2_654_435_761) >> 8) & (buckets - 1)
        for step in 0..<min(Self.reach, buckets) {
            let start = ((first + step) & (buckets - 1)) * Self.bucket
            for index in start..<(start + Self.bucket) where body(index) { return index }
        }
        return nil
    }

    /// The slot that says it is the thread's.
    package func index(of tid: UInt32) -> Int? {
        probe(tid) { guise_tid_load(tids + $0) == tid }
    }

    /// Takes a free slot for the thread; nil when all that could be its are taken.
    ///
    /// - Parameter inode: of a pidfd of the thread; 0 when there is none.
    package func claim(_ tid: UInt32, inode: UInt64 = 0) -> Int? {
        // The thread itself and the authority may claim one at the same time. Who sees two gives its own up, and looks
        // again.
        for _ in 0..<256 {
            if let own = index(of: tid) {
                // Left behind by a thread of this id that ended without its destructors, unless the authority made it for
                // this one.
                if inode == 0 || self.inode(at: own) != inode { guise_handle_store(handle(at: own), 0) }
                prepare(own, inode)
                return own
            }
            guard let taken = probe(tid, { guise_tid_claim(tids + $0, tid) }) else { return nil }
            if probe(tid, { $0 != taken && guise_tid_load(tids + $0) == tid }) == nil {
                guise_handle_store(handle(at: taken), 0)
                prepare(taken, inode)
                return taken
            }
            guise_tid_store(tids + taken, 0)
        }
        return nil
    }

    /// Nobody asks whose the slot is before there is a handle in it.
    private func prepare(_ index: Int, _ inode: UInt64) {
        guise_handle_store(handle(at: index) + 2, inode)
        guise_handle_store(handle(at: index) + 3, 0)
    }

    /// Gives a slot back.
    package func release(_ index: Int) {
        guise_handle_store(handle(at: index), 0)
        guise_tid_store(tids + index, 0)
    }

    /// The thread id that a slot says it belongs to.
    package func tid(at index: Int) -> UInt32 { guise_tid_load(tids + index) }

    /// Whether a task acts as a client, or ever did: then a thread's slot alone does not say whose it is.
    package var hasActingTasks: Bool {
        get { guise_handle_load(base.assumingMemoryBound(to: UInt64.self)) != 0 }
        nonmutating set { guise_handle_store(base.assumingMemoryBound(to: UInt64.self), newValue ? 1 : 0) }
    }

    /// Whether the authority put a handle into a slot, or ever did: then a thread may have one that it did not claim.
    package var hasAssignedThreads: Bool {
        get { guise_handle_load(base.assumingMemoryBound(to: UInt64.self) + 1) != 0 }
        nonmutating set {
            guise_handle_store(base.assumingMemoryBound(to: UInt64.self) + 1, newValue ? 1 : 0)
        }
    }

    /// Changes whenever the process's own token does.
    package var tokenVersion: UInt64 {
        get { guise_handle_load(base.assumingMemoryBound(to: UInt64.self) + 2) }
        nonmutating set { guise_handle_store(base.assumingMemoryBound(to: UInt64.self) + 2, newValue) }
    }

    /// The inode that a slot says its thread's pidfds have; 0 when it does not say.
    package func inode(at index: Int) -> UInt64 { guise_handle_load(handle(at: index) + 2) }

    /// What a slot says its thread does its calls for: bits of `AccessIntent`, and whatever else stands there.
    package func intent(at index: Int) -> UInt64 { guise_handle_load(handle(at: index) + 3) }

    /// The number of words of tickets.
    package var ticketCount: Int { 4 * count }

    /// Says that a ticket of a lease waits to be redeemed.
    ///
    /// - Parameter number: of the lease; not 0.
    package func offerTicket(at index: Int, of number: UInt64) {
        guise_handle_store(ticket(at: index), number)
    }

    /// Takes a ticket of a lease, for good; false when it was taken.
    package func takeTicket(at index: Int, of number: UInt64) -> Bool {
        guise_handle_take(ticket(at: index), number)
    }

    /// Whether a ticket of a lease still waits to be redeemed.
    package func hasTicket(at index: Int, of number: UInt64) -> Bool {
        guise_handle_load(ticket(at: index)) == number
    }

    private func ticket(at index: Int) -> UnsafeMutablePointer<UInt64> {
        handle(at: index / 4) + 4 + index % 4
    }

    /// Where the handle of a slot lives, the body, the thread and the intent behind it.
    package func handle(at index: Int) -> UnsafeMutablePointer<UInt64> {
        (slots + 64 * index).assumingMemoryBound(to: UInt64.self)
    }
}
