import AccessControl
import CGuise
import Glibc
import Synchronization

/// A folder below which security descriptors alone decide, open for the authority.
final class OpenRoot: Sendable {
    let path: [UInt8]
    let descriptor: Int32
    let device: UInt64
    let inode: UInt64

    /// A root that is not as Guise left it: nothing in it opens for anybody.
    var isUnavailable: Bool { descriptor < 0 }

    init(path: String, descriptor: Int32, status: statx) {
        self.path = Array(path.utf8)
        self.descriptor = descriptor
        device = status.device
        inode = status.stx_ino
    }

    init(unavailable path: String) {
        self.path = Array(path.utf8)
        descriptor = -1
        (device, inode) = (0, 0)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}

extension statx {
    var device: UInt64 { UInt64(stx_dev_major) << 32 | UInt64(stx_dev_minor) }
    var kind: UInt32 { UInt32(stx_mode) & GUISE_S_IFMT }
    var isDirectory: Bool { kind == GUISE_S_IFDIR }
    var isSymbolicLink: Bool { kind == GUISE_S_IFLNK }
    var isRegular: Bool { kind == GUISE_S_IFREG }
    var isFIFO: Bool { kind == GUISE_S_IFIFO }
    /// /dev/tty: whoever opens it gets the terminal that it runs in.
    var isOwnTerminal: Bool { kind == GUISE_S_IFCHR && stx_rdev_major == 5 && stx_rdev_minor == 0 }
    var isDevice: Bool { kind == GUISE_S_IFCHR || kind == GUISE_S_IFBLK }
}

/// The managed roots of this machine. Every call with a path asks for them, an administrator changes them: there are as
/// many copies of the list as keep threads that ask from meeting at one lock. Changed on the control thread alone.
final class ManagedRoots: Sendable {
    private final class Copy: Sendable { let roots = Mutex<[OpenRoot]>([]) }
    private let copies = (0..<16).map { _ in Copy() }
    private let changes = Atomic<UInt64>(0)

    /// The copy that the calling thread looks at.
    private var copy: Copy {
        let thread = UInt64(pthread_self()) &* 0x9E37_79B9_7F4A_7C15
        return copies[Int(thread >> 60)]
    }

    func list() -> [OpenRoot] { copy.roots.withLock { $0 } }
    var isEmpty: Bool { copy.roots.withLock { $0.isEmpty } }
    func replace(_ all: [OpenRoot]) { for copy in copies { copy.roots.withLock { $0 = all } } }

    /// Rises with every name under a managed root that comes to stand for something else, or nothing.
    var changeCount: UInt64 { changes.load(ordering: .acquiring) }
    func noteChange() { changes.add(1, ordering: .acquiringAndReleasing) }

    /// The root that a path names or leads through, as it is spelled, and where the rest of the path starts.
    /// A spelling with links or `..` in it may lead elsewhere; opening tells.
    func root(spelledBy path: UnsafeBufferPointer<CChar>) -> (root: OpenRoot, rest: Int)? {
        copy.roots.withLock { roots in
            for root in roots {
                let count = root.path.count
                guard path.count >= count, path.count == count || path[count] == 0x2F else { continue }
                let matches = root.path.withUnsafeBytes {
                    memcmp($0.baseAddress!, path.baseAddress!, count) == 0
                }
                if matches { return (root, count) }
            }
            return nil
        }
    }

    /// The root that an object is, by device and inode.
    func root(_ status: statx) -> OpenRoot? {
        guard status.isDirectory else { return nil }
        return copy.roots.withLock { $0.first { $0.inode == status.stx_ino && $0.device == status.device } }
    }

    /// The root that an open object lies under, by the kernel's name for it.
    func root(containing descriptor: Int32) -> OpenRoot? {
        guard let path = kernelPath(of: descriptor) else { return nil }
        return path.withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { root(spelledBy: $0)?.root }
        }
    }
}

/// The name that the kernel has for an open object, without a terminator.
func kernelPath(of descriptor: Int32, process: String = "self") -> [UInt8]? {
    var path = [UInt8](repeating: 0, count: 4097)
    let length = readlink("/proc/\(process)/fd/\(descriptor)", &path, path.count)
    guard length > 0, length <= 4096 else { return nil }
    return Array(path[..<length])
}
