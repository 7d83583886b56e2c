import AccessControl

/// Where the token of a client that is followed (dynamic tracking) comes from.
struct TokenSource {
    private let process: UInt64
    private let credentials: UnixCredentials
    /// Whether the logon is known by the process itself: it attached, or is of a mediated service.
    private let isKnown: Bool
    private let isEffectiveOnly: Bool

    init(
        _ process: UInt64, _ logon: Logon, _ quality: SecurityQualityOfService, in processes: ProcessDirectory
    ) {
        isKnown = processes.logon(of: process, user: logon.credentials.uid) != nil
        self.process = process
        credentials = logon.credentials
        isEffectiveOnly = quality.isEffectiveOnly
    }

    /// The client's token as it is now; `last` when its process has ended or detached: what it gave up since it
    /// connected must not come back. `last` also where another user has taken the client's place: its session has ended,
    /// its process has become somebody else's, or its uid stands for somebody else.
    func token(now last: Token, _ context: MediationContext) throws(Refused) -> Token {
        guard context.sessions.isAlive(last.logonSession) else { return last }
        let logon: Logon?
        if let known = context.processes.logon(of: process, user: credentials.uid) {
            logon = known
        } else if !isKnown {
            do { logon = try context.tokens.logon(credentials) } catch { throw Refused(error) }
        } else {
            logon = nil
        }
        guard let logon, logon.credentials == credentials else { return last }
        let token = logon.token.token
        guard token.user == last.user else { return last }
        return isEffectiveOnly ? token.effectiveOnly : token
    }
}
