import AccessControl
import CGuise
import Glibc

/// Calls of processes that the kernel has in another directory than they are in. What starts from a working directory is
/// then never the kernel's: it is carried out here, or refused where it cannot be.
extension Mediator {
    /// Calls that nothing but the kernel carries out: the argument that is a path, and its directory, if it has one.
    private static let pathsOfOthers: [Int32: (path: Int, directory: Int?)] = {
        let calls: [String: (Int, Int?)] = [
            "execve": (0, nil), "execveat": (1, 0), "chroot": (0, nil), "uselib": (0, nil),
            "quotactl": (1, nil),
        ]
        return calls.reduce(into: [:]) { $0[guise_call_number($1.key)] = $1.value }
    }()

    /// Whether the kernel has the process elsewhere than it is. Where that cannot be told, it may have.
    private func isElsewhere(_ trap: Trap) -> Bool {
        guard let whereabouts = try? whereabouts(of: trap) else { return true }
        if case .kernels = whereabouts { return false }
        return true
    }

    /// Where the process is, as it was when that was first asked during its call.
    func whereabouts(of trap: Trap) throws(FileError) -> WorkingDirectories.Whereabouts {
        if let whereabouts { return whereabouts }
        let found = try trap.service.workingDirectories.whereabouts(of: trap.tid)
        whereabouts = found
        return found
    }

    /// Whether a path, which was just read, starts elsewhere: at the working directory, or at what /proc says that is.
    func startsElsewhere(_ trap: Trap, _ directory: Int32, _ length: Int) -> Bool {
        guard trap.service.workingDirectories.isUsed else { return false }
        let spelled = UnsafeBufferPointer(rebasing: path[..<length])
        guard spelled.first == 0x2F else { return directory == AT_FDCWD && isElsewhere(trap) }
        let text = String(decoding: spelled.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.hasPrefix("/proc/") && text.split(separator: "/").contains("cwd") && isElsewhere(trap)
    }

    /// The same for a call that nothing but the kernel carries out.
    func startsElsewhere(_ trap: Trap) -> Bool {
        guard trap.service.workingDirectories.isUsed, let at = Self.pathsOfOthers[trap.call] else {
            return false
        }
        let length = trap.argument(at.path) == 0 ? 0 : trap.readPath(trap.argument(at.path), path)
        // The kernel says what is wrong with a path that cannot be read.
        return length >= 0 && startsElsewhere(trap, at.directory.map { trap.int($0) } ?? AT_FDCWD, length)
    }

    /// Whether a message of a process that does not impersonate has an address that starts elsewhere.
    func isAddressedElsewhere(_ trap: Trap, _ row: CallTable.Row) -> Bool {
        guard isElsewhere(trap) else { return false }
        switch row {
        case .send: return isRelative(trap, trap.argument(4), trap.int(5))
        case .message: return isMessageRelative(trap, at: trap.argument(1))
        default:
            let count = min(Int(UInt32(truncatingIfNeeded: trap.argument(2))), Self.largestBatch)
            return (0..<count).contains {
                isMessageRelative(trap, at: trap.argument(1) &+ UInt64($0 * Self.batchStride))
            }
        }
    }

    private func isMessageRelative(_ trap: Trap, at address: UInt64) -> Bool {
        guard !messageHasNoAddress(trap, at: address), let head = try? trap.memory(address, 16) else {
            return false
        }
        let words = head.withUnsafeBytes { $0.load(as: (UInt64, Int32).self) }
        return isRelative(trap, words.0, words.1)
    }

    private func isRelative(_ trap: Trap, _ address: UInt64, _ length: Int32) -> Bool {
        guard let bytes = try? addressBytes(trap, at: address, length),
            case .path(let path)? = try? UnixAddress(bytes)
        else { return false }
        return path.first != 0x2F
    }

    func denyElsewhere(_ trap: Trap) -> Verdict {
        deny(
            trap, (acting?.deciding ?? trap.service.logon.token.token).user,
            "the kernel has the process in another directory, and this call starts there; name it by an absolute path"
        )
    }

    /// Whether a call about the working directory of a process that does not impersonate is the authority's.
    func concernsNoted(_ trap: Trap, _ call: FileCall) -> Bool {
        let noted = trap.service.workingDirectories
        if call != .getcwd { do { try noted.settle(trap) } catch { return true } }
        if isElsewhere(trap) { return true }
        guard call == .fchdir, !context.roots.isEmpty,
            let path = kernelPath(of: trap.int(0), process: "\(trap.tid)")
        else { return false }
        return path.withUnsafeBytes { context.roots.root(spelledBy: $0.bindMemory(to: CChar.self)) } != nil
    }

    /// unshare(CLONE_FS), and clone with one of CLONE_FS and CLONE_THREAD alone.
    func separate(_ trap: Trap) {
        do throws(FileError) {
            try trap.service.workingDirectories.separate(trap)
            trap.proceed()
        } catch { trap.fail(error.errno) }
    }
}
