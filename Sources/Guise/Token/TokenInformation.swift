public import AccessControl
import GuiseProtocol

/// Everything that a token says: what `GetTokenInformation` tells by its classes. A copy, as of when it was asked for.
public struct TokenInformation: Sendable {
    /// User, groups, privileges, integrity level, logon session, type and impersonation level.
    public let description: TokenDescription
    /// Whether the user matches deny entries only.
    public let isUserDenyOnly: Bool
    /// The owner of new objects (`TokenOwner`).
    public let owner: TokenDescription.Principal
    /// The primary group of new objects (`TokenPrimaryGroup`).
    public let primaryGroup: TokenDescription.Principal?
    /// The DACL of new objects that inherit none (`TokenDefaultDacl`).
    public let defaultDACL: ACL?
    /// Where it came from: `Unix`, `Service`, `Password`, and a number (`TokenSource`). nil without TOKEN_QUERY_SOURCE.
    public let source: Token.Source?
    /// Tells tokens apart, and rises with each adjustment (`TokenStatistics`).
    public let id: UInt64
    /// Rises with each adjustment (`TokenStatistics`).
    public let modificationID: UInt64
    /// The privileges that are enabled by default.
    public let enabledByDefault: PrivilegeSet
    /// The SID of the logon session (`TokenLogonSid`).
    public let logonSID: SID
    /// The session in which the logon was made, of one by password (`TokenOrigin`).
    public let origin: UInt64?
    /// SIDs that have to be granted access, too (`TokenRestrictedSids`).
    public let restrictingSIDs: [TokenDescription.Principal]
    /// Whether these count for writing only.
    public let isWriteRestricted: Bool
    /// Whether it was ever restricted (`TokenHasRestrictions`).
    public let hasRestrictions: Bool
    /// Which half of a linked pair it is (`TokenElevationType`).
    public let elevation: Token.Elevation
    /// Whether it is an administrator's with an administrator's rights (`TokenElevation`).
    public let isElevated: Bool
    /// What the integrity level does (`TokenMandatoryPolicy`).
    public let mandatoryPolicy: Token.MandatoryTokenPolicy
    /// What is claimed about the user (`TokenUserClaimAttributes`).
    public let userClaims: [Claim]
    /// What is claimed about the device (`TokenDeviceClaimAttributes`).
    public let deviceClaims: [Claim]
    /// The groups of the device (`TokenDeviceGroups`).
    public let deviceGroups: [TokenDescription.Group]
    /// What the handle was opened for.
    public let access: AccessMask<TokenKind>

    init(_ wire: WireTokenInformation) throws(GuiseError) {
        let view = wire.view
        description = try TokenDescription(view)
        isUserDenyOnly = wire.userDenyOnly
        owner = try TokenDescription.Principal(wire.owner)
        primaryGroup = wire.hasPrimaryGroup ? try TokenDescription.Principal(wire.primaryGroup) : nil
        defaultDACL =
            wire.hasDefaultDacl
            ? (try? SecurityDescriptor(bytes: Array(wire.defaultDacl)))?.dacl.acl : nil
        let access = AccessMask<TokenKind>(rawValue: wire.access)
        source = access.contains(.querySource) ? Token.Source(name: wire.sourceName, id: wire.source) : nil
        id = wire.id
        modificationID = wire.modification
        enabledByDefault = PrivilegeSet(bits: wire.enabledByDefault)
        logonSID = .logonSession(view.session)
        origin = wire.origin == 0 ? nil : wire.origin
        var restricting: [TokenDescription.Principal] = []
        for group in view.restricting { restricting.append(try TokenDescription.Principal(group.sid)) }
        restrictingSIDs = restricting
        isWriteRestricted = view.writeRestricted
        hasRestrictions = wire.filtered || !restricting.isEmpty
        elevation =
            switch view.elevation {
            case .full: .full
            case .limited: .limited
            case .default, .unspecified, .UNRECOGNIZED: .default
            }
        isElevated =
            elevation == .full
            || elevation == .default
                && (description.user.sid == .system
                    || description.groups.contains {
                        $0.principal.sid == .administrators
                            && Token.Group.Attributes(rawValue: $0.attributes).contains(.enabled)
                    })
        mandatoryPolicy = Token.MandatoryTokenPolicy(rawValue: wire.mandatoryPolicy)
        userClaims = wire.userClaims.compactMap { Claim(bytes: Array($0)) }
        deviceClaims = wire.deviceClaims.compactMap { Claim(bytes: Array($0)) }
        var device: [TokenDescription.Group] = []
        for group in wire.deviceGroups {
            device.append(
                TokenDescription.Group(
                    principal: try TokenDescription.Principal(group.sid), attributes: group.attributes))
        }
        deviceGroups = device
        self.access = access
    }
}

extension TokenHandle {
    /// Everything that the token says. Corresponds to `GetTokenInformation`.
    ///
    /// - Throws: ``GuiseError/accessDenied(_:)`` without TOKEN_QUERY.
    public func information() throws(GuiseError) -> TokenInformation {
        let held = try held()
        guard
            case .tokenInformation(let wire) = try held.client.call(
                .queryToken(.with { $0.token = held.number }))
        else { throw .authorityFailed("the authority's answer to a token query makes no sense") }
        return try TokenInformation(wire)
    }
}
