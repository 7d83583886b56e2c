/// The SIDs of a token by hash, so that judging an entry costs one look-up, however many groups there are.
///
/// Every SID that the token has in any role is in one open-addressed table, with one bit for each role. The
/// memory is flat and never changes after `init`; freeing it is the reason why this is a class.
final class SIDTable: @unchecked Sendable {
    /// In which roles a SID matches.
    struct Roles: OptionSet, Hashable, Sendable {
        let rawValue: UInt32
        /// The user or an enabled group: matches allow entries.
        static let allow = Roles(rawValue: 1)
        /// The user, an enabled group or a deny-only one: matches deny entries.
        static let deny = Roles(rawValue: 2)
        /// A restricting SID.
        static let restricting = Roles(rawValue: 4)
        /// The app container's package SID, a capability, or a group of all packages.
        static let confinement = Roles(rawValue: 8)
        /// A group of the device, enabled.
        static let device = Roles(rawValue: 16)
    }

    private struct Slot {
        /// The hash; 0 marks a free slot.
        var hash: UInt64
        var roles: UInt32
        var index: UInt32
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let sids: UnsafeMutablePointer<SID>
    private let mask: Int
    private let count: Int

    init(_ members: [(SID, Roles)]) {
        var merged: [SID: UInt32] = [:]
        var order: [SID] = []
        for (sid, roles) in members where !roles.isEmpty {
            if merged[sid] == nil { order.append(sid) }
            merged[sid, default: 0] |= roles.rawValue
        }
        var capacity = 8
        while capacity < order.count * 3 { capacity *= 2 }
        mask = capacity - 1
        count = order.count
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(hash: 0, roles: 0, index: 0), count: capacity)
        sids = .allocate(capacity: max(order.count, 1))
        for (index, sid) in order.enumerated() {
            (sids + index).initialize(to: sid)
            let hash = Self.hash(sid)
            var position = Int(truncatingIfNeeded: hash) & mask
            while slots[position].hash != 0 { position = (position + 1) & mask }
            slots[position] = Slot(hash: hash, roles: merged[sid] ?? 0, index: UInt32(index))
        }
    }

    deinit {
        sids.deinitialize(count: count)
        sids.deallocate()
        slots.deallocate()
    }

    /// The roles of a SID within validated bytes; empty if the token does not have it.
    @inline(__always) func roles(of sid: RawSID) -> Roles {
        let hash = Self.hash(sid)
        var position = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = slots[position]
            if slot.hash == hash, sid == sids[Int(slot.index)] { return Roles(rawValue: slot.roles) }
            if slot.hash == 0 { return [] }
            position = (position + 1) & mask
        }
    }

    /// The roles of a SID; empty if the token does not have it.
    func roles(of sid: SID) -> Roles {
        let hash = Self.hash(sid)
        var position = Int(truncatingIfNeeded: hash) & mask
        while slots[position].hash != 0 {
            if slots[position].hash == hash, sids[Int(slots[position].index)] == sid {
                return Roles(rawValue: slots[position].roles)
            }
            position = (position + 1) & mask
        }
        return []
    }

    // The products do not wait for each other, which is what makes a hash of three words cheap. Who can choose
    // SIDs so that they collide gains nothing: a look-up compares whole SIDs, and chains are as short as the
    // token's own SIDs make them.

    @inline(__always) private static func hash(_ sid: RawSID) -> UInt64 {
        let head = sid.head
        let count = Int(truncatingIfNeeded: head >> 8) & 0xff
        var sum = head &* factor
        var next = factor &* factor
        for index in 0..<count >> 1 {
            sum = sum &+ sid.word(at: index) &* next
            next = next &* factor
        }
        if count & 1 != 0 { sum = sum &+ UInt64(sid.subAuthority(at: count - 1)) &* next }
        return finish(sum)
    }

    private static func hash(_ sid: SID) -> UInt64 {
        var sum = sid.head &* factor
        var next = factor &* factor
        for index in 0..<(sid.subAuthorityCount + 1) >> 1 {
            sum = sum &+ sid.tail[index] &* next
            next = next &* factor
        }
        return finish(sum)
    }

    @inline(__always) private static var factor: UInt64 { 0x9e37_79b9_7f4a_7c15 }

    @inline(__always) private static func finish(_ sum: UInt64) -> UInt64 {
        let mixed = (sum ^ sum >> 32) &* 0xd6e8_feb8_6659_fd93
        return mixed ^ mixed >> 32 | 1 << 63
    }
}
