/// The access check: may this token have these rights on an object with this descriptor?
///
/// The stages and their order are those of `docs/access-control.md`; each has a file in this folder. A check
/// straight from the binary form allocates nothing, and its cost grows with the number of entries only: the
/// token's groups were hashed when the token was made.
public enum AccessCheck<Kind: ObjectKind> {
    /// Decides from the self-relative binary form (`AccessCheck`, `SeAccessCheck`).
    ///
    /// - Parameters:
    ///   - bytes: the descriptor; may be hostile.
    ///   - token: whose rights are asked about. For a thread that impersonates, `Impersonation.deciding`.
    ///   - desired: the rights; generic ones are mapped, `.maximumAllowed` asks for all there are.
    ///   - context: intent, PRINCIPAL_SELF and the like.
    /// - Throws: if the bytes are no descriptor, or it has no owner. Never treat it as a grant.
    @inlinable
    public static func decide(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>, context: borrowing AccessContext
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        AccessDecision(try checkAccess(bytes, token, desired.rawValue, Kind.genericMapping, context))
    }

    /// Decides from the self-relative binary form, where the context has nothing to say.
    @inlinable
    public static func decide(
        _ bytes: RawSpan, token: Token, desired: AccessMask<Kind>
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        AccessDecision(try checkAccess(bytes, token, desired.rawValue, Kind.genericMapping, .plain))
    }

    /// Decides from the self-relative binary form.
    @inlinable
    public static func decide(
        _ bytes: UnsafeRawBufferPointer, token: Token, desired: AccessMask<Kind>,
        context: borrowing AccessContext
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        AccessDecision(try checkAccess(bytes, token, desired.rawValue, Kind.genericMapping, context))
    }

    /// Decides from the self-relative binary form, where the context has nothing to say.
    @inlinable
    public static func decide(
        _ bytes: UnsafeRawBufferPointer, token: Token, desired: AccessMask<Kind>
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        AccessDecision(try checkAccess(bytes, token, desired.rawValue, Kind.genericMapping, .plain))
    }

    /// Decides from a view of a descriptor that was validated before.
    @inlinable
    public static func decide(
        _ view: SecurityDescriptorView, token: Token, desired: AccessMask<Kind>,
        context: borrowing AccessContext = .plain
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        AccessDecision(try checkAccess(view, token, desired.rawValue, Kind.genericMapping, context))
    }

    /// Decides from a descriptor in memory. It is put into its binary form first, which allocates.
    public static func decide(
        _ descriptor: SecurityDescriptor, token: Token, desired: AccessMask<Kind>,
        context: AccessContext = .plain
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        let bytes = descriptor.bytes
        return try decide(bytes.span.bytes, token: token, desired: desired, context: context)
    }

    /// Decides for a client whose token the service holds, whether or not it may act with it.
    ///
    /// This is what level Identification is for. What a thread may do while it impersonates is another question:
    /// ask for `Impersonation.deciding` then.
    ///
    /// - Throws: `AccessCheckError.anonymousLevel` at level Anonymous, besides what the other forms throw.
    public static func decide(
        _ bytes: RawSpan, client: Token.Impersonation, desired: AccessMask<Kind>,
        context: AccessContext = .plain
    ) throws(AccessCheckError) -> AccessDecision<Kind> {
        guard client.level >= .identification else { throw .anonymousLevel }
        return try decide(bytes, token: client.token, desired: desired, context: context)
    }
}

@usableFromInline
func checkAccess(
    _ bytes: RawSpan, _ token: borrowing Token, _ desired: UInt32, _ mapping: GenericMapping,
    _ context: borrowing AccessContext
) throws(AccessCheckError) -> Outcome {
    var failure = AccessCheckError.noOwner
    let outcome: Outcome? = bytes.withUnsafeBytes { buffer in
        do throws(AccessCheckError) {
            return try checkAccess(buffer, token, desired, mapping, context)
        } catch {
            failure = error
            return nil
        }
    }
    guard let outcome else { throw failure }
    return outcome
}

@usableFromInline
func checkAccess(
    _ bytes: UnsafeRawBufferPointer, _ token: borrowing Token, _ desired: UInt32, _ mapping: GenericMapping,
    _ context: borrowing AccessContext
) throws(AccessCheckError) -> Outcome {
    let view: SecurityDescriptorView
    do throws(DescriptorError) {
        view = try SecurityDescriptorView(inlined: bytes)
    } catch {
        throw .malformed(error)
    }
    return try checkAccess(inlined: view, token, desired, mapping, context)
}

@usableFromInline
func checkAccess(
    _ view: SecurityDescriptorView, _ token: borrowing Token, _ desired: UInt32, _ mapping: GenericMapping,
    _ context: borrowing AccessContext
) throws(AccessCheckError) -> Outcome {
    try checkAccess(inlined: view, token, desired, mapping, context)
}

@inline(__always)
private func checkAccess(
    inlined view: SecurityDescriptorView, _ token: borrowing Token, _ desired: UInt32,
    _ mapping: GenericMapping,
    _ context: borrowing AccessContext
) throws(AccessCheckError) -> Outcome {
    let evaluation = Evaluation(view, token.storage, desired, mapping)
    guard let owner = view.rawOwner else { throw .noOwner }
    guard context.isSessionAlive else { return .refused }
    if evaluation.desired == 0, !evaluation.wantsMaximum { return Outcome(isAllowed: true, granted: 0) }
    let privileged = evaluation.bitsByPrivilege(context.intent)
    let label = evaluation.bitsOfSACL()
    let subject = ObjectSubject(owner, context.principalSelf, token.storage.table)
    var tally = evaluation.passes(view.rawDACL, FlatTally(), subject)
    guard label.namesPolicies else {
        return evaluation.conclude(privileged: privileged, refused: label, discretionary: tally.granted)
    }
    var staged = tally
    let hasStaged = evaluation.applyPolicies(
        context.policies, to: &tally, fresh: FlatTally(), subject, staged: false)
    var outcome = evaluation.conclude(privileged: privileged, refused: label, discretionary: tally.granted)
    if hasStaged {
        _ = evaluation.applyPolicies(context.policies, to: &staged, fresh: FlatTally(), subject, staged: true)
        let other = evaluation.conclude(privileged: privileged, refused: label, discretionary: staged.granted)
        outcome.staged = other.granted
    }
    return outcome
}
