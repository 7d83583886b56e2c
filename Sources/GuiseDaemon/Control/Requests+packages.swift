import AccessControl
import GuiseProtocol

/// Security packages: clients whom their tokens prove, and credentials that they delegated.
extension Requests {
    /// Takes a client's token from the service that it came to.
    func securityStep(_ request: WireSecurityStep, _ client: ControlClient) throws(Refused) -> Answer {
        if let proof = ForwardedProof(request.package, [UInt8](request.token)) {
            return try logOn(proof, client)
        }
        return try accept(request, client)
    }

    func securityEnd(_ request: WireSecurityEnd, _ client: ControlClient) -> WireResponse.OneOf_Body {
        if client.exchange?.number == request.context { client.exchange = nil }
        return .done(.init())
    }
}
