import CGuise
import Glibc

/// The address of a Unix socket (unix(7)), as a caller handed it over.
enum UnixAddress: Equatable {
    /// In the file system; without a terminator, which follows in memory.
    case path([CChar])
    /// In the abstract name space; without the zero byte that it starts with.
    case abstract([UInt8])
    /// The family alone: bind makes up a name.
    case unnamed
    /// AF_UNSPEC: connect takes a datagram socket's peer away.
    case unspecified

    /// The most bytes of any address (sockaddr_storage).
    static let largest = 128
    private static let nameOffset = 2

    /// As `unix_validate_addr` and `unix_mkname_bsd` of the kernel take it.
    init(_ bytes: [UInt8]) throws(FileError) {
        guard bytes.count >= Self.nameOffset else { throw FileError(EINVAL) }
        let family = bytes.withUnsafeBytes { $0.loadUnaligned(as: sa_family_t.self) }
        guard family != sa_family_t(AF_UNSPEC) else {
            self = .unspecified
            return
        }
        guard family == sa_family_t(AF_UNIX), bytes.count <= MemoryLayout<sockaddr_un>.size else {
            throw FileError(EINVAL)
        }
        let name = bytes[Self.nameOffset...]
        guard let first = name.first else {
            self = .unnamed
            return
        }
        self =
            first == 0
            ? .abstract(Array(name.dropFirst())) : .path(name.prefix { $0 != 0 }.map(CChar.init(bitPattern:)))
    }

    /// The path, or the abstract name after an @.
    var spelled: [UInt8]? {
        switch self {
        case .path(let path): path.map(UInt8.init(bitPattern:))
        case .abstract(let name): [0x40] + name
        case .unnamed, .unspecified: nil
        }
    }

    /// The address of a path, which has to be short enough.
    static func bytes(ofPath path: String) -> [UInt8] {
        withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) } + Array(path.utf8) + [0]
    }
}
