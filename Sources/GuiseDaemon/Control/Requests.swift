import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Answers to the requests of the control protocol, a file for each subject. Used on the control thread alone.
final class Requests {
    /// What takes longer than the control thread has.
    typealias Work = @Sendable () throws(Refused) -> WireResponse.OneOf_Body

    enum Answer {
        case now(WireResponse.OneOf_Body)
        /// With a descriptor, which is closed once it was sent.
        case with(WireResponse.OneOf_Body, descriptor: Int32)
        /// A service is to be mediated before the answer goes out.
        case mediating(MediatedService, WireResponse.OneOf_Body)
        case later(Work)
    }

    let accounts: AccountStore
    let accountRequests: AccountRequests
    let tokens: TokenFactory
    let registrations = Registrations()
    let capture: PeerCapture
    let context: MediationContext
    let descriptors: DescriptorRequests
    let roots: RootRequests
    let pipes: NamedPipes
    /// The connections by which processes are attached, by the processes' identities.
    var attached: [UInt64: ControlClient] = [:]
    let startTime = WallClock.milliseconds

    init(accounts: AccountStore, audit: Audit) throws(Refused) {
        self.accounts = accounts
        let sessions = LogonSessions()
        accountRequests = AccountRequests(accounts: accounts, sessions: sessions)
        tokens = TokenFactory(accounts: accounts, sessions: sessions)
        context = MediationContext(
            roots: ManagedRoots(), sessions: sessions, processes: ProcessDirectory(),
            registrations: registrations, tokens: tokens, audit: audit)
        capture = try PeerCapture(registrations: registrations, tokens: tokens, processes: context.processes)
        descriptors = DescriptorRequests(roots: context.roots, sessions: sessions)
        roots = RootRequests(accounts: accounts, roots: context.roots)
        pipes = try NamedPipes()
        roots.openAll(audit)
    }

    func answer(
        _ request: WireRequest, _ descriptor: Int32?, from client: ControlClient
    ) throws(Refused) -> Answer {
        switch request.body {
        case .attach(let request): return try attach(request, client)
        case .capture: return .now(try capture(descriptor, client))
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
            return .later { [accountRequests] () throws(Refused) in
                try accountRequests.answer(request, fromAdministrator: isAdministrator)
            }
        case .accountAdd(let request):
            let isAdministrator = isAdministrator(client)
            return .later { [accountRequests] () throws(Refused) in
                try accountRequests.answer(request, fromAdministrator: isAdministrator)
            }
        case .accountRemove(let request):
            return .now(try accountRequests.answer(request, fromAdministrator: isAdministrator(client)))
        case .accountList(let request):
            return .now(try accountRequests.answer(request, fromAdministrator: isAdministrator(client)))
        case .accountChange(let request):
            return .now(try accountRequests.answer(request, fromAdministrator: isAdministrator(client)))
        case .rootAdd(let request):
            try require(client, "add a managed root")
            return .later { [roots] () throws(Refused) in try roots.add(request) }
        case .rootRemove(let request):
            try require(client, "remove a managed root")
            return .now(try roots.remove(request))
        case .rootList: return .now(roots.list())
        case .descriptorGet(let request):
            if let pipe = try pipe(at: request.path) {
                return .now(
                    try descriptors.get(request, of: pipe.descriptor, try logon(client), accounts.machine))
            }
            return .now(try descriptors.get(request, try logon(client), accounts.machine))
        case .descriptorSet(let request):
            if let pipe = try pipe(at: request.path) {
                pipe.descriptor = try descriptors.set(
                    request, of: pipe.descriptor, try logon(client), accounts.machine)
                return .now(.done(.init()))
            }
            return .now(
                try descriptors.set(
                    request, try logon(client), accounts.machine, isAdministrator: isAdministrator(client)))
        case .propagate(let request):
            return .later(try descriptors.propagate(request, try logon(client)))
        case .tokenFor(let request): return try tokenFor(request, client)
        case .connections(let request): return try connections(request, client)
        case .sessions(let request): return try sessions(request, client)
        case .status: return status(client)
        case .pipeCreate(let request): return try createPipe(request, client)
        case .pipeOpen(let request): return try openPipe(request, client)
        case .pipeClose(let request): return .now(closePipe(request, client))
        case .pipeList(let request): return try listPipes(request, client)
        case nil:
            throw Refused(.unsupported, "this authority does not know the request")
        }
    }

    /// The connection is gone, and with it what the process held by it.
    func forget(_ client: ControlClient) {
        forgetPipes(client)
        if let attachment = client.attachment {
            context.processes.remove(attachment)
            if attached[client.identity] === client { attached[client.identity] = nil }
        }
        if let launch = client.launch { context.sessions.end(launch.session.id) }
    }

    func end(_ service: MediatedService) {
        context.processes.remove(service)
        context.sessions.end(service.logon.session.id)
        context.audit.service("ended", service.name, pid: 0)
    }

    /// The caller's own logon: what it is attached as, else what the kernel says it is.
    func logon(_ client: ControlClient) throws(Refused) -> Logon {
        if let attachment = client.attachment { return attachment.logon }
        if let service = context.processes.service(of: client.identity) { return service.logon }
        do {
            return try tokens.logon(client.credentials)
        } catch { throw Refused(error) }
    }

    func isAdministrator(_ client: ControlClient) -> Bool {
        guard let token = try? logon(client).token.token else { return false }
        return token.user == .system
            || token.groups.contains { $0.sid == .administrators && $0.attributes.contains(.enabled) }
    }

    func require(_ client: ControlClient, _ deed: String) throws(Refused) {
        guard isAdministrator(client) else {
            throw Refused(.accessDenied, "only an administrator may \(deed); run this as root")
        }
    }
}
