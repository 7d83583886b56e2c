import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Attaching, capturing clients, and handles for acting as them.
extension Requests {
    func attach(_ request: WireAttach, _ client: ControlClient) throws(Refused) -> Answer {
        guard client.attachment == nil else {
            throw Refused(.alreadyAttached, "process \(client.pid) is attached already")
        }
        guard Int32(bitPattern: request.pid) == client.pid else {
            throw Refused(
                .wrongNamespace,
                "the process calls itself \(request.pid), and the authority sees it as"
                    + " \(client.pid): it is in a pid namespace of its own, and could not be told by its threads"
            )
        }
        let count = Int(request.threads)
        guard count >= 16, count <= IdentityPage.largestCount, count & (count - 1) == 0,
            request.nonce.count == 16
        else { throw Refused(.badRequest, "attach with a power of two of slots and a nonce of 16 bytes") }
        let size = IdentityPage.size(count: count)
        let descriptor = guise_memfd_sealed("guise-identity", size)
        guard descriptor >= 0 else {
            throw Refused(.internal, "no memory for the identity page: \(errnoText(-descriptor))")
        }
        let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let base, base != MAP_FAILED else {
            close(descriptor)
            throw Refused(.internal, "the identity page cannot be mapped: \(errnoText(guise_errno()))")
        }
        let attachment: Attachment
        do throws(Refused) {
            let logon = try logon(client)
            attachment = Attachment(
                pid: client.pid, identity: client.identity,
                primary: context.processes.token(of: client.identity, user: client.credentials.uid)
                    ?? ProcessToken(logon),
                service: context.processes.service(of: client.identity),
                page: IdentityPage(base: base, count: count),
                nonce: (request.nonceAddress, Array(request.nonce)),
                tasks: request.hasTasks ? TaskTrail(request.tasks) : nil)
        } catch {
            munmap(base, size)
            close(descriptor)
            throw error
        }
        do throws(Refused) {
            try context.processes.add(attachment)
        } catch {
            close(descriptor)
            throw error
        }
        client.attachment = attachment
        attached[client.identity] = client
        var attached = WireAttached()
        attached.mediated = attachment.service != nil
        attached.pageSize = UInt32(size)
        return .with(.attached(attached), descriptor: descriptor)
    }

    /// The process's attachment, by whichever of its connections it attached.
    func attachment(_ client: ControlClient) throws(Refused) -> Attachment {
        guard let attachment = (attached[client.identity] ?? client).attachment else {
            throw Refused(.badRequest, "attach first")
        }
        return attachment
    }

    func capture(_ socket: Int32?, _ client: ControlClient) throws(Refused) -> Answer {
        let attachment = try attachment(client)
        guard let socket else { throw Refused(.badRequest, "a capture needs the accepted socket with it") }
        // Who connected chose whom to be served by: whoever was handed the connection is not meant. Root hands what it likes.
        let owner = guise_socket_owner(socket)
        guard owner == 0 || owner == Int64(client.credentials.uid) || guise_socket_domain(socket) != AF_UNIX
        else {
            throw Refused(
                .accessDenied,
                "the connection was accepted by uid \(owner), and by no process of uid \(client.credentials.uid)"
            )
        }
        let captured = try capture.capture(socket)
        let names = DecisionTrail()
        do throws(Refused) {
            try checkName(
                of: socket, client: captured.token, server: attachment.logon.token.token, names)
        } catch {
            throw keep(error, names, of: "Capture", client)
        }
        keep(names, of: "Capture", client)
        guard let path = Endpoint.path(of: socket) else {
            return .now(try hold(captured, client, attachment))
        }
        let (peer, server, process) = (captured.token, attachment.logon.token.token, client.pid)
        if let endpoint = Endpoint.known(at: path, of: process) {
            let trail = DecisionTrail()
            do throws(Refused) {
                try endpoint.check(client: peer, server: server, trail)
            } catch {
                throw keep(error, trail, of: "Capture", client)
            }
            keep(trail, of: "Capture", client)
            return .now(try hold(captured, client, attachment))
        }
        return .lookingUp { trail throws(Refused) in
            try Endpoint(at: path, of: process)?.check(client: peer, server: server, trail)
            return .done(.init())
        } then: {
            () throws(Refused) in
            try self.hold(captured, client, attachment)
        }
    }

    func hold(
        _ captured: PeerCapture.Client, _ client: ControlClient, _ attachment: Attachment
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let number = try client.add(ControlClient.Captured(client: captured))
        return .captured(captureView(number, client, attachment))
    }

