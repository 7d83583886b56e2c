import AccessControl
import GRDB
import Glibc
import Testing

@testable import GuiseDaemon

private let web = SID.service(named: "web")

extension ScratchState {
    /// Accounts alice and bob, the service web, and what is added.
    fileprivate func mapped(_ issuer: Issuer, _ rules: (AccountStore) throws -> Void) throws -> AccountStore {
        let store = try open()
        for name in ["alice", "bob"] { try store.add(.init(.user, named: name)) }
        try store.add(.init(.service, named: "web", unixID: 900))
        try store.add(issuer)
        try rules(store)
        return store
    }
}

private func kerberos(
    unmapped: Issuer.Unmapped = .refused, services: [SID] = [web], any: Bool = false
) -> Issuer {
    Issuer(
        .kerberos, named: "corp", identity: "A.TEST", unmapped: unmapped, services: services,
        isForAnyService: any)
}

private func principal(_ name: String, of realm: String = "A.TEST") -> VerifiedClient {
    VerifiedClient(kind: .kerberos, issuer: realm, name: name, attributes: .init())
}

private func certificate(_ claims: (String, String)...) -> VerifiedClient {
    VerifiedClient(
        kind: .certificate, issuer: "devices", name: "", attributes: .init(),
        claims: claims.map { .init(attribute: $0.0, value: $0.1) })
}

private let devices = Issuer(
    .certificate, named: "devices", identity: "devices", keys: [1], isForAnyService: true)

extension AccountStore {
    fileprivate func sid(_ name: String) throws -> SID { try #require(account(named: name)).sid }

    /// The name of who a client is, or why it is nobody.
    fileprivate func who(_ client: VerifiedClient, for service: SID = web) -> String {
        do throws(Refused) {
            switch try map(client, for: service) {
            case .account(let account, _, _): return account.name
            case .anonymous: return "anonymous"
            }
        } catch { return "\(error.reason)" }
    }
}

@Suite("Whom a client from elsewhere is")
struct MappingTests {
    let state: ScratchState

    init() throws { state = try ScratchState() }

    @Test("a rule about a value names the account; without one the client is refused")
    func value() throws {
        let store = try state.mapped(kerberos()) { store in
            _ = try store.addMappings(
                "corp", "principal", [.value("alice@A.TEST", account: try store.sid("alice"))])
        }
        #expect(store.who(principal("alice")) == "alice")
        #expect(store.who(principal("bob")) == "notMapped")
        #expect(store.who(principal("Alice")) == "notMapped")
        #expect(store.who(principal("alice/admin")) == "notMapped")
        #expect(store.who(principal("alice", of: "B.TEST")) == "logonFailure")
        #expect(store.who(principal("alice", of: "a.test")) == "logonFailure")
        #expect(store.who(principal("alice", of: "A.TEST\0")) == "logonFailure")
    }

    @Test("an issuer set to anonymous lets in whom no rule names, and not whom a rule refuses")
    func anonymous() throws {
        let store = try state.mapped(kerberos(unmapped: .anonymous)) { store in
            _ = try store.addMappings("corp", "principal", [.refused("mallory@A.TEST")])
        }
        #expect(store.who(principal("bob")) == "anonymous")
        #expect(store.who(principal("mallory")) == "notMapped")
    }

    @Test("by name a client is one of the accounts named, in their case, and of their realm")
    func byName() throws {
        let store = try state.mapped(kerberos()) { store in
            try store.add(.init(.user, named: "carol"))
            _ = try store.addMappings(
                "corp", "principal",
                [
                    .name(domain: "", account: try store.sid("alice")),
                    .name(domain: "", account: try store.sid("bob")),
                ])
        }
        #expect(store.who(principal("alice")) == "alice")
        #expect(store.who(principal("bob")) == "bob")
        #expect(store.who(principal("carol")) == "notMapped")
        #expect(store.who(principal("ALICE")) == "notMapped")
        #expect(store.who(principal("alice/admin")) == "notMapped")
        #expect(store.who(principal("x@alice")) == "notMapped")
    }

