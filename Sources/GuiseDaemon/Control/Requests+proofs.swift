import AccessControl
import GuiseProtocol

/// Logons of clients that prove themselves by what a service forwards.
extension Requests {
    private enum Proof: Sendable {
        case token(String)
        case certificates([[UInt8]])

        var kind: Issuer.Kind {
            switch self {
            case .token: .jwt
            case .certificates: .certificate
            }
        }

        /// Checks it, for a service.
        func verify(for service: SID, _ accounts: AccountStore) throws(Refused) -> ProvenClient {
            switch self {
            case .token(let text):
                let token = try BearerToken(text)
                let issuer = try accounts.issuer(.jwt, token.issuer, for: service)
                try BearerKeys.verify(token, by: issuer)
                return try token.proven(by: issuer, now: Double(WallClock.milliseconds) / 1000)
            case .certificates(let chain):
                return try ClientCertificates.verify(
                    chain, by: try accounts.issuers(.certificate, for: service))
            }
        }
    }

    /// Logs a client on that the service holds a proof of.
    func logOn(_ request: WireLogonProof, _ client: ControlClient) throws(Refused) -> Answer {
        let proof: Proof
        switch request.proof {
        case .jwt(let token): proof = .token(token)
        case .certificates(let chain): proof = .certificates(chain.certificates.map { Array($0) })
        case nil: throw Refused(.badRequest, "a logon needs a token or certificates with it")
        }
        let service = try logon(client).token.token
        // A token's bearer is the client. Who presented a certificate the service alone has seen: as with S4U, it is
        // believed where it is part of the trusted computing base.
        let isTrusted = service.holds(.tcb)
        let level: ImpersonationLevel = proof.kind == .jwt || isTrusted ? .impersonation : .identification
        var event = event(.logonFailed, client)
        event.change = "\(proof.kind)"
        let refuse: @Sendable (Refused) -> Void = { [audit = context.audit, event] in
            var event = event
            event.rule = $0.message
            audit.record(event)
        }
        return .proving { [accounts] in
            do throws(Refused) {
                let proven = try proof.verify(for: service.user, accounts)
                let mapped = try MappedLogon(proven, accounts)
                return { (requests, client) throws(Refused) in
                    do throws(Refused) {
                        let answer = try requests.logOn(
                            mapped, proof.kind, issuer: proven.issuer, expiry: proven.expiry, level: level, client)
                        if proof.kind == .certificate, isTrusted {
                            var event = requests.event(.privilegeUsed, client)
                            event.call = "LogonProof"
                            event.privileges = [.tcb]
                            requests.context.audit.record(event)
                        }
                        return answer
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
