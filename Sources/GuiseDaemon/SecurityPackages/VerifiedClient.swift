import AccessControl
import GuiseProtocol

/// A client whom a security package found to be who it says, wherever it is from.
struct VerifiedClient: Sendable {
    /// By what it proved who it is; what its issuer and its name are depends on that.
    enum Kind: Sendable, Hashable {
        /// The realm, and the principal without it.
        case kerberos
        case certificate
        case jwt
    }

    let kind: Kind
    let issuer: String
    let name: String
    /// What the service is told of the conversation; its level is the most that the client allows.
    let attributes: WireSecurityAttributes
}

/// Whom a verified client is on this machine.
enum MappedClient: Sendable {
    case account(Account, UnixCredentials)
    case anonymous
}

extension AccountStore {
    /// Finds out who a verified client is here, by the rules of administrators. Asks the name service switch: not for the
    /// control thread.
    ///
    /// - Throws: `logonFailure` where no rule fits.
    func map(_ client: VerifiedClient) throws(Refused) -> MappedClient {
        throw Refused(
            .logonFailure, "no mapping rule fits \(quoted(client.name)) of \(quoted(client.issuer))")
    }
}

extension LogonSession {
    /// Whether whoever made it said a secret of its user, not only what the user himself said: that lets the maker act
    /// as the user without SeImpersonatePrivilege.
    var hasExplicitCredentials: Bool {
        if case .package = kind { return false }
        return true
    }
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
        guard case .account(let account, let credentials) = mapped else {
            answer.capture = try client.add(
                ControlClient.Captured(
                    client: PeerCapture.Client(
                        pid: client.pid, token: .anonymous, credentials: .nobody, level: .anonymous)))
            answer.level = .anonymous
            event.user = .anonymous
            context.audit.record(event)
            return (answer, nil)
        }
        let logon: Logon
        do throws(LogonError) {
            logon = try tokens.packageLogon(
                account, credentials, package: verified.attributes.package, creator: creator.id)
        } catch { throw Refused(error) }
        let level = ImpersonationLevel(verified.attributes.level) ?? .identification
        do throws(Refused) {
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
        return (answer, logon.session)
    }
}
