import AccessControl
import Foundation
import RegistryModel

@testable import RegistryDaemon

let domain = try! SID(authority: 5, [21, 1, 2, 3])
let alice = try! domain.appending(1001)
let bob = try! domain.appending(1002)

/// A user, with what everybody has.
func caller(
    _ user: SID, _ groups: [SID] = [], privileges: PrivilegeSet = [], integrity: IntegrityLevel = .medium,
    isSessionAlive: Bool = true
) throws -> Caller {
    var fields = Token.Fields(user: user, integrity: integrity, logonSession: 7)
    fields.groups = ([.everyone, .authenticatedUsers] + groups).map { Token.Group($0) }
    fields.privileges = Token.Privileges(present: privileges, enabled: privileges)
    return Caller(token: try Token(fields), isSessionAlive: isSessionAlive)
}

let system = try! caller(.system, [.administrators], privileges: .all, integrity: .system)

func start(_ path: String, in transaction: UInt64 = 0) throws -> RegistrySession.Start {
    .init(try RegistryPath(path), transaction: transaction)
}

func name(_ text: String) throws -> RegistryKeyName { try RegistryKeyName(text) }
func value(_ text: String) throws -> RegistryValueName { try RegistryValueName(text) }

extension RegistrySession {
    /// The text of a value, by a handle of its own.
    func text(_ path: String, _ valueName: String, as caller: Caller = system) throws -> String? {
        let key = try open(start(path), .queryValue, as: caller)
        defer { close(key.handle) }
        let record = try value(key.handle, RegistryValueName(valueName))
        return RegistryValue(type: record.type, bytes: record.bytes).text
    }

    /// A key with a descriptor, made by SYSTEM.
    @discardableResult
    func make(_ path: String, _ sddl: String? = nil) throws -> UInt64 {
        let descriptor = try sddl.map { try SecurityDescriptor(sddl: $0, domain: domain) }
        return try create(start(path), .allAccess, descriptor: descriptor, as: system).handle
    }
}

/// A folder that goes with the test.
final class Folder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/registry-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Which case an error is, without its sentence.
func code(_ body: () throws -> Void) -> UInt32? {
    do {
        try body()
        return nil
    } catch let error as RegistryError { return error.windowsCode } catch { return .max }
}
