import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Clients that prove themselves by Kerberos, the credentials that they delegated, and the keytabs of services.
extension Requests {
    /// What a client delegated to a service.
    struct Delegation {
        let credentials: GSSCredentials
        /// Whose clients may be acted for with it: nobody else's, whatever token he came by.
        let service: SID
    }

    /// The flags of RFC 2744 and RFC 4757 that say what a client allows.
    private enum Flag {
        static let delegate: UInt32 = 1
        static let mutual: UInt32 = 2
        static let replay: UInt32 = 4
        static let sequence: UInt32 = 8
        static let integrity: UInt32 = 32
        static let identify: UInt32 = 0x2000
    }

    /// Whether the package is one of Kerberos, and if so whether it negotiates.
    func negotiates(_ package: String) throws(Refused) -> Bool {
        switch package {
        case "Kerberos": false
        case "Negotiate": true
        default:
            throw Refused(.unsupported, "this authority has no security package \(quoted(package))")
        }
    }

    // MARK: Accepting

    /// Takes a client's token from the service that it came to.
    func accept(_ request: WireSecurityStep, _ client: ControlClient) throws(Refused) -> Answer {
        let service = try logon(client).token.token.user
        let token = [UInt8](request.token)
        guard (1...GSSProcess.largestToken).contains(token.count) else {
            throw Refused(.badRequest, "a token has 1 to \(GSSProcess.largestToken) bytes")
        }
        let package = request.package
        let negotiates = try negotiates(package)
        let purpose = GSSContext.Purpose.accepting(package)
        let known = try exchange(request.context, purpose, client)
        let refuse = failing(client, package)
        return .onWorker { [accounts, kerberos] in
            do throws(Refused) {
                let name = accounts.directory.knownName(of: service) ?? service.description
                let context: GSSContext
                if let known {
                    context = known
                } else {
                    context = try kerberos.process(of: service, named: name).context(for: purpose)
                }
                let credentials = try context.process.credentials()
                let answer = try context.process.accept(
                    context, token, negotiates: negotiates, credentials: credentials)
                guard answer.finished else {
                    return { (_, client) throws(Refused) in
                        client.exchange = context
                        return .securityStepped(
                            .with {
                                $0.context = context.number
                                $0.token = answer.token
                            })
                    }
                }
                let level = Self.level(answer)
                let verified = try Self.verified(answer, package: "Kerberos", level)
                let mapped = try accounts.map(verified, for: service)
                let delegation =
                    level == .delegation ? Delegation(credentials: credentials, service: service) : nil
                return { (requests, client) throws(Refused) in
                    do throws(Refused) {
                        return try requests.hold(verified, as: mapped, answer, delegation, client)
                    } catch {
                        refuse(error, answer.client)
                        throw error
                    }
                }
            } catch {
                refuse(error, nil)
                return { (_, _) throws(Refused) in throw error }
            }
        }
    }

    /// The conversation that a process has under way on this connection, which is then the step's; nil for a new one.
    private func exchange(
        _ number: UInt64, _ purpose: GSSContext.Purpose, _ client: ControlClient
    ) throws(Refused) -> GSSContext? {
        defer { client.exchange = nil }
        guard number != 0 else { return nil }
        guard let known = client.exchange, known.number == number, known.isCurrent else {
            throw Refused(.notFound, "the conversation is not there any more, or took too long; begin anew")
        }
        guard known.purpose == purpose else {
            throw Refused(
                .badRequest,
                "the conversation is of another package, or as another client, or to another service")
        }
        return known
    }

    /// Puts on record that somebody was not logged on.
    private func failing(
        _ client: ControlClient, _ package: String
    ) -> @Sendable (Refused, _ principal: String?) -> Void {
        var event = event(.logonFailed, client)
        event.call = package
        return { [audit = context.audit, event] refused, principal in
            var event = event
            event.rule = refused.message
            event.change = principal.map { visible($0, 256) }
            audit.record(event)
        }
    }

    /// The most that the client allows: Identification where it said so, Delegation where it sent what that takes.
    private static func level(_ answer: WireGssResponse) -> ImpersonationLevel {
        if answer.flags & Flag.identify != 0 { return .identification }
        return answer.delegated ? .delegation : .impersonation
    }

