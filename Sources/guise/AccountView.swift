import AccessControl
import GuiseProtocol
import ToolSupport

/// An account as the tool shows it.
struct AccountView: Encodable {
    let name: String
    let kind: String
    let sid: String
    let uid: UInt32?
    let gid: UInt32?
    let privileges: [String]
    let groups: [String]
    let integrity: String?
    let password: Bool

    init(_ record: WireAccountRecord) {
        name = record.name
        sid = record.sid
        let id = record.hasUnixID ? record.unixID : nil
        let primary = record.hasUnixGroup ? record.unixGroup : nil
        switch record.kind {
        case .group: (kind, uid, gid) = ("group", nil, id)
        case .service: (kind, uid, gid) = ("service", id, primary)
        case .user, .unspecified, .UNRECOGNIZED: (kind, uid, gid) = ("user", id, primary)
        }
        privileges = record.privileges
        groups = record.groups
        password = record.password
        integrity = record.hasIntegrity ? IntegrityLevel(rawValue: record.integrity).description : nil
    }

    func show() {
        Tool.say("Name: \(visible(name))")
        Tool.say("Kind: \(kind)")
        Tool.say("SID: \(sid)")
        if let uid { Tool.say("Unix User: \(uid)") }
        if let gid { Tool.say("Unix Group: \(gid)") }
        if let integrity { Tool.say("Integrity: \(integrity)") }
        if password { Tool.say("Password: yes") }
        if !groups.isEmpty { Tool.say("Groups: " + groups.map(visible).joined(separator: ", ")) }
        if !privileges.isEmpty { Tool.say("Privileges: " + privileges.joined(separator: ", ")) }
    }
}
