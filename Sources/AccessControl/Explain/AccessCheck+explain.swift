extension AccessCheck {
    /// Decides as `decide` does, by the same walk, and tells for every right what granted or refused it.
    ///
    /// - Parameter domain: the domain whose accounts are written by their aliases.
    public static func explain(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, context: AccessContext = .plain,
        domain: SID? = nil
    ) throws(AccessCheckError) -> AccessExplanation<Kind> {
        let decision = try decide(bytes, token: token, desired: desired, context: context)
        do throws(DescriptorError) {
            let rights = try SecurityDescriptorView.with(bytes) { view in
                Explainer<Kind>(view, token, desired, context, domain).rights()
            }
            return AccessExplanation(decision: decision, rights: rights)
        } catch {
            throw .malformed(error)
        }
    }

    /// Decides as `decide` does, by the same walk, and tells for every right what granted or refused it.
    public static func explain(
        _ descriptor: SecurityDescriptor, token: Token, desired: AccessMask<Kind>,
        context: AccessContext = .plain, domain: SID? = nil
    ) throws(AccessCheckError) -> AccessExplanation<Kind> {
        let bytes = descriptor.bytes
        return try explain(bytes.span.bytes, token: token, desired: desired, context: context, domain: domain)
    }
}

/// Walks once more, keeping the reasons.
private struct Explainer<Kind: ObjectKind> {
    typealias Right = AccessExplanation<Kind>.Right
    typealias Cause = AccessExplanation<Kind>.Cause

    let evaluation: Evaluation
    let token: Token
    let context: AccessContext
    let domain: SID?

    init(
        _ view: SecurityDescriptorView, _ token: Token, _ desired: AccessMask<Kind>, _ context: AccessContext,
        _ domain: SID?
    ) {
        evaluation = Evaluation(view, token.storage, desired.rawValue, Kind.genericMapping)
        (self.token, self.context, self.domain) = (token, context, domain)
    }

    func rights() -> [Right] {
        let wanted = evaluation.desired | (evaluation.wantsMaximum ? Kind.genericMapping.all : 0)
        let bits = (0..<32).map { UInt32(1) << $0 }.filter { wanted & $0 != 0 }
        guard context.isSessionAlive, let owner = evaluation.view.rawOwner else {
            return bits.map { Right(mask: AccessMask(rawValue: $0), isGranted: false, cause: .sessionEnded) }
        }
        let privileged = evaluation.bitsByPrivilege(context.intent)
        let refused = evaluation.bitsOfSACL()
        let subject = ObjectSubject(owner, context.principalSelf, token.storage.table)
        var tally = evaluation.passes(evaluation.view.rawDACL, RecordingTally(), subject)
        if refused.namesPolicies {
            _ = evaluation.applyPolicies(
                context.policies, to: &tally, fresh: RecordingTally(), subject, staged: false)
        }
        return bits.map { bit in
            let (isGranted, cause) = judge(bit, tally, privileged, refused)
            return Right(mask: AccessMask(rawValue: bit), isGranted: isGranted, cause: cause)
        }
    }

    private func judge(
        _ bit: UInt32, _ tally: RecordingTally, _ privileged: PrivilegedBits, _ refused: RefusedBits
    ) -> (Bool, Cause) {
        if refused.bits & bit != 0 {
            let label = evaluation.label()
            return (false, .label(label.level, label.policy, token: token.integrity))
        }
        let number = bit.trailingZeroBitCount
        if tally.flat.granted & bit != 0 { return (true, cause(tally.reasons[number])) }
        for (privilege, bits) in privileged.inOrder where bits & bit != 0 {
            return (true, .privilege(privilege))
        }
        if bit == StandardRights.accessSystemSecurity { return (false, .missingPrivilege(.security)) }
        if bit == StandardRights.writeOwner, token.holds(.takeOwnership) {
            return (true, .privilege(.takeOwnership))
        }
        switch tally.layers[number] {
        case .restricting: return (false, .restrictingSIDs)
        case .confinement: return (false, .confinement)
        case .policy(let index, let rule):
            return (false, .policy(rule: index < 0 ? nil : context.policies[index].rules[rule].name))
        case nil: return (false, cause(tally.reasons[number]))
        }
    }

    private func cause(_ reason: Reason?) -> Cause {
        switch reason {
        case .entry(let index): .entry(index, text: text(of: index))
        case .owner: .owner
        case .nullDACL: .nullDACL
        case nil: .noEntry
        }
    }

    private func text(of index: Int) -> String {
        guard var cursor = evaluation.view.rawDACL?.makeCursor() else { return "" }
        for _ in 0..<index { _ = cursor.next() }
        return cursor.next().map { ACE($0).sddl(domain: domain) } ?? ""
    }
}
