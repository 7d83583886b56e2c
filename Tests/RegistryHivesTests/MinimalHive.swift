/// The smallest hive that programs of others go on from: one key, which the given descriptor protects, and room.
func minimalHive(descriptor: [UInt8], room: Int = 0x8000) -> [UInt8] {
    func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    func cell(_ content: [UInt8]) -> [UInt8] {
        let size = (content.count + 4 + 7) / 8 * 8
        return little(Int32(-size)) + content + [UInt8](repeating: 0, count: size - 4 - content.count)
    }
    let nothing = little(UInt32.max)
    let name = Array("root".utf8)
    let keySize = UInt32((4 + 76 + name.count + 7) / 8 * 8)
    let security = 0x20 + keySize

    var key = Array("nk".utf8) + little(UInt16(0x2C)) + little(UInt64(130_000_000_000_000_000))
    key += little(UInt32(0)) + little(UInt32(0)) + little(UInt32(0)) + little(UInt32(0)) + nothing + nothing
    key += little(UInt32(0)) + nothing + little(security) + nothing + [UInt8](repeating: 0, count: 20)
    key += little(UInt16(name.count)) + little(UInt16(0)) + name
    var protection = Array("sk".utf8) + [0, 0] + little(security) + little(security) + little(UInt32(1))
    protection += little(UInt32(descriptor.count)) + descriptor

    var bin = Array("hbin".utf8) + little(UInt32(0)) + little(UInt32(room)) + [UInt8](repeating: 0, count: 20)
    bin += cell(key) + cell(protection)
    bin += little(Int32(room - bin.count))
    bin += [UInt8](repeating: 0, count: room - bin.count)

    var head =
        Array("regf".utf8) + little(UInt32(1)) + little(UInt32(1)) + little(UInt64(130_000_000_000_000_000))
    head += little(UInt32(1)) + little(UInt32(3)) + little(UInt32(0)) + little(UInt32(1))
    head += little(UInt32(0x20)) + little(UInt32(room)) + little(UInt32(1))
    head += [UInt8](repeating: 0, count: 508 - head.count)
    var sum: UInt32 = 0
    for start in stride(from: 0, to: 508, by: 4) {
        sum ^= (0..<4).reduce(0) { $0 | UInt32(head[start + $1]) << (8 * UInt32($1)) }
    }
    return head + little(sum) + [UInt8](repeating: 0, count: 0x1000 - 512) + bin
}
