package import AccessControl

/// Who vouches for clients from elsewhere, and how far it is believed: a Kerberos realm, a certification authority, or
/// who signs JWTs.
package struct Issuer: Sendable, Hashable {
    /// By what its clients prove themselves.
    package enum Kind: Int, Sendable, CaseIterable {
        case kerberos = 1
        case certificate = 2
        case jwt = 3
    }

    /// What becomes of a client that proved itself and that no rule names.
    package enum Unmapped: Int, Sendable {
        case refused = 1
        case anonymous = 2
    }

    /// What administrators call it: `corp`.
    package var name: String
    package var kind: Kind
    /// The realm, `EXAMPLE.ORG`, or the `iss` of its tokens; of a certification authority its name once more.
    package var identity: String
    /// The certificates of a certification authority (PEM), or the public keys of who signs JWTs (JWKS, RFC 7517), as
    /// they were in the file; of a realm nothing.
    package var keys: [UInt8]
    /// For whom its JWTs have to be (`aud`): one of these.
    package var audiences: [String]
    /// By which algorithms its JWTs may be signed (`alg`).
    package var algorithms: [String]
    package var unmapped: Unmapped
    /// The accounts whose processes may have its clients.
    package var services: [SID]
    /// Whether every account's may.
    package var isForAnyService: Bool

    package init(
        _ kind: Kind, named name: String, identity: String, keys: [UInt8] = [], audiences: [String] = [],
        algorithms: [String] = [], unmapped: Unmapped = .refused, services: [SID] = [],
        isForAnyService: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.identity = identity
        self.keys = keys
        self.audiences = audiences
        self.algorithms = algorithms
        self.unmapped = unmapped
        self.services = services
        self.isForAnyService = isForAnyService
    }

    /// Whether a process of this user may have its clients.
    package func serves(_ user: SID) -> Bool { isForAnyService || services.contains(user) }

    /// The most issuers of a machine: each certificate is tried with every certification authority.
    package static let largestCount = 64
    /// The most bytes of a file of keys.
    package static let largestKeySize = 48 * 1024
    /// The most audiences, algorithms and services of one.
    package static let largestListCount = 64

    /// Signatures by public keys alone: with a shared secret (`HS256`) whoever checks tokens could make them.
    package static let algorithms = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ]

    /// The attributes that a client of this kind can be known by; nil: any name of a claim.
    package static func attributes(of kind: Kind) -> [String]? {
        switch kind {
        case .kerberos: ["principal"]
        case .certificate: ["email", "upn", "uri", "dns", "subject", "serial"]
        case .jwt: nil
        }
    }
}

/// Whom an issuer's client is on this machine.
package struct MappingRule: Sendable, Hashable {
    /// Which clients it is about.
    package enum Match: Sendable, Hashable {
        /// The attribute is this value: the client is the account.
        case value(String, account: SID)
        /// The attribute is the name of the account, followed by `@` and this domain unless that is empty.
        case name(domain: String, account: SID)
        /// The attribute is this value: the client is refused, whatever other rules say.
        case refused(String)
    }

    /// Never given to another rule.
    package let id: Int64
    /// The issuer's name.
    package let issuer: String
    /// `principal`, `email`, `sub`.
    package let attribute: String
    package let match: Match

    package init(id: Int64, issuer: String, attribute: String, match: Match) {
        self.id = id
        self.issuer = issuer
        self.attribute = attribute
        self.match = match
    }

    /// The most rules of a machine.
    package static let largestCount = 65_536
    /// The most bytes of an attribute's name, and of a value.
    package static let longestText = 1024
}

extension MappingRule {
    /// The form in which values are compared, which is byte by byte. As they are, but for what is the same in upper and
    /// lower case by its own rules: names of hosts, and serial numbers in hexadecimal.
    ///
    /// - Returns: nil for what cannot be a value of the attribute.
    package static func canonical(_ value: String, _ attribute: String, _ kind: Issuer.Kind) -> String? {
        guard (1...longestText).contains(value.utf8.count),
            !value.utf8.contains(where: { $0 < 32 || $0 == 127 })
        else { return nil }
        switch (kind, attribute) {
        case (.certificate, "dns"): return lowercased(value)
        case (.certificate, "email"), (.certificate, "upn"):
            guard let at = value.utf8.lastIndex(of: UInt8(ascii: "@")) else { return value }
            return value[..<at] + lowercased(value[at...])
        case (.certificate, "serial"):
            let digits = value.utf8.filter { $0 != UInt8(ascii: ":") }
            guard digits.allSatisfy({ isHexadecimal($0) }) else { return nil }
            let number = lowercased(String(decoding: digits, as: UTF8.self)).drop { $0 == "0" }
            return number.isEmpty ? "0" : String(number)
        default: return value
        }
    }

    /// Of ASCII alone: no other letter becomes one of these, or another one of its kind.
    private static func lowercased(_ text: some StringProtocol) -> String {
        String(decoding: text.utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }
}
