/// The bits that a mandatory label refuses, whatever the DACL and privileges say.
struct RefusedBits {
    var bits: UInt32 = 0
    /// Whether WRITE_OWNER would be among them but for `SeRelabelPrivilege`.
    var isOwnerSparedByRelabel = false
}

extension Evaluation {
    /// Stage 3: the mandatory label. An object without one is Medium and not to be written from below.
    @inline(__always)
    func bitsRefusedByLabel() -> RefusedBits {
        guard token.fields.mandatoryPolicy.contains(.noWriteUp) else { return RefusedBits() }
        var level = IntegrityLevel.medium
        var policy = MandatoryPolicy.noWriteUp
        if let sacl = view.rawSACL { Self.findLabel(sacl, &level, &policy) }
        if token.fields.integrity >= level { return RefusedBits() }
        return bitsRefused(by: policy)
    }

    private static func findLabel(
        _ sacl: RawACL, _ level: inout IntegrityLevel, _ policy: inout MandatoryPolicy
    ) {
        var cursor = sacl.makeCursor()
        while let ace = cursor.next() {
            guard ace.type == .mandatoryLabel, !ace.flags.contains(.inheritOnly) else { continue }
            let sid = ace.sid
            // A label whose SID states no level is no label.
            guard sid.head == SID.mandatoryLabel(.medium).head else { continue }
            level = IntegrityLevel(rawValue: sid.subAuthority(at: 0))
            policy = MandatoryPolicy(rawValue: ace.mask)
            return
        }
    }

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
