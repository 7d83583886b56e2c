/// Windows' western code page, in which the files of Windows 9x are written.
enum Windows1252 {
    /// 0x80 to 0x9F; from 0xA0 on it is Latin-1. The five that it leaves undefined are as Windows reads them.
    private static let upper: [UInt16] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152,
        0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122,
        0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
    ]

    /// The UTF-16 unit of a byte.
    static func unit(_ byte: UInt8) -> UInt16 {
        (0x80...0x9F).contains(byte) ? upper[Int(byte) - 0x80] : UInt16(byte)
    }

    static func utf8(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(where: { $0 >= 0x80 }) else { return bytes }
        return Array(String(decoding: bytes.map(unit), as: UTF16.self).utf8)
    }
}
