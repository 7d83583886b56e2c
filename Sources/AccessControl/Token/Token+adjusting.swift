extension Token {
    /// This token with privileges enabled and disabled (`AdjustTokenPrivileges`).
    ///
    /// - Throws: `TokenError.noSuchPrivilege` for one the token does not have; nothing is changed then.
    public func adjusting(enable: PrivilegeSet = [], disable: PrivilegeSet = []) throws(TokenError) -> Token {
        var fields = fields
        if let missing = enable.union(disable).subtracting(fields.privileges.present).first(where: { _ in true
        }) {
            throw .noSuchPrivilege(missing)
        }
        fields.privileges.enabled = fields.privileges.enabled.union(enable).subtracting(disable)
        return Token(adjusted: fields)
    }

    /// This token without these privileges; they cannot come back (`SE_PRIVILEGE_REMOVED`).
    public func removing(_ privileges: PrivilegeSet) -> Token {
        var fields = fields
        fields.privileges = Privileges(
            present: fields.privileges.present.subtracting(privileges), enabled: fields.privileges.enabled,
            enabledByDefault: fields.privileges.enabledByDefault, used: fields.privileges.used)
        return Token(adjusted: fields)
    }

    /// This token with privileges marked as used; this is no adjustment and leaves the modification id alone.
    public func marking(used privileges: PrivilegeSet) -> Token {
        var fields = fields
        fields.privileges.used = fields.privileges.used.union(
            privileges.intersection(fields.privileges.present))
        return Token(unchecked: fields)
    }

    /// This token with groups enabled and disabled (`AdjustTokenGroups`).
    ///
    /// - Throws: `TokenError.noSuchGroup`, `.mandatoryGroup` for disabling one, `.denyOnlyGroup` for enabling one;
    ///   nothing is changed then.
    public func adjusting(enable: [SID] = [], disable: [SID] = []) throws(TokenError) -> Token {
        var fields = fields
        for (sids, isEnabling) in [(enable, true), (disable, false)] {
            for sid in sids {
                let indices = fields.groups.indices.filter { fields.groups[$0].sid == sid }
                guard !indices.isEmpty else { throw .noSuchGroup(sid) }
                for index in indices {
                    let attributes = fields.groups[index].attributes
                    if isEnabling {
                        if attributes.contains(.denyOnly) { throw .denyOnlyGroup(sid) }
                        fields.groups[index].attributes = attributes.union(.enabled)
                    } else {
                        if attributes.contains(.mandatory) { throw .mandatoryGroup(sid) }
                        fields.groups[index].attributes = attributes.subtracting(.enabled)
                    }
                }
            }
        }
        return Token(adjusted: fields)
    }

    /// This token with groups and privileges as they were by default.
    public func resettingToDefaults() -> Token {
        var fields = fields
        for index in fields.groups.indices {
            let attributes = fields.groups[index].attributes
            if attributes.contains(.mandatory) || attributes.contains(.denyOnly) { continue }
            let isEnabled = attributes.contains(.enabledByDefault)
            fields.groups[index].attributes =
                isEnabled ? attributes.union(.enabled) : attributes.subtracting(.enabled)
        }
        fields.privileges.enabled = fields.privileges.enabledByDefault
        return Token(adjusted: fields)
    }

    /// This token with other defaults for new objects (`TokenOwner`, `TokenPrimaryGroup`, `TokenDefaultDacl`).
    ///
    /// - Parameters:
    ///   - owner: `nil`: as it is, which may be nobody that can own any more.
    ///   - group: `nil`: as it is.
    ///   - dacl: `nil`: none.
    /// - Throws: `TokenError.notAnOwner` unless the owner is the user or an enabled group marked as owner;
    ///   `.noSuchGroup` unless the group is one of the token's or the user.
    public func settingDefaults(owner: SID?, group: SID?, dacl: ACL?) throws(TokenError) -> Token {
        var fields = fields
        if let owner {
            guard canOwn(owner) else { throw .notAnOwner(owner) }
            fields.defaultOwner = owner
        }
        if let group {
            guard group == user || groups.contains(where: { $0.sid == group }) else {
                throw .noSuchGroup(group)
            }
            fields.defaultGroup = group
        }
        fields.defaultDACL = dacl
        return Token(adjusted: fields)
    }

    /// This token at a lower integrity level (`TokenIntegrityLevel`); a higher one changes nothing.
    public func lowered(to integrity: IntegrityLevel) -> Token {
        guard integrity < self.integrity else { return self }
        var fields = fields
        fields.lower(to: integrity)
        return Token(adjusted: fields)
    }

    /// This token as one that its bearer starts with: it was never anything more.
    public var started: Token {
        var fields = fields
        fields.startIntegrity = nil
        return Token(unchecked: fields)
    }

    /// Whether the token may assign `sid` as the owner of an object: the user, or an enabled group marked as owner.
    public func canOwn(_ sid: SID) -> Bool {
        if sid == user { return !fields.isUserDenyOnly }
        return groups.contains {
            $0.sid == sid && $0.attributes.contains([.owner, .enabled]) && !$0.attributes.contains(.denyOnly)
        }
    }

    private init(adjusted fields: Fields) {
        var fields = fields
        fields.modificationID += 1
        self.init(unchecked: fields)
    }
}
