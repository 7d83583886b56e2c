import AccessControl
import GuiseProtocol

/// What proves a client in one step: what a service got from it, and forwards.
enum ForwardedProof: Sendable {
    /// A bearer token, as it came.
    case token([UInt8])
    /// The certificates that the client presented in TLS, its own first.
    case certificates([UInt8])
    /// Nothing: the client is nobody in particular.
    case none

    /// - Returns: nil where the package is another one.
    init?(_ package: String, _ bytes: [UInt8]) {
        switch package {
        case SecurityPackageName.jwt: self = .token(bytes)
        case SecurityPackageName.tls: self = .certificates(bytes)
        case SecurityPackageName.anonymous: self = .none
        default: return nil
        }
    }

    var package: String {
        switch self {
        case .token: SecurityPackageName.jwt
        case .certificates: SecurityPackageName.tls
        case .none: SecurityPackageName.anonymous
        }
    }

    /// Finds out whom it proves to a service, and who that is here. Takes its time: for workers.
    ///
    /// - Parameter isTrusted: whether the service holds SeTcbPrivilege. A token's bearer is the client; who presented a
    ///   certificate the service alone has seen: as with S4U, it is believed where it is part of the trusted computing
    ///   base.
    func map(
        for service: SID, isTrusted: Bool, _ accounts: AccountStore
    ) throws(Refused) -> (VerifiedClient, MappedClient) {
        var client = try verify(for: service, accounts)
        if case .none = self { return (client, .anonymous) }
        if case .certificates = self, !isTrusted { client.attributes.level = .identification }
        return (client, try accounts.map(client, for: service))
    }

    func verify(for service: SID, _ accounts: AccountStore) throws(Refused) -> VerifiedClient {
        switch self {
        case .none:
            return VerifiedClient(
                kind: .jwt, issuer: "", name: "",
                attributes: .with {
                    $0.package = package
                    $0.level = .anonymous
                })
        case .token(let bytes):
            let token = try BearerToken(bytes)
            let issuer = try accounts.issuer(.jwt, token.issuer, for: service)
            try BearerKeys.verify(token, by: issuer)
            return try token.client(of: issuer, now: Double(WallClock.milliseconds) / 1000)
        case .certificates(let bytes):
            let chain = try ClientCertificates.chain(in: bytes)
            return try ClientCertificates.verify(chain, by: try accounts.issuers(.certificate, for: service))
        }
    }
}

extension Requests {
    /// Logs on whom a service holds a proof of.
    func logOn(_ proof: ForwardedProof, _ client: ControlClient) throws(Refused) -> Answer {
        let service = try logon(client).token.token
        let takesTrust: Bool
        if case .certificates = proof { takesTrust = true } else { takesTrust = false }
        let isTrusted = service.holds(.tcb)
        var event = event(.logonFailed, client)
        event.call = proof.package
        let refuse: @Sendable (Refused) -> Void = { [audit = context.audit, event] in
            var event = event
            event.rule = $0.message
            audit.record(event)
        }
        return .onWorker { [accounts] in
            do throws(Refused) {
                let (verified, mapped) = try proof.map(for: service.user, isTrusted: isTrusted, accounts)
                return { (requests, client) throws(Refused) in
                    do throws(Refused) {
                        let (captured, _) = try requests.hold(verified, as: mapped, client)
                        if takesTrust, isTrusted, captured.level == .impersonation {
                            var event = requests.event(.privilegeUsed, client)
                            event.call = proof.package
                            event.privileges = [.tcb]
                            requests.context.audit.record(event)
                        }
                        return .securityStepped(
                            .with {
                                $0.attributes = verified.attributes
                                $0.attributes.level = captured.level
                                $0.captured = captured
                            })
                    } catch {
                        refuse(error)
                        throw error
                    }
                }
            } catch {
                refuse(error)
                return { (_, _) throws(Refused) in throw error }
            }
        }
    }
}
