/// What a pass over a DACL has decided so far. The pass is written once; the tallies differ in what they keep:
/// bits alone, bits for each node of an object tree, or bits with the reasons.
protocol Tally {
    /// Those of `bits` that are not decided everywhere yet.
    func undecided(_ bits: UInt32) -> UInt32
    /// Grants `bits` where nothing was decided.
    mutating func allow(_ bits: UInt32, by reason: Reason)
    /// Refuses `bits` where nothing was decided.
    mutating func deny(_ bits: UInt32, by reason: Reason)
    /// Grants `bits` by an object entry, on the objects it is for.
    mutating func allow(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason)
    /// Refuses `bits` by an object entry, on the objects it is for.
    mutating func deny(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason)
    /// Keeps what `other` grants too, and `kept` in any case.
    mutating func intersect(with other: Self, keeping kept: UInt32, layer: Layer)
}

/// What decided a bit within one pass.
enum Reason: Hashable, Sendable {
    /// The entry at this index.
    case entry(Int)
    /// The owner's implicit rights.
    case owner
    /// There is no DACL.
    case nullDACL
}

/// A pass that took away what the first one had granted.
enum Layer: Hashable, Sendable {
    case restricting
    case confinement
    /// The rule at this index of the policy at this index; the rule is -1 for a policy that is not known.
    case policy(Int, rule: Int)
}

/// Bits alone: what a decision needs.
struct FlatTally: Tally {
    var granted: UInt32 = 0
    var denied: UInt32 = 0

    @inline(__always) init() {}

    @inline(__always) func undecided(_ bits: UInt32) -> UInt32 { bits & ~(granted | denied) }
    @inline(__always) mutating func allow(_ bits: UInt32, by reason: Reason) { granted |= bits & ~denied }
    @inline(__always) mutating func deny(_ bits: UInt32, by reason: Reason) { denied |= bits & ~granted }

    // Without an object tree nothing is known of classes and properties: a grant for one of them is none, a
    // refusal is a whole one.

    @inline(__always) mutating func allow(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason) {
        if ace.objectFlags & 1 == 0 { allow(bits, by: reason) }
    }
    @inline(__always) mutating func deny(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason) {
        deny(bits, by: reason)
    }
    @inline(__always) mutating func intersect(with other: Self, keeping kept: UInt32, layer: Layer) {
        granted &= other.granted | kept
    }
}

/// Bits with the reasons: what an explanation needs.
struct RecordingTally: Tally {
    private(set) var flat = FlatTally()
    /// What decided each bit first.
    private(set) var reasons: [Reason?] = Array(repeating: nil, count: 32)
    /// What took a granted bit away.
    private(set) var layers: [Layer?] = Array(repeating: nil, count: 32)

    func undecided(_ bits: UInt32) -> UInt32 { flat.undecided(bits) }

    mutating func allow(_ bits: UInt32, by reason: Reason) {
        note(flat.undecided(bits), reason)
        flat.allow(bits, by: reason)
    }
    mutating func deny(_ bits: UInt32, by reason: Reason) {
        note(flat.undecided(bits), reason)
        flat.deny(bits, by: reason)
    }
    mutating func allow(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason) {
        if ace.objectFlags & 1 == 0 { allow(bits, by: reason) }
    }
    mutating func deny(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason) { deny(bits, by: reason) }

    mutating func intersect(with other: Self, keeping kept: UInt32, layer: Layer) {
        let before = flat.granted
        flat.intersect(with: other.flat, keeping: kept, layer: layer)
        for bit in 0..<32 where (before & ~flat.granted) >> UInt32(bit) & 1 != 0 { layers[bit] = layer }
    }

    private mutating func note(_ bits: UInt32, _ reason: Reason) {
        for bit in 0..<32 where bits >> UInt32(bit) & 1 != 0 { reasons[bit] = reason }
    }
}
