import AccessControl
import CGuise
import Glibc
import GuiseProtocol
import Logging

/// Answers to the requests of the control protocol, a file for each subject. Used on the control thread alone.
final class Requests {
    /// What takes longer than the control thread has. What it decides goes on record by the trail.
    typealias Work = @Sendable (DecisionTrail) throws(Refused) -> WireResponse.OneOf_Body
    /// What makes the answer once the work is done, on the control thread again.
    typealias Conclusion = () throws(Refused) -> WireResponse.OneOf_Body

    /// What checks or hashes a password, and what is to be done on the control thread then. The caller may be gone by then, and
    /// nothing has happened.
    typealias Finish = @Sendable (Requests, ControlClient) throws(Refused) -> WireResponse.OneOf_Body
    typealias LineWork = @Sendable () -> Finish

    enum Answer {
        case now(WireResponse.OneOf_Body)
        /// With a descriptor, which is closed once it was sent, and what is done then, whatever came of it.
        case with(WireResponse.OneOf_Body, descriptor: Int32, then: () -> Void = {})
        /// A service is to be mediated before the answer goes out.
        case mediating(MediatedService, WireResponse.OneOf_Body)
        case later(Work)
        /// Asks a file system that somebody else may serve for what a caller named. Given up when it does not answer.
        case lookingUp(Work, then: Conclusion? = nil)
        /// In a line, with others of the caller's user.
        case inLine(LogonLine, LineWork)
        /// On a worker of the caller's user, and then on the control thread.
        case onWorker(LineWork)
    }

    let accounts: AccountStore
    let accountRequests: AccountRequests
    let tokens: TokenFactory
    let passwords: PasswordLogons
    let registrations = Registrations()
    let capture: PeerCapture
    let context: MediationContext
    let roots: RootRequests
    let pipes: NamedPipes
    let tokenMemory = TokenMemory()
    let tickets: Tickets
    let kerberos: GSSProcesses
    /// By logon session: what its user delegated.
    var delegations: [UInt64: Delegation] = [:]
    /// The connections by which processes are attached, by the processes' identities.
    var attached: [UInt64: ControlClient] = [:]
    let startTime = WallClock.milliseconds

    init(
        accounts: AccountStore, audit: Audit, log: Logger, pam: PAMStack = PAMStack()
    ) throws(Refused) {
        self.accounts = accounts
        let sessions = LogonSessions()
        tickets = Tickets(leases: sessions.leases)
        accountRequests = AccountRequests(accounts: accounts, sessions: sessions)
        tokens = TokenFactory(accounts: accounts, sessions: sessions)
        passwords = PasswordLogons(accounts: accounts, pam: pam)
        context = MediationContext(
            roots: ManagedRoots(), sessions: sessions, processes: ProcessDirectory(),
            registrations: registrations, tokens: tokens, audit: audit)
        capture = try PeerCapture(registrations: registrations, tokens: tokens, processes: context.processes)
        roots = RootRequests(accounts: accounts, roots: context.roots)
        pipes = try NamedPipes()
        kerberos = GSSProcesses(state: accounts.statePath, log: log)
        roots.openAll(audit, log)
        takeEndpoints(log)
    }

