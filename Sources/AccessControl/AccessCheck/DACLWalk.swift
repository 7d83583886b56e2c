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

/// What the placeholders in a DACL stand for on the object at hand, as far as the token is concerned.
struct ObjectSubject {
    /// The owner; its roles are looked up only where they matter.
    let owner: RawSID
    /// The roles of the object itself, where it is a principal; `nil` if it is not known to be one.
    let principalSelf: SIDTable.Roles?

    @inline(__always) init(_ owner: RawSID, _ principalSelf: borrowing SID?, _ table: SIDTable) {
        self.owner = owner
        // Spelled out: `map` would be called through its generic form here.
        if let principalSelf = copy principalSelf {
            self.principalSelf = table.roles(of: principalSelf)
        } else {
            self.principalSelf = nil
        }
    }
}

extension Evaluation {
    /// Stages 4 and 6: what a DACL grants to the token, cut down to what it grants to the restricting SIDs and to
    /// the app container.
    @inline(__always)
    func passes<T: Tally>(_ dacl: RawACL?, _ fresh: T, _ subject: ObjectSubject) -> T {
        var tally = fresh
        guard let dacl else {
            // Not even a missing DACL grants what takes a privilege.
            tally.allow(((wantsMaximum ? mapping.all : 0) | desired) & ~Self.neverByACE, by: .nullDACL)
            return tally
        }
        walk(dacl, .principal, subject, &tally)
        if token.hasRestrictions {
            var second = fresh
            walk(dacl, .restricting, subject, &second)
            let kept = token.fields.isWriteRestricted ? mapping.read | mapping.execute : 0
            tally.intersect(with: second, keeping: kept, layer: .restricting)
        }
        if token.isConfined {
            var third = fresh
            walk(dacl, .confinement, subject, &third)
            tally.intersect(with: third, keeping: 0, layer: .confinement)
        }
        return tally
    }

    /// One pass: entries in order, the first that names a bit decides it.
    private func walk<T: Tally>(_ dacl: RawACL, _ subject: Subject, _ object: ObjectSubject, _ tally: inout T)
    {
        tally.allow(ownerBits(dacl, object.owner, subject), by: .owner)
        var budget = ConditionCode.workBudget
        var cursor = dacl.makeCursor()
        let count = cursor.remaining
        while let ace = cursor.next() {
            let type = ace.type
            let isAllow: Bool
            switch type.rawValue {
            case 0x00, 0x05, 0x09, 0x0b: isAllow = true
            case 0x01, 0x06, 0x0a, 0x0c: isAllow = false
            default: continue
            }
            if ace.flags.contains(.inheritOnly) { continue }
            let bits = tally.undecided(mapping.map(ace.mask) & relevant)
            if bits == 0 { continue }
            let roles = roles(of: ace.sid, object)
            guard !roles.isDisjoint(with: isAllow ? subject.allow : subject.deny) else { continue }
            if type.rawValue >= 0x09 {
                // A condition that is unknown grants nothing and refuses everything.
                let truth = truth(of: ace, isAllow ? subject.allow : subject.deny, denying: !isAllow, &budget)
                if isAllow ? truth != .yes : truth == .no { continue }
            }
            let reason = Reason.entry(count - cursor.remaining - 1)
            if type.layout == .object {
                if isAllow {
                    tally.allow(bits, onObjectsOf: ace, by: reason)
                } else {
                    tally.deny(bits, onObjectsOf: ace, by: reason)
                }
            } else if isAllow {
                tally.allow(bits, by: reason)
            } else {
                tally.deny(bits, by: reason)
            }
            if tally.undecided(relevant) == 0 { break }
        }
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
    private func ownerBits(_ dacl: RawACL, _ owner: RawSID, _ subject: Subject) -> UInt32 {
        let bits = (StandardRights.readControl | StandardRights.writeDAC) & relevant
        guard bits != 0, !token.table.roles(of: owner).isDisjoint(with: subject.allow) else { return 0 }
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
    func roles(of sid: RawSID, _ object: ObjectSubject) -> SIDTable.Roles {
        if sid.subAuthorityCount == 1 { return rolesOfShort(sid, object) }
        return token.table.roles(of: sid)
    }

    /// Apart, so that the usual case stays small enough to be inlined.
    @inline(never)
    private func rolesOfShort(_ sid: RawSID, _ object: ObjectSubject) -> SIDTable.Roles {
        if Self.isOwnerRights(sid) { return token.table.roles(of: object.owner) }
        if sid.head == 0x0500_0000_0000_0101, sid.subAuthority(at: 0) == 10, let roles = object.principalSelf
        {
            return roles
        }
        return token.table.roles(of: sid)
    }
}
