public import AccessControl

extension Token {
    /// The token that a description shows, for deciding in this process what the authority would decide by it.
    ///
    /// - Throws: ``GuiseError/authorityFailed(_:)`` when the description shows more than a token can hold.
    public init(_ description: TokenDescription) throws(GuiseError) {
        var fields = Fields(
            user: description.user.sid, integrity: description.integrity,
            logonSession: description.logonSession)
        fields.groups = description.groups.map(Group.init)
        fields.restrictingSIDs = description.restrictingSIDs.map(Group.init)
        fields.isWriteRestricted = description.isWriteRestricted
        fields.privileges = Privileges(
            present: PrivilegeSet(description.privileges),
            enabled: PrivilegeSet(description.enabledPrivileges))
        do throws(TokenError) { try self.init(fields) } catch {
            throw .authorityFailed("the authority described a token that cannot be: \(error)")
        }
    }
}

extension Token.Group {
    init(_ group: TokenDescription.Group) {
        self.init(group.principal.sid, Attributes(rawValue: group.attributes))
    }
}
