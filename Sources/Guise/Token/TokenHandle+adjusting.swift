public import AccessControl
import GuiseProtocol

/// What becomes of a privilege, or was of it (`SE_PRIVILEGE_ENABLED`, `SE_PRIVILEGE_REMOVED`).
public enum PrivilegeState: Hashable, Sendable {
    /// It counts.
    case enabled
    /// It can be enabled.
    case disabled
    /// It is gone, and does not come back.
    case removed
}

/// What adjusting has done.
public struct TokenAdjustment<Item: Hashable & Sendable, State: Hashable & Sendable>: Hashable, Sendable {
    /// As those that have changed were before; adjusting to this puts them back, except what was removed.
    public let previous: [Item: State]
    /// What was asked for and the token does not have. The rest was done (`ERROR_NOT_ALL_ASSIGNED`).
    public let missing: [Item]
}

extension TokenHandle {
    /// Enables, disables and removes privileges. Corresponds to `AdjustTokenPrivileges`.
    ///
    /// ```swift
    /// try impersonateSelf()
    /// try TokenHandle.ofThread(access: .adjustPrivileges).adjust([.backup: .enabled])  // for this thread alone
    /// ```
    ///
    /// - Throws: ``GuiseError/accessDenied(_:)`` without TOKEN_ADJUST_PRIVILEGES.
    @discardableResult
    public func adjust(
        _ privileges: [Privilege: PrivilegeState]
    ) throws(GuiseError) -> TokenAdjustment<Privilege, PrivilegeState> {
        try adjustPrivileges(
            .with {
                $0.privileges = privileges.map { privilege, state in
                    .with {
                        $0.luid = privilege.rawValue
                        $0.attributes =
                            switch state {
                            case .disabled: 0
                            case .enabled: 2
                            case .removed: 4
                            }
                    }
                }
            })
    }

    /// Disables every privilege. Corresponds to `AdjustTokenPrivileges` with `DisableAllPrivileges`.
    @discardableResult
    public func disableAllPrivileges() throws(GuiseError) -> TokenAdjustment<Privilege, PrivilegeState> {
        try adjustPrivileges(.with { $0.disableAllPrivileges = true })
    }

    private func adjustPrivileges(
        _ request: WireAdjustToken
    ) throws(GuiseError) -> TokenAdjustment<Privilege, PrivilegeState> {
        let adjusted = try adjust(request)
        var previous: [Privilege: PrivilegeState] = [:]
        for state in adjusted.privileges {
            guard let privilege = Privilege(rawValue: state.luid) else { continue }
            previous[privilege] = state.attributes & 2 != 0 ? .enabled : .disabled
        }
        return TokenAdjustment(
            previous: previous, missing: adjusted.missingPrivileges.compactMap { Privilege(rawValue: $0) })
    }

    /// Enables (true) and disables groups. Corresponds to `AdjustTokenGroups`.
    ///
    /// - Throws: ``GuiseError/invalid(_:)`` for disabling a mandatory group and for enabling a deny-only one; nothing is
    ///   changed then. ``GuiseError/accessDenied(_:)`` without TOKEN_ADJUST_GROUPS.
    @discardableResult
    public func adjust(groups: [SID: Bool]) throws(GuiseError) -> TokenAdjustment<SID, Bool> {
        try adjustGroups(
            .with {
                $0.groups = groups.map { sid, isEnabled in
                    .with {
                        $0.sid = sid.description
                        $0.enabled = isEnabled
                    }
                }
            })
    }

    /// Puts the groups as they are by default. Corresponds to `AdjustTokenGroups` with `ResetToDefault`.
    @discardableResult
    public func resetGroups() throws(GuiseError) -> TokenAdjustment<SID, Bool> {
        try adjustGroups(.with { $0.resetGroups = true })
    }

    private func adjustGroups(_ request: WireAdjustToken) throws(GuiseError) -> TokenAdjustment<SID, Bool> {
        let adjusted = try adjust(request)
        var previous: [SID: Bool] = [:]
        for state in adjusted.groups {
            if let sid = SID(state.sid) { previous[sid] = state.enabled }
        }
        return TokenAdjustment(previous: previous, missing: adjusted.missingGroups.compactMap { SID($0) })
    }

    private func adjust(_ request: WireAdjustToken) throws(GuiseError) -> WireTokenAdjusted {
        let held = try held()
        var request = request
        request.token = held.number
        guard case .tokenAdjusted(let adjusted) = try held.client.call(.adjustToken(request)) else {
            throw .authorityFailed("the authority's answer to adjusting a token makes no sense")
        }
        if level == nil { renew() }
        EffectiveIdentity.noteAdjustment()
        return adjusted
    }

    /// Sets the owner of new objects: the user, or a group that can own. Corresponds to `SetTokenInformation` with
    /// `TokenOwner`; it and its kin take TOKEN_ADJUST_DEFAULT.
    public func setOwner(_ owner: SID) throws(GuiseError) { try set(.with { $0.owner = owner.description }) }

    /// Sets the primary group of new objects, one of the token's. Corresponds to `SetTokenInformation` with
    /// `TokenPrimaryGroup`.
    public func setPrimaryGroup(_ group: SID) throws(GuiseError) {
        try set(.with { $0.primaryGroup = group.description })
    }

    /// Sets the DACL of new objects that inherit none, of at most 4,000 bytes. Corresponds to `SetTokenInformation` with
    /// `TokenDefaultDacl`.
    public func setDefaultDACL(_ dacl: ACL?) throws(GuiseError) {
        let descriptor = dacl.map { SecurityDescriptor(owner: nil, group: nil, dacl: .present($0)).bytes }
        try set(.with { $0.defaultDacl = .init(descriptor ?? []) })
    }

    /// Lowers the integrity level. Corresponds to `SetTokenInformation` with `TokenIntegrityLevel`.
    ///
    /// - Throws: ``GuiseError/accessDenied(_:)`` for raising it.
    public func setIntegrity(_ integrity: IntegrityLevel) throws(GuiseError) {
        try set(.with { $0.integrity = integrity.rawValue })
    }

    private func set(_ request: WireSetToken) throws(GuiseError) {
        let held = try held()
        var request = request
        request.token = held.number
        _ = try held.client.call(.setToken(request))
        if level == nil { renew() }
        EffectiveIdentity.noteAdjustment()
    }
}