    @Test("a rule that refuses comes first, then one about a value; two accounts are none")
    func order() throws {
        let store = try state.mapped(devices) { store in
            let (alice, bob) = (try store.sid("alice"), try store.sid("bob"))
            _ = try store.addMappings("devices", "email", [.name(domain: "example.org", account: alice)])
            _ = try store.addMappings("devices", "email", [.value("alice@example.org", account: bob)])
            _ = try store.addMappings("devices", "dns", [.value("pc.example.org", account: alice)])
            _ = try store.addMappings("devices", "serial", [.refused("00:0A:1b")])
        }
        #expect(store.who(certificate(("email", "alice@example.org"))) == "bob")
        #expect(
            store.who(certificate(("email", "alice@example.org"), ("dns", "pc.example.org"))) == "notMapped")
        #expect(store.who(certificate(("email", "alice@example.org"), ("serial", "0a1b"))) == "notMapped")
        #expect(store.who(certificate(("email", "alice@example.org"), ("serial", "0a1c"))) == "bob")
    }

    @Test("names of hosts are the same in upper and lower case; the rest is compared byte by byte")
    func cases() throws {
        let store = try state.mapped(devices) { store in
            let (alice, bob) = (try store.sid("alice"), try store.sid("bob"))
            _ = try store.addMappings("devices", "dns", [.value("PC.example.org", account: alice)])
            _ = try store.addMappings("devices", "email", [.value("Al@Example.ORG", account: alice)])
            _ = try store.addMappings("devices", "uri", [.value("spiffe://x/Al", account: alice)])
            _ = try store.addMappings("devices", "upn", [.value("\u{e9}@x.test", account: bob)])
        }
        #expect(store.who(certificate(("dns", "pc.EXAMPLE.org"))) == "alice")
        #expect(store.who(certificate(("email", "Al@example.org"))) == "alice")
        #expect(store.who(certificate(("email", "al@example.org"))) == "notMapped")
        #expect(store.who(certificate(("uri", "spiffe://x/Al"))) == "alice")
        #expect(store.who(certificate(("uri", "spiffe://x/al"))) == "notMapped")
        #expect(store.who(certificate(("upn", "\u{e9}@X.TEST"))) == "bob")
        // The same for a reader, and other bytes.
        #expect(store.who(certificate(("upn", "e\u{301}@x.test"))) == "notMapped")
        #expect(store.who(certificate(("dns", "pc.example.org\0.evil.test"))) == "notMapped")
        #expect(store.who(certificate(("email", "alice@evil.test"))) == "notMapped")
    }

    @Test("only the services that were named may have an issuer's clients")
    func services() throws {
        let store = try state.mapped(kerberos()) { store in
            try store.add(.init(.service, named: "other", unixID: 901))
            _ = try store.addMappings(
                "corp", "principal", [.name(domain: "", account: try store.sid("alice"))])
        }
        #expect(store.who(principal("alice"), for: .service(named: "other")) == "accessDenied")
        #expect(store.who(principal("alice"), for: .system) == "accessDenied")
        // With the last of them gone, no one may, rather than everybody.
        try store.remove(name: "web")
        #expect(store.who(principal("alice"), for: web) == "accessDenied")
    }

    @Test("rules go with their account and with their issuer, and their numbers do not come back")
    func removal() throws {
        let store = try state.mapped(kerberos()) { _ in }
        let (alice, bob) = (try store.sid("alice"), try store.sid("bob"))
        let first = try store.addMappings("corp", "principal", [.value("a@A.TEST", account: alice)])[0].id
        let second = try store.addMappings("corp", "principal", [.value("b@A.TEST", account: bob)])[0].id
        try store.remove(name: "alice")
        #expect(try store.hasMapping(first) == false)
        #expect(store.who(principal("a")) == "notMapped")
        try store.removeMapping(second)
        #expect(store.who(principal("b")) == "notMapped")
        let third = try store.addMappings("corp", "principal", [.value("b@A.TEST", account: bob)])[0].id
        #expect(third > second)
        #expect(try store.removeIssuer(named: "corp") == [third])
        #expect(store.who(principal("b")) == "logonFailure")
        #expect(throws: AccountError.unknownMapping(id: third)) { try store.removeMapping(third) }
        #expect(throws: AccountError.unknownIssuer(name: "corp")) { try store.removeIssuer(named: "corp") }
    }

    @Test("what is kept is there when the state is opened again")
    func lasting() throws {
        do {
            let store = try state.mapped(kerberos()) { _ in }
            _ = try store.addMappings(
                "corp", "principal", [.name(domain: "", account: try store.sid("alice"))])
        }
        let store = try state.open()
        #expect(store.who(principal("alice")) == "alice")
        #expect(try store.issuers().first == kerberos())
    }