    /// Whoever sent the answer has read what a stranger wrote.
    private static func verified(
        _ answer: WireGssResponse, package: String, _ level: ImpersonationLevel
    ) throws(Refused) -> VerifiedClient {
        let texts = [answer.client, answer.name, answer.realm, answer.target]
        guard !answer.client.isEmpty, !answer.name.isEmpty, !answer.realm.isEmpty,
            texts.allSatisfy({ $0.utf8.count < 1024 && $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } })
        else { throw Refused(.logonFailure, "the client's principal has no name that can be shown") }
        return VerifiedClient(
            kind: .kerberos, issuer: answer.realm, name: answer.name,
            attributes: attributes(answer, package: package, level))
    }

    private static func attributes(
        _ answer: WireGssResponse, package: String, _ level: ImpersonationLevel
    ) -> WireSecurityAttributes {
        .with {
            $0.package = package
            $0.client = answer.client
            $0.target = answer.target
            $0.level = WireLevel(level)
            $0.flags = answer.flags
            if answer.lifetime != .max { $0.expiry = WallClock.milliseconds + UInt64(answer.lifetime) * 1000 }
        }
    }

    private func hold(
        _ verified: VerifiedClient, as mapped: MappedClient, _ answer: WireGssResponse,
        _ delegation: Delegation?, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let (captured, session) = try hold(verified, as: mapped, client)
        if let session, let delegation { delegations[session.id] = delegation }
        return .securityStepped(
            .with {
                $0.token = answer.token
                $0.attributes = verified.attributes
                $0.attributes.level = captured.level
                $0.captured = captured
            })
    }

    // MARK: Acting for clients elsewhere

    /// A step of the connecting side as the client that the calling thread acts as.
    func initiate(_ request: WireSecurityInitiate, _ client: ControlClient) throws(Refused) -> Answer {
        let package = request.package
        let negotiates = try negotiates(package)
        guard let level = ImpersonationLevel(request.level), level > .anonymous else {
            throw Refused(.badRequest, "say a level from Identification up")
        }
        let target = request.target
        guard (1..<1024).contains(target.utf8.count), target.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }),
            request.token.count <= GSSProcess.largestToken
        else { throw Refused(.badRequest, "name the service, SERVICE@HOST or a principal") }
        let (delegation, own) = try delegation(request.handle, client)
        var flags = Flag.replay | Flag.sequence | Flag.integrity
        if request.mutual { flags |= Flag.mutual }
        if level == .identification { flags |= Flag.identify }
        if level == .delegation { flags |= Flag.delegate }
        let purpose = GSSContext.Purpose.initiating(
            package, target: target, flags: flags, session: own.logonSession)
        let known = try exchange(request.context, purpose, client)
        var event = event(.connection, client)
        (event.call, event.user, event.level) = (package, own.user, level)
        event.target = Array(target.utf8)
        return .onWorker { [audit = context.audit, event, flags, purpose] in
            do throws(Refused) {
                let process = delegation.credentials.process
                let context: GSSContext
                if let known { context = known } else { context = try process.context(for: purpose) }
                let answer = try process.call(
                    .initiate(
                        .with {
                            $0.context = context.number
                            $0.credentials = delegation.credentials.number
                            $0.negotiate = negotiates
                            $0.target = target
                            $0.flags = flags
                            $0.token = request.token
                        }), asksKDC: true)
                // Whether anything follows or not, with the first token the client is there.
                if known == nil { audit.record(event) }
                return { (_, client) throws(Refused) in
                    var stepped = WireSecurityStepped()
                    stepped.token = answer.token
                    if answer.finished {
                        let level: ImpersonationLevel =
                            answer.flags & Flag.identify != 0
                            ? .identification
                            : answer.flags & Flag.delegate != 0 ? .delegation : .impersonation
                        stepped.attributes = Self.attributes(answer, package: "Kerberos", level)
                    } else {
                        client.exchange = context
                        stepped.context = context.number
                    }
                    return .securityStepped(stepped)
                }
            } catch {
                let refused =
                    error.reason == .logonFailure
                    ? Refused(.accessDenied, "the client is not let go to \(target): \(error.message)")
                    : error
                var event = event
                event.kind = .accessDenied
                event.rule = refused.message
                audit.record(event)
                return { (_, _) throws(Refused) in throw refused }
            }
        }
    }

    /// What the client delegated as whom the thread acts, and the client's token.
    private func delegation(
        _ number: UInt64, _ client: ControlClient
    ) throws(Refused) -> (Delegation, Token) {
        let service = try logon(client).token.token.user
        guard let handle = try attachment(client).handle(number) else {
            throw Refused(
                .accessDenied, "the thread acts under an identity that is gone; call revertToSelf()")
        }
        let token = handle.token.token
        guard handle.token.level == .delegation else {
            throw Refused(
                .accessDenied,
                "the thread acts at level \(handle.token.level), and only at Delegation does a client let it act on"
                    + " other machines: the client has to ask for that (GSS_C_DELEG_FLAG, curl --delegation always), with"
                    + " a forwardable ticket, or the service be let delegate (`guise account keytab --delegate`)"
            )
        }
        guard context.sessions.isAlive(token.logonSession) else {
            throw Refused(.accessDenied, "the client's logon session has ended")
        }
        guard let delegation = delegations[token.logonSession] else {
            throw Refused(
                .accessDenied,
                "the client delegated no credentials: it proved itself in another way than Kerberos")
        }
        guard delegation.service == service else {
            throw Refused(
                .accessDenied,
                "the client delegated to another service, which may act for it elsewhere; this one got it from there"
            )
        }
        return (delegation, token)
    }

    // MARK: Clients that are not here

    /// The token of somebody who is not here (S4U2Self).
    func transition(_ request: WireSecurityTransition, _ client: ControlClient) throws(Refused) -> Answer {
        guard try !negotiates(request.package) else {
            throw Refused(.badRequest, "there is nobody to negotiate with; say Kerberos")
        }
        let principal = request.client
        guard (1..<1024).contains(principal.utf8.count),
            principal.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw Refused(.badRequest, "name a principal") }
        let own = try logon(client).token.token
        let isTrusted = own.holds(.tcb)
        let service = own.user
        let refuse = failing(client, "Kerberos")
        return .onWorker { [accounts, kerberos] in
            do throws(Refused) {
                let name = accounts.directory.knownName(of: service) ?? service.description
                let process = try kerberos.process(of: service, named: name)
                guard process.delegates else {
                    throw Refused(
                        .accessDenied,
                        "\(name) may not ask the KDC for its clients; an administrator lets it with"
                            + " `guise account keytab --delegate`")
                }
                let credentials = try process.credentials()
                let answer = try process.call(
                    .transition(
                        .with {
                            $0.client = principal
                            $0.credentials = credentials.number
                        }), asksKDC: true)
                guard answer.finished else {
                    throw Refused(.internal, "guise-gss did not say who it is")
                }
                // Nobody was here: the service alone says that he asked for it.
                let level: ImpersonationLevel =
                    !isTrusted ? .identification : answer.delegated ? .delegation : .impersonation
                let verified = try Self.verified(answer, package: "Kerberos", level)
                let mapped = try accounts.map(verified, for: service)
                let delegation =
                    level == .delegation ? Delegation(credentials: credentials, service: service) : nil
                return { (requests, client) throws(Refused) in
                    do throws(Refused) {
                        let body = try requests.hold(verified, as: mapped, answer, delegation, client)
                        if isTrusted {
                            var event = requests.event(.privilegeUsed, client)
                            event.call = "SecurityTransition"
                            event.privileges = [.tcb]
                            requests.context.audit.record(event)
                        }
                        return body
                    } catch {
                        refuse(error, principal)
                        throw error
                    }
                }
            } catch {
                refuse(error, principal)
                return { (_, _) throws(Refused) in throw error }
            }
        }
    }

    // MARK: Keytabs

    /// Sets or takes away the keytab of a service's account.
    func set(
        _ request: WireKeytabSet, keytab descriptor: Int32?, _ client: ControlClient
    ) throws(Refused) -> Answer {
        try require(client, "set the keytab of \(quoted(request.account))")
        var keytab: KeytabStore.Keytab?
        if let descriptor {
            var bytes = [UInt8](repeating: 0, count: KeytabStore.largest)
            let length = guise_secret_read(descriptor, &bytes, bytes.count)
            // The format's version: 0x501 or 0x502.
            guard length > 2, bytes[0] == 5, (1...2).contains(bytes[1]) else {
                throw Refused(
                    .badRequest, "what was sent is no keytab of at most \(KeytabStore.largest) bytes")
            }
            keytab = KeytabStore.Keytab(bytes: Array(bytes.prefix(length)), delegates: request.delegate)
        }
        return .later { [accounts, kerberos, keytab] _ throws(Refused) in
            guard let sid = accounts.directory.sid(named: request.account) else {
                throw Refused(.notFound, "there is no account \(quoted(request.account))")
            }
            guard accounts.directory.account(sid: sid)?.kind != .group else {
                throw Refused(.badRequest, "a group has no clients, and needs no keytab")
            }
            try kerberos.set(keytab, of: sid)
            return .done(.init())
        }
    }
}
