import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Named pipes: who may serve one, who may open it, and bringing the two together. The client's identity is captured
/// where its right to open is decided, so that nothing about it has to be found out later.
extension Requests {
    /// The most clients of one user that wait for an instance of a pipe.
    private static let largestWaitingCountPerUser = 256
    /// The most bytes of a pipe's descriptor.
    private static let largestDescriptor = 8192
    /// The most bytes of a descriptor's text that a list shows.
    private static let largestListedText = 16_384

    /// The pipe that a path of the form `\\.\pipe\NAME` names; nil for any other path.
    func pipe(at path: String) throws(Refused) -> NamedPipe? {
        guard let name = try PipeName(path: path) else { return nil }
        return try pipe(name)
    }

    private func pipe(_ name: PipeName) throws(Refused) -> NamedPipe {
        guard let pipe = pipes[name] else {
            throw Refused(.notFound, "there is no pipe \(quoted(name.text)); is its server running?")
        }
        return pipe
    }

    /// As whom a request is decided: the client whose handle the thread acts by, by the same table as where it connects
    /// a socket, else the process.
    ///
    /// The handle is the caller's own saying: any of its threads could act by it. What the thread's memory says is not
    /// asked, since to read it can take as long as the caller likes. Handles are those of the connection that attached:
    /// neither another process nor a later program of this one has it.
    private func bearer(_ client: ControlClient, handle number: UInt64) throws(Refused) -> Bearer {
        let logon = try logon(client)
        var bearer = Bearer.of(logon)
        if number != 0 {
            guard let handle = client.attachment?.handle(number) else {
                throw Refused(
                    .accessDenied, "the thread acts under an identity that is gone; call revertToSelf()")
            }
            bearer = .of(handle, in: logon)
        }
        guard bearer.limit == .anonymous || context.sessions.isAlive(bearer.token.logonSession) else {
            throw Refused(.accessDenied, "the logon session of \(bearer.token.user) has ended")
        }
        return bearer
    }

    private func require(
        _ rights: AccessMask<FileKind>, on pipe: NamedPipe, for bearer: Bearer, _ deed: String,
        _ client: ControlClient
    ) throws(Refused) {
        let trail = DecisionTrail()
        let isAllowed = pipe.descriptor.bytes.withUnsafeBytes {
            (try? trail.isAllowed($0, rights, bearer.token, object: nil)) == true
        }
        guard !isAllowed || !trail.isEmpty else { return }
        var event = event(.accessAudited, client)
        event.user = bearer.token.user
        (event.call, event.path) = (deed, Array(pipe.name.path.utf8))
        context.audit.record(trail, as: event)
        guard isAllowed else {
            event.kind = .accessDenied
            event.wanted = trail.refusal?.wanted
            event.refused = trail.refusal?.missing
            event.rule = "the pipe's security descriptor does not grant \(rights)"
            context.audit.record(event)
            var refused = Refused(
                .accessDenied, "\(pipe.name.path): its security descriptor does not grant \(rights)")
            refused.isOnRecord = true
            throw refused
        }
    }

    // MARK: Serving

    func createPipe(_ request: WirePipeCreate, _ client: ControlClient) throws(Refused) -> Answer {
        let attachment = try attachment(client)
        let name = try PipeName(request.name)
        guard let direction = NamedPipe.Direction(request.direction),
            (1...NamedPipe.unlimited).contains(Int(request.maximumInstances))
        else { throw Refused(.badRequest, "say a direction, and 1 to 255 instances") }
        let bearer = try bearer(client, handle: request.handle)
        guard !bearer.token.isAnonymous else {
            throw Refused(.accessDenied, "Anonymous serves no pipes")
        }
        let pipe: NamedPipe
        if let known = pipes[name] {
            guard !request.first else {
                throw Refused(.alreadyExists, "somebody serves the pipe \(quoted(name.text)) already")
            }
            try require(
                [.createPipeInstance, direction.serverRights], on: known, for: bearer, "PipeCreate", client)
            guard known.hasMessages == request.messages, known.direction == direction,
                known.maximumInstances == request.maximumInstances
            else {
                throw Refused(
                    .badRequest,
                    "the pipe \(quoted(name.text)) was made with another mode, direction or number of instances"
                )
            }
            guard known.mayHaveMore(than: known.servers.count) else {
                throw Refused(.busy, "the pipe \(quoted(name.text)) has as many servers as instances")
            }
            pipe = known
        } else {
            try checkOwnership(of: name, bearer.token)
            pipe = NamedPipe(
                name, hasMessages: request.messages, direction: direction,
                maximumInstances: Int(request.maximumInstances),
                descriptor: try descriptor(request, bearer.token))
        }
        let (number, channel) = try pipes.add(client, attachment, to: pipe)
        serveWaiting(pipe)
        return .with(.pipeCreated(.with { $0.server = number }), descriptor: channel)
    }

