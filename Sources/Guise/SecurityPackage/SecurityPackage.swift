public import AccessControl

/// A way to prove to a service who its client is, by tokens that the two send each other over whatever transport they
/// have. The same on both sides: an exchange is stepped with what the other side sent, until it is finished.
///
///     var exchange = try package.accept()
///     while case .more(let reply) = try exchange.step(token) { ... }        // send it, and receive the next token
///
/// Whom a client's token proves, the authority finds out and not the service: a service that is taken over still acts as
/// nobody who did not come to it. Corresponds to a security support provider of SSPI.
public protocol SecurityPackage: Sendable {
    /// `Kerberos`, `Negotiate`: as `QuerySecurityPackageInfo` would have it.
    var name: String { get }

    /// Begins the accepting side, the service's. Its first step takes the client's first token.
    /// Corresponds to `AcceptSecurityContext`.
    ///
    /// - Parameter runtimeDirectory: where `guised` runs, as for
    ///   ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    /// - Throws: ``GuiseError/authorityUnreachable(_:)``.
    func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange

    /// Begins the connecting side, the client's. Its first step takes no bytes, and gives the first token.
    /// Corresponds to `InitializeSecurityContext`.
    ///
    /// - Parameters:
    ///   - target: the service, as the package spells it.
    ///   - level: the most that the service may do with the caller's identity.
    /// - Throws: ``GuiseError/invalid(_:)`` where the package cannot say so to the service;
    ///   ``GuiseError/accessDenied(_:)`` where the calling thread acts as somebody who did not delegate.
    func initiate(to target: String, level: ImpersonationLevel) throws(GuiseError) -> any SecurityExchange
}

extension SecurityPackage {
    /// As ``accept(runtimeDirectory:)``, with the authority that this process is attached to.
    public func accept() throws(GuiseError) -> any SecurityExchange {
        try accept(runtimeDirectory: nil)
    }

    /// As ``initiate(to:level:)``, at level Impersonation.
    public func initiate(to target: String) throws(GuiseError) -> any SecurityExchange {
        try initiate(to: target, level: .impersonation)
    }
}

/// One side of a conversation of a security package. Ends with the value.
public protocol SecurityExchange: AnyObject, Sendable {
    /// Takes the other side's token, and says what comes next. May take as long as a network does: not for an event loop.
    ///
    /// - Parameter token: empty for the first step of the connecting side.
    /// - Throws: ``GuiseError/logonFailed(_:)`` for a token that proves nothing, or a client for whom no account is;
    ///   ``GuiseError/limitReached(_:)``; ``GuiseError/closed(_:)`` when the exchange has ended, as it does with any of
    ///   these.
    func step(_ token: [UInt8]) throws(GuiseError) -> SecurityStep
}

/// What came of a step.
public enum SecurityStep: Sendable {
    /// Send this, and step with what comes back (`SEC_I_CONTINUE_NEEDED`).
    case more(reply: [UInt8])
    /// Nothing is missing any more (`SEC_E_OK`).
    case finished(SecurityContext, reply: [UInt8])

    /// What to send to the other side; empty: nothing.
    public var reply: [UInt8] {
        switch self {
        case .more(let reply), .finished(_, let reply): reply
        }
    }
}
