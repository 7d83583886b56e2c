extension Token {
    /// Whether nobody can do with this token what he cannot do with another of the same logon session: it is that one,
    /// filtered and adjusted. What decides is what the tokens could come to, whatever is enabled now.
    public func isContained(in other: Token) -> Bool {
        guard user == other.user, logonSession == other.logonSession, integrity <= other.integrity,
            mandatoryPolicy.isSuperset(of: other.mandatoryPolicy),
            privileges.present.isSubset(of: other.privileges.present),
            fields.isUserDenyOnly || !other.fields.isUserDenyOnly,
            fields.appContainer == other.fields.appContainer,
            fields.capabilities == other.fields.capabilities,
            fields.deviceGroups == other.fields.deviceGroups, fields.userClaims == other.fields.userClaims,
            fields.deviceClaims == other.fields.deviceClaims, fields.localClaims == other.fields.localClaims
        else { return false }
        // Every group that denies still denies, and none grants that did not.
        let own = Dictionary(groups.map { ($0.sid, $0.attributes) }) { first, _ in first }
        let others = Dictionary(other.groups.map { ($0.sid, $0.attributes) }) { first, _ in first }
        guard own.count == groups.count, others.count == other.groups.count, Set(own.keys) == Set(others.keys)
        else { return false }
        for (sid, attributes) in own {
            guard let before = others[sid] else { return false }
            if before.contains(.denyOnly), !attributes.contains(.denyOnly) { return false }
            // One that cannot be disabled denies, too.
            if before.contains(.mandatory), !attributes.contains(.mandatory) { return false }
            if !before.contains(.owner), attributes.contains(.owner) { return false }
        }
        return isRestricted(asMuchAs: other)
    }

    /// Whether the restricting SIDs are those of another token or some of them, and restrict no less than there: what
    /// restricting that one again comes to.
    public func isRestricted(asMuchAs other: Token) -> Bool {
        guard other.isRestricted else { return true }
        return isRestricted && (other.isWriteRestricted || !isWriteRestricted)
            && Set(restrictingSIDs.map(\.sid)).isSubset(
                of: Set(other.restrictingSIDs.map(\.sid)).union([.null]))
    }
}