    /// The name of a service account, alone or before a slash, is that account's: while the service is down, nobody but
    /// an administrator can take its place.
    private func checkOwnership(of name: PipeName, _ token: Token) throws(Refused) {
        guard let account = accounts.account(named: name.head), account.kind == .service,
            account.sid != token.user, !token.isMember(of: .administrators), token.user != .system
        else { return }
        throw Refused(
            .accessDenied,
            "the pipe \(quoted(name.text)) is for the service \(account.name) to serve, by its name")
    }

    /// The descriptor of a new pipe: as asked for, or full access for SYSTEM, administrators and the owner, and reading
    /// for everyone. (Windows lets Anonymous read, too.)
    private func descriptor(_ request: WirePipeCreate, _ token: Token) throws(Refused) -> SecurityDescriptor {
        do {
            var wanted: SecurityDescriptor
            if !request.binary.isEmpty {
                wanted = try SecurityDescriptor(bytes: Array(request.binary))
            } else {
                wanted = try SecurityDescriptor(sddl: request.sddl, domain: accounts.machine)
            }
            if wanted.dacl == .absent {
                let all = FileKind.genericMapping.all
                wanted.dacl = .present(
                    try ACL([
                        .allow(.system, all), .allow(.administrators, all),
                        .allow(wanted.owner ?? token.defaultOwner, all),
                        .allow(.everyone, FileKind.genericMapping.read),
                    ]))
            }
            return try Self.bounded(
                .inheriting(parent: nil, creator: wanted, isContainer: false, token: token))
        } catch let refused as Refused {
            throw refused
        } catch {
            throw Refused(.badRequest, "the pipe cannot have this descriptor: \(error)")
        }
    }

    /// A descriptor that a pipe may have: the authority keeps it, and shows it with many others.
    static func bounded(_ descriptor: SecurityDescriptor) throws(Refused) -> SecurityDescriptor {
        guard descriptor.bytes.count <= largestDescriptor else {
            throw Refused(.limit, "a pipe's descriptor has at most \(largestDescriptor) bytes")
        }
        return descriptor
    }

    func closePipe(_ request: WirePipeClose, _ client: ControlClient) -> WireResponse.OneOf_Body {
        if let server = pipes.server(request.server), server.client === client { end(server) }
        return .done(.init())
    }

    /// The process is gone, and with it what it served.
    func forgetPipes(_ client: ControlClient) {
        var touched = pipes.servers(of: client)
        // All of them first: whoever waits must not be sent to another one of the same process.
        for server in touched { pipes.close(server) }
        for server in client.instances.values {
            server.instances = 0
            touched.append(server)
        }
        client.instances = [:]
        var settled: Set<ObjectIdentifier> = []
        for server in touched where settled.insert(ObjectIdentifier(server.pipe)).inserted {
            settle(server.pipe)
        }
    }

    private func end(_ server: PipeServer) {
        pipes.close(server)
        settle(server.pipe)
    }

    /// The next client may have the instance that this server's client had.
    func release(_ server: PipeServer) {
        server.instances = max(0, server.instances - 1)
        settle(server.pipe)
    }

    private func settle(_ pipe: NamedPipe) {
        guard pipes.tidy(pipe) else { return serveWaiting(pipe) }
        let waiting = pipe.waiting
        pipe.waiting = []
        for waiter in waiting {
            waiter.answer(.refusal(Refused(.notFound, "the pipe \(quoted(pipe.name.text)) is gone").wire))
        }
    }

    /// Channels of servers that were closed, or have room again.
    func attendPipes() {
        for (server, isGone) in pipes.events() {
            if isGone {
                end(server)
            } else {
                server.isBlocked = false
                pipes.watch(server)
                serveWaiting(server.pipe)
            }
        }
    }

    // MARK: Opening