    /// What a process is told of a capture that it has just got.
    func captureView(_ number: UInt64, _ client: ControlClient, _ attachment: Attachment) -> WireCaptured {
        var answer = WireCaptured()
        guard let captured = client.captures[number]?.client else { return answer }
        answer.capture = number
        answer.level = WireLevel(captured.level)
        if captured.level > .anonymous {
            answer.process = UInt32(bitPattern: captured.pid)
            answer.session = captured.token.logonSession
        }
        guard captured.source == nil else {
            answer.dynamicTracking = true
            return answer
        }
        do throws(Refused) {
            answer.handle = try handle(number, at: captured.level, client, attachment).number
        } catch {
            answer.refusal = error.wire
        }
        return answer
    }

    func openHandle(_ request: WireOpenHandle, _ client: ControlClient) throws(Refused)
        -> WireResponse.OneOf_Body
    {
        let attachment = try attachment(client)
        guard let captured = client.captures[request.capture], let limit = ImpersonationLevel(request.atMost)
        else { throw Refused(.notFound, "there is no capture \(request.capture), or no such level") }
        if let object = captured.object {
            // As ImpersonateLoggedOnUser and SetThreadToken have it.
            let needed: AccessMask<TokenKind> = object.level == nil ? [.query, .duplicate] : .impersonate
            guard captured.granted.isSuperset(of: needed) else {
                throw Refused(
                    .accessDenied,
                    "the token was opened for \(captured.granted), and to act under it takes \(needed)")
            }
        }
        let handle = try handle(request.capture, at: min(limit, captured.client.level), client, attachment)
        var answer = WireHandle()
        answer.handle = handle.number
        answer.level = WireLevel(handle.token.level)
        return .handle(answer)
    }

    /// A handle for acting as a captured client at a level, once every gate was passed.
    func handle(
        _ number: UInt64, at level: ImpersonationLevel, _ client: ControlClient, _ attachment: Attachment
    ) throws(Refused) -> ImpersonationHandle {
        guard var captured = client.captures[number] else {
            throw Refused(.notFound, "there is no capture \(number)")
        }
        guard level < .impersonation || context.sessions.isAlive(attachment.logon.session.id) else {
            throw Refused(.accessDenied, "the logon session of this process has ended; start it anew")
        }
        var known: ImpersonationHandle?
        if captured.attachment === attachment {
            known = captured.handles[level]
        } else {
            // Those of an attachment that is gone are gone with it.
            (captured.handles, captured.outdated, captured.attachment) = ([:], [], attachment)
        }
        // A primary token that was adjusted since: threads that act under what it was go on.
        if let outdated = known, let object = captured.object,
            level > .anonymous, outdated.object !== object,
            outdated.token.token.modificationID != object.token.modificationID
        {
            captured.outdated.append(outdated)
            (captured.handles[level], known) = (nil, nil)
        }
        if let source = captured.client.source {
            // Kept, whatever becomes of the request.
            captured.client.token = try source.token(now: captured.client.token, context)
            client.captures[number] = captured
        }
        /// As a client who is followed and may not be acted as now, nobody acts any more.
        func withdraw() {
            guard captured.client.source != nil else { return }
            attachment.close(captured.handles.values.map(\.number))
            client.captures[number]?.handles = [:]
        }
        let session = context.sessions.session(captured.client.token.logonSession)
        guard session != nil || level == .anonymous || captured.client.token.isAnonymous else {
            withdraw()
            throw Refused(.accessDenied, "the client's logon session has ended")
        }
        if let known, captured.client.source == nil { return known }
        let token = Token.Impersonation(captured.client.token, level: level)
        let isOwnLogon = session?.isProven(to: attachment.logon.session) == true
        func gate(at level: ImpersonationLevel) -> ImpersonationGate.GateRefusal? {
            ImpersonationGate.impersonationGate(
                service: attachment.logon.token.token, client: captured.client.token, level: level,
                clientLogonByServiceSession: isOwnLogon)
        }
        let refusal = gate(at: level)
        var event = event(refusal == nil ? .impersonation : .impersonationRefused, client)
        event.user = token.token.user
        event.level = level
        if level > .anonymous { event.client = captured.client.pid }
        if let refusal {
            withdraw()
            let refused = Refused(refusal, service: attachment.logon.token.token, accounts)
            event.rule = refused.message
            context.audit.record(event)
            throw refused
        }
        // Threads that act as a client who is followed act under the token as it is now, at other levels, too.
        if captured.client.source != nil {
            for (other, open) in captured.handles where other != level {
                captured.handles[other] =
                    gate(at: other) == nil
                    ? attachment.replace(
                        open.number, Token.Impersonation(captured.client.token, level: other),
                        credentials: captured.client.credentials.left(by: captured.client.token),
                        of: captured.client.pid) : nil
                if captured.handles[other] == nil { attachment.close([open.number]) }
            }
        }
        let credentials = captured.client.credentials.left(by: captured.client.token)
        let replaced = known.flatMap {
            attachment.replace($0.number, token, credentials: credentials, of: captured.client.pid)
        }
        func open() throws(Refused) -> ImpersonationHandle? {
            let shared = captured.object.flatMap { $0.level == level ? $0 : nil }
            // What outlives an adjustment of the token that it is a copy of is paid for like any copy.
            let object =
                if let shared { shared } else {
                    TokenObject(
                        token.token, level: level, credentials: captured.client.credentials,
                        of: captured.client.pid, holder: attachment.logon.token.token.user,
                        charge: captured.object == nil ? nil : try charge(token.token, client))
                }
            return attachment.open(token, object, credentials: credentials, of: captured.client.pid)
        }
        var opened = replaced
        if opened == nil { opened = try open() }
        guard let handle = opened else {
            throw Refused(
                .limit,
                "process \(client.pid) has \(Attachment.largestHandleCount) handles open, and may no more")
        }
        context.audit.record(event)
        let takesPrivilege = ImpersonationGate.takesPrivilege(
            service: attachment.logon.token.token, client: token.token, level: level,
            clientLogonByServiceSession: isOwnLogon)
        if takesPrivilege {
            event.kind = .privilegeUsed
            event.privileges = [.impersonate]
            context.audit.record(event)
        }
        captured.handles[level] = handle
        client.captures[number] = captured
        return handle
    }

