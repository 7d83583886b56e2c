/// For whom a pass over the DACL is made: which role a SID must have to match.
struct Subject {
    let allow: SIDTable.Roles
    let deny: SIDTable.Roles

    /// The user and the groups.
    static let principal = Subject(allow: .allow, deny: .deny)
    /// The restricting SIDs.
    static let restricting = Subject(allow: .restricting, deny: .restricting)
    /// The app container and its capabilities.
    static let confinement = Subject(allow: .confinement, deny: .confinement)
}

extension Evaluation {
    /// Stages 4 and 6: what the DACL grants to the token, and to its restricting and confinement SIDs.
    @inline(__always)
    func bitsByDACL(owner: RawSID, principalSelf: SID?) -> UInt32 {
        guard let dacl = view.rawDACL else { return (wantsMaximum ? mapping.all : 0) | desired }
        var granted = walk(dacl, .principal, owner, principalSelf)
        if token.hasRestrictions {
            let second = walk(dacl, .restricting, owner, principalSelf)
            granted &= token.fields.isWriteRestricted ? second | mapping.read | mapping.execute : second
        }
        if token.isConfined { granted &= walk(dacl, .confinement, owner, principalSelf) }
        return granted
    }

    /// One pass: entries in order, the first that names a bit decides it.
    private func walk(_ dacl: RawACL, _ subject: Subject, _ owner: RawSID, _ principalSelf: SID?) -> UInt32 {
        let ownerRoles = token.table.roles(of: owner)
        var granted = ownerBits(dacl, isOwner: !ownerRoles.isDisjoint(with: subject.allow))
        var denied: UInt32 = 0
        var budget = ConditionCode.workBudget
        var cursor = dacl.makeCursor()
        while let ace = cursor.next() {
            let type = ace.type
            let isAllow: Bool
            switch type.rawValue {
            case 0x00, 0x05, 0x09, 0x0b: isAllow = true
            case 0x01, 0x06, 0x0a, 0x0c: isAllow = false
            default: continue
            }
            if ace.flags.contains(.inheritOnly) { continue }
            let bits = mapping.map(ace.mask) & relevant & ~(granted | denied)
            if bits == 0 { continue }
            // Without an object tree nothing is known of classes and properties: such a grant is none, such a
            // refusal is a whole one.
            if isAllow, type.layout == .object, ace.objectFlags & 1 != 0 { continue }
            let roles = roles(of: ace.sid, ownerRoles, principalSelf)
            guard !roles.isDisjoint(with: isAllow ? subject.allow : subject.deny) else { continue }
            if type.isCallback {
                // A condition that is unknown grants nothing and refuses everything.
                let truth = truth(of: ace, isAllow ? subject.allow : subject.deny, denying: !isAllow, &budget)
                if isAllow ? truth != .yes : truth == .no { continue }
            }
            if isAllow { granted |= bits } else { denied |= bits }
            if relevant & ~(granted | denied) == 0 { break }
        }
        return granted
    }

    /// The value of an entry's condition.
    @inline(never)
    func truth(of ace: RawACE, _ roles: SIDTable.Roles, denying: Bool, _ budget: inout Int) -> Truth {
        ConditionEvaluator(
            code: ace.applicationData, token: token, sacl: view.rawSACL, roles: roles, denying: denying
        ).evaluate(budget: &budget)
    }

    /// The owner's implicit rights, unless an entry for OWNER RIGHTS speaks for the owner.
    @inline(__always)
    private func ownerBits(_ dacl: RawACL, isOwner: Bool) -> UInt32 {
        let bits = (StandardRights.readControl | StandardRights.writeDAC) & relevant
        guard isOwner, bits != 0 else { return 0 }
        var cursor = dacl.makeCursor()
        while let ace = cursor.next() {
            if ace.type.layout == .opaque || ace.flags.contains(.inheritOnly) { continue }
            if Self.isOwnerRights(ace.sid) { return 0 }
        }
        return bits
    }

    @inline(__always) private static func isOwnerRights(_ sid: RawSID) -> Bool {
        sid.head == 0x0300_0000_0000_0101 && sid.subAuthority(at: 0) == 4
    }

    /// The roles of a SID, with OWNER RIGHTS and PRINCIPAL_SELF resolved.
    @inline(__always)
    private func roles(of sid: RawSID, _ ownerRoles: SIDTable.Roles, _ principalSelf: SID?) -> SIDTable.Roles
    {
        if sid.subAuthorityCount == 1 {
            if Self.isOwnerRights(sid) { return ownerRoles }
            if sid.head == 0x0500_0000_0000_0101, sid.subAuthority(at: 0) == 10, let principalSelf {
                return token.table.roles(of: principalSelf)
            }
        }
        return token.table.roles(of: sid)
    }
}
