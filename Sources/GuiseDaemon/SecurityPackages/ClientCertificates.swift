import GuiseProtocol

#if TLS
    import Foundation
    import SwiftASN1
    import X509
#endif

/// Certificates by which clients prove themselves in TLS (RFC 5280).
enum ClientCertificates {
    /// The most certificates of a client, and their bytes.
    static let largestCount = 8
    static let largestSize = 32 * 1024

    /// The certificates of a token: each DER, after its length in three bytes, as TLS has them (RFC 5246, 7.4.2).
    static func chain(in token: [UInt8]) throws(Refused) -> [[UInt8]] {
        var chain: [[UInt8]] = []
        var rest = token[...]
        while !rest.isEmpty {
            let length = rest.prefix(3).reduce(0) { $0 << 8 | Int($1) }
            guard rest.count >= 3 + length, length > 0, chain.count < largestCount, token.count <= largestSize
            else {
                throw Refused(
                    .logonFailure,
                    "the certificates are refused: there are more than \(largestCount), they have more than"
                        + " \(largestSize) bytes, or they are cut off")
            }
            chain.append(Array(rest.dropFirst(3).prefix(length)))
            rest = rest.dropFirst(3 + length)
        }
        return chain
    }

    #if TLS
        /// - Throws: `badRequest` unless the file has certificates of certification authorities (PEM).
        static func check(_ file: [UInt8]) throws(Refused) {
            for certificate in try authorities(file) {
                let constraints = (try? certificate.extensions.basicConstraints) ?? nil
                guard case .isCertificateAuthority = constraints else {
                    throw Refused(
                        .badRequest,
                        "the certificate of \(quoted("\(certificate.subject)")) is no certification authority's"
                    )
                }
            }
        }

        private static func authorities(_ file: [UInt8]) throws(Refused) -> [Certificate] {
            do {
                let documents = try PEMDocument.parseMultiple(
                    pemString: String(decoding: file, as: UTF8.self))
                guard (1...largestCount).contains(documents.count) else {
                    throw ASN1Error.invalidPEMDocument(reason: "")
                }
                return try documents.map { try Certificate(pemDocument: $0) }
            } catch {
                throw Refused(
                    .badRequest, "the file does not have 1 to \(largestCount) certificates in PEM form")
            }
        }