    func closeCapture(_ request: WireCloseCapture, _ client: ControlClient) -> WireResponse.OneOf_Body {
        // Before the instance goes to the next client, who may need the room.
        if !request.instanceOnly, let captured = client.captures.removeValue(forKey: request.capture) {
            release(captured)
        }
        if let server = client.instances.removeValue(forKey: request.capture) { release(server) }
        return .done(.init())
    }

    /// Takes back the handles of a capture, and ends the session of a logon.
    func release(_ captured: ControlClient.Captured) {
        captured.attachment?.close(captured.handleNumbers)
        if let logon = captured.logon {
            context.sessions.end(logon.id)
            delegations[logon.id] = nil
        }
    }

    func capturedToken(
        _ request: WireCapturedToken, _ client: ControlClient
    ) throws(Refused) -> Answer {
        guard var captured = client.captures[request.capture]?.client else {
            throw Refused(.notFound, "there is no capture \(request.capture)")
        }
        if let source = captured.source { captured.token = try source.token(now: captured.token, context) }
        let token = Token.Impersonation(captured.token, level: captured.level)
        let directory = accounts.directory
        return .later { [credentials = captured.credentials] _ throws(Refused) in
            .token(WireTokenView(token, credentials: credentials, names: directory))
        }
    }

    func register(
        _ request: WireRegister, _ socket: Int32?, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        guard let socket, let level = ImpersonationLevel(request.level) else {
            throw Refused(.badRequest, "register needs a socket that is not connected yet, and a level")
        }
        let quality = SecurityQualityOfService(
            level: level, tracking: request.dynamicTracking ? .dynamic : .static,
            isEffectiveOnly: request.effectiveOnly)
        var logon = try logon(client)
        if request.logon != 0 {
            guard let held = client.captures[request.logon], let session = held.logon else {
                throw Refused(.notFound, "there is no logon \(request.logon)")
            }
            // Connecting as somebody asks for no privilege: the password was said here.
            guard session.hasExplicitCredentials else {
                throw Refused(
                    .accessDenied, "only who was logged on by password is connected as; impersonate first")
            }
            guard context.sessions.isAlive(session.id) else {
                throw Refused(.accessDenied, "the logon session has ended")
            }
            logon = Logon(
                session: session, token: Token.Primary(held.client.token),
                credentials: held.client.credentials)
        }
        try registrations.add(
            socket, process: client.identity, logon: logon, quality: quality, user: client.credentials.uid,
            isLogon: request.logon != 0)
        return .registered(.init())
    }
}

extension Refused {
    init(_ refusal: ImpersonationGate.GateRefusal, service: Token, _ accounts: AccountStore) {
        let name = accounts.directory.knownName(of: service.user) ?? service.user.description
        switch refusal {
        case .noPrivilege:
            self.init(
                .noPrivilege,
                "\(name) does not hold SeImpersonatePrivilege, so it may not act as another user;"
                    + " an administrator grants it with `guise account grant NAME SeImpersonatePrivilege`")
        case .restricted:
            self.init(
                .restricted,
                "\(name) runs restricted, and may not act under an unrestricted token of the same user")
        case .integrity(let client, let service):
            self.init(
                .integrity, "the client's integrity level (\(client)) is above that of \(name) (\(service))")
        }
    }
}
