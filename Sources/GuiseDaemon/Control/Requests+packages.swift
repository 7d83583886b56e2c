import AccessControl
import GuiseProtocol

/// Security packages: clients whom their tokens prove, and credentials that they delegated.
extension Requests {
    /// Takes a client's token from the service that it came to.
    func securityStep(_ request: WireSecurityStep, _ client: ControlClient) throws(Refused) -> Answer {
        if let proof = ForwardedProof(request.package, [UInt8](request.token)) {
            return try logOn(proof, client)
        }
        throw Refused(.unsupported, "this authority has no security package \(quoted(request.package))")
    }

    func securityInitiate(
        _ request: WireSecurityInitiate, _ client: ControlClient
    ) throws(Refused) -> Answer {
        throw Refused(.unsupported, "this authority has no security package \(quoted(request.package))")
    }

    func securityEnd(_ request: WireSecurityEnd, _ client: ControlClient) -> WireResponse.OneOf_Body {
        .done(.init())
    }

    func securityTransition(
        _ request: WireSecurityTransition, _ client: ControlClient
    ) throws(Refused) -> Answer {
        throw Refused(.unsupported, "this authority has no security package \(quoted(request.package))")
    }

    func setKeytab(
        _ request: WireKeytabSet, _ descriptor: Int32?, _ client: ControlClient
    ) throws(Refused) -> Answer {
        throw Refused(.unsupported, "this authority takes no keytabs")
    }
}
