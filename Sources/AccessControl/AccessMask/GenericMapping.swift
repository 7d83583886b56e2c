/// What the four generic rights mean for one kind of object (`GENERIC_MAPPING`).
public struct GenericMapping: Hashable, Sendable {
    /// What GENERIC_READ stands for.
    public var read: UInt32
    /// What GENERIC_WRITE stands for.
    public var write: UInt32
    /// What GENERIC_EXECUTE stands for.
    public var execute: UInt32
    /// What GENERIC_ALL stands for.
    public var all: UInt32

    /// Makes a mapping; the four masks hold standard and specific rights only.
    public init(read: UInt32, write: UInt32, execute: UInt32, all: UInt32) {
        (self.read, self.write, self.execute, self.all) = (read, write, execute, all)
    }

    /// Replaces the generic bits of `mask` by what they stand for (`MapGenericMask`).
    @inlinable @inline(__always)
    public func map(_ mask: UInt32) -> UInt32 {
        guard mask & 0xf000_0000 != 0 else { return mask }
        var out = mask & 0x0fff_ffff
        if mask & 0x8000_0000 != 0 { out |= read }
        if mask & 0x4000_0000 != 0 { out |= write }
        if mask & 0x2000_0000 != 0 { out |= execute }
        if mask & 0x1000_0000 != 0 { out |= all }
        return out
    }
}
