import AccessControl
package import GuiseProtocol

/// A SID with the name people use for it.
package struct NamedSID: Encodable, CustomStringConvertible {
    package let sid: String
    package let name: String?

    package init(_ wire: WireSidName) {
        sid = wire.sid
        name = wire.name.isEmpty ? nil : wire.name
    }

    /// `S-1-5-21-…-1013 (alice)`, or the SID alone.
    package var description: String { name.map { "\(sid) (\(visible($0)))" } ?? sid }
}

/// Who a process or a thread is, as the tools show it.
package struct Identity: Encodable {
    package struct Group: Encodable {
        package let group: NamedSID
        package let attributes: [String]
    }

    package struct PrivilegeState: Encodable {
        package let name: String
        package let enabled: Bool
        package let enabledByDefault: Bool
    }

    package struct Unix: Encodable {
        package let user: UInt32
        package let group: UInt32?
        package let groups: [UInt32]
    }

    package let process: UInt32
    package let thread: UInt32?
    package let command: String
    package let attached: Bool
    package let mediated: Bool
    package let impersonating: Bool
    /// The impersonation level, when impersonating.
    package let level: String?
    package let user: NamedSID
    package let integrity: String
    package let logonSession: UInt64
    package let groups: [Group]
    package let privileges: [PrivilegeState]
    package let unix: Unix?

    package init(_ wire: WireThreadView) {
        process = wire.process
        thread = wire.thread == 0 ? nil : wire.thread
        command = wire.command
        attached = wire.attached
        mediated = wire.mediated
        impersonating = wire.impersonating
        level = wire.impersonating ? Self.name(of: wire.level) : nil
        user = NamedSID(wire.token.user)
        integrity = IntegrityLevel(rawValue: wire.token.integrity).description
        logonSession = wire.token.session
        groups = wire.token.groups.map {
            Group(group: NamedSID($0.sid), attributes: Self.names(ofAttributes: $0.attributes))
        }
        privileges = wire.token.privileges.map {
            PrivilegeState(name: $0.name, enabled: $0.enabled, enabledByDefault: $0.enabledByDefault)
        }
        unix =
            wire.token.hasUnixUser
            ? Unix(
                user: wire.token.unixUser, group: wire.token.hasUnixGroup ? wire.token.unixGroup : nil,
                groups: wire.token.unixGroups) : nil
    }

    /// The three lines that answer "who is it?".
    package var summary: [String] {
        var lines = ["User: \(user)", "Impersonating: \(impersonating ? "yes" : "no")"]
        if let level { lines.append("Impersonation Level: \(level)") }
        return lines
    }

    /// The rest of the token.
    package var details: [String] {
        var lines = ["Integrity: \(integrity)", "Logon Session: \(SID.logonSession(logonSession))"]
        if let unix {
            var ids = ["uid \(unix.user)"]
            if let group = unix.group { ids.append("gid \(group)") }
            if !unix.groups.isEmpty {
                ids.append("groups " + unix.groups.map(String.init).joined(separator: " "))
            }
            lines.append("Unix: " + ids.joined(separator: ", "))
        }
        lines.append("Groups:")
        lines += groups.map { "  \($0.group)" + Self.parenthesis($0.attributes) }
        lines.append("Privileges:")
        lines += privileges.map { "  \($0.name)\($0.enabled ? "" : " [disabled]")" }
        return lines
    }

    private static func parenthesis(_ attributes: [String]) -> String {
        // The usual ones would only hide the others.
        let unusual = attributes.filter { !["mandatory", "enabled by default", "enabled"].contains($0) }
        let shown = attributes.contains("enabled") ? unusual : unusual + ["disabled"]
        return shown.isEmpty ? "" : " [" + shown.joined(separator: ", ") + "]"
    }

    private static func name(of level: WireLevel) -> String? {
        switch level {
        case .anonymous: "Anonymous"
        case .identification: "Identification"
        case .impersonation: "Impersonation"
        case .delegation: "Delegation"
        case .unspecified, .UNRECOGNIZED: nil
        }
    }

    private static func names(ofAttributes bits: UInt32) -> [String] {
        let attributes = Token.Group.Attributes(rawValue: bits)
        let names: [(Token.Group.Attributes, String)] = [
            (.mandatory, "mandatory"), (.enabledByDefault, "enabled by default"), (.enabled, "enabled"),
            (.owner, "owner"), (.denyOnly, "deny only"), (.integrity, "integrity"),
            (.integrityEnabled, "integrity enabled"), (.resource, "resource"), (.logonID, "logon"),
        ]
        return names.filter { attributes.contains($0.0) }.map(\.1)
    }
}
