/// Whether a service may act as a client: the gates every impersonation passes.
public enum ImpersonationGate {
    /// Why a service may not act as a client.
    public enum GateRefusal: Error, Hashable, Sendable {
        /// The service is restricted and the client, the same user, is not, or by SIDs that the service is not restricted by.
        case restricted
        /// The service does not hold `SeImpersonatePrivilege`.
        case noPrivilege
        /// The client's integrity level is above the service's, or was before the token was lowered.
        case integrity(client: IntegrityLevel, service: IntegrityLevel)
    }

    /// Judges an impersonation, gate by gate; `nil` if it may go ahead.
    ///
    /// - Parameters:
    ///   - service: the primary token of the service, never its current impersonation token.
    ///   - client: the token to act with.
    ///   - level: the level at which to act.
    ///   - clientLogonByServiceSession: whether the client's token came from a logon that the service's own
    ///     logon session made with explicit credentials.
    public static func impersonationGate(
        service: Token, client: Token, level: ImpersonationLevel, clientLogonByServiceSession: Bool
    ) -> GateRefusal? {
        // 1. Below Impersonation nothing can be done in the client's name.
        if level < .impersonation { return nil }
        if !client.isAnonymous {
            // 2. The same user, as long as nothing that was taken away comes back.
            if service.user == client.user, !client.isRestricted(asMuchAs: service) { return .restricted }
            // 3. and 4. Otherwise the service proved the client's credentials, or is trusted by privilege.
            let takesPrivilege = takesPrivilege(
                service: service, client: client, level: level,
                clientLogonByServiceSession: clientLogonByServiceSession)
            if takesPrivilege, !service.holds(.impersonate) { return .noPrivilege }
        }
        // 5. No privilege lets a service act as a client the system trusts more, nor as a copy that somebody lowered.
        if client.startIntegrity > service.integrity {
            return .integrity(client: client.startIntegrity, service: service.integrity)
        }
        return nil
    }

    /// Whether it takes `SeImpersonatePrivilege`, and nothing less, to act as the client; the parameters are those of
    /// ``impersonationGate(service:client:level:clientLogonByServiceSession:)``.
    public static func takesPrivilege(
        service: Token, client: Token, level: ImpersonationLevel, clientLogonByServiceSession: Bool
    ) -> Bool {
        guard level >= .impersonation, !client.isAnonymous, !clientLogonByServiceSession else { return false }
        return service.user != client.user || service.isRestricted != client.isRestricted
    }
}