    func openPipe(_ request: WirePipeOpen, _ client: ControlClient) throws(Refused) -> Answer {
        let pipe = try pipe(try PipeName(request.name))
        guard request.read || request.write, let level = ImpersonationLevel(request.level) else {
            throw Refused(.badRequest, "open a pipe to read, to write or both, and at a level")
        }
        let server = SID(request.server)
        guard server != nil || request.server.isEmpty else {
            throw Refused(.badRequest, "\(quoted(request.server)) is no SID of a server")
        }
        let bearer = try bearer(client, handle: request.handle)
        var rights: AccessMask<FileKind> = []
        if request.read { rights.insert(.readData) }
        if request.write { rights.insert(.writeData) }
        try require(rights, on: pipe, for: bearer, "PipeOpen", client)
        guard !request.read || pipe.direction != .inbound, !request.write || pipe.direction != .outbound
        else {
            throw Refused(
                .accessDenied,
                "the pipe \(quoted(pipe.name.text)) is \(pipe.direction): clients \(pipe.direction == .inbound ? "write" : "read") only"
            )
        }
        guard server == nil || pipe.servers.contains(where: { $0.user == server }) else {
            throw Refused(
                .accessDenied, "the pipe \(quoted(pipe.name.text)) is served, but not by \(request.server)")
        }
        let quality = SecurityQualityOfService(
            level: min(bearer.limit, level), tracking: request.dynamicTracking ? .dynamic : .static,
            isEffectiveOnly: request.effectiveOnly)
        let opening = PipeOpening(
            client: try opener(bearer, quality, client), server: server, mayRead: request.read,
            mayWrite: request.write)
        if let meeting = try connect(opening, to: pipe) {
            return .with(.pipeOpened(meeting.opened), descriptor: meeting.client, then: meeting.handOver)
        }
        guard request.wait else {
            throw Refused(.busy, "every instance of the pipe \(quoted(pipe.name.text)) serves a client")
        }
        return try wait(opening, for: pipe, client)
    }

    /// The client as the server is to capture it.
    private func opener(
        _ bearer: Bearer, _ quality: SecurityQualityOfService, _ client: ControlClient
    ) throws(Refused) -> PeerCapture.Client {
        guard let credentials = bearer.credentials else {
            throw Refused(.accessDenied, "the client has no Unix user to connect as")
        }
        let logon = try logon(client)
        return PeerCapture.Client(
            pid: client.pid, token: bearer.presented, credentials: credentials, level: quality.level
        ).under(
            quality,
            // Whom a thread acts as has the token that it acts under, and no other.
            from: bearer.isProcess ? TokenSource(client.identity, logon, quality, in: context.processes) : nil
        )
    }

    /// A client and the server that has an instance for it.
    private struct Meeting {
        let opened: WirePipeOpened
        /// The client's end of the connection.
        let client: Int32
        /// Sends the server its own. To be done once the client has the other: it sends its message meanwhile, and the server
        /// wakes up once, for both.
        let handOver: () -> Void
    }

    /// Brings a client to a server that has an instance for it; nil: there is none.
    private func connect(_ opening: PipeOpening, to pipe: NamedPipe) throws(Refused) -> Meeting? {
        while let server = pipe.free(of: opening.server) {
            guard isReady(server) else { continue }
            let number = try server.client.add(ControlClient.Captured(client: opening.client))
            let (clients, servers): (Int32, Int32)
            do throws(Refused) { (clients, servers) = try pipes.pairs.take(messages: pipe.hasMessages) } catch
            {
                _ = closeCapture(.with { $0.capture = number }, server.client)
                throw error
            }
            if !opening.mayRead { _ = shutdown(clients, Int32(SHUT_RD)) }
            if !opening.mayWrite { _ = shutdown(clients, Int32(SHUT_WR)) }
            server.client.instances[number] = server
            server.instances += 1
            let token = server.attachment.logon.token.token
            let opened = WirePipeOpened.with {
                $0.level = WireLevel(opening.client.level)
                $0.process = UInt32(bitPattern: server.client.pid)
                $0.user = token.user.description
                $0.session = token.logonSession
                $0.messages = pipe.hasMessages
            }
            return Meeting(opened: opened, client: clients) {
                self.handOver(number, servers, to: server)
                close(servers)
            }
        }
        return nil
    }

    /// Whether a server can be sent a client.
    private func isReady(_ server: PipeServer) -> Bool {
        var one = pollfd(fd: server.channel, events: Int16(POLLOUT), revents: 0)
        guard poll(&one, 1, 0) != 1 || one.revents != Int16(POLLOUT) else { return true }
        if one.revents & Int16(POLLHUP | POLLERR) == 0 {
            server.isBlocked = true
            pipes.watch(server)
        } else {
            hangUp(server)
        }
        return false
    }

    /// Has a channel that the other side has shut tell of its end, whichever way that was.
    private func hangUp(_ server: PipeServer) {
        server.isBlocked = true
        _ = shutdown(server.channel, Int32(SHUT_RDWR))
    }

