extension AccessCheck {
    /// The entries of the SACL that ask for an audit record of a decision (stage 9).
    ///
    /// An entry for success is about what was granted, one for failure about what was asked for. It matches the
    /// user and every group, deny-only ones included; a condition that is unknown asks for the record.
    ///
    /// - Parameters:
    ///   - bytes: the descriptor that was decided about.
    ///   - decision: the answer that was given.
    /// - Returns: the indices of the entries in the SACL; none if no record is wanted.
    public static func auditEntries(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, decision: AccessDecision<Kind>,
        context: AccessContext = .plain
    ) throws(AccessCheckError) -> [Int] {
        do throws(DescriptorError) {
            return try SecurityDescriptorView.with(bytes) { view in
                Evaluation(view, token.storage, desired.rawValue, Kind.genericMapping)
                    .auditEntries(
                        isSuccess: decision.isAllowed, granted: decision.granted.rawValue,
                        context.principalSelf)
            }
        } catch {
            throw .malformed(error)
        }
    }
}

extension Evaluation {
    fileprivate func auditEntries(isSuccess: Bool, granted: UInt32, _ principalSelf: SID?) -> [Int] {
        guard let sacl = view.rawSACL, let owner = view.rawOwner else { return [] }
        let subject = ObjectSubject(owner, principalSelf, token.table)
        // Who asks for the maximum and gets nothing has asked for everything.
        let asked = isSuccess ? granted : desired | (wantsMaximum ? mapping.all : 0)
        var budget = ConditionCode.workBudget
        var out: [Int] = []
        var cursor = sacl.makeCursor()
        let count = cursor.remaining
        while let ace = cursor.next() {
            guard ace.type.isAudit, !ace.flags.contains(.inheritOnly),
                ace.flags.contains(isSuccess ? .successfulAccess : .failedAccess),
                mapping.map(ace.mask) & asked != 0,
                roles(of: ace.sid, subject).contains(.deny)
            else { continue }
            if ace.type.isCallback, truth(of: ace, .deny, denying: true, &budget) == .no { continue }
            out.append(count - cursor.remaining - 1)
        }
        return out
    }
}
