import AccessControl
import GuiseProtocol

/// A client whom a security package found to be who it says, wherever it is from.
struct VerifiedClient: Sendable {
    /// Something that is said of it: its attribute `email` is `alice@example.org`.
    struct Claim: Sendable, Hashable {
        let attribute: String
        let value: String
    }

    /// By what it proved who it is.
    let kind: Issuer.Kind
    /// Who vouches for it, by the identity of the issuer: a realm, a certification authority's name, an `iss`.
    let issuer: String
    /// The principal without its realm; of others what is said of them is in ``claims``.
    let name: String
    /// What the service is told of the conversation; its level is the most that the client allows.
    var attributes: WireSecurityAttributes
    /// What is said of it. An attribute may have several values.
    var claims: [Claim] = []

    /// What mapping rules are about.
    var mappedClaims: [Claim] {
        kind == .kerberos ? [Claim(attribute: "principal", value: "\(name)@\(issuer)")] : claims
    }
}

/// Whom a verified client is on this machine.
enum MappedClient: Sendable {
    case account(Account, UnixCredentials, rule: Int64)
    case anonymous
}

extension LogonSession {
    /// Whether whoever made it said a secret of its user, not only what the user himself said: that lets the maker act
    /// as the user without SeImpersonatePrivilege.
    var hasExplicitCredentials: Bool {
        if case .package = kind { return false }
        return true
    }

    /// Whether it was made in this session by who said a secret of its user: the gates ask.
    func isProven(to service: LogonSession) -> Bool { creator == service.id && hasExplicitCredentials }
}

extension Requests {
    /// Has a process hold a verified client, as it holds a logon: with a session of its own, which ends when the process
    /// closes it. On the control thread.
    ///
    /// - Parameter mapped: by ``AccountStore/map(_:)``, elsewhere; what became of the account since counts.
    /// - Returns: what the process is told, and the session; nil for Anonymous.
    func hold(
        _ verified: VerifiedClient, as mapped: MappedClient, _ client: ControlClient
    ) throws(Refused) -> (WireCaptured, LogonSession?) {
        let creator = try logon(client).session
        var answer = WireCaptured()
        var event = event(.logon, client)
        event.call = verified.attributes.package
        event.change = "\(verified.attributes.client) by \(verified.attributes.package)"
        guard case .account(let account, let credentials, let rule) = mapped else {
            answer.capture = try client.add(
                ControlClient.Captured(
                    client: PeerCapture.Client(
                        pid: client.pid, token: .anonymous, credentials: .nobody, level: .anonymous)))
            answer.level = .anonymous
            event.user = .anonymous
            context.audit.record(event)
            return (answer, nil)
        }
        event.change! += " of \(verified.issuer), rule \(rule)"
        let logon: Logon
        do throws(LogonError) {
            logon = try tokens.packageLogon(
                account, credentials, package: verified.attributes.package, creator: creator.id, rule: rule,
                expiry: verified.attributes.expiry == 0 ? nil : verified.attributes.expiry)
        } catch { throw Refused(error) }
        let level = ImpersonationLevel(verified.attributes.level) ?? .identification
        do throws(Refused) {
            // Who removes it from now on finds the session, and ends it.
            guard try accounts.hasMapping(rule) else {
                throw Refused(
                    .notMapped, "rule \(rule), by which the client was let in, was removed just now")
            }
            answer.capture = try client.add(
                ControlClient.Captured(
                    client: PeerCapture.Client(
                        pid: client.pid, token: logon.token.token, credentials: logon.credentials,
                        level: level), logon: logon.session))
        } catch {
            context.sessions.end(logon.session.id)
            throw error
        }
        answer.level = WireLevel(level)
        answer.session = logon.session.id
        event.user = logon.session.user
        event.level = level
        event.change! += ", session \(logon.session.id)"
        context.audit.record(event)
        // What it asks for next. If it may not have it, it is told so then.
        if let attachment = try? attachment(client),
            let handle = try? handle(answer.capture, at: level, client, attachment)
        {
            answer.handle = handle.number
        }
        return (answer, logon.session)
    }
}
