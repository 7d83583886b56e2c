/// One decision in the making: what the stages share.
struct Evaluation {
    let view: SecurityDescriptorView
    let token: Token.Storage
    let mapping: GenericMapping
    /// The rights asked for, mapped, without MAXIMUM_ALLOWED.
    let desired: UInt32
    /// Whether MAXIMUM_ALLOWED was asked for.
    let wantsMaximum: Bool
    /// The bits whose fate matters.
    let relevant: UInt32

    /// Stage 1: map the generic bits, take MAXIMUM_ALLOWED out.
    @inline(__always)
    init(
        _ view: SecurityDescriptorView, _ token: Token.Storage, _ desired: UInt32, _ mapping: GenericMapping
    ) {
        self.view = view
        self.token = token
        self.mapping = mapping
        self.desired = mapping.map(desired) & ~StandardRights.maximumAllowed
        wantsMaximum = desired & StandardRights.maximumAllowed != 0
        relevant = (wantsMaximum ? ~0 : self.desired) & ~Self.neverByACE
    }

    /// Bits no entry can grant: ACCESS_SYSTEM_SECURITY takes a privilege, MAXIMUM_ALLOWED is no right.
    static let neverByACE = StandardRights.accessSystemSecurity | StandardRights.maximumAllowed

    @inline(__always) func holds(_ privilege: Privilege) -> Bool {
        token.fields.privileges.enabled.contains(privilege)
    }

    /// The last stages: privileges count where entries did not grant, and the request is judged as a whole.
    @inline(__always)
    func conclude(privileged: PrivilegedBits, refused: RefusedBits, discretionary: UInt32) -> Outcome {
        var outcome = Outcome(isAllowed: false, granted: 0)
        let granted = discretionary & ~refused.bits
        if privileged.isEmpty,
            desired & (StandardRights.accessSystemSecurity | StandardRights.writeOwner) == 0,
            !wantsMaximum
        {
            outcome.isAllowed = desired & ~granted == 0
            outcome.granted = outcome.isAllowed ? desired : 0
            return outcome
        }
        return concludeWithPrivileges(privileged, refused, granted)
    }

    private func concludeWithPrivileges(
        _ privileged: PrivilegedBits, _ refused: RefusedBits, _ discretionary: UInt32
    ) -> Outcome {
        var outcome = Outcome(isAllowed: false, granted: 0)
        var granted = discretionary
        var used = PrivilegeSet()
        for (privilege, bits) in privileged.inOrder {
            let added = bits & ~refused.bits & ~granted & (wantsMaximum ? ~0 : desired)
            if added != 0 { used.insert(privilege) }
            granted |= added
        }
        if wantsOwnership(beyond: granted, refused: refused.bits) {
            granted |= StandardRights.writeOwner
            used.insert(.takeOwnership)
        }
        if refused.isOwnerSparedByRelabel, granted & StandardRights.writeOwner != 0 { used.insert(.relabel) }
        if desired & StandardRights.accessSystemSecurity != 0, !holds(.security) {
            outcome.missingPrivilege = .security
        }
        let answer = wantsMaximum ? granted : desired
        outcome.isAllowed = desired & ~granted == 0 && answer != 0
        outcome.granted = outcome.isAllowed ? answer : 0
        if outcome.isAllowed { outcome.privilegesUsed = used }
        return outcome
    }

    /// Stage 5: `SeTakeOwnershipPrivilege` grants WRITE_OWNER if nothing else did and no label refuses it.
    private func wantsOwnership(beyond granted: UInt32, refused: UInt32) -> Bool {
        let bit = StandardRights.writeOwner
        guard (wantsMaximum || desired & bit != 0), (granted | refused) & bit == 0 else { return false }
        return holds(.takeOwnership)
    }
}
