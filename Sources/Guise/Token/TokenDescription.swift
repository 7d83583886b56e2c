public import AccessControl
import GuiseProtocol

/// What a token says, for inspection. A copy: nothing that is done with it changes a decision.
public struct TokenDescription: Sendable, Hashable {
    /// A SID with the name that the authority knows for it.
    public struct Principal: Sendable, Hashable {
        /// The SID.
        public let sid: SID
        /// `alice`, `NT AUTHORITY\SYSTEM`; nil when nobody knows one.
        public let name: String?
    }

    /// A group of the token.
    public struct Group: Sendable, Hashable {
        /// Which group.
        public let principal: Principal
        /// The `SE_GROUP_*` bits of winnt.h.
        public let attributes: UInt32
    }

    /// The user.
    public let user: Principal
    /// The groups, in the order of the token.
    public let groups: [Group]
    /// The restricting SIDs; none of a token that is not restricted.
    public let restrictingSIDs: [Group]
    /// Whether the restricting SIDs restrict writing only.
    public let isWriteRestricted: Bool
    /// The privileges that are enabled.
    public let enabledPrivileges: [Privilege]
    /// The privileges that are present, enabled or not.
    public let privileges: [Privilege]
    /// The integrity level.
    public let integrity: IntegrityLevel
    /// The logon session.
    public let logonSession: UInt64
    /// The level of an impersonation token; nil for a primary token.
    public let level: ImpersonationLevel?
    /// The Unix user whose rights hold outside managed roots; nil when the token has none.
    public let unixUser: UInt32?

    /// Whether it is an impersonation token.
    public var isImpersonating: Bool { level != nil }

    init(_ view: WireTokenView) throws(GuiseError) {
        user = try Principal(view.user)
        groups = try Self.groups(view.groups)
        restrictingSIDs = try Self.groups(view.restricting)
        isWriteRestricted = view.writeRestricted
        privileges = view.privileges.compactMap { Privilege(rawValue: $0.luid) }
        enabledPrivileges = view.privileges.filter(\.enabled).compactMap { Privilege(rawValue: $0.luid) }
        integrity = IntegrityLevel(rawValue: view.integrity)
        logonSession = view.session
        level = view.primary ? nil : ImpersonationLevel(view.level)
        unixUser = view.hasUnixUser ? view.unixUser : nil
    }

    private static func groups(_ views: [WireGroupView]) throws(GuiseError) -> [Group] {
        var groups: [Group] = []
        for view in views {
            groups.append(Group(principal: try Principal(view.sid), attributes: view.attributes))
        }
        return groups
    }
}

extension TokenDescription.Principal {
    init(_ named: WireSidName) throws(GuiseError) {
        guard let sid = SID(named.sid) else {
            throw .authorityFailed("the authority sent \"\(named.sid)\" as a SID")
        }
        self.sid = sid
        name = named.name.isEmpty ? nil : named.name
    }
}

extension ImpersonationLevel {
    init(_ wire: WireLevel) {
        // An unknown level is the least.
        self =
            switch wire {
            case .identification: .identification
            case .impersonation: .impersonation
            case .delegation: .delegation
            case .anonymous, .unspecified, .UNRECOGNIZED: .anonymous
            }
    }

    var wire: WireLevel {
        switch self {
        case .anonymous: .anonymous
        case .identification: .identification
        case .impersonation: .impersonation
        case .delegation: .delegation
        }
    }
}

extension AuthorityClient {
    func describe(process: UInt32, thread: UInt32) throws(GuiseError) -> TokenDescription {
        var request = WireTokenOf()
        request.process = process
        request.thread = thread
        guard case .thread(let view) = try call(.tokenOf(request)) else {
            throw .authorityFailed("the authority's answer to a token query makes no sense")
        }
        return try TokenDescription(view.token)
    }
}
