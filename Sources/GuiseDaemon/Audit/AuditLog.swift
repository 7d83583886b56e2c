import Glibc

/// The audit's file in the state directory, of bounded size, with its predecessors: `audit.log`, `audit.log.1`, …
/// Belongs to one thread.
package final class AuditLog {
    /// The name of the file that is written to.
    package static let name = "audit.log"
    /// Milliseconds between looks whether the file is still where it was.
    private static let patience: UInt64 = 1000

    private let path: String
    private let directory: Int32
    private let largestSize: Int
    private let count: Int
    private var file: Int32 = -1
    private var size = 0
    /// Whether the file ends in the middle of a line.
    private var isTorn = false
    private var checked: UInt64 = 0

    /// Opens the log.
    ///
    /// - Parameters:
    ///   - directory: the state directory, which was checked before.
    ///   - largestSize: bytes of one file.
    ///   - count: files, with the one that is written to; 2 at least.
    /// - Throws: `StateError` when the file is not one that only the authority writes. What the disk has to say, full
    ///   or broken, is said by ``append(_:)``.
    package init(directory: String, largestSize: Int, count: Int) throws(StateError) {
        path = directory
        self.largestSize = largestSize
        self.count = max(2, count)
        self.directory = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard self.directory >= 0 else { throw .system(path: directory, operation: "open", errno: errno) }
        do throws(StateError) {
            try open()
        } catch .system {
            // Tried again with the first record.
        }
    }

    deinit {
        if file >= 0 {
            fdatasync(file)
            close(file)
        }
        if directory >= 0 { close(directory) }
    }

    /// Writes whole lines, all or none.
    ///
    /// - Throws: `StateError`; then nothing was written, and it can be tried again.
    package func append(_ lines: [UInt8]) throws(StateError) {
        try reopenIfGone()
        if size > 0, size + lines.count > largestSize { try rotate() }
        var bytes = lines
        if isTorn { bytes.insert(0x0A, at: 0) }
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = count < 0 ? errno : ENOSPC
                // Half a line would hide the next one.
                if written > 0 {
                    if ftruncate(file, off_t(size)) != 0 {
                        size += written
                        isTorn = true
                    }
                }
                throw .system(path: self.path + "/" + Self.name, operation: "write", errno: error)
            }
            written += count
        }
        size += written
        isTorn = false
    }

    /// Has what was written reach the disk.
    package func synchronize() { if file >= 0 { fdatasync(file) } }

    // MARK: Opening

    private func open() throws(StateError) {
        let name = path + "/" + Self.name
        let flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let opened = openat(directory, Self.name, flags, 0o600)
        guard opened >= 0 else {
            throw errno == ELOOP
                ? .symbolicLink(path: name) : .system(path: name, operation: "open", errno: errno)
        }
        do throws(StateError) {
            try check(opened, name)
        } catch {
            close(opened)
            throw error
        }
        if file >= 0 { close(file) }
        file = opened
    }

    private func check(_ opened: Int32, _ name: String) throws(StateError) {
        var status = stat()
        guard fstat(opened, &status) == 0 else {
            throw .system(path: name, operation: "look at", errno: errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
            throw .foreign(path: name, detail: "it is not a plain file of one name")
        }
        guard status.st_uid == geteuid() else {
            throw .foreignOwner(path: name, owner: status.st_uid, expected: geteuid())
        }
        guard status.st_mode & 0o022 == 0 else {
            throw .writableByOthers(path: name, mode: status.st_mode)
        }
        if status.st_mode & 0o077 != 0 { fchmod(opened, 0o600) }
        size = Int(status.st_size)
        var last: UInt8 = 0x0A
        // The authority, or the machine, ended in the middle of a line.
        isTorn = size > 0 && pread(opened, &last, 1, off_t(size - 1)) == 1 && last != 0x0A
    }

    /// Somebody may have moved the file, or removed it: what is written there nobody would find.
    private func reopenIfGone() throws(StateError) {
        let now = WallClock.steadyMilliseconds
        guard file < 0 || now &- checked >= Self.patience else { return }
        checked = now
        var here = stat()
        var there = stat()
        if file >= 0, fstat(file, &here) == 0,
            fstatat(directory, Self.name, &there, AT_SYMLINK_NOFOLLOW) == 0,
            here.st_ino == there.st_ino, here.st_dev == there.st_dev
        {
            return
        }
        try open()
    }

    // MARK: Rotation

    private func rotate() throws(StateError) {
        fdatasync(file)
        for number in stride(from: count - 2, through: 0, by: -1) {
            let old = number == 0 ? Self.name : "\(Self.name).\(number)"
            guard renameat(directory, old, directory, "\(Self.name).\(number + 1)") == 0 || errno == ENOENT
            else { throw .system(path: path + "/" + old, operation: "rename", errno: errno) }
        }
        // From here on there is only the new file to be opened, however often it takes: turning once more would drop
        // another old one.
        close(file)
        file = -1
        try open()
    }
}
