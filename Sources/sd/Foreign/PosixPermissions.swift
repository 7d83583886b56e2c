import AccessControl
import CGuise
import Foundation
import Guise
import GuiseProtocol
import ToolSupport

/// What Unix says about a file: mode, owner, and POSIX lists.
struct PosixPermissions {
    let owner: UInt32
    let group: UInt32
    let isDirectory: Bool
    let isSticky: Bool
    let access: PosixACL
    let defaults: PosixACL?

    init(of path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw ToolError("\(path): \(String(cString: strerror(errno)))")
        }
        (owner, group) = (status.st_uid, status.st_gid)
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
        isSticky = status.st_mode & S_ISVTX != 0
        access =
            try Self.list(.accessACL, of: path) ?? PosixACL(mode: UInt16(truncatingIfNeeded: status.st_mode & 0o777))
        defaults = isDirectory ? try Self.list(.defaultACL, of: path) : nil
    }

    private static func list(_ attribute: Attribute, of path: String) throws -> PosixACL? {
        guard let bytes = try attribute.value(of: path) else { return nil }
        guard let list = PosixACL(bytes: bytes) else {
            throw ToolError("\(attribute.rawValue) of \(path) is no POSIX ACL")
        }
        return list
    }

    /// As a descriptor. Users and groups are those of the accounts they belong to, else Unix ones.
    func descriptor(accounts: [WireAccountRecord]) throws -> SecurityDescriptor {
        let users = Self.table(accounts.filter { $0.kind != .group })
        let groups = Self.table(accounts.filter { $0.kind == .group })
        let user = { (id: UInt32) in users[id] ?? .unixUser(id) }
        let namedGroup = { (id: UInt32) in groups[id] ?? .unixGroup(id) }
        return try SecurityDescriptor(
            posix: access, defaults: defaults, owner: user(owner), group: namedGroup(group),
            isDirectory: isDirectory, isSticky: isSticky, user: user, namedGroup: namedGroup)
    }

    private static func table(_ accounts: [WireAccountRecord]) -> [UInt32: SID] {
        var table: [UInt32: SID] = [:]
        for account in accounts where account.hasUnixID { table[account.unixID] = SID(account.sid) }
        return table
    }
}