    func perform(
        _ request: WireRequest, _ descriptor: Int32?, from client: ControlClient
    ) throws(Refused) -> Answer {
        switch request.body {
        case .attach(let request): return try attach(request, client)
        case .capture: return try capture(descriptor, client)
        case .openHandle(let request): return .now(try openHandle(request, client))
        case .closeCapture(let request): return .now(closeCapture(request, client))
        case .capturedToken(let request): return try capturedToken(request, client)
        case .register(let request): return .now(try register(request, descriptor, client))
        case .tokenOf(let request): return try tokenOf(request, client)
        case .threads(let request): return try threads(request, client)
        case .launch(let request): return .now(try launch(request, client))
        case .mediate(let request): return try mediate(request, client)
        case .lookUp(let request):
            let isAdministrator = isAdministrator(client)
            return .later { [accountRequests] _ throws(Refused) in
                try accountRequests.answer(request, fromAdministrator: isAdministrator)
            }
        case .accountAdd(let request):
            let isAdministrator = isAdministrator(client)
            return .later { [accountRequests] _ throws(Refused) in
                try accountRequests.answer(request, fromAdministrator: isAdministrator)
            }
        case .accountRemove(let request):
            let account = accounts.account(named: request.name)
            let body = try accountRequests.answer(request, fromAdministrator: isAdministrator(client))
            // A service that is added by the same name later has the same SID.
            guard let sid = account?.sid else { return .now(body) }
            return .later { [kerberos] _ throws(Refused) in
                try kerberos.set(nil, of: sid)
                return body
            }
        case .accountList(let request):
            return .now(try accountRequests.answer(request, fromAdministrator: isAdministrator(client)))
        case .accountChange(let request):
            return .now(try accountRequests.answer(request, fromAdministrator: isAdministrator(client)))
        case .rootAdd(let request):
            try require(client, "add a managed root")
            return .later { [roots] _ throws(Refused) in try roots.add(request) }
        case .rootRemove(let request):
            try require(client, "remove a managed root")
            return .now(try roots.remove(request))
        case .rootList: return .now(roots.list())
        case .descriptorGet(let request):
            let (logon, domain) = (try logon(client), accounts.machine)
            if let pipe = try pipe(at: request.path) {
                let descriptor = pipe.descriptor
                return .later { [context] trail throws(Refused) in
                    try DescriptorRequests(context, trail).get(request, of: descriptor, logon, domain)
                }
            }
            return .lookingUp { [context] trail throws(Refused) in
                try DescriptorRequests(context, trail).get(request, logon, domain)
            }
        case .descriptorSet(let request):
            let (logon, domain) = (try logon(client), accounts.machine)
            if let pipe = try pipe(at: request.path) {
                let trail = DecisionTrail()
                pipe.descriptor = try Self.bounded(
                    DescriptorRequests(context, trail).set(request, of: pipe.descriptor, logon, domain))
                return .now(.done(.init()))
            }
            let isAdministrator = isAdministrator(client)
            return .lookingUp { [context] trail throws(Refused) in
                try DescriptorRequests(context, trail).set(
                    request, logon, domain, isAdministrator: isAdministrator)
            }
        case .propagate(let request):
            var event = event(.accessAudited, client)
            event.call = "Propagate"
            let logon = try logon(client)
            return .later { [context, event] trail throws(Refused) in
                try DescriptorRequests(context, trail).propagate(
                    request, logon, recording: (context.audit, event))
            }
        case .tokenFor(let request): return try tokenFor(request, client)
        case .connections(let request): return try connections(request, client)
        case .sessions(let request): return try sessions(request, client)
        case .status: return status(client)
        case .logonUser(let request): return try logonUser(request, descriptor, client)
        case .passwordSet(let request): return try setPassword(request, descriptor, client)
        case .sessionEnd(let request): return .now(try endSession(request, client))
        case .pipeCreate(let request): return try createPipe(request, client)
        case .pipeOpen(let request): return try openPipe(request, client)
        case .pipeClose(let request): return .now(closePipe(request, client))
        case .pipeList(let request): return try listPipes(request, client)
        case .endpointAdd(let request): return .now(try addEndpoint(request, client))
        case .endpointList(let request): return .now(listEndpoints(request))
        case .endpointRemove(let request): return .now(try removeEndpoint(request, client))
        case .openToken(let request): return try openToken(request, client)
        case .duplicateToken(let request): return .now(try duplicateToken(request, client))
        case .restrictToken(let request): return .now(try restrictToken(request, client))
        case .adjustToken(let request): return .now(try adjustToken(request, client))
        case .queryToken(let request): return try queryToken(request, client)
        case .setToken(let request): return .now(try setToken(request, client))
        case .assignToken(let request): return try assignToken(request, client)
        case .checkToken(let request): return try checkToken(request, client)
        case .ticketIssue(let request): return .now(try issueTicket(request, client))
        case .ticketRedeem(let request): return .now(try redeemTicket(request, client))
        case .issuerAdd(let request): return try addIssuer(request, client)
        case .issuerRemove(let request): return try removeIssuer(request, client)
        case .issuerList(let request): return try listIssuers(request, client)
        case .mappingAdd(let request): return try addMappings(request, client)
        case .mappingRemove(let request): return try removeMapping(request, client)
        case .mappingList(let request): return try listMappings(request, client)
        case .securityStep(let request): return try securityStep(request, client)
        case .securityInitiate(let request): return try initiate(request, client)
        case .securityEnd(let request): return .now(securityEnd(request, client))
        case .securityTransition(let request): return try transition(request, client)
        case .keytabSet(let request): return try set(request, keytab: descriptor, client)
        case nil:
            throw Refused(.unsupported, "this authority does not know the request")
        }
    }

    /// The connection is gone, and with it what the process held by it.
    func forget(_ client: ControlClient) {
        forgetPipes(client)
        if let attachment = client.attachment {
            context.processes.remove(attachment)
            tickets.withdraw(from: attachment)
            if attached[client.identity] === client { attached[client.identity] = nil }
        }
        for captured in client.captures.values { release(captured) }
        if let launch = client.launch { context.sessions.end(launch.session.id) }
    }

    func end(_ service: MediatedService) {
        context.processes.remove(service)
        context.sessions.end(service.logon.session.id)
        var event = AuditEvent(.serviceEnded)
        event.service = service.accountName
        event.user = service.logon.token.token.user
        context.audit.record(event)
    }

    /// The caller's own logon: what it is attached as, else what the kernel says it is.
    ///
    /// - Throws: `accessDenied` when that logon's session has ended.
    func logon(_ client: ControlClient) throws(Refused) -> Logon {
        if let known = known(client) {
            guard context.sessions.isAlive(known.session.id) else {
                throw Refused(.accessDenied, "the logon session of this process has ended; start it anew")
            }
            return known
        }
        do {
            return try tokens.logon(client.credentials)
        } catch { throw Refused(error) }
    }

    /// What the process is attached as, by whichever of its connections, was started as or has become.
    func known(_ client: ControlClient) -> Logon? {
        context.processes.logon(of: client.identity, user: client.credentials.uid)
    }

    func isAdministrator(_ client: ControlClient) -> Bool {
        (try? logon(client).token.token.isAdministrator) ?? false
    }

    func require(_ client: ControlClient, _ deed: String) throws(Refused) {
        guard isAdministrator(client) else {
            throw Refused(
                .accessDenied,
                "only an administrator may \(deed); run this as "
                    + (AuthorityUser.isRoot ? "root" : "uid \(AuthorityUser.credentials.uid)"))
        }
    }
}
