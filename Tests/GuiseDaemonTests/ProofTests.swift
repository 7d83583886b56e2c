import AccessControl
import Foundation
import GuiseProtocol
import ProofMaker
import Testing

@testable import GuiseDaemon

private let web = SID.service(named: "web")

/// What a proof comes to: whose it is, or why it is refused.
private func outcome(_ package: String, _ bytes: [UInt8], _ store: AccountStore) -> String {
    guard let proof = ForwardedProof(package, bytes) else { return "no package" }
    do throws(Refused) {
        switch try proof.map(for: web, isTrusted: false, store).1 {
        case .account(let account, _, _): return account.name
        case .anonymous: return "anonymous"
        }
    } catch { return error.reason == .logonFailure ? error.message : "\(error.reason)" }
}

private func store(_ state: ScratchState) throws -> AccountStore {
    let store = try state.open()
    for name in ["alice", "bob"] { try store.add(.init(.user, named: name)) }
    try store.add(.init(.service, named: "web", unixID: 900))
    return store
}

#if JWT
    @Suite(
        "A signed token", .enabled(if: ProofMaker.isPossible, "needs openssl"))
    struct BearerTokenTests {
        let state: ScratchState
        let maker: ProofMaker
        let store: AccountStore

        init() throws {
            state = try ScratchState()
            store = try GuiseDaemonTests.store(state)
            maker = try ProofMaker(in: state.path)
            try maker.key("k1")
            try maker.key("k2")
            try store.add(issuer("https://login.test", try maker.jwks("k1")))
            _ = try store.addMappings(
                "login", "sub", [.value("1234", account: try #require(store.account(named: "alice")).sid)])
            _ = try store.addMappings(
                "login", "email",
                [.name(domain: "example.org", account: try #require(store.account(named: "bob")).sid)])
        }

        private func issuer(_ identity: String, _ keys: String, named name: String = "login") -> Issuer {
            Issuer(
                .jwt, named: name, identity: identity, keys: Array(keys.utf8),
                audiences: ["https://web.test"],
                algorithms: ["RS256"], services: [web])
        }

        private func claims(
            issuer: String = "https://login.test", audience: String = #""https://web.test""#, from: Int = -10,
            to: Int = 600, _ more: String = #""sub":"1234""#
        ) -> String {
            let now = Int(Date().timeIntervalSince1970)
            return
                #"{"iss":"\#(issuer)","aud":\#(audience),"nbf":\#(now + from),"exp":\#(now + to),\#(more)}"#
        }

        private func outcome(_ token: String) -> String {
            GuiseDaemonTests.outcome("JWT", Array(token.utf8), store)
        }

        @Test("of an issuer is its subject's, also for one of several audiences")
        func right() throws {
            #expect(outcome(try maker.token(claims(), key: "k1")) == "alice")
            #expect(
                outcome(
                    try maker.token(
                        claims(audience: #"["https://other.test","https://web.test"]"#), key: "k1"))
                    == "alice")
            #expect(outcome(try maker.token(claims(#""sub":"5678""#), key: "k1")) == "notMapped")
        }

        @Test("counts by an address only if the issuer says that it is the client's")
        func address() throws {
            let said = #""sub":"x","email":"bob@example.org""#
            #expect(outcome(try maker.token(claims(said + #","email_verified":true"#), key: "k1")) == "bob")
            for more in ["", #","email_verified":false"#, #","email_verified":"true""#] {
                #expect(outcome(try maker.token(claims(said + more), key: "k1")) == "notMapped")
            }
        }

        @Test("of somebody else, for somebody else, too early or too late, is refused")
        func wrongClaims() throws {
            for (claims, word) in [
                (claims(issuer: "https://evil.test"), "no jwt issuer"),
                (claims(issuer: "https://login.test/"), "no jwt issuer"),
                (claims(issuer: #"https://login.test\u0000"#), "no jwt issuer"),
                (claims(audience: #""https://other.test""#), "(aud)"), (claims(audience: "[]"), "(aud)"),
                (claims(audience: #"["https://web.test",1]"#), "(aud)"), (claims(audience: "null"), "(aud)"),
                (claims(to: -1), "expired"), (claims(from: 600), "(nbf)"),
                (#"{"iss":"https://login.test","aud":"https://web.test","sub":"1234"}"#, "(exp)"),
                (
                    #"{"iss":"https://login.test","aud":"https://web.test","sub":"1234","exp":"9999999999"}"#,
                    "(exp)"
                ),
                (#"{"iss":"https://login.test","aud":"https://web.test","sub":"1234","exp":1e300}"#, "(exp)"),
                (claims(#""sub":"5678","sub":"1234""#), "one name"), ("[]", "no object"), ("x", "no JSON"),
            ] {
                let outcome = outcome(try maker.token(claims, key: "k1"))
                #expect(outcome.contains(word), "\(claims): \(outcome)")
            }
        }

        @Test("whose header says another algorithm or key, or none, is refused")
        func wrongHeader() throws {
            for (header, word) in [
                (#"{"alg":"none","kid":"k1"}"#, "public key's"),
                (#"{"alg":"None","kid":"k1"}"#, "public key's"),
                (#"{"alg":"HS256","kid":"k1"}"#, "public key's"),
                (#"{"alg":"RS384","kid":"k1"}"#, "not allowed"),
                (#"{"alg":"PS256","kid":"k1"}"#, "not allowed"),
                (#"{"alg":"ES256","kid":"k1"}"#, "not allowed"), (#"{"alg":"RS256"}"#, "(kid)"),
                (#"{"alg":"RS256","kid":""}"#, "(kid)"), (#"{"alg":"RS256","kid":1}"#, "(kid)"),
                (#"{"alg":"RS256","kid":"k9"}"#, "not known (kid)"),
                (#"{"alg":"RS256","kid":"../k1"}"#, "not known (kid)"),
                (#"{"alg":"RS256","kid":"k1","crit":["exp"]}"#, "extensions"),
                (#"{"alg":"none","alg":"RS256","kid":"k1"}"#, "one name"), (#"{"kid":"k1"}"#, "(alg)"),
            ] {
                let outcome = outcome(try maker.token(claims(), key: "k1", header: header))
                #expect(outcome.contains(word), "\(header): \(outcome)")
            }
        }

        @Test("signed with the public key as a secret, or by a key that is not the issuer's, is refused")
        func confusion() throws {
            let secret = #"{"alg":"HS256","kid":"k1"}"#
            #expect(
                outcome(try maker.token(claims(), key: "k1", header: secret, secret: "k1.pub")).contains(
                    "public key's"))
            // Told as what the issuer signs with.
            #expect(
                outcome(
                    try maker.token(
                        claims(), key: "k1", header: #"{"alg":"RS256","kid":"k1"}"#, secret: "k1.pub")
                ).contains("signature"))
            #expect(outcome(try maker.token(claims(), key: "k2")).contains("not known (kid)"))
            let stolen =
                #"{"alg":"RS256","kid":"k1","jku":"https://evil.test","jwk":\#(try maker.jwk("k2"))}"#
            #expect(outcome(try maker.token(claims(), key: "k2", header: stolen)).contains("signature"))
        }

        @Test("that was changed, is cut off or is too long, is refused")
        func changed() throws {
            let token = try maker.token(claims(), key: "k1")
            let parts = token.split(separator: ".").map(String.init)
            let other = ProofMaker.base64(Array(claims(#""sub":"1234","admin":true"#).utf8))
            for (text, word) in [
                ("\(parts[0]).\(other).\(parts[2])", "signature"), ("\(parts[0]).\(parts[1]).", "not signed"),
                ("\(parts[0]).\(parts[1])", "compact"), (token + ".", "compact"), (token + "=", "compact"),
                ("\(parts[0]).\(parts[1]).AAAA", "signature"), (" " + token, "compact"), ("", "compact"),
                ("..", "not signed"),
                (String(repeating: "A", count: 20_000), "bytes"),
                ("\(parts[0]).\(parts[1]).\(parts[2])A", "signature"),
            ] {
                #expect(outcome(text).contains(word), "\(text.prefix(40)): \(outcome(text))")
            }
        }

        @Test("is refused when its rule is gone, its issuer, or the account")
        func revoked() throws {
            let token = try maker.token(claims(), key: "k1")
            #expect(outcome(token) == "alice")
            for rule in try store.mappings(after: 0, limit: 10) where rule.attribute == "sub" {
                try store.removeMapping(rule.id)
            }
            #expect(outcome(token) == "notMapped")
            _ = try store.removeIssuer(named: "login")
            #expect(outcome(token).contains("no jwt issuer"))
        }

        @Test("keys that are not public, not for signatures, too short or not told apart are not taken")
        func keys() throws {
            let key = try maker.jwk("k1")
            try Proofs.checkKeys(of: issuer("x", #"{"keys":[\#(key)]}"#))
            try Proofs.checkKeys(of: issuer("x", #"{"keys":[\#(try maker.jwk("k1", more: ""))]}"#))
            for file in [
                "", "{}", #"{"keys":[]}"#, #"{"keys":[\#(key),\#(key)]}"#,
                #"{"keys":[{"kty":"oct","kid":"a","k":"AAAA","alg":"HS256"}]}"#,
                #"{"keys":[\#(key.replacing("\"kty\"", with: "\"d\":\"AQ\",\"kty\""))]}"#,
                #"{"keys":[\#(key.replacing("\"kty\"", with: "\"use\":\"enc\",\"kty\""))]}"#,
                #"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#,
                #"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
            ] {
                let error = #expect(throws: Refused.self, "\(file.prefix(60))") {
                    try Proofs.checkKeys(of: issuer("x", file))
                }
                #expect(error?.reason == .badRequest)
            }
        }
    }
#else
    @Test("Without its trait a token's keys are refused, and say why")
    func withoutJWT() throws {
        let issuer = Issuer(.jwt, named: "a", identity: "b", keys: [1], isForAnyService: true)
        let error = #expect(throws: Refused.self) { try Proofs.checkKeys(of: issuer) }
        #expect(error?.reason == .unsupported && error?.message.contains("trait") == true)
    }
#endif

#if TLS
    @Suite("A client's certificate", .enabled(if: ProofMaker.isPossible, "needs openssl"))
    struct CertificateTests {
        let state: ScratchState
        let maker: ProofMaker
        let store: AccountStore

        init() throws {
            state = try ScratchState()
            store = try GuiseDaemonTests.store(state)
            maker = try ProofMaker(in: state.path)
            try maker.authority("ca")
            try trust("ca")
        }

        private func trust(_ name: String) throws {
            let issuer = Issuer(
                .certificate, named: name, identity: name, keys: try maker.bytes(name + ".pem"),
                services: [web])
            try Proofs.checkKeys(of: issuer)
            try store.add(issuer)
            _ = try store.addMappings(
                name, "email",
                [.value("alice@example.org", account: try #require(store.account(named: "alice")).sid)])
            _ = try store.addMappings(
                name, "upn",
                [.value("bob@example.org", account: try #require(store.account(named: "bob")).sid)])
        }

        private func outcome(_ names: String...) throws -> String { try outcome(names) }

        private func outcome(_ names: [String]) throws -> String {
            let token = try names.flatMap { name -> [UInt8] in
                let der = try maker.der(name)
                return [0, UInt8(der.count >> 8), UInt8(der.count & 0xFF)] + der
            }
            return GuiseDaemonTests.outcome("TLS", token, store)
        }

        private let names = ["extendedKeyUsage=clientAuth", "subjectAltName=email:alice@example.org"]

        @Test("is its subject's by an alternative name; of one in between, with that one")
        func right() throws {
            try maker.certificate("a", by: "ca", names)
            #expect(try outcome("a") == "alice")
            try maker.certificate(
                "b", by: "ca",
                [
                    "extendedKeyUsage=clientAuth",
                    "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:bob@example.org",
                ])
            #expect(try outcome("b") == "bob")
            try maker.certificate(
                "between", by: "ca", ["basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign"])
            try maker.certificate("c", by: "between", names)
            #expect(try outcome("c", "between") == "alice")
            #expect(try outcome("c").contains("refused"))
        }

        @Test("of somebody else's authority, of the same name even, is refused")
        func foreign() throws {
            let elsewhere = try ProofMaker(in: state.path)
            try elsewhere.authority("evil")
            try elsewhere.certificate("a", by: "evil", names)
            #expect(try outcome("a", "evil").contains("refused"))
            // Its chain shows the one that is trusted.
            #expect(try outcome("a", "ca").contains("refused"))
            try FileManager.default.moveItem(atPath: maker.path("ca.pem"), toPath: maker.path("true.pem"))
            try elsewhere.authority("ca")
            try elsewhere.certificate("b", by: "ca", names)
            #expect(try outcome("b", "ca").contains("refused"))
        }

        @Test("whose chain has thousands of orders is refused after one of them")
        func orders() throws {
            // Of the name of the one that is trusted, which has to be asked then; each may have issued each.
            let others = (0..<7).map { "other\($0)" }
            for (index, name) in others.enumerated() {
                try maker.authority(
                    name, subject: "ca", keyOf: index == 0 ? nil : others[0],
                    extensions: ["subjectAltName=DNS:\(name).test"])
            }
            try FileManager.default.copyItem(
                atPath: maker.path(others[0] + ".pem"), toPath: maker.path("evil.pem"))
            try FileManager.default.copyItem(
                atPath: maker.path(others[0] + ".key"), toPath: maker.path("evil.key"))
            try maker.certificate("a", by: "evil", names)
            let start = ContinuousClock.now
            #expect(try outcome(["a"] + others).contains("refused"))
            #expect(ContinuousClock.now - start < .seconds(1))
            // What else a client sends does no harm to a chain that is right.
            try maker.certificate("b", by: "ca", names)
            #expect(try outcome(["b"] + others) == "alice")
        }

        @Test("that is not for clients, has expired, or may not be issued by who did, is refused")
        func wrong() throws {
            try maker.certificate("server", by: "ca", ["extendedKeyUsage=serverAuth", names[1]])
            try maker.certificate("any", by: "ca", ["extendedKeyUsage=anyExtendedKeyUsage", names[1]])
            try maker.certificate("silent", by: "ca", [names[1]])
            try maker.certificate("issuing", by: "ca", names + ["basicConstraints=critical,CA:TRUE"])
            try maker.certificate("enciphering", by: "ca", names + ["keyUsage=keyEncipherment"])
            try maker.certificate("unknown", by: "ca", names + ["1.2.3.4=critical,ASN1:NULL"])
            try maker.certificate("leaf", by: "ca", names)
            try maker.certificate("below", by: "leaf", names)
            try maker.certificate("expired", by: "ca", names, days: 0)
            sleep(2)
            for chain in [
                ["server"], ["any"], ["silent"], ["issuing"], ["enciphering"], ["unknown"], ["expired"],
            ] {
                let outcome = try outcome(chain[0])
                #expect(outcome.contains("refused"), "\(chain): \(outcome)")
            }
            #expect(try outcome("below", "leaf").contains("refused"))
        }

        @Test("keeps to the names that its authority was limited to")
        func constraints() throws {
            try maker.authority("hosts", extensions: ["nameConstraints=critical,permitted;DNS:example.org"])
            try trust("hosts")
            _ = try store.addMappings(
                "hosts", "dns",
                [
                    .value("pc.example.org", account: try #require(store.account(named: "bob")).sid),
                    .value("pc.evil.test", account: try #require(store.account(named: "alice")).sid),
                ])
            try maker.certificate(
                "in", by: "hosts", ["extendedKeyUsage=clientAuth", "subjectAltName=DNS:pc.example.org"])
            try maker.certificate(
                "out", by: "hosts", ["extendedKeyUsage=clientAuth", "subjectAltName=DNS:pc.evil.test"])
            #expect(try outcome("in") == "bob")
            #expect(try outcome("out").contains("refused"))
        }

        @Test("is refused by its serial number, and when it is no certificate")
        func denied() throws {
            try maker.certificate("a", by: "ca", names, serial: "0abc")
            #expect(try outcome("a") == "alice")
            _ = try store.addMappings("ca", "serial", [.refused("0A:BC")])
            #expect(try outcome("a") == "notMapped")
            for token in [[], [0, 0, 1, 0x30], [0, 0, 9, 1], [0, 0], [UInt8](repeating: 0, count: 40_000)] {
                let outcome = GuiseDaemonTests.outcome("TLS", token, store)
                #expect(outcome.contains("refused"), "\(token.prefix(4)): \(outcome)")
            }
        }

        @Test("leaves its client at Identification unless the service is part of the trusted computing base")
        func trusted() throws {
            try maker.certificate("a", by: "ca", names)
            let der = try maker.der("a")
            let token = [0, UInt8(der.count >> 8), UInt8(der.count & 0xFF)] + der
            for (isTrusted, level) in [(false, WireLevel.identification), (true, .impersonation)] {
                let found = try #require(ForwardedProof("TLS", token)).map(
                    for: web, isTrusted: isTrusted, store)
                #expect(found.0.attributes.level == level)
                #expect(found.0.attributes.expiry > WallClock.milliseconds)
            }
        }

        @Test("what is no certification authority's certificate is not trusted")
        func keys() throws {
            try maker.certificate("a", by: "ca", names)
            for file in [try maker.bytes("a.pem"), try maker.bytes("ca.key"), Array("nothing".utf8)] {
                let issuer = Issuer(.certificate, named: "b", identity: "b", keys: file, services: [web])
                let error = #expect(throws: Refused.self) { try Proofs.checkKeys(of: issuer) }
                #expect(error?.reason == .badRequest)
            }
        }
    }
#endif
