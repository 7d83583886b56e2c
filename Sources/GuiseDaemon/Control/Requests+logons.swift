import AccessControl
import GuiseProtocol

/// Logging accounts on by their passwords, and ending sessions.
extension Requests {
    /// Logs an account on. The process holds the logon as it holds a capture.
    func logonUser(
        _ request: WireLogonUser, _ descriptor: Int32?, _ client: ControlClient
    ) throws(Refused) -> Answer {
        guard let type = LogonType(request.type) else {
            throw Refused(.badRequest, "say whether the logon is interactive, network, batch or service")
        }
        // There each user can be thousands of uids, and each may guess.
        guard !AuthorityUser.isRoot || sameNamespace("user", client.pid) else {
            throw Refused(
                .wrongNamespace,
                "logons by password are for processes in the authority's own user namespace")
        }
        let own = try logon(client)
        // Who is logged on so does the machine's own work.
        guard ![.batch, .service].contains(type) || own.session.kind == .service || isAdministrator(client)
        else {
            throw Refused(
                .accessDenied, "only services and administrators log others on as \(type); use network")
        }
        guard let descriptor else { throw Refused(.badRequest, "a logon needs the password with it") }
        let password = try Password(sentAs: descriptor)
        let (caller, name) = (client.credentials.uid, request.account)
        var event = event(.logonFailed, client)
        event.change = "\(type)"
        let user = passwords.unixUser(named: name)
        if user == nil {
            do throws(Refused) { try passwords.checkDelay(caller, name) } catch {
                let account = passwords.account(named: name, accounts.directory)
                context.audit.record(Self.record(.init(refused: error, user: account?.sid), as: event))
                throw error
            }
        }
        return .inLine(user == nil ? passwords.line : passwords.pamLine) {
            [passwords, audit = context.audit, event] in
            do throws(PasswordLogons.Failure) {
                let proven =
                    if let user { try passwords.prove(user, named: name, password, for: caller) } else {
                        try passwords.prove(name, password, for: caller)
                    }
                return { (requests, client) throws(Refused) in
                    try requests.logOn(proven, type, client)
                }
            } catch {
                audit.record(Self.record(error, as: event))
                return { [refused = error.refused] (_, _) throws(Refused) in throw refused }
            }
        }
    }

    /// Nothing of a name that is nobody's goes on record: it may be a password in the wrong place.
    private static func record(_ failure: PasswordLogons.Failure, as event: AuditEvent) -> AuditEvent {
        var event = event
        event.user = failure.user
        event.rule = "\(failure.refused.reason)" + (failure.detail.map { ": PAM: \($0)" } ?? "")
        return event
    }

    private func logOn(
        _ user: PasswordLogons.Proven, _ type: LogonType, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let creator = try logon(client).session
        do throws(Refused) { try passwords.checkUnchanged(user) } catch {
            var event = event(.logonFailed, client)
            event.change = "\(type)"
            context.audit.record(Self.record(.init(refused: error, user: user.sid), as: event))
            throw error
        }
        let logon: Logon
        do throws(LogonError) {
            logon = try tokens.passwordLogon(user, type, creator: creator.id)
        } catch .unknownAccount {
            // It was removed, or its password was, while this one was being checked.
            throw passwords.failure(user.account?.name ?? "\(user.sid)")
        } catch { throw Refused(error) }
        let number: UInt64
        do throws(Refused) {
            number = try client.add(
                ControlClient.Captured(
                    TokenObject(logon, of: client.pid), .allAccess, logon: logon.session))
        } catch {
            context.sessions.end(logon.session.id)
            throw error
        }
        var event = event(.logon, client)
        event.user = logon.session.user
        event.change = "\(type), session \(logon.session.id)" + (user.hasOwnPassword ? "" : ", by PAM")
        context.audit.record(event)
        var answer = WireCaptured()
        answer.capture = number
        answer.level = .impersonation
        return .captured(answer)
    }

    /// Sets or takes away an account's password.
    func setPassword(
        _ request: WirePasswordSet, _ descriptor: Int32?, _ client: ControlClient
    ) throws(Refused) -> Answer {
        try require(client, "set the password of \(quoted(request.account))")
        var event = event(.accountChanged, client)
        event.call = "PasswordSet"
        let set: @Sendable (PasswordHash?) throws(Refused) -> WireResponse.OneOf_Body = {
            [accounts, audit = context.audit, event] hash throws(Refused) in
            do throws(AccountError) {
                let account = try accounts.setPassword(hash, of: request.account)
                var event = event
                event.user = account.sid
                event.change = "\(hash == nil ? "remove" : "set") the password of \(account.name)"
                audit.record(event)
            } catch { throw Refused(error) }
            return .done(.init())
        }
        guard let descriptor else { return .now(try set(nil)) }
        let password = try Password(sentAs: descriptor)
        return .inLine(passwords.line) {
            guard let hash = password.hash() else {
                return { (_, _) throws(Refused) in
                    throw Refused(.internal, "there is no memory to hash the password")
                }
            }
            let done = Result { () throws(Refused) in try set(hash) }
            return { (_, _) throws(Refused) in try done.get() }
        }
    }

    /// Ends a session: each later decision with one of its tokens fails.
    func endSession(
        _ request: WireSessionEnd, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let own = try logon(client)
        // Others' sessions are none that anybody else hears of.
        guard let session = context.sessions.session(request.session),
            isAdministrator(client) || session.user == own.token.token.user
                || session.creator == own.session.id
        else { throw Refused(.notFound, "there is no logon session \(request.session) of yours") }
        context.sessions.end(session.id)
        var event = event(.sessionEnded, client)
        event.user = session.user
        event.change = "end session \(session.id)"
        context.audit.record(event)
        return .done(.init())
    }
}

extension LogonType {
    fileprivate init?(_ type: WireLogonType) {
        switch type {
        case .interactive: self = .interactive
        case .network: self = .network
        case .batch: self = .batch
        case .service: self = .service
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}