        /// Checks a chain of certificates against every certification authority that vouches for a service's clients.
        ///
        /// - Parameters:
        ///   - chain: DER, the client's first.
        ///   - issuers: those that the service may have clients of.
        /// - Throws: `logonFailure`.
        static func verify(_ chain: [[UInt8]], by issuers: [Issuer]) throws(Refused) -> VerifiedClient {
            func refusal(_ rule: String) -> Refused {
                Refused(.logonFailure, "the certificate is refused: \(rule)")
            }
            guard !chain.isEmpty else { throw refusal("there is none") }
            let certificates: [Certificate]
            do { certificates = try chain.map { try Certificate(derEncoded: $0) } } catch {
                throw refusal("it is malformed")
            }
            let (leaf, others) = (certificates[0], distinct(certificates.dropFirst()))
            let names = Set(certificates.map(\.issuer))
            var reasons: [String] = []
            for issuer in issuers {
                let roots = try authorities(issuer.keys)
                // One that issued none of them need not be asked.
                guard roots.contains(where: { names.contains($0.subject) }) else { continue }
                let result = Proofs.waiting { () async -> CertificateValidationResult in
                    var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
                        RFC5280Policy()
                        ClientPolicy()
                    }
                    return await verifier.validate(leaf: leaf, intermediates: CertificateStore(others))
                }
                switch result {
                case .validCertificate(let chain):
                    // No certificate of the chain outlives another one that it was believed for.
                    let end = chain.map(\.notValidAfter).min() ?? leaf.notValidAfter
                    let subject = leaf.subject.description
                    return VerifiedClient(
                        kind: .certificate, issuer: issuer.identity, name: subject,
                        attributes: .with {
                            $0.package = SecurityPackageName.tls
                            $0.client = subject
                            $0.level = .impersonation
                            $0.expiry = UInt64(max(0, end.timeIntervalSince1970) * 1000)
                        }, claims: try claims(of: leaf))
                case .couldNotValidate(let failures):
                    reasons += failures.map { "\(issuer.name): \($0.policyFailureReason)" }
                }
            }
            throw refusal(
                reasons.isEmpty
                    ? "it leads to no certification authority whose clients the service may have"
                    : reasons.prefix(4).joined(separator: "; "))
        }

        /// The first certificate of each subject.
        ///
        /// So there is at most one that may have issued another one, and one path to try. Of several with one name and key
        /// the verifier tries every order, which a client can make thousands (RFC 4158, 2.4.2).
        private static func distinct(_ certificates: some Sequence<Certificate>) -> [Certificate] {
            var subjects: Set<DistinguishedName> = []
            return certificates.filter { subjects.insert($0.subject).inserted }
        }

        /// What a certificate says of its subject.
        private static func claims(of certificate: Certificate) throws(Refused) -> [VerifiedClient.Claim] {
            let names: SubjectAlternativeNames?
            do { names = try certificate.extensions.subjectAlternativeNames } catch {
                throw Refused(.logonFailure, "the certificate is refused: its names are malformed")
            }
            let serial = certificate.serialNumber.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            var claims = [
                VerifiedClient.Claim(attribute: "subject", value: certificate.subject.description),
                VerifiedClient.Claim(attribute: "serial", value: serial.joined()),
            ]
            for name in names ?? .init() {
                switch name {
                case .rfc822Name(let name): claims.append(.init(attribute: "email", value: name))
                case .dnsName(let name): claims.append(.init(attribute: "dns", value: name))
                case .uniformResourceIdentifier(let name): claims.append(.init(attribute: "uri", value: name))
                case .otherName(let other) where other.typeID == userPrincipalName:
                    if let value = other.value, let text = try? ASN1UTF8String(asn1Any: value) {
                        claims.append(.init(attribute: "upn", value: String(text)))
                    }
                default: break
                }
            }
            return claims
        }

        /// szOID_NT_PRINCIPAL_NAME of wincrypt.h.
        private static let userPrincipalName: ASN1ObjectIdentifier = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3]

        /// A client's certificate says that it is for clients (RFC 5280, 4.2.1.12), and is no certification authority's.
        private struct ClientPolicy: VerifierPolicy {
            let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
                .X509ExtensionID.extendedKeyUsage, .X509ExtensionID.subjectAlternativeName,
            ]

            func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
                for (index, certificate) in chain.enumerated() {
                    let usage: ExtendedKeyUsage?
                    let keyUsage: KeyUsage?
                    let constraints: BasicConstraints?
                    do {
                        usage = try certificate.extensions.extendedKeyUsage
                        keyUsage = try certificate.extensions.keyUsage
                        constraints = try certificate.extensions.basicConstraints
                    } catch { return .failsToMeetPolicy(reason: "an extension is malformed") }
                    if index == 0 {
                        guard let usage, usage.contains(.clientAuth) else {
                            return .failsToMeetPolicy(
                                reason: "it is not for clients (extended key usage clientAuth)")
                        }
                        if case .isCertificateAuthority = constraints {
                            return .failsToMeetPolicy(reason: "it is a certification authority's own")
                        }
                        if let keyUsage, !keyUsage.digitalSignature {
                            return .failsToMeetPolicy(reason: "its key is not for signatures (key usage)")
                        }
                    } else {
                        if let usage, !usage.contains(.clientAuth), !usage.contains(.any) {
                            return .failsToMeetPolicy(reason: "one that it was issued by is not for clients")
                        }
                        if let keyUsage, !keyUsage.keyCertSign {
                            return .failsToMeetPolicy(reason: "one that it was issued by may not issue any")
                        }
                    }
                }
                return .meetsPolicy
            }
        }
    #else
        private static let missing = Refused(
            .unsupported, "this authority was built without client certificates (the package trait TLS)")

        static func check(_ file: [UInt8]) throws(Refused) { throw missing }

        static func verify(_ chain: [[UInt8]], by issuers: [Issuer]) throws(Refused) -> VerifiedClient {
            throw missing
        }
    #endif
}
