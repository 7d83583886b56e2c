import AccessControl
import GuiseProtocol

/// Tickets: how a client's identity gets to a service by way of a connection that many share.
extension Requests {
    /// Issues a ticket for whom the caller's thread acts as, by the handle that it says, as a pipe is opened.
    func issueTicket(
        _ request: WireTicketIssue, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let logon = try logon(client)
        var (token, limit) = (logon.token.token, ImpersonationLevel.delegation)
        var credentials: UnixCredentials? = logon.credentials
        if request.handle != 0 {
            guard let handle = client.attachment?.handle(request.handle) else {
                throw Refused(
                    .accessDenied, "the thread acts under an identity that is gone; call revertToSelf()")
            }
            // At Identification too: who may only look at a client has nothing else to pass on, not itself either.
            (token, limit, credentials) = (handle.token.token, handle.token.level, handle.credentials)
        }
        guard limit == .anonymous || token.isAnonymous || context.sessions.isAlive(token.logonSession) else {
            throw Refused(.accessDenied, "the logon session of \(token.user) has ended")
        }
        guard let credentials else {
            throw Refused(.accessDenied, "the client has no Unix user that a service could act as")
        }
        var level = min(limit, .impersonation)
        if request.level != .unspecified {
            guard let wanted = ImpersonationLevel(request.level) else {
                throw Refused(.badRequest, "there is no such level")
            }
            level = wanted
        }
        guard level <= limit else {
            throw Refused(
                .accessDenied, "the thread acts at level \(limit), and cannot let a service act at \(level)")
        }
        guard request.lifetime <= Tickets.longestLifetime else {
            throw Refused(.badRequest, "a ticket lives for at most \(Tickets.longestLifetime) seconds")
        }
        let lifetime = request.lifetime == 0 ? Tickets.usualLifetime : request.lifetime
        let server = try server(of: request.server)
        let quality = SecurityQualityOfService(level: level, isEffectiveOnly: request.effectiveOnly)
        var ticket = PeerCapture.Client(pid: client.pid, token: token, credentials: credentials, level: level)
            .under(quality, from: nil)
        if request.effectiveOnly || token.modificationID != 0 {
            ticket.charge = try charge(ticket.token, client)
        }
        let issued = try tickets.issue(
            ticket, to: server, lifetime: lifetime, for: client.credentials.uid,
            count: Int(max(1, request.count)))
        if request.handle != 0 {
            var event = event(.connection, client)
            event.user = level == .anonymous ? .anonymous : token.user
            event.level = level
            event.call = "TicketIssue"
            let name = accounts.directory.knownName(of: server) ?? server.description
            event.change = (issued.count == 1 ? "a ticket" : "\(issued.count) tickets") + " for \(name)"
            context.audit.record(event)
        }
        return .ticketIssued(
            .with {
                $0.ticket = .init(issued[0])
                $0.others = issued.dropFirst().map { .init($0) }
                $0.level = WireLevel(level)
                $0.lifetime = lifetime
                $0.server = server.description
            })
    }

    /// Whose processes may redeem a ticket.
    private func server(of name: String) throws(Refused) -> SID {
        if let sid = SID(name) { return sid }
        guard let account = accounts.account(named: name), account.kind != .group else {
            throw Refused(
                .notFound, "there is no service \(quoted(name)) here; name an account, or the server's SID")
        }
        return account.sid
    }

    /// Uses a ticket up. Whatever comes of it, it is worth nothing afterwards: who presents one that is for another
    /// service has it from where it should not have been.
    func redeemTicket(
        _ request: WireTicketRedeem, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let attachment = try attachment(client)
        let own = try logon(client).token.token.user
        guard let ticket = tickets.redeem(Array(request.ticket)) else {
            throw Refused(
                .notFound,
                "no such ticket waits to be used: it was used, has expired, or is not of this authority")
        }
        guard ticket.server == own, attachment.logon.token.token.user == own else {
            let name = accounts.directory.knownName(of: ticket.server) ?? ticket.server.description
            throw Refused(.accessDenied, "the ticket is for \(name), and worth nothing from now on")
        }
        let token = ticket.client.token
        func isAlive() -> Bool {
            ticket.client.level == .anonymous || token.isAnonymous
                || context.sessions.isAlive(token.logonSession)
        }
        guard isAlive() else { throw Refused(.accessDenied, "the client's logon session has ended") }
        let body = try hold(ticket.client, client, attachment)
        guard request.lease, case .captured(var captured) = body,
            let (lease, rest, milliseconds) = tickets.lease(
                restOf: ticket, to: attachment,
                until: context.sessions.session(token.logonSession)?.expiry)
        else { return body }
        // It may have ended on another thread before that knew of the lease.
        guard isAlive() else {
            tickets.withdraw { $0 === lease }
            return body
        }
        captured.lease = .with {
            $0.number = lease.number
            $0.tickets = rest.map { .init($0.bytes) }
            $0.words = rest.map { UInt32(lease.first + $0.place) }
            $0.lifetime = UInt32(clamping: milliseconds)
        }
        return .captured(captured)
    }
}
