package import AccessControl
package import GuiseProtocol

extension WireTokenView {
    /// A primary token as people see it. May ask the name service switch.
    package init(
        _ token: Token.Primary, credentials: UnixCredentials? = nil, names directory: AccountDirectory
    ) {
        self.init(token.token, credentials, directory)
        primary = true
    }

    /// An impersonation token as people see it. May ask the name service switch.
    package init(
        _ token: Token.Impersonation, credentials: UnixCredentials? = nil, names directory: AccountDirectory
    ) {
        self.init(token.token, token.level == .anonymous ? nil : credentials, directory)
        level = WireLevel(token.level)
    }

    private init(_ token: Token, _ credentials: UnixCredentials?, _ directory: AccountDirectory) {
        self.init()
        user = WireSidName(token.user, directory)
        groups = token.groups.map { group in
            WireGroupView.with {
                $0.sid = WireSidName(group.sid, directory)
                $0.attributes = group.attributes.rawValue
            }
        }
        privileges = token.privileges.present.map { privilege in
            WirePrivilegeView.with {
                $0.luid = privilege.rawValue
                $0.name = privilege.name
                $0.enabled = token.privileges.enabled.contains(privilege)
                $0.enabledByDefault = token.privileges.enabledByDefault.contains(privilege)
            }
        }
        integrity = token.integrity.rawValue
        session = token.logonSession
        elevation = WireElevation(token.fields.elevation)
        linked = token.fields.linkedToken != nil
        restricting = token.restrictingSIDs.map { group in
            WireGroupView.with {
                $0.sid = WireSidName(group.sid, directory)
                $0.attributes = group.attributes.rawValue
            }
        }
        writeRestricted = token.isWriteRestricted
        guard let credentials else { return }
        unixUser = credentials.uid
        unixGroup = credentials.gid
        unixGroups = credentials.groups
    }
}

extension WireSidName {
    /// A SID with the name people use for it.
    package init(_ sid: SID, _ directory: AccountDirectory) {
        self.init()
        self.sid = sid.description
        name = directory.name(of: sid) ?? ""
    }
}

extension WireElevation {
    fileprivate init(_ elevation: Token.Elevation) {
        switch elevation {
        case .default: self = .default
        case .full: self = .full
        case .limited: self = .limited
        }
    }
}

extension WireLevel {
    /// As it goes over the wire.
    package init(_ level: ImpersonationLevel) {
        switch level {
        case .anonymous: self = .anonymous
        case .identification: self = .identification
        case .impersonation: self = .impersonation
        case .delegation: self = .delegation
        }
    }
}

extension ImpersonationLevel {
    /// As it came over the wire; `nil` for what is no level.
    package init?(_ level: WireLevel) {
        switch level {
        case .anonymous: self = .anonymous
        case .identification: self = .identification
        case .impersonation: self = .impersonation
        case .delegation: self = .delegation
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}
