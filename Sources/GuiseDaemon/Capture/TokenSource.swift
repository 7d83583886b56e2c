import AccessControl

/// Where the token of a client that is followed (dynamic tracking) comes from.
struct TokenSource {
    private let process: UInt64
    /// nil for a process whose logon is known by the process itself: it attached, or is of a mediated service.
    private let credentials: UnixCredentials?
    private let isEffectiveOnly: Bool

    init(
        _ process: UInt64, _ logon: Logon, _ quality: SecurityQualityOfService, in processes: ProcessDirectory
    ) {
        let isKnown = processes.attachment(of: process) != nil || processes.service(of: process) != nil
        self.process = process
        credentials = isKnown ? nil : logon.credentials
        isEffectiveOnly = quality.isEffectiveOnly
    }

    /// The client's token as it is now; `last` when its process has ended or detached: what it gave up since it
    /// connected must not come back.
    func token(now last: Token, _ context: MediationContext) throws(Refused) -> Token {
        let logon: Logon?
        if let credentials {
            do { logon = try context.tokens.logon(credentials) } catch { throw Refused(error) }
        } else {
            logon =
                context.processes.attachment(of: process)?.logon
                ?? context.processes.service(of: process)?.logon
        }
        guard let token = logon?.token.token else { return last }
        return isEffectiveOnly ? token.effectiveOnly : token
    }
}