    @Test("issuers that would let in anybody are not kept")
    func invalidIssuers() throws {
        let store = try state.mapped(kerberos()) { _ in }
        func jwt(_ algorithms: [String], audiences: [String] = ["web"], any: Bool = true) -> Issuer {
            Issuer(
                .jwt, named: "login", identity: "https://x", keys: [1], audiences: audiences,
                algorithms: algorithms, isForAnyService: any)
        }
        for issuer in [
            jwt(["HS256"]), jwt(["none"]), jwt([]), jwt(["RS256"], audiences: []), jwt(["RS256"], any: false),
            Issuer(.kerberos, named: "Corp", identity: "B.TEST", isForAnyService: true),
            Issuer(.kerberos, named: "b", identity: "B\0.TEST", isForAnyService: true),
            Issuer(.kerberos, named: "b", identity: "B.TEST", services: [web], isForAnyService: true),
            Issuer(.certificate, named: "b", identity: "b", isForAnyService: true),
        ] {
            let error = #expect(throws: AccountError.self) { try store.add(issuer) }
            guard case .invalidMapping = error else {
                Issue.record("\(issuer.name): \(String(describing: error))")
                continue
            }
        }
        #expect(throws: AccountError.self) {
            try store.add(Issuer(.kerberos, named: "again", identity: "A.TEST", isForAnyService: true))
        }
    }

    @Test("rules that could not be meant are not kept")
    func invalidRules() throws {
        let store = try state.mapped(devices) { store in try store.add(kerberos()) }
        let alice = try store.sid("alice")
        for (issuer, attribute, match) in [
            ("corp", "principal", .value("alice@B.TEST", account: alice)),
            ("corp", "principal", .value("@A.TEST", account: alice)),
            ("corp", "email", .value("alice@A.TEST", account: alice)),
            ("corp", "principal", .name(domain: "B.TEST", account: alice)),
            ("devices", "email", .name(domain: "", account: alice)),
            ("devices", "dns", .name(domain: "x.test", account: alice)),
            ("devices", "serial", .value("0a1b", account: alice)),
            ("devices", "serial", .refused("xyz")), ("devices", "email", .refused("")),
            ("devices", "email", .refused("a\nb")),
        ] as [(String, String, MappingRule.Match)] {
            let error = #expect(throws: AccountError.self) {
                try store.addMappings(issuer, attribute, [match])
            }
            guard case .invalidMapping = error else {
                Issue.record("\(match): \(String(describing: error))")
                continue
            }
        }
        _ = try store.addMappings("devices", "dns", [.value("x.test", account: alice)])
        #expect(throws: AccountError.self) {
            try store.addMappings("devices", "dns", [.value("X.test", account: try store.sid("bob"))])
        }
        #expect(throws: AccountError.self) { try store.addMappings("devices", "dns", [.refused("x.TEST")]) }
    }

    @Test(
        "what no Guise writes is damage",
        arguments: [
            "INSERT INTO issuer_value VALUES ('corp', 2, 'HS256')",
            "PRAGMA foreign_keys = OFF; INSERT INTO mapping VALUES (9, 'corp', 'principal', 1, 'a@A.TEST', 'me')",
        ])
    func damage(sql: String) throws {
        do { _ = try state.mapped(kerberos()) { _ in } }
        let queue = try DatabaseQueue(path: state.database)
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        try queue.close()
        guard case .corrupt = #expect(throws: StateError.self, performing: { try state.open() }) else {
            Issue.record("not called damaged")
            return
        }
    }

    @Test("a session ends with its rule, and by itself when the proof expires")
    func sessions() throws {
        let sessions = LogonSessions()
        let byRule = sessions.begin(user: .null, kind: .package("JWT"), rule: 7)
        let other = sessions.begin(user: .null, kind: .package("JWT"), rule: 8)
        sessions.end(rules: [7])
        #expect(!sessions.isAlive(byRule.id) && sessions.isAlive(other.id))
        let now = WallClock.milliseconds
        let expired = sessions.begin(user: .null, kind: .package("JWT"), rule: 8, expiry: now - 1)
        let lasting = sessions.begin(user: .null, kind: .package("JWT"), rule: 8, expiry: now + 60_000)
        #expect(!sessions.isAlive(expired.id) && sessions.session(expired.id) == nil)
        #expect(sessions.isAlive(lasting.id) && !sessions.list().contains(expired))
    }
}