    /// Sends a server its end of a connection with the capture of the client. Where that fails, above all because the server
    /// has left just now, the client reads the end.
    private func handOver(_ number: UInt64, _ socket: Int32, to server: PipeServer) {
        do throws(ControlPacket.Failure) {
            try ControlPacket.send(
                captureView(number, server.client, server.attachment), descriptor: socket, on: server.channel,
                waiting: false)
        } catch {
            server.instances -= 1
            server.client.instances[number] = nil
            _ = closeCapture(.with { $0.capture = number }, server.client)
            if case .closed = error { hangUp(server) }
        }
    }

    // MARK: Waiting

    private func wait(_ opening: PipeOpening, for pipe: NamedPipe, _ client: ControlClient) throws(Refused)
        -> Answer
    {
        let user = client.credentials.uid
        pipe.waiting.removeAll { $0.isGone }
        guard pipes.waiting(of: user) < Self.largestWaitingCountPerUser else {
            throw Refused(
                .limit, "\(Self.largestWaitingCountPerUser) clients of user \(user) wait for pipes already")
        }
        let (own, theirs) = try pipes.pairs.takeChannel()
        pipe.waiting.append(PipeWaiter(opening, of: user, channel: own))
        return .with(.pipeWaiting(.init()), descriptor: theirs)
    }

    /// Gives those who wait, in their order, what instances there are. Who waits for another server than those that
    /// have one is passed over.
    private func serveWaiting(_ pipe: NamedPipe) {
        var index = 0
        while index < pipe.waiting.count, pipe.free(of: nil) != nil {
            let waiter = pipe.waiting[index]
            if !waiter.isGone {
                do throws(Refused) {
                    guard let meeting = try connect(waiter.opening, to: pipe) else {
                        index += 1
                        continue
                    }
                    waiter.answer(.pipeOpened(meeting.opened), descriptor: meeting.client)
                    close(meeting.client)
                    meeting.handOver()
                } catch {
                    waiter.answer(.refusal(error.wire))
                }
            }
            pipe.waiting.remove(at: index)
        }
    }

    // MARK: Looking

    func listPipes(_ request: WirePipeList, _ client: ControlClient) throws(Refused) -> Answer {
        let logon = try logon(client)
        let isAlive = context.sessions.isAlive(logon.session.id)
        let (directory, domain) = (accounts.directory, accounts.machine)
        var page = Page<WirePipeView>()
        var owners: [SID?] = []
        for pipe in pipes.list(after: request.after.lowercased()) {
            var view = WirePipeView(pipe)
            let decision = try? AccessCheck<FileKind>.decide(
                pipe.descriptor, token: logon.token.token, desired: .readControl,
                context: AccessContext(isSessionAlive: isAlive))
            let isShown = decision?.isAllowed == true
            if isShown { view.sddl = try pipe.descriptor.shown(to: logon.token.token).sddl(domain: domain) }
            if view.sddl.utf8.count > Self.largestListedText { view.sddl = "" }
            // What a name adds is not known yet.
            guard page.add(view, size: ControlPacket.size(of: view) + 512) else { break }
            owners.append(isShown ? pipe.descriptor.owner : nil)
        }
        return .later { [items = page.items, more = page.isFull, owners] _ throws(Refused) in
            .pipes(
                .with {
                    $0.pipes = items
                    $0.more = more
                    for (index, owner) in owners.enumerated() {
                        if let owner { $0.pipes[index].owner = WireSidName(owner, directory) }
                    }
                })
        }
    }
}

extension AccessMask where Kind == FileKind {
    /// FILE_CREATE_PIPE_INSTANCE: serve a pipe that is there (the bit of `appendData`).
    fileprivate static var createPipeInstance: Self { .appendData }
}

extension NamedPipe.Direction {
    init?(_ wire: WirePipeDirection) {
        switch wire {
        case .inbound: self = .inbound
        case .outbound: self = .outbound
        case .duplex: self = .duplex
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }

    fileprivate var wire: WirePipeDirection {
        switch self {
        case .inbound: .inbound
        case .outbound: .outbound
        case .duplex: .duplex
        }
    }

    /// What a server does with a pipe, beside adding an instance.
    fileprivate var serverRights: AccessMask<FileKind> {
        switch self {
        case .inbound: .readData
        case .outbound: .writeData
        case .duplex: [.readData, .writeData]
        }
    }
}

extension WirePipeView {
    /// Without what takes READ_CONTROL.
    fileprivate init(_ pipe: NamedPipe) {
        self.init()
        name = pipe.name.text
        messages = pipe.hasMessages
        direction = pipe.direction.wire
        instances = UInt32(pipe.instances)
        maximumInstances = UInt32(pipe.maximumInstances)
        waiting = UInt32(pipe.waiting.count { !$0.isGone })
        processes = pipe.servers.filter { !$0.isClosed }.map { UInt32(bitPattern: $0.client.pid) }.sorted()
    }
}
