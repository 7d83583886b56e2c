import CGuise
import Glibc
import ToolSupport

/// A file that is written beside its place, and gets its name once it is whole.
struct NewFile {
    /// `RENAME_NOREPLACE` of renameat2(2).
    private static let withoutReplacing: UInt32 = 1

    private let path: String
    private let mode: mode_t
    /// Whether a file of that name goes: else none does, not even one that is made meanwhile.
    private let replaces: Bool

    /// Asks about a file that is there.
    ///
    /// - Parameter mode: the permissions, less the umask.
    /// - Throws: where it is to stay, is none that can be replaced, or nobody can be asked.
    init(_ path: String, _ force: ForceOption, mode: mode_t = 0o666) throws {
        (self.path, self.mode) = (path, mode)
        var status = stat()
        guard lstat(path, &status) == 0 else {
            replaces = force.isForced
            return
        }
        guard [S_IFREG, S_IFLNK].contains(status.st_mode & S_IFMT) else {
            throw ToolError("\(path) is no file to be replaced; name another")
        }
        guard try force.asks("Replace \(path)?") else { throw ToolError("nothing was written") }
        replaces = true
    }

    /// - Throws: what `body` throws, and where the file cannot be written: there is none of that name then, or the old one.
    func write(_ body: (_ descriptor: Int32) throws -> Void) throws {
        let part = "\(path).\(getpid()).part"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw Self.failure(part) }
        do {
            defer { close(descriptor) }
            try body(descriptor)
            // EINVAL: nothing there keeps anything.
            guard fsync(descriptor) == 0 || errno == EINVAL else { throw Self.failure(path) }
            guard move(part) else { throw Self.failure(path) }
        } catch {
            unlink(part)
            throw error
        }
    }

    private func move(_ part: String) -> Bool {
        if !replaces {
            guard guise_renameat2(AT_FDCWD, part, AT_FDCWD, path, Self.withoutReplacing) != 0 else {
                return true
            }
            // A file system that cannot do that; nobody had the name before.
            guard errno == EINVAL else { return false }
        }
        return rename(part, path) == 0
    }

    private static func failure(_ path: String) -> ToolError {
        ToolError("\(path): \(String(cString: strerror(errno)))")
    }
}
