// Views into a descriptor's bytes after they were validated: no bounds are checked again below this line of
// defence, so these types are made only by `SecurityDescriptorView`.

/// A SID within validated bytes.
struct RawSID {
    let start: UnsafeRawPointer

    @inline(__always) var head: UInt64 { UInt64(littleEndian: start.loadUnaligned(as: UInt64.self)) }
    @inline(__always) var subAuthorityCount: Int { Int(start.load(fromByteOffset: 1, as: UInt8.self)) }
    @inline(__always) var byteCount: Int { 8 + 4 * subAuthorityCount }

    @inline(__always) func subAuthority(at index: Int) -> UInt32 {
        UInt32(littleEndian: start.loadUnaligned(fromByteOffset: 8 + 4 * index, as: UInt32.self))
    }

    /// The pair of sub-authorities 2·index and 2·index + 1, which must both be there.
    @inline(__always) func word(at index: Int) -> UInt64 {
        UInt64(littleEndian: start.loadUnaligned(fromByteOffset: 8 + 8 * index, as: UInt64.self))
    }

    /// The same SID as a value of its own.
    var copied: SID { SID(validated: self) }

    @inline(__always) static func == (raw: RawSID, sid: SID) -> Bool {
        let head = raw.head
        guard head == sid.head else { return false }
        let count = Int(truncatingIfNeeded: head >> 8) & 0xff
        for index in 0..<count >> 1 where raw.word(at: index) != sid.tail[index] { return false }
        return count & 1 == 0 || UInt64(raw.subAuthority(at: count - 1)) == sid.tail[count >> 1]
    }
}

extension SID {
    init(validated raw: RawSID) {
        head = raw.head
        var tail = InlineArray<8, UInt64>(repeating: 0)
        for index in 0..<raw.subAuthorityCount {
            tail[index >> 1] |= UInt64(raw.subAuthority(at: index)) << (UInt64(index & 1) * 32)
        }
        self.tail = tail
    }
}

/// An entry within validated bytes.
struct RawACE {
    let start: UnsafeRawPointer

    @inline(__always) var type: ACEType { ACEType(rawValue: start.load(as: UInt8.self)) }
    @inline(__always) var flags: ACEFlags {
        ACEFlags(rawValue: start.load(fromByteOffset: 1, as: UInt8.self))
    }
    @inline(__always) var size: Int {
        Int(UInt16(littleEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
    }
    @inline(__always) var mask: UInt32 { word(4) }

    /// For object types: which GUIDs are there.
    @inline(__always) var objectFlags: UInt32 { word(8) }

    var objectType: GUID? {
        objectFlags & 1 == 0 ? nil : GUID(UnsafeRawBufferPointer(start: start, count: size), at: 12)
    }
    var inheritedObjectType: GUID? {
        let flags = objectFlags
        guard flags & 2 != 0 else { return nil }
        return GUID(UnsafeRawBufferPointer(start: start, count: size), at: flags & 1 == 0 ? 12 : 28)
    }

    /// Where the SID starts; the layout must not be opaque.
    @inline(__always) var sidOffset: Int {
        guard type.layout == .object else { return 8 }
        let flags = objectFlags
        return 12 + Int(flags & 1) << 4 + Int(flags >> 1 & 1) << 4
    }
    @inline(__always) var sid: RawSID { RawSID(start: start + sidOffset) }

    /// What follows the SID.
    var applicationData: UnsafeRawBufferPointer {
        let offset = sidOffset + sid.byteCount
        return UnsafeRawBufferPointer(start: start + offset, count: size - offset)
    }

    @inline(__always) private func word(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}

/// A list within validated bytes.
struct RawACL {
    let start: UnsafeRawPointer

    @inline(__always) var size: Int {
        Int(UInt16(littleEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
    }
    @inline(__always) var count: Int {
        Int(UInt16(littleEndian: start.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
    }

    /// Walks the entries in order.
    @inline(__always) func makeCursor() -> Cursor { Cursor(position: start + 8, remaining: count) }

    struct Cursor {
        var position: UnsafeRawPointer
        var remaining: Int

        @inline(__always) mutating func next() -> RawACE? {
            guard remaining > 0 else { return nil }
            remaining -= 1
            let ace = RawACE(start: position)
            position += ace.size
            return ace
        }
    }
}
