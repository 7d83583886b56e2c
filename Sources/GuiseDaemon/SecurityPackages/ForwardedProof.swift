import AccessControl
import GuiseProtocol

/// What proves a client in one step: what a service got from it, and forwards.
enum ForwardedProof: Sendable {
    /// A bearer token, as it came.
    case token([UInt8])
    /// The certificates that the client presented in TLS, its own first.
    case certificates([UInt8])

    /// - Returns: nil where the package is another one.
    init?(_ package: String, _ bytes: [UInt8]) {
        switch package {
        case SecurityPackageName.jwt: self = .token(bytes)
        case SecurityPackageName.tls: self = .certificates(bytes)
        default: return nil
        }
    }

    var package: String {
        switch self {
        case .token: SecurityPackageName.jwt
        case .certificates: SecurityPackageName.tls
        }
    }

    /// Finds out whom it proves to a service. Takes its time: for workers.
    func verify(for service: SID, _ accounts: AccountStore) throws(Refused) -> VerifiedClient {
        switch self {
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
        // A token's bearer is the client. Who presented a certificate the service alone has seen: as with S4U, it is
        // believed where it is part of the trusted computing base.
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
                var found = try proof.verify(for: service.user, accounts)
                if takesTrust, !isTrusted { found.attributes.level = .identification }
                let mapped = try accounts.map(found, for: service.user)
                let verified = found
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
