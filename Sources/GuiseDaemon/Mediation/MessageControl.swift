import Glibc

/// What goes along with a message to a Unix socket (cmsg(3), unix(7)).
struct MessageControl {
    var descriptors: [OwnedDescriptor] = []

    /// The most bytes of control data; the kernel's own limit (net.core.optmem_max) is higher.
    static let largest = 20_480

    /// One part, as its sender put it down.
    enum Item: Equatable {
        case rights([Int32])
        case credentials(pid: Int32, uid: UInt32, gid: UInt32)
    }

    /// Takes control data apart as `__scm_send` of the kernel does: what is of another level is passed over.
    static func items(of bytes: [UInt8]) throws(FileError) -> [Item] {
        // A cmsghdr: length with the header, level, type; each starts at a multiple of eight.
        let header = 16
        var items: [Item] = []
        var at = 0
        while at + header <= bytes.count {
            let length = number(bytes, at, as: UInt64.self)
            guard length >= UInt64(header), length <= UInt64(bytes.count - at) else {
                throw FileError(EINVAL)
            }
            let content = at + header..<at + Int(length)
            if number(bytes, at + 8, as: Int32.self) == SOL_SOCKET {
                switch number(bytes, at + 12, as: Int32.self) {
                case 1:  // SCM_RIGHTS
                    items.append(
                        .rights(
                            (0..<content.count / 4).map {
                                number(bytes, content.lowerBound + 4 * $0, as: Int32.self)
                            }))
                case 2:  // SCM_CREDENTIALS
                    guard content.count == 12 else { throw FileError(EINVAL) }
                    items.append(
                        .credentials(
                            pid: number(bytes, content.lowerBound, as: Int32.self),
                            uid: number(bytes, content.lowerBound + 4, as: UInt32.self),
                            gid: number(bytes, content.lowerBound + 8, as: UInt32.self)))
                default: throw FileError(EINVAL)
                }
            }
            at += (Int(length) + 7) & ~7
        }
        return items
    }

    private static func number<Number: FixedWidthInteger>(
        _ bytes: [UInt8], _ at: Int, as type: Number.Type
    ) -> Number {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: type) }
    }
}
