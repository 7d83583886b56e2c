import AccessControl

/// The names of SIDs that mean the same on every machine.
enum WellKnownNames {
    static let ntAuthority = "NT AUTHORITY"
    static let builtIn = "BUILTIN"
    static let ntService = "NT SERVICE"
    static let unixUser = "Unix User"
    static let unixGroup = "Unix Group"

    static func name(of sid: SID) -> String? { nameBySID[sid] }

    /// Accepts the name with and without what stands before the backslash, in upper or lower case.
    static func sid(named name: String) -> SID? { sidByName[name.lowercased()] }

    // Built-in groups are accounts, so they are not in this list.
    private static let entries: [(sid: SID, domain: String?, name: String)] = [
        (.null, nil, "NULL SID"),
        (.everyone, nil, "Everyone"),
        (.local, nil, "LOCAL"),
        (.consoleLogon, nil, "CONSOLE LOGON"),
        (.creatorOwner, nil, "CREATOR OWNER"),
        (.creatorGroup, nil, "CREATOR GROUP"),
        (.creatorOwnerServer, nil, "CREATOR OWNER SERVER"),
        (.creatorGroupServer, nil, "CREATOR GROUP SERVER"),
        (.ownerRights, nil, "OWNER RIGHTS"),
        (.dialup, ntAuthority, "DIALUP"),
        (.network, ntAuthority, "NETWORK"),
        (.batch, ntAuthority, "BATCH"),
        (.interactive, ntAuthority, "INTERACTIVE"),
        (.service, ntAuthority, "SERVICE"),
        (.anonymous, ntAuthority, "ANONYMOUS LOGON"),
        (.proxy, ntAuthority, "PROXY"),
        (.enterpriseDomainControllers, ntAuthority, "ENTERPRISE DOMAIN CONTROLLERS"),
        (.principalSelf, ntAuthority, "SELF"),
        (.authenticatedUsers, ntAuthority, "Authenticated Users"),
        (.restrictedCode, ntAuthority, "RESTRICTED"),
        (.terminalServerUsers, ntAuthority, "TERMINAL SERVER USER"),
        (.remoteInteractive, ntAuthority, "REMOTE INTERACTIVE LOGON"),
        (.thisOrganization, ntAuthority, "This Organization"),
        (.system, ntAuthority, "SYSTEM"),
        (.localService, ntAuthority, "LOCAL SERVICE"),
        (.networkService, ntAuthority, "NETWORK SERVICE"),
        (.writeRestrictedCode, ntAuthority, "WRITE RESTRICTED"),
        (.localAccount, ntAuthority, "Local account"),
        (.localAdministratorAccount, ntAuthority, "Local account and member of Administrators group"),
        (.allServices, ntService, "ALL SERVICES"),
        (.mandatoryLabel(.untrusted), "Mandatory Label", "Untrusted Mandatory Level"),
        (.mandatoryLabel(.low), "Mandatory Label", "Low Mandatory Level"),
        (.mandatoryLabel(.medium), "Mandatory Label", "Medium Mandatory Level"),
        (.mandatoryLabel(.mediumPlus), "Mandatory Label", "Medium Plus Mandatory Level"),
        (.mandatoryLabel(.high), "Mandatory Label", "High Mandatory Level"),
        (.mandatoryLabel(.system), "Mandatory Label", "System Mandatory Level"),
    ]

    private static let nameBySID: [SID: String] = Dictionary(
        entries.map { ($0.sid, qualified($0.domain, $0.name)) }, uniquingKeysWith: { first, _ in first })

    private static let sidByName: [String: SID] = Dictionary(
        entries.flatMap { entry in
            [
                (entry.name.lowercased(), entry.sid),
                (qualified(entry.domain, entry.name).lowercased(), entry.sid),
            ]
        }, uniquingKeysWith: { first, _ in first })

    private static func qualified(_ domain: String?, _ name: String) -> String {
        domain.map { "\($0)\\\(name)" } ?? name
    }
}
