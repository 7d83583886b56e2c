import GuiseProtocol

/// A signed JWT (RFC 7519) in its compact form (RFC 7515), read and not yet believed.
///
/// Only what the header and the claims must not be mistaken for is decided here; keys and signatures are jwt-kit's.
struct BearerToken: Sendable {
    /// The most bytes of one.
    static let largestSize = 16 * 1024
    /// By how many seconds the issuer's clock may be ahead of ours.
    static let clockSkew = 60.0

    let bytes: [UInt8]
    /// `alg` and `kid` of the header. By the latter the key is found, by nothing else that the token brings.
    let algorithm: String
    let keyID: String
    /// Who says to have signed it.
    let issuer: String
    private let claims: JSONValue

    /// - Throws: `logonFailure` when it is no token that could be right.
    init(_ bytes: [UInt8]) throws(Refused) {
        func refusal(_ rule: String) -> Refused { Refused(.logonFailure, "the token is refused: \(rule)") }
        guard bytes.count <= Self.largestSize else {
            throw refusal("it has more than \(Self.largestSize) bytes")
        }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = base64URLDecoded(parts[0]),
            let payload = base64URLDecoded(parts[1]), let signature = base64URLDecoded(parts[2])
        else { throw refusal("it is no JWS in compact form") }
        guard !signature.isEmpty else { throw refusal("it is not signed") }
        let fields: JSONValue
        do throws(JSONValue.Malformed) {
            fields = try JSONValue(parsing: header)
            claims = try JSONValue(parsing: payload)
        } catch { throw refusal("its header or its claims are no JSON, or have two members of one name") }
        guard case .object = claims else { throw refusal("its claims are no object") }
        guard fields["crit"] == nil else {
            throw refusal("its header has extensions that have to be understood, and are not")
        }
        guard let algorithm = fields["alg"]?.string, let keyID = fields["kid"]?.string, !keyID.isEmpty else {
            throw refusal("its header does not say the algorithm (alg) and the key (kid)")
        }
        guard Issuer.algorithms.contains(where: { $0.utf8.elementsEqual(algorithm.utf8) }) else {
            throw refusal("it is not signed by a public key's algorithm, but \(quoted(algorithm))")
        }
        guard let issuer = claims["iss"]?.string else { throw refusal("it does not say its issuer (iss)") }
        (self.bytes, self.algorithm, self.keyID, self.issuer) = (bytes, algorithm, keyID, issuer)
    }

    /// What is said of the client, once the signature was found to be the issuer's.
    ///
    /// - Parameter now: in seconds since 1970.
    /// - Throws: `logonFailure` when it is for somebody else, has expired or is not valid yet.
    func client(of issuer: Issuer, now: Double) throws(Refused) -> VerifiedClient {
        func refusal(_ rule: String) -> Refused {
            Refused(.logonFailure, "the token of \(quoted(issuer.name)) is refused: \(rule)")
        }
        let audiences: [String]
        switch claims["aud"] {
        case .string(let one): audiences = [one]
        case .array(let several):
            audiences = several.compactMap(\.string)
            guard audiences.count == several.count else { throw refusal("its audience (aud) is malformed") }
        default: throw refusal("it does not say for whom it is (aud)")
        }
        guard
            audiences.contains(where: { said in issuer.audiences.contains { $0.utf8.elementsEqual(said.utf8) }
            })
        else { throw refusal("it is for somebody else (aud)") }
        guard let expiry = claims["exp"]?.number, (0..<253_402_300_800).contains(expiry) else {
            throw refusal("it does not say when it expires (exp)")
        }
        guard now < expiry else { throw refusal("it has expired") }
        if let start = claims["nbf"] {
            guard let start = start.number, start <= now + Self.clockSkew else {
                throw refusal("it is not valid yet (nbf)")
            }
        }
        guard case .object(let members) = claims else { throw refusal("its claims are no object") }
        // Who may choose the address would choose whom to be.
        let isVerified = claims["email_verified"] == .bool(true)
        let said = members.compactMap { member -> VerifiedClient.Claim? in
            guard let value = member.value.string, member.name != "email" || isVerified else { return nil }
            return VerifiedClient.Claim(attribute: member.name, value: value)
        }
        let subject = claims["sub"]?.string ?? ""
        return VerifiedClient(
            kind: .jwt, issuer: issuer.identity, name: subject,
            attributes: .with {
                $0.package = SecurityPackageName.jwt
                $0.client = subject
                $0.level = .impersonation
                $0.expiry = UInt64(expiry * 1000)
            }, claims: said)
    }
}
