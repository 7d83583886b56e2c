extension Token {
    /// A copy that can do less (`CreateRestrictedToken`).
    ///
    /// - Parameters:
    ///   - denyOnly: groups, or the user, that shall match deny entries only; those the token has not are passed over.
    ///   - removing: privileges to remove; `nil` for all but `SeChangeNotifyPrivilege`.
    ///   - restrictingTo: SIDs that must be granted access too. If the token is restricted already, only those that
    ///     are in both lists stay, and if there are none, a SID that no entry names keeps it restricted.
    ///   - writeOnly: whether these SIDs restrict writing only.
    ///   - integrity: a lower integrity level; a higher one is passed over.
    /// - Throws: `TokenError.tooManyGroups`.
    public func filtered(
        denyOnly: [SID] = [], removing: PrivilegeSet? = [], restrictingTo: [SID] = [],
        writeOnly: Bool = false,
        integrity: IntegrityLevel? = nil
    ) throws(TokenError) -> Token {
        var fields = fields
        let denied = Set(denyOnly)
        if denied.contains(user) { fields.isUserDenyOnly = true }
        for index in fields.groups.indices where denied.contains(fields.groups[index].sid) {
            fields.groups[index].attributes.subtract([.enabled, .enabledByDefault, .owner])
            fields.groups[index].attributes.formUnion([.denyOnly, .mandatory])
        }
        let removed = removing ?? fields.privileges.present.subtracting([.changeNotify])
        fields.privileges = Privileges(
            present: fields.privileges.present.subtracting(removed), enabled: fields.privileges.enabled,
            enabledByDefault: fields.privileges.enabledByDefault, used: fields.privileges.used)
        if !restrictingTo.isEmpty {
            var kept = restrictingTo
            if isRestricted {
                let before = Set(restrictingSIDs.map(\.sid))
                kept.removeAll { !before.contains($0) }
                if kept.isEmpty { kept = [.null] }
            }
            // Restricting writing only is the weaker kind: it must not replace the stronger one.
            fields.isWriteRestricted = writeOnly && (!isRestricted || fields.isWriteRestricted)
            fields.restrictingSIDs = kept.map { Group($0) }
        }
        if let integrity { fields.lower(to: integrity) }
        if let owner = fields.defaultOwner, denied.contains(owner) { fields.defaultOwner = nil }
        fields.modificationID += 1
        fields.linkedToken = nil
        fields.elevation = .default
        return try Token(fields)
    }

    /// A copy that holds only what is enabled: effective-only quality of service.
    public var effectiveOnly: Token {
        var fields = fields
        fields.groups.removeAll { !$0.attributes.contains(.enabled) && !$0.attributes.contains(.denyOnly) }
        fields.privileges = Privileges(
            present: fields.privileges.enabled, enabled: fields.privileges.enabled,
            enabledByDefault: fields.privileges.enabledByDefault, used: fields.privileges.used)
        // The other half may hold what is left out here.
        fields.linkedToken = nil
        fields.elevation = .default
        return Token(unchecked: fields)
    }

    /// A linked pair: the token with all rights, and its filtered half.
    public static func linkedPair(elevated: Token, filtered: Token) -> (elevated: Token, filtered: Token) {
        var (full, limited) = (elevated.fields, filtered.fields)
        (full.elevation, full.linkedToken) = (.full, nil)
        (limited.elevation, limited.linkedToken) = (.limited, nil)
        let (high, low) = (full, limited)
        full.linkedToken = Token(unchecked: low)
        limited.linkedToken = Token(unchecked: high)
        return (Token(unchecked: full), Token(unchecked: limited))
    }
}

extension Token.Impersonation {
    /// A copy at the same level or below (`DuplicateTokenEx`); at Anonymous nothing of the token is left.
    ///
    /// - Throws: `TokenError.levelRaised` if `level` is above this one's.
    public func duplicate(at level: ImpersonationLevel, effectiveOnly: Bool = false) throws(TokenError)
        -> Self
    {
        guard level <= self.level else { throw .levelRaised }
        return Self(effectiveOnly ? token.effectiveOnly : token, level: level)
    }

    /// A primary token of this one (`DuplicateTokenEx` with `TokenPrimary`).
    ///
    /// - Throws: `TokenError.levelRaised` below level Impersonation: a primary token is fully usable.
    public func primary() throws(TokenError) -> Token.Primary {
        guard level >= .impersonation else { throw .levelRaised }
        return Token.Primary(token)
    }
}
