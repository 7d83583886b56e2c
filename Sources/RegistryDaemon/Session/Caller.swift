package import AccessControl
package import RegistryModel

/// For whom a call is made.
package struct Caller: Sendable {
    /// Whose rights count.
    package let token: Token
    /// Whether the token's logon session is alive; if it is not, everything is refused.
    package let isSessionAlive: Bool
    /// Is told of decisions that a key's SACL wants on record: the key's path, its descriptor, and what was asked for.
    package let audit: @Sendable (RegistryPath, [UInt8], RegistryAccess, AccessIntent) -> Void

    package init(
        token: Token, isSessionAlive: Bool = true,
        audit: @escaping @Sendable (RegistryPath, [UInt8], RegistryAccess, AccessIntent) -> Void = {
            _, _, _, _ in
        }
    ) {
        (self.token, self.isSessionAlive, self.audit) = (token, isSessionAlive, audit)
    }

    /// What is granted of the rights asked for.
    ///
    /// - Throws: ``RegistryError/accessDenied(_:)``, ``RegistryError/privilegeNotHeld(_:)``.
    func check(
        _ record: KeyRecord, _ path: RegistryPath, _ desired: RegistryAccess, intent: AccessIntent = []
    ) throws(RegistryError) -> RegistryAccess {
        let decision = try decide(record, desired, intent)
        if asksForRecord(record, desired, decision, intent) {
            audit(path, record.descriptor, desired, intent)
        }
        guard decision.isAllowed else {
            if let privilege = decision.missingPrivilege {
                throw .privilegeNotHeld(
                    "\(path): ACCESS_SYSTEM_SECURITY takes \(privilege.name), which \(token.user) does not hold"
                        + " or has not enabled")
            }
            throw .accessDenied(
                "\(path): \(token.user) is not granted \(desired.mapped); have the key's owner grant it, or ask"
                    + " for less")
        }
        return decision.granted
    }

    /// Whether the rights are granted, where a refusal is no error and goes on no record.
    func has(_ desired: RegistryAccess, on record: KeyRecord) throws(RegistryError) -> Bool {
        try decide(record, desired, []).isAllowed
    }

    private func decide(
        _ record: KeyRecord, _ desired: RegistryAccess, _ intent: AccessIntent
    ) throws(RegistryError) -> AccessDecision<RegistryKeyKind> {
        do throws(AccessCheckError) {
            return try AccessCheck<RegistryKeyKind>.decide(
                record.descriptor.span.bytes, token: token, desired: desired,
                context: AccessContext(intent: intent, isSessionAlive: isSessionAlive))
        } catch {
            throw .damaged(
                "the descriptor of \(record.name) is no use (\(error)): an administrator sets another")
        }
    }

    private func asksForRecord(
        _ record: KeyRecord, _ desired: RegistryAccess, _ decision: AccessDecision<RegistryKeyKind>,
        _ intent: AccessIntent
    ) -> Bool {
        guard record.descriptor.withUnsafeBytes({ SecurityDescriptorView.hasSACL($0) }) else { return false }
        let entries = try? AccessCheck<RegistryKeyKind>.auditEntries(
            record.descriptor.span.bytes, token: token, desired: desired, decision: decision,
            context: AccessContext(intent: intent, isSessionAlive: isSessionAlive))
        return entries.map { !$0.isEmpty } ?? false
    }
}
