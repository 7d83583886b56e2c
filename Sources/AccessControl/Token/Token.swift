/// Who a process or a thread is: the facts every access decision is made from.
///
/// A token is a value; adjusting it makes another one with a higher modification id. It shares its storage
/// with its copies, so that passing one around costs a reference count.
public struct Token: Sendable {
    let storage: Storage

    /// The largest number of groups, restricting SIDs, capabilities or device groups, each.
    public static let maximumGroups = 1024

    /// A group of a token with its attributes (`SID_AND_ATTRIBUTES`).
    public struct Group: Hashable, Sendable {
        /// The group.
        public var sid: SID
        /// How it counts.
        public var attributes: Attributes

        /// Makes a group; without attributes it is a usual one: mandatory, enabled by default and enabled.
        public init(_ sid: SID, _ attributes: Attributes = .usual) {
            self.sid = sid
            self.attributes = attributes
        }

        /// The attributes of a group (`SE_GROUP_…`).
        public struct Attributes: OptionSet, Hashable, Sendable {
            /// The 32 bits.
            public let rawValue: UInt32
            /// Makes attributes of these bits.
            public init(rawValue: UInt32) { self.rawValue = rawValue }
            /// The group cannot be disabled.
            public static let mandatory = Attributes(rawValue: 0x1)
            /// The group is enabled when adjustments are reset.
            public static let enabledByDefault = Attributes(rawValue: 0x2)
            /// The group counts.
            public static let enabled = Attributes(rawValue: 0x4)
            /// The group can be the owner of objects.
            public static let owner = Attributes(rawValue: 0x8)
            /// The group matches deny entries only, and cannot be enabled.
            public static let denyOnly = Attributes(rawValue: 0x10)
            /// The SID states an integrity level.
            public static let integrity = Attributes(rawValue: 0x20)
            /// The integrity level counts.
            public static let integrityEnabled = Attributes(rawValue: 0x40)
            /// A group of the resource's own domain.
            public static let resource = Attributes(rawValue: 0x2000_0000)
            /// The SID of the logon session.
            public static let logonID = Attributes(rawValue: 0xc000_0000)
            /// Mandatory, enabled by default and enabled.
            public static let usual: Attributes = [.mandatory, .enabledByDefault, .enabled]
        }
    }

    /// The privileges of a token in their four states.
    public struct Privileges: Hashable, Sendable {
        /// Those the token has.
        public internal(set) var present: PrivilegeSet
        /// Those that count now.
        public internal(set) var enabled: PrivilegeSet
        /// Those that count after a reset.
        public internal(set) var enabledByDefault: PrivilegeSet
        /// Those that a decision needed.
        public internal(set) var used: PrivilegeSet

        /// Makes the states; what is not present is not enabled either.
        public init(
            present: PrivilegeSet, enabled: PrivilegeSet, enabledByDefault: PrivilegeSet? = nil,
            used: PrivilegeSet = []
        ) {
            self.present = present
            self.enabled = enabled.intersection(present)
            self.enabledByDefault = (enabledByDefault ?? enabled).intersection(present)
            self.used = used.intersection(present)
        }
    }

    /// Where a token came from: a name of at most eight characters and a number (`TOKEN_SOURCE`).
    public struct Source: Hashable, Sendable {
        /// The name.
        public var name: String
        /// The number.
        public var id: UInt64
        /// Makes a source.
        public init(name: String, id: UInt64 = 0) { (self.name, self.id) = (name, id) }
    }

    /// Which half of a linked pair a token is (`TOKEN_ELEVATION_TYPE`).
    public enum Elevation: UInt8, Sendable {
        /// Not one of a pair.
        case `default` = 1
        /// The half with all rights.
        case full
        /// The filtered half.
        case limited
    }

    /// What the integrity level of a token does (`TOKEN_MANDATORY_POLICY`).
    public struct MandatoryTokenPolicy: OptionSet, Hashable, Sendable {
        /// The bits.
        public let rawValue: UInt32
        /// Makes a policy of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Labels are enforced against this token; without it no label is.
        public static let noWriteUp = MandatoryTokenPolicy(rawValue: 1)
        /// A new process runs at the lower of the token's and the program's level.
        public static let newProcessMinimum = MandatoryTokenPolicy(rawValue: 2)
    }

    /// Makes a token.
    ///
    /// The groups are taken as they are: whoever makes the token puts Everyone, Authenticated Users and the
    /// logon SID in.
    ///
    /// - Parameters:
    ///   - privileges: all of them present, enabled, and enabled by default.
    ///   - logonSession: the number of the logon session.
    ///   - defaultOwner: the owner of new objects; the user if `nil`.
    ///   - defaultGroup: the primary group of new objects.
    ///   - defaultDACL: the DACL of new objects that inherit none.
    /// - Throws: `TokenError.tooManyGroups`.
    public init(
        user: SID, groups: [Group] = [], privileges: PrivilegeSet = [], integrity: IntegrityLevel = .medium,
        logonSession: UInt64, source: Source = Source(name: "Guise"), defaultOwner: SID? = nil,
        defaultGroup: SID? = nil, defaultDACL: ACL? = nil
    ) throws(TokenError) {
        var fields = Fields(user: user, integrity: integrity, logonSession: logonSession)
        fields.groups = groups
        fields.privileges = Privileges(present: privileges, enabled: privileges)
        fields.source = source
        fields.defaultOwner = defaultOwner
        fields.defaultGroup = defaultGroup
        fields.defaultDACL = defaultDACL
        try self.init(fields)
    }

