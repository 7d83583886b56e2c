import CTestSupport
import Foundation
import Testing

/// A file system (FUSE) that a test serves to everybody, and that may leave any request without an answer.
final class ForeignFileSystem {
    /// The opcodes of FUSE.
    enum Request: UInt64 {
        case lookUp = 1
        case attributes = 3
        case open = 14
        case extendedAttribute = 22
        case flush = 25
    }

    static var isPossible: Bool { access("/dev/fuse", R_OK | W_OK) == 0 }

    let path: String
    /// A file in it.
    var file: String { path + "/file" }
    private let server: OpaquePointer

    init(_ stage: Stage, of owner: Person) throws {
        path = stage.folder("foreign")
        guard let mounted = test_fuse_mount(path, owner.uid) else {
            throw HarnessError("mounting a file system: errno \(errno)")
        }
        server = mounted
    }

    deinit { test_fuse_unmount(server) }

    /// Leaves requests without an answer from now on.
    func mute(_ requests: Request...) {
        test_fuse_mute(server, requests.reduce(0) { $0 | 1 << $1.rawValue })
    }

    /// Fails the requests that wait, and answers again.
    func release() { test_fuse_mute(server, 0) }

    /// How many requests wait for an answer.
    var heldCount: Int { Int(test_fuse_held(server)) }

    /// What every extended attribute is; with two they take turns.
    func setAttribute(_ bytes: [UInt8], _ other: [UInt8] = []) {
        test_fuse_attribute(server, 0, bytes, Int32(bytes.count))
        test_fuse_attribute(server, 1, other, Int32(other.count))
    }

    /// From now on a file is of absurd size, and another inode each time somebody asks.
    func lie() { test_fuse_lie(server) }
}

extension Trait where Self == ConditionTrait {
    static var withForeignFileSystem: Self {
        .enabled(
            if: geteuid() == 0 && ForeignFileSystem.isPossible,
            "needs root and /dev/fuse: it serves a file system")
    }
}
