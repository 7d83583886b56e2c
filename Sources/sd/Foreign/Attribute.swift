import CGuise
import Foundation
import ToolSupport

/// Extended attributes and files of other systems. Read and written by us, not by the authority.
enum Attribute: String {
    case ntacl = "security.NTACL"
    case accessACL = "system.posix_acl_access"
    case defaultACL = "system.posix_acl_default"

    /// The value; `nil` when the object has none.
    func value(of path: String) throws -> [UInt8]? {
        // The most bytes an extended attribute holds.
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let length = getxattr(path, rawValue, &bytes, bytes.count)
        guard length < 0 else { return Array(bytes[..<length]) }
        if errno == ENODATA || errno == EOPNOTSUPP { return nil }
        throw ToolError("\(rawValue) of \(path) cannot be read: \(String(cString: strerror(errno)))")
    }

    func set(_ bytes: [UInt8], on path: String) throws {
        guard setxattr(path, rawValue, bytes, bytes.count, 0) == 0 else {
            throw ToolError(
                "\(rawValue) of \(path) cannot be set: \(String(cString: strerror(errno)))"
                    + (errno == EPERM ? "; it takes root" : ""))
        }
    }
}

/// A file, or a standard stream by the name `-`.
enum ForeignFile {
    static func read(_ path: String) throws -> [UInt8] {
        if path == "-" { return Array(FileHandle.standardInput.readDataToEndOfFile()) }
        do {
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch { throw ToolError("\(path) cannot be read: \(error.localizedDescription)") }
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        if path == "-" { return FileHandle.standardOutput.write(Data(bytes)) }
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        } catch { throw ToolError("\(path) cannot be written: \(error.localizedDescription)") }
    }
}
