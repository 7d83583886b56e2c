extension AccessCheck {
    /// Decides for an object with its property sets and properties, as a whole: every node must be granted what is
    /// asked for (`AccessCheckByType`).
    public static func decide(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, tree: ObjectTree,
        context: AccessContext = .plain
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        // The root is granted what all its children are, and refused what any node is.
        try decideEach(bytes, token: token, desired: desired, tree: tree, context: context)[0]
    }

    /// Decides for an object with its property sets and properties, each node apart
    /// (`AccessCheckByTypeResultList`).
    ///
    /// - Returns: one decision for each node of the tree, in its order.
    public static func decideEach(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, tree: ObjectTree,
        context: AccessContext = .plain
    ) throws(AccessCheckError) -> [AccessDecision<Kind>] {
        try checkAccess(bytes, token, desired.rawValue, Kind.genericMapping, tree, context)
            .map(AccessDecision.init)
    }
}

func checkAccess(
    _ bytes: RawSpan, _ token: Token, _ desired: UInt32, _ mapping: GenericMapping, _ tree: ObjectTree,
    _ context: AccessContext
) throws(AccessCheckError) -> [Outcome] {
    let outcomes: Result<[Outcome], AccessCheckError>
    do throws(DescriptorError) {
        outcomes = try SecurityDescriptorView.with(bytes) { view in
            do throws(AccessCheckError) {
                return .success(try checkAccess(view, token, desired, mapping, tree, context))
            } catch {
                return .failure(error)
            }
        }
    } catch {
        throw .malformed(error)
    }
    return try outcomes.get()
}

private func checkAccess(
    _ view: SecurityDescriptorView, _ token: Token, _ desired: UInt32, _ mapping: GenericMapping,
    _ tree: ObjectTree, _ context: AccessContext
) throws(AccessCheckError) -> [Outcome] {
    let evaluation = Evaluation(view, token.storage, desired, mapping)
    guard let owner = view.rawOwner else { throw .noOwner }
    let everywhere = { (outcome: Outcome) in Array(repeating: outcome, count: tree.nodes.count) }
    guard context.isSessionAlive else { return everywhere(.refused) }
    if evaluation.desired == 0, !evaluation.wantsMaximum {
        return everywhere(Outcome(isAllowed: true, granted: 0))
    }
    let privileged = evaluation.bitsByPrivilege(context.intent)
    let label = evaluation.bitsOfSACL()
    let subject = ObjectSubject(owner, context.principalSelf, token.storage.table)
    let fresh = TreeTally(tree)
    var tally = evaluation.passes(view.rawDACL, fresh, subject)
    var staged: TreeTally?
    if label.namesPolicies {
        var other = tally
        let hasStaged = evaluation.applyPolicies(
            context.policies, to: &tally, fresh: fresh, subject, staged: false)
        if hasStaged {
            _ = evaluation.applyPolicies(context.policies, to: &other, fresh: fresh, subject, staged: true)
            staged = other
        }
    }
    return tree.nodes.indices.map { index in
        var outcome = evaluation.conclude(
            privileged: privileged, refused: label, discretionary: tally.granted[index])
        if let staged {
            outcome.staged =
                evaluation.conclude(
                    privileged: privileged, refused: label, discretionary: staged.granted[index]
                ).granted
        }
        return outcome
    }
}
