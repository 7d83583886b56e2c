import Glibc
import RegistryFiles
import ToolSupport

/// A registry file that is to be imported: read once to see that it is one to its end, and once more to import it.
struct ImportSource {
    private let name: String
    /// What came through a pipe, which gives everything once.
    private var bytes: [UInt8]?
    /// Of a file: how long it is.
    private(set) var size = 0

    /// - Parameter path: a file; `-` is standard input.
    init(_ path: String) throws {
        name = path
        let descriptor = path == "-" ? STDIN_FILENO : try Self.open(path)
        defer { if path != "-" { close(descriptor) } }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure(path) }
        guard status.st_mode & S_IFMT != S_IFREG || path == "-" else {
            size = Int(status.st_size)
            return
        }
        var all: [UInt8] = []
        while true {
            let part = try Self.read(descriptor, path)
            if part.isEmpty { break }
            all += part
        }
        (bytes, size) = (all, all.count)
    }

    /// Whether it begins as a hive file does.
    var isHive: Bool {
        get throws {
            if let bytes { return bytes.starts(with: Self.hive) }
            let descriptor = try Self.open(name)
            defer { close(descriptor) }
            return try Self.read(descriptor, name).starts(with: Self.hive)
        }
    }

    private static let hive = Array("regf".utf8)

    /// Hands every entry to `body`, with how many bytes were read so far.
    func read(_ body: (RegistryFileEntry, Int) throws -> Void) throws {
        var done = 0
        var rest = bytes
        let descriptor = bytes == nil ? try Self.open(name) : -1
        defer { if descriptor >= 0 { close(descriptor) } }
        do {
            var reader = try RegistryFileReader { () throws(RegistryFileError) in
                let part: [UInt8]
                if let all = rest {
                    (part, rest) = (all, [])
                } else {
                    part = try Self.read(descriptor, name)
                }
                done += part.count
                return part
            }
            while let entry = try reader.next() { try body(entry, done) }
        } catch let error as RegistryFileError { throw ToolError("\(name): \(error)") }
    }

    private static func open(_ path: String) throws -> Int32 {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        return descriptor
    }

    private static func read(_ descriptor: Int32, _ path: String) throws(RegistryFileError) -> [UInt8] {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 18) { buffer, filled in
            repeat {
                count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            } while count < 0 && errno == EINTR
            filled = max(0, count)
        }
        guard count >= 0 else { throw .system(String(cString: strerror(errno))) }
        return bytes
    }

    private static func failure(_ path: String) -> ToolError {
        ToolError("\(path): \(String(cString: strerror(errno)))")
    }
}