    /// Makes a token from all its fields.
    ///
    /// - Throws: `TokenError.tooManyGroups`.
    public init(_ fields: Fields) throws(TokenError) {
        for list in [fields.groups, fields.restrictingSIDs, fields.capabilities, fields.deviceGroups]
        where list.count > Self.maximumGroups {
            throw .tooManyGroups
        }
        storage = Storage(fields)
    }

    init(unchecked fields: Fields) { storage = Storage(fields) }

    /// The token of a client that did not say who it is: user `S-1-5-7`, no groups, no privileges, Untrusted.
    public static let anonymous = Token(
        unchecked: Fields(user: .anonymous, integrity: .untrusted, logonSession: 0x3e6))

    /// All fields, for making a changed copy with `Token(_:)`.
    public var fields: Fields { storage.fields }
    /// The user.
    public var user: SID { storage.fields.user }
    /// The groups in order.
    public var groups: [Group] { storage.fields.groups }
    /// The privileges in their four states.
    public var privileges: Privileges { storage.fields.privileges }
    /// The restricting SIDs; none if the token is not restricted.
    public var restrictingSIDs: [Group] { storage.fields.restrictingSIDs }
    /// Whether the token has restricting SIDs.
    public var isRestricted: Bool { !storage.fields.restrictingSIDs.isEmpty }
    /// Whether the restricting SIDs restrict writing only.
    public var isWriteRestricted: Bool { storage.fields.isWriteRestricted && isRestricted }
    /// The integrity level.
    public var integrity: IntegrityLevel { storage.fields.integrity }
    /// The integrity level before the token, or what it is a copy of, was lowered.
    public var startIntegrity: IntegrityLevel { max(integrity, storage.fields.startIntegrity ?? integrity) }
    /// What the integrity level does.
    public var mandatoryPolicy: MandatoryTokenPolicy { storage.fields.mandatoryPolicy }
    /// The number of the logon session.
    public var logonSession: UInt64 { storage.fields.logonSession }
    /// Where the token came from.
    public var source: Source { storage.fields.source }
    /// The owner of new objects.
    public var defaultOwner: SID { storage.fields.defaultOwner ?? storage.fields.user }
    /// The primary group of new objects.
    public var defaultGroup: SID? { storage.fields.defaultGroup }
    /// The DACL of new objects that inherit none.
    public var defaultDACL: ACL? { storage.fields.defaultDACL }
    /// Raised by every adjustment.
    public var modificationID: UInt64 { storage.fields.modificationID }
    /// Whether the token is Anonymous's.
    public var isAnonymous: Bool { storage.fields.user == .anonymous }
    /// Whether it is SYSTEM's or a member of Administrators.
    package var isAdministrator: Bool { isMember(of: .system) || isMember(of: .administrators) }

    /// Whether the token has `privilege` and it is enabled.
    @inline(__always)
    public func holds(_ privilege: Privilege) -> Bool {
        storage.fields.privileges.enabled.contains(privilege)
    }

    /// Whether `sid` is the user or an enabled group that is not deny-only (`CheckTokenMembership`).
    ///
    /// For a restricted token `sid` must be among the restricting SIDs too, unless it is write-restricted.
    public func isMember(of sid: SID) -> Bool {
        let roles = storage.table.roles(of: sid)
        guard roles.contains(.allow) else { return false }
        return !isRestricted || isWriteRestricted || roles.contains(.restricting)
    }

    /// The token of a process or of a thread that does not impersonate.
    public struct Primary: Sendable {
        /// The token.
        public let token: Token
        /// Makes a primary token of `token`.
        public init(_ token: Token) { self.token = token }
    }

    /// A token by which a thread acts as a client.
    public struct Impersonation: Sendable {
        /// The token.
        public let token: Token
        /// How much of it the service may use.
        public let level: ImpersonationLevel
        /// Makes an impersonation token; at level Anonymous nothing of `token` is kept.
        public init(_ token: Token, level: ImpersonationLevel) {
            self.token = level == .anonymous ? .anonymous : token
            self.level = level
        }

        /// The token that decides for the thread: Anonymous's below level Impersonation.
        public var deciding: Token { level < .impersonation ? .anonymous : token }
    }
}

/// Why a token could not be made or changed.
public enum TokenError: Error, Hashable, Sendable {
    /// A list of SIDs has more than `Token.maximumGroups` entries.
    case tooManyGroups
    /// The group is mandatory and cannot be disabled.
    case mandatoryGroup(SID)
    /// The group is deny-only and cannot be enabled.
    case denyOnlyGroup(SID)
    /// The token does not have the group.
    case noSuchGroup(SID)
    /// The token does not have the privilege.
    case noSuchPrivilege(Privilege)
    /// The SID is neither the user nor a group that can own objects.
    case notAnOwner(SID)
    /// The level asked for is above the one of the original.
    case levelRaised
}
