import Glibc
import Testing

@testable import GuiseDaemon

@Suite("The address of a Unix socket")
struct UnixAddressTests {
    private let family = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) }

    private func read(_ bytes: [UInt8]) -> UnixAddress? { try? UnixAddress(bytes) }

    @Test("is a path up to its first zero byte or its end")
    func paths() {
        let text = Array("/run/socket".utf8)
        for tail: [UInt8] in [[], [0], [0, 1, 2]] {
            #expect(read(family + text + tail)?.spelled == text)
        }
        let long = [UInt8](repeating: 0x61, count: 108)
        #expect(read(family + long)?.spelled?.count == 108)
        #expect(read(family + long + [0]) == nil)
    }

    @Test("is abstract after a zero byte, and nothing or none without a name")
    func others() {
        #expect(read(family + [0]) == .abstract([]))
        #expect(read(family + [0] + Array("name".utf8)) == .abstract(Array("name".utf8)))
        #expect(read(family) == .unnamed)
        #expect(read([0, 0]) == .unspecified)
    }

    @Test("of another family, or cut short, is none")
    func wrong() {
        for bytes: [UInt8] in [[], [family[0]], [2, 0, 0, 80, 127, 0, 0, 1], [0xff, 0xff, 0x2f]] {
            #expect(read(bytes) == nil)
        }
    }

    @Test("of random bytes is read or refused")
    func random() {
        for _ in 0..<10_000 {
            var bytes = (0..<Int.random(in: 0...UnixAddress.largest)).map { _ in
                UInt8.random(in: .min ... .max)
            }
            if Bool.random(), bytes.count >= 2 { bytes.replaceSubrange(0..<2, with: family) }
            if case .path(let path)? = read(bytes) {
                #expect((1...108).contains(path.count) && !path.contains(0))
            }
        }
    }
}
