package import AccessControl
package import GuiseProtocol

/// A SID with the name people use for it.
package struct NamedSID: Encodable, Equatable, CustomStringConvertible {
    package let sid: String
    package let name: String?

    package init(_ wire: WireSidName) {
        sid = wire.sid
        name = wire.name.isEmpty ? nil : wire.name
    }

    /// One without a name.
    package init(_ sid: SID) { (self.sid, name) = (sid.description, nil) }

    /// `S-1-5-21-…-1013 (alice)`, or the SID alone.
    package var description: String { name.map { "\(sid) (\(visible($0)))" } ?? sid }
}

/// Who a process or a thread is, as the tools show it.
package struct Identity: Encodable {
    package struct Group: Encodable {
        package let group: NamedSID
        package let attributes: [String]
    }

    /// Which half of a linked pair the token is, and what it was left with.
    package struct Elevation: Encodable {
        /// Default, Full or Limited.
        package let type: String
        /// Whether it is an administrator's token with an administrator's rights.
        package let elevated: Bool
        /// Whether the other half is known.
        package let linked: Bool
        package let restricted: Bool
        package let writeRestricted: Bool
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
    /// nil where only the user is told, in lists.
    package let elevation: Elevation?
    package let restrictingSIDs: [NamedSID]
    /// Primary or Impersonation.
    package let tokenType: String

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
        elevation = Elevation(wire.token)
        restrictingSIDs = wire.token.restricting.map { NamedSID($0.sid) }
        tokenType = wire.impersonating ? "Impersonation" : "Primary"
    }

    /// The three lines that answer "who is it?".
    package var summary: [String] {
        var lines = ["User: \(user)", "Impersonating: \(impersonating ? "yes" : "no")"]
        if let level { lines.append("Impersonation Level: \(level)") }
        return lines
    }

    /// The ids by which the kernel knows it.
    package var unixText: String? {
        guard let unix else { return nil }
        var ids = ["uid \(unix.user)"]
        if let group = unix.group { ids.append("gid \(group)") }
        if !unix.groups.isEmpty {
            ids.append("groups " + unix.groups.map(String.init).joined(separator: " "))
        }
        return ids.joined(separator: ", ")
    }

    /// The rest of the token.
    package var details: [String] {
        var lines = [
            "Token Type: \(tokenType)", "Integrity: \(integrity)",
            "Logon Session: \(SID.logonSession(logonSession))",
        ]
        if let unixText { lines.append("Unix: " + unixText) }
        if let elevation {
            lines.append("Elevation: \(elevation.type)\(elevation.elevated ? " (elevated)" : "")")
        }
        lines.append("Groups:")
        lines += groups.map { "  \($0)" }
        if !restrictingSIDs.isEmpty {
            lines.append(
                elevation?.writeRestricted == true ? "Restricting SIDs (writing only):" : "Restricting SIDs:")
            lines += restrictingSIDs.map { "  \($0)" }
        }
        lines.append("Privileges:")
        lines += privileges.map { "  \($0)" }
        return lines
    }

    package static func name(of level: WireLevel) -> String? {
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

extension Identity.Group: CustomStringConvertible {
    /// The group with what is unusual about it: the rest would only hide that.
    package var description: String {
        let unusual = attributes.filter { !["mandatory", "enabled by default", "enabled"].contains($0) }
        let shown = attributes.contains("enabled") ? unusual : unusual + ["disabled"]
        return "\(group)" + (shown.isEmpty ? "" : " [" + shown.joined(separator: ", ") + "]")
    }
}

extension Identity.PrivilegeState: CustomStringConvertible {
    package var description: String { visible(name) + (enabled ? "" : " [disabled]") }
}

extension Identity.Elevation {
    fileprivate init?(_ token: WireTokenView) {
        switch token.elevation {
        case .default: type = "Default"
        case .full: type = "Full"
        case .limited: type = "Limited"
        case .unspecified, .UNRECOGNIZED: return nil
        }
        let isAdministrator =
            token.user.sid == SID.system.description
            || token.groups.contains { group in
                group.sid.sid == SID.administrators.description
                    && Token.Group.Attributes(rawValue: group.attributes).contains(.enabled)
            }
        linked = token.linked
        restricted = !token.restricting.isEmpty
        writeRestricted = token.writeRestricted
        elevated = token.elevation == .full || token.elevation == .default && isAdministrator
    }
}
