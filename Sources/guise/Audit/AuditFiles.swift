import Foundation
import ToolSupport

/// The files of the audit log, read from the oldest record to the newest, and on.
final class AuditFiles {
    /// A line that is longer is none of ours.
    private static let longestLine = 1 << 20
    private static let name = "audit.log"

    /// One file, and how far it was read.
    private final class File {
        let descriptor: Int32
        let inode: UInt64
        let name: String
        var rest: [UInt8] = []
        var line = 0
        /// Whether what comes up to the next line's end is to be passed over.
        var isSkipping = false

        init(_ descriptor: Int32, _ inode: UInt64, _ name: String) {
            (self.descriptor, self.inode, self.name) = (descriptor, inode, name)
        }

        deinit { close(descriptor) }
    }

    private let directory: String
    private var files: [File] = []
    /// Takes what is to be said of lines that are no records.
    private let complain: (String) -> Void

    /// Opens what there is.
    init(directory: String, complain: @escaping (String) -> Void) throws {
        self.directory = directory
        self.complain = complain
        files = try opened(until: nil)
        guard !files.isEmpty else {
            throw ToolError(
                "there is no \(directory)/\(Self.name); name guised's state directory with --state")
        }
    }

    /// From the oldest to the newest. They are opened from the newest on: whatever is turned meanwhile is met twice,
    /// and never missed.
    ///
    /// - Parameter known: the file that was the newest; what is older is not opened.
    private func opened(until known: UInt64?) throws -> [File] {
        var found: [File] = []
        var number = 0
        while true {
            let name = number == 0 ? Self.name : "\(Self.name).\(number)"
            let descriptor = open(
                directory + "/" + name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
            number += 1
            guard descriptor >= 0 else {
                if errno == ENOENT {
                    // Between two renames a number may be missing.
                    if number == 1 || number == 2 { continue }
                    break
                }
                throw ToolError(
                    "\(directory)/\(name) cannot be read (\(String(cString: strerror(errno))));"
                        + " the audit is root's: run this as root")
            }
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                close(descriptor)
                throw ToolError("\(directory)/\(name) is no file")
            }
            let file = File(descriptor, UInt64(status.st_ino), name)
            if file.inode == known { break }
            if !found.contains(where: { $0.inode == file.inode }) { found.append(file) }
        }
        return found.reversed()
    }

    /// Hands over every line that is there by now and was not handed over yet.
    func read(_ body: (ArraySlice<UInt8>, AuditRecord) throws -> Void) throws {
        for file in files {
            try drain(file, body)
            if file !== files.last { finish(file) }
        }
        files.removeFirst(files.count - 1)
    }

    /// Nothing will follow: what is left is half a line.
    func finish() { files.forEach(finish) }

    /// The same again for what has come since, in newer files, too.
    func readOn(_ body: (ArraySlice<UInt8>, AuditRecord) throws -> Void) throws {
        guard let newest = files.last else { return }
        var status = stat()
        // A file is written to no more once its successor is there, so that looking for that comes first.
        if stat(directory + "/" + Self.name, &status) == 0, UInt64(status.st_ino) != newest.inode {
            files += try opened(until: newest.inode)
        }
        try read(body)
    }

    private func drain(_ file: File, _ body: (ArraySlice<UInt8>, AuditRecord) throws -> Void) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        var isPatient = true
        while true {
            let count = Foundation.read(file.descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw ToolError("reading \(file.name) failed: \(String(cString: strerror(errno)))")
            }
            guard count > 0 else {
                // Half a line may be one that is being written.
                guard isPatient, !file.rest.isEmpty else { return }
                isPatient = false
                usleep(20_000)
                continue
            }
            file.rest += buffer[..<count]
            var start = 0
            while let end = file.rest[start...].firstIndex(of: 0x0A) {
                try take(file.rest[start..<end], of: file, body)
                start = end + 1
            }
            file.rest.removeFirst(start)
            if file.rest.count > Self.longestLine {
                file.rest = []
                file.isSkipping = true
            }
        }
    }

    private func take(
        _ line: ArraySlice<UInt8>, of file: File, _ body: (ArraySlice<UInt8>, AuditRecord) throws -> Void
    ) throws {
        file.line += 1
        defer { file.isSkipping = false }
        guard !file.isSkipping, let record = AuditRecord(line: line) else {
            // The authority begins anew after half a line with an empty one at most.
            if !line.isEmpty { complain("\(file.name):\(file.line): passed over: this is no record") }
            return
        }
        try body(line, record)
    }

    private func finish(_ file: File) {
        guard !file.rest.isEmpty || file.isSkipping else { return }
        complain("\(file.name):\(file.line + 1): passed over: half a record")
        file.rest = []
    }
}
