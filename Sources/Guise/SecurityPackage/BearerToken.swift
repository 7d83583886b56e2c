public import AccessControl

/// Clients who prove themselves by a signed JWT (RFC 7519), as `Authorization: Bearer` brings it.
///
///     guard case .finished(let client, _) = try BearerToken().accept().step(Array(token.utf8)) else { ... }
///     try client.impersonating { ... }
///
/// The authority checks signature, issuer, audience and times by what an administrator said of the issuer
/// (`guise mapping trust --jwt`), and finds the account by the rules (`guise mapping add`). Who has the token is the
/// client: it is as good as a password until it expires, and so is the session.
public struct BearerToken: SecurityPackage {
    private let token: [UInt8]?

    /// The package as a service uses it.
    public init() { token = nil }

    /// As a client uses it that has a token.
    public init(_ token: String) { self.token = Array(token.utf8) }

    /// `JWT`.
    public var name: String { "JWT" }

    /// The service's side. Its first step takes the token, and is the last one.
    public func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange {
        try AuthorityExchange(package: name, runtimeDirectory: runtimeDirectory)
    }

    /// The client's side: gives the token. The target is in it (`aud`), and so is nobody else's.
    ///
    /// - Throws: ``GuiseError/invalid(_:)`` without a token, or at another level than Impersonation, which a token cannot
    ///   say.
    public func initiate(to target: String, level: ImpersonationLevel) throws(GuiseError)
        -> any SecurityExchange
    {
        guard let token else { throw .invalid("there is no token to send") }
        guard level == .impersonation else {
            throw .invalid("who has a bearer token acts as the client: \(level) cannot be said")
        }
        return TokenSender(token)
    }

    private final class TokenSender: SecurityExchange {
        private let token: [UInt8]

        init(_ token: [UInt8]) { self.token = token }

        func step(_ token: [UInt8]) throws(GuiseError) -> SecurityStep {
            .finished(
                SecurityContext(initiated: .init(package: "JWT", level: .impersonation)), reply: self.token)
        }
    }
}

/// Clients who prove themselves in TLS by a certificate.
///
/// TLS ends in the service: that the client has the key of its certificate, the service alone has seen. The authority
/// checks the certificates (`guise mapping trust --certificate-authority`) and believes the service the rest where its
/// account holds SeTcbPrivilege; otherwise the client is at level Identification, whose token can be looked at and not be
/// acted as. GuiseNIO does this for a channel.
public struct ClientCertificate: SecurityPackage {
    /// The package.
    public init() {}

    /// `TLS`.
    public var name: String { "TLS" }

    /// The service's side. Its first step takes ``token(of:)``, and is the last one.
    public func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange {
        try AuthorityExchange(package: name, runtimeDirectory: runtimeDirectory)
    }

    /// Not this package's: TLS itself does it.
    ///
    /// - Throws: ``GuiseError/invalid(_:)``.
    public func initiate(to target: String, level: ImpersonationLevel) throws(GuiseError)
        -> any SecurityExchange
    {
        throw .invalid("a certificate is presented in TLS, not in a token")
    }

    /// The certificates that a client presented, in DER, its own first: as the package takes them.
    ///
    /// - Throws: ``GuiseError/invalid(_:)`` when they have more than 32,768 bytes.
    public static func token(of certificates: [[UInt8]]) throws(GuiseError) -> [UInt8] {
        var token: [UInt8] = []
        for certificate in certificates {
            let count = certificate.count
            guard token.count + 3 + count <= 32 * 1024 else {
                throw .invalid("the client's certificates have more than 32,768 bytes")
            }
            token += [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF)] + certificate
        }
        return token
    }
}

/// A client that did not say who it is.
///
/// A service that serves such clients as nobody in particular acts as Anonymous for them, and not as itself.
package struct NoProof: SecurityPackage {
    package init() {}

    package var name: String { "Anonymous" }

    package func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange {
        try AuthorityExchange(package: name, runtimeDirectory: runtimeDirectory)
    }

    package func initiate(to target: String, level: ImpersonationLevel) throws(GuiseError)
        -> any SecurityExchange
    {
        throw .invalid("nothing is sent to prove nothing")
    }
}
