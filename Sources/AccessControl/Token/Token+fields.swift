extension Token {
    /// Everything a token is made from. Change a copy and make a token of it.
    public struct Fields: Sendable {
        /// The user.
        public var user: SID
        /// Whether the user matches deny entries only.
        public var isUserDenyOnly = false
        /// The groups in order.
        public var groups: [Group] = []
        /// The privileges.
        public var privileges = Privileges(present: [], enabled: [])
        /// The restricting SIDs.
        public var restrictingSIDs: [Group] = []
        /// Whether the restricting SIDs restrict writing only.
        public var isWriteRestricted = false
        /// The integrity level.
        public var integrity: IntegrityLevel
        /// What the integrity level was before the token was lowered; `nil`: it was not.
        public internal(set) var startIntegrity: IntegrityLevel?
        /// What the integrity level does.
        public var mandatoryPolicy: MandatoryTokenPolicy = [.noWriteUp, .newProcessMinimum]
        /// The number of the logon session.
        public var logonSession: UInt64
        /// Where the token came from.
        public var source = Source(name: "Guise")
        /// The owner of new objects; the user if `nil`.
        public var defaultOwner: SID?
        /// The primary group of new objects.
        public var defaultGroup: SID?
        /// The DACL of new objects that inherit none.
        public var defaultDACL: ACL?
        /// Raised by every adjustment.
        public var modificationID: UInt64 = 0
        /// What is claimed about the user.
        public var userClaims: [Claim] = []
        /// What is claimed about the device.
        public var deviceClaims: [Claim] = []
        /// What is claimed locally.
        public var localClaims: [Claim] = []
        /// The groups of the device.
        public var deviceGroups: [Group] = []
        /// The app container's package SID; a token with one is confined.
        public var appContainer: SID?
        /// What a confined token may do besides.
        public var capabilities: [Group] = []
        /// Whether a confined token does without the rights given to all packages.
        public var isLowPrivilegeContainer = false
        /// Which half of a linked pair the token is.
        public var elevation: Elevation = .default
        /// The other half.
        public var linkedToken: Token?

        /// The fields of a token without groups and privileges.
        public init(user: SID, integrity: IntegrityLevel = .medium, logonSession: UInt64) {
            (self.user, self.integrity, self.logonSession) = (user, integrity, logonSession)
        }

        /// Takes a lower integrity level, and keeps in mind what it was.
        mutating func lower(to level: IntegrityLevel) {
            guard level < integrity else { return }
            startIntegrity = startIntegrity ?? integrity
            integrity = level
        }
    }

    /// The fields and what is made of them once. A class, because every handle and every thread shares it.
    final class Storage: Sendable {
        let fields: Fields
        let table: SIDTable
        let isConfined: Bool
        let hasRestrictions: Bool
        let userClaims: ClaimTable?
        let deviceClaims: ClaimTable?
        let localClaims: ClaimTable?

        init(_ fields: Fields) {
            self.fields = fields
            table = SIDTable(Self.members(of: fields))
            isConfined = fields.appContainer != nil
            hasRestrictions = !fields.restrictingSIDs.isEmpty
            userClaims = fields.userClaims.isEmpty ? nil : ClaimTable(fields.userClaims)
            deviceClaims = fields.deviceClaims.isEmpty ? nil : ClaimTable(fields.deviceClaims)
            localClaims = fields.localClaims.isEmpty ? nil : ClaimTable(fields.localClaims)
        }

        private static func members(of fields: Fields) -> [(SID, SIDTable.Roles)] {
            var members: [(SID, SIDTable.Roles)] = [
                (fields.user, fields.isUserDenyOnly ? [.deny] : [.allow, .deny])
            ]
            for group in fields.groups {
                if group.attributes.contains(.denyOnly) {
                    members.append((group.sid, [.deny]))
                } else if group.attributes.contains(.enabled) {
                    members.append((group.sid, [.allow, .deny]))
                }
            }
            for group in fields.restrictingSIDs { members.append((group.sid, [.restricting])) }
            for group in fields.deviceGroups where group.attributes.contains(.enabled) {
                members.append((group.sid, [.device]))
            }
            if let package = fields.appContainer {
                members.append((package, [.confinement]))
                members.append((.allRestrictedApplicationPackages, [.confinement]))
                if !fields.isLowPrivilegeContainer {
                    members.append((.allApplicationPackages, [.confinement]))
                }
                for capability in fields.capabilities where capability.attributes.contains(.enabled) {
                    members.append((capability.sid, [.confinement]))
                }
            }
            return members
        }
    }
}
