/// A set of privileges, one bit each.
public struct PrivilegeSet: Hashable, Sendable, ExpressibleByArrayLiteral {
    /// The bits; bit n is the privilege with LUID n.
    public private(set) var bits: UInt64

    /// The set with these bits; bits that name no known privilege are dropped.
    public init(bits: UInt64) { self.bits = bits & Self.known }

    /// The empty set.
    @inline(__always) public init() { bits = 0 }

    /// The set of these privileges.
    public init(_ privileges: some Sequence<Privilege>) {
        self.init()
        for privilege in privileges { insert(privilege) }
    }

    /// The set of these privileges.
    public init(arrayLiteral elements: Privilege...) { self.init(elements) }

    /// Every known privilege.
    public static let all = PrivilegeSet(bits: known)
    private static let known: UInt64 = (1 << 37) - 4 | 1 << UInt64(Privilege.bindPrivilegedPort.rawValue)

    /// Whether no privilege is in the set.
    public var isEmpty: Bool { bits == 0 }
    /// Whether `privilege` is in the set.
    @inline(__always)
    public func contains(_ privilege: Privilege) -> Bool { bits >> UInt64(privilege.rawValue) & 1 != 0 }
    /// Adds `privilege`.
    public mutating func insert(_ privilege: Privilege) { bits |= 1 << UInt64(privilege.rawValue) }
    /// Takes `privilege` out.
    public mutating func remove(_ privilege: Privilege) { bits &= ~(1 << UInt64(privilege.rawValue)) }
    /// The privileges in either set.
    public func union(_ other: Self) -> Self { Self(bits: bits | other.bits) }
    /// The privileges in both sets.
    public func intersection(_ other: Self) -> Self { Self(bits: bits & other.bits) }
    /// The privileges of this set that are not in `other`.
    public func subtracting(_ other: Self) -> Self { Self(bits: bits & ~other.bits) }
    /// Whether every privilege of this set is in `other`.
    public func isSubset(of other: Self) -> Bool { bits & ~other.bits == 0 }
}

extension PrivilegeSet: Sequence {
    /// Walks the privileges in the order of their numbers.
    public struct Iterator: IteratorProtocol {
        var bits: UInt64

        /// The next privilege.
        public mutating func next() -> Privilege? {
            guard bits != 0 else { return nil }
            let number = UInt32(bits.trailingZeroBitCount)
            bits &= bits - 1
            return Privilege(rawValue: number)
        }
    }

    /// Starts at the lowest number.
    public func makeIterator() -> Iterator { Iterator(bits: bits) }
}

extension PrivilegeSet: CustomStringConvertible {
    /// The names, separated by commas.
    public var description: String { "[" + map(\.name).joined(separator: ", ") + "]" }
}
