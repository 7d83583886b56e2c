/// The bits that a mandatory label refuses, whatever the DACL and privileges say.
struct RefusedBits {
    var bits: UInt32 = 0
    /// Whether WRITE_OWNER would be among them but for `SeRelabelPrivilege`.
    var isOwnerSparedByRelabel = false
    /// Whether the SACL names central access policies.
    var namesPolicies = false
}

extension Evaluation {
    /// Stage 3: the SACL. An object without a label is Medium and not to be written from below.
    @inline(__always)
    func bitsOfSACL() -> RefusedBits {
        let label = label()
        var out = RefusedBits()
        if token.fields.mandatoryPolicy.contains(.noWriteUp), token.fields.integrity < label.level {
            out = bitsRefused(by: label.policy)
        }
        out.namesPolicies = label.namesPolicies
        return out
    }

    /// What the SACL says of integrity: the first label that states a level.
    @inline(__always)
    func label() -> (level: IntegrityLevel, policy: MandatoryPolicy, namesPolicies: Bool) {
        guard let sacl = view.rawSACL else { return (.medium, .noWriteUp, false) }
        return Self.label(in: sacl)
    }

    private static func label(
        in sacl: RawACL
    ) -> (level: IntegrityLevel, policy: MandatoryPolicy, namesPolicies: Bool) {
        var out = (level: IntegrityLevel.medium, policy: MandatoryPolicy.noWriteUp, namesPolicies: false)
        var isFound = false
        var cursor = sacl.makeCursor()
        while let ace = cursor.next() {
            if ace.flags.contains(.inheritOnly) { continue }
            if ace.type == .scopedPolicyID { out.namesPolicies = true }
            guard ace.type == .mandatoryLabel, !isFound else { continue }
            let sid = ace.sid
            // A label whose SID states no level is no label.
            guard sid.head == labelHead else { continue }
            isFound = true
            out.level = IntegrityLevel(rawValue: sid.subAuthority(at: 0))
            out.policy = MandatoryPolicy(rawValue: ace.mask)
        }
        return out
    }

    /// The first eight bytes of `S-1-16-level`.
    private static var labelHead: UInt64 { 0x1000_0000_0000_0101 }

    private func bitsRefused(by policy: MandatoryPolicy) -> RefusedBits {
        var allowed: UInt32 = 0
        if !policy.contains(.noReadUp) { allowed |= mapping.read }
        if !policy.contains(.noExecuteUp) { allowed |= mapping.execute }
        if policy.contains(.noWriteUp) {
            // Reading the descriptor and waiting are part of GENERIC_WRITE, yet write nothing.
            if !policy.contains(.noReadUp) {
                allowed |= StandardRights.readControl | StandardRights.synchronize
            }
        } else {
            // Bits of no generic class, such as DELETE, change the object: they go with writing.
            allowed |= mapping.write | ~(mapping.read | mapping.execute)
        }
        var out = RefusedBits(bits: ~allowed)
        if out.bits & StandardRights.writeOwner != 0, holds(.relabel) {
            out.bits &= ~StandardRights.writeOwner
            out.isOwnerSparedByRelabel = true
        }
        return out
    }
}
