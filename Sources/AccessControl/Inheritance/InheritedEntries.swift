/// For whom entries are inherited: what the placeholders in them stand for on the new object.
struct Heir {
    let isContainer: Bool
    let objectTypes: [GUID]
    let owner: SID?
    let group: SID?
    let serverOwner: SID?
    let serverGroup: SID?
    let mapping: GenericMapping

    /// The SID that stands for a placeholder on this object; the SID itself if it is none.
    private func resolve(_ sid: SID) -> SID {
        switch sid {
        case .creatorOwner: owner ?? sid
        case .creatorGroup: group ?? sid
        case .creatorOwnerServer: serverOwner ?? owner ?? sid
        case .creatorGroupServer: serverGroup ?? group ?? sid
        default: sid
        }
    }

    /// The entry as it applies to the object itself: placeholders replaced, generic rights mapped.
    private func effective(_ ace: ACE) -> ACE {
        guard let sid = ace.sid else { return ace }
        let mapsMask = ace.type.isAllow || ace.type.isDeny || ace.type.isAudit || ace.type.isAlarm
        return ace.with(sid: resolve(sid), mask: mapsMask ? mapping.map(ace.mask) : ace.mask)
    }

    /// Splits an entry that both applies and is passed on, if it reads differently in the two.
    ///
    /// Whoever passes GENERIC_ALL for CREATOR OWNER on must pass on just that, not this object's owner.
    func settled(_ ace: ACE) -> [ACE] {
        if ace.flags.contains(.inheritOnly) { return [ace] }
        let applied = effective(ace)
        let passesOn = !ace.flags.isDisjoint(with: [.containerInherit, .objectInherit]) && isContainer
        guard passesOn, applied != ace else {
            return [passesOn ? applied : applied.with(flags: applied.flags.subtracting(.inheritance))]
        }
        return [
            applied.with(flags: applied.flags.subtracting(.inheritance)),
            ace.with(flags: ace.flags.union(.inheritOnly)),
        ]
    }

    /// What the object inherits from one entry of its parent.
    func inherited(from ace: ACE, mark: Bool) -> [ACE] {
        // An entry of unknown layout cannot be judged, so it is not passed on.
        guard ace.type.layout != .opaque else { return [] }
        var flags = ace.flags.subtracting([.inheritOnly, .inherited])
        if mark { flags.insert(.inherited) }
        guard isContainer else {
            guard ace.flags.contains(.objectInherit), isMeant(ace) else { return [] }
            return [effective(ace).with(flags: flags.subtracting(.inheritance))]
        }
        let stops = ace.flags.contains(.noPropagateInherit)
        if ace.flags.contains(.containerInherit), isMeant(ace) {
            guard stops else { return settled(ace.with(flags: flags)) }
            return [effective(ace).with(flags: flags.subtracting(.inheritance))]
        }
        guard !stops, !ace.flags.isDisjoint(with: [.containerInherit, .objectInherit]) else { return [] }
        return [ace.with(flags: flags.union(.inheritOnly))]
    }

    /// Whether an object entry is for objects of this class.
    private func isMeant(_ ace: ACE) -> Bool {
        guard let wanted = ace.entry?.object?.inheritedObjectType else { return true }
        return objectTypes.contains(wanted)
    }

    /// What the object inherits from its parent's list.
    func inherited(from list: SecurityDescriptor.List, mark: Bool) -> [ACE] {
        list.aces.flatMap { inherited(from: $0, mark: mark) }
    }
}