@Suite("JSON, read strictly")
struct JSONValueTests {
    @Test("what it is")
    func values() throws {
        let value = try JSONValue(parsing: #" {"a":[1,-2.5e1,true,null],"b":"\u00e9\ud83d\ude00\n"} "#.utf8)
        #expect(value["a"] == .array([.number(1), .number(-25), .bool(true), .null]))
        #expect(value["b"]?.string == "\u{e9}\u{1F600}\n")
    }

    @Test(
        "what is refused",
        arguments: [
            "", "{", #"{"a":1,"a":2}"#, #"{"a":{"b":1,"b":1}}"#, #"{"a":1,"\u0061":2}"#, #"{"a":1,}"#, "[1,]",
            "01", "1.", "+1", "1e999", #""\ud800""#, #""\x""#, "\"\n\"", "nul", "{} {}", "{a:1}", "'a'",
            String(repeating: "[", count: 100) + String(repeating: "]", count: 100),
        ])
    func malformed(text: String) {
        #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: text.utf8) }
    }

    @Test("bytes that are no UTF-8")
    func notUTF8() {
        #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test("base64url has one form")
    func base64() {
        #expect(base64URLDecoded("-_8".utf8)! == [0xFB, 0xFF])
        for text in ["-_9", "-_8=", "A", "+/8", "-_ 8"] {
            #expect(base64URLDecoded(text.utf8) == nil, "\(text)")
        }
    }
}

@Suite("What is remembered of clients from elsewhere")
struct RememberedTests {
    let state: ScratchState

    init() throws { state = try ScratchState() }

    @Test("a client who was let in before is refused as soon as a rule or its account says otherwise")
    func changes() throws {
        var rules: [Int64] = []
        let store = try state.mapped(kerberos()) { store in
            rules = try store.addMappings(
                "corp", "principal",
                [
                    .value("alice@A.TEST", account: try store.sid("alice")),
                    .value("bob@A.TEST", account: try store.sid("bob")),
                ]
            ).map(\.id)
        }
        for _ in 0..<2 { #expect(["alice", "bob"].map { store.who(principal($0)) } == ["alice", "bob"]) }
        #expect(store.mappings.has(rules[0]))
        try store.removeMapping(rules[0])
        #expect(store.who(principal("alice")) == "notMapped")
        #expect(try !store.hasMapping(rules[0]))
        #expect(store.who(principal("bob")) == "bob")
        try store.remove(name: "bob")
        #expect(store.who(principal("bob")) == "notMapped")
        _ = try store.addMappings(
            "corp", "principal", [.value("carol@A.TEST", account: try store.sid("alice"))])
        #expect(store.who(principal("carol")) == "alice")
        // Another service's issuers are others.
        #expect(store.who(principal("carol"), for: .service(named: "other")) == "accessDenied")
        _ = try store.removeIssuer(named: "corp")
        #expect(store.who(principal("carol")) == "logonFailure")
    }

    @Test("what was read while the rules changed is not kept")
    func race() throws {
        let remembered = RememberedMappings()
        let client = try #require(RememberedMappings.Client(principal("alice"), for: web))
        var reads = 0
        for change in [true, false, false] {
            _ = try remembered.answer(for: client) {
                reads += 1
                if change { remembered.forget() }
                return (kerberos(), [])
            }
        }
        #expect(reads == 2)
        #expect(RememberedMappings.Client(certificate(("email", "a@b")), for: web) == nil)
    }

    @Test("whom the name service knows a user as is asked again after a second, and a failure at once")
    func users() throws {
        let store = try state.open()
        let account = try store.add(.init(.user, named: "alice", unixID: 4_000_001))
        let other = try store.add(.init(.user, named: "bob", unixID: 4_000_002))
        let users = RememberedUsers()
        var asked = 0
        func ask(_ account: Account, fails: Bool = false) -> UInt32? {
            try? users.credentials(of: account) { () throws(LogonError) in
                asked += 1
                if fails { throw .usersUnknown(name: account.name, errno: 5) }
                return UnixCredentials(uid: account.unixID!, gid: 7, groups: [UInt32(asked)])
            }.groups.first
        }
        #expect(ask(account, fails: true) == nil)
        #expect(ask(account) == 2)
        #expect(ask(account) == 2)
        #expect(ask(other) == 3)
        let end = WallClock.steadyMilliseconds + RememberedUsers.longest
        while WallClock.steadyMilliseconds <= end { usleep(10_000) }
        #expect(ask(account) == 4)
    }
}
