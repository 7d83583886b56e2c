package import AccessControl

/// A user, a group or a service that this machine knows by name.
package struct Account: Sendable, Hashable {
    /// What an account stands for.
    package enum Kind: Int, Sendable, CaseIterable {
        case user = 1
        case group = 2
        case service = 3
    }

    package let sid: SID
    package let name: String
    package let kind: Kind
    /// The uid of a user or service, the gid of a group.
    package let unixID: UInt32?
    /// The primary gid of a user or service; `nil` means the gid that equals its uid.
    package let unixGroup: UInt32?
    /// What it was granted itself; its groups may add to it.
    package let privileges: PrivilegeSet
    /// The groups it was put into itself, ordered by SID.
    package let groups: [SID]
    /// How far its tokens are trusted; `nil` means as far as others of its kind. A group has none.
    package let integrity: IntegrityLevel?
    /// Whether it can be logged on by a password.
    package var hasPassword = false

    /// The levels that an account can be given.
    static let integrityLevels: [IntegrityLevel] = [.untrusted, .low, .medium, .high, .system]

    /// The most groups an account can be put into itself.
    package static let maximumGroups = 512

    /// Whether it is part of the model: there from the start, and not to be removed.
    package var isBuiltIn: Bool { sid.isMember(ofDomain: .builtin) }

    /// What somebody asks to be added.
    package struct Proposal: Sendable {
        package var name: String
        package var kind: Kind
        package var unixID: UInt32?
        package var unixGroup: UInt32?
        package var privileges: PrivilegeSet
        /// Names of groups to join.
        package var groups: [String]
        package var integrity: IntegrityLevel?

        package init(
            _ kind: Kind, named name: String, unixID: UInt32? = nil, unixGroup: UInt32? = nil,
            privileges: PrivilegeSet = [], groups: [String] = [], integrity: IntegrityLevel? = nil
        ) {
            self.name = name
            self.kind = kind
            self.unixID = unixID
            self.unixGroup = unixGroup
            self.privileges = privileges
            self.groups = groups
            self.integrity = integrity
        }
    }
}

/// A folder under which security descriptors are the sole authority.
package struct ManagedRoot: Sendable, Hashable {
    /// Absolute, without `.`, `..`, doubled or trailing slashes.
    package let path: String
    /// The descriptor the root itself was given.
    package let sddl: String

    package init(path: String, sddl: String) {
        self.path = path
        self.sddl = sddl
    }

    /// Throws unless `path` is in the form that roots have.
    static func validate(path: String) throws(AccountError) {
        guard path.hasPrefix("/") else { throw .invalidRoot(path: path, rule: "the path is not absolute") }
        guard path != "/" else { throw .invalidRoot(path: path, rule: "it is the whole machine") }
        guard path.utf8.count < 4096, !path.utf8.contains(0) else {
            throw .invalidRoot(path: path, rule: "it is not a path")
        }
        for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard !part.isEmpty, part != ".", part != ".." else {
                throw .invalidRoot(path: path, rule: "the path is not in its shortest form")
            }
        }
    }
}
