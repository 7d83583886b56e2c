import AccessControl
import GRDB

/// The issuers and the mapping rules of this machine. Every question reads the database: not for the control thread,
/// unless it is about one row.
extension AccountStore {
    // MARK: Whom a client is

    /// The issuer of clients of a kind, for a service.
    ///
    /// - Parameters:
    ///   - identity: the realm, or the `iss` of a token.
    ///   - service: the user of the process that wants the client.
    /// - Throws: `logonFailure` when nobody knows the issuer, `accessDenied` when the service may not have its clients.
    func issuer(
        _ kind: Issuer.Kind, _ identity: String, for service: SID
    ) throws(Refused) -> Issuer {
        let found = try reading {
            try MappingTables.issuers($0, where: "kind = ? AND identity = ?", [kind.rawValue, identity])
        }
        guard !identity.utf8.contains(0), let issuer = found.first else {
            throw Refused(.logonFailure, "\(quoted(identity)) is no \(kind) issuer that this machine trusts")
        }
        guard issuer.serves(service) else {
            throw Refused(
                .accessDenied,
                "\(directory.knownName(of: service) ?? service.description) may not have clients of the issuer"
                    + " \(quoted(issuer.name)); an administrator says who may with `guise mapping trust`")
        }
        return issuer
    }

    /// The issuers of a kind whose clients a service may have, by name.
    func issuers(_ kind: Issuer.Kind, for service: SID) throws(Refused) -> [Issuer] {
        try reading { try MappingTables.issuers($0, where: "kind = ?", [kind.rawValue]) }
            .filter { $0.serves(service) }
    }

    /// Whom a client is that proved itself: by the rules as they are now. A rule that refuses comes before all others,
    /// one about a value before those about names. Asks the name service switch: not for the control thread.
    ///
    /// - Parameter service: the user of the process that wants the client.
    /// - Throws: as ``issuer(_:_:for:)``; `notMapped` when a rule refuses the client, when rules name several accounts, or
    ///   when none names any and the issuer is not set to anonymous; `internal` when it is not known which groups the user
    ///   is in.
    func map(_ client: VerifiedClient, for service: SID) throws(Refused) -> MappedClient {
        let (issuer, rules) = try mappings.answer(for: RememberedMappings.Client(client, for: service)) {
            () throws(Refused) in try readRules(about: client, for: service)
        }
        let name = issuer.name
        var exact: [SID: Int64] = [:]
        var byName: [SID: Int64] = [:]
        for rule in rules {
            switch rule.match {
            case .refused:
                throw Refused(
                    .notMapped, "rule \(rule.id) of the issuer \(quoted(name)) refuses this client")
            case .value(_, let account): exact[account] = rule.id
            case .name(_, let account): byName[account] = rule.id
            }
        }
        let found = exact.isEmpty ? byName : exact
        guard found.count <= 1 else {
            throw Refused(
                .notMapped,
                "rules of the issuer \(quoted(name)) name several accounts for this client: "
                    + found.values.sorted().map(String.init).joined(separator: ", "))
        }
        let directory = directory
        if let (sid, rule) = found.first, let account = directory.account(sid: sid) {
            do throws(LogonError) {
                let credentials = try users.credentials(of: account) { () throws(LogonError) in
                    try NominalLogon.credentials(of: account, directory)
                }
                return .account(account, credentials, rule: rule)
            } catch { throw Refused(error) }
        }
        guard issuer.unmapped == .anonymous else {
            throw Refused(
                .notMapped,
                "no rule of the issuer \(quoted(name)) says which account this client is; an administrator adds one"
                    + " with `guise mapping add`")
        }
        return .anonymous
    }

    /// The issuer of a client, and the rules that are about it.
    private func readRules(
        about client: VerifiedClient, for service: SID
    ) throws(Refused) -> RememberedMappings.Answer {
        let directory = directory
        let issuer = try issuer(client.kind, client.issuer, for: service)
        let name = issuer.name
        let rules = try reading { database -> [MappingRule] in
            let known = Set(
                try String.fetchAll(
                    database, sql: "SELECT DISTINCT attribute FROM mapping WHERE issuer = ?",
                    arguments: [name]
                ).map { Array($0.utf8) })
            var rules: [MappingRule] = []
            for claim in client.mappedClaims where known.contains(Array(claim.attribute.utf8)) {
                let attribute = claim.attribute
                guard let value = MappingRule.canonical(claim.value, attribute, issuer.kind) else { continue }
                rules += try MappingTables.rules(
                    database, where: "issuer = ? AND attribute = ? AND value = ? AND match <> 2",
                    [name, attribute, value])
                guard let (user, domain) = Self.split(value) else { continue }
                for (user, domain) in [(value, ""), (user, domain)] {
                    // The names of accounts are looked up in any case, and compared as they are.
                    guard let account = directory.account(named: user),
                        account.name.utf8.elementsEqual(user.utf8)
                    else { continue }
                    rules += try MappingTables.rules(
                        database,
                        where: "issuer = ? AND attribute = ? AND value = ? AND match = 2 AND account = ?",
                        [name, attribute, domain, account.sid.description])
                }
            }
            return rules
        }
        return (issuer, rules)
    }

    /// Whether the rule is still there. One row: also for the control thread.
    func hasMapping(_ id: Int64) throws(Refused) -> Bool {
        if mappings.has(id) { return true }
        return try reading {
            try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM mapping WHERE id = ?)", arguments: [id])
        } == true
    }

    /// `alice@example.org` is alice of example.org; without an `@` the domain is empty, and none else is.
    private static func split(_ value: String) -> (user: String, domain: String)? {
        guard let at = value.utf8.lastIndex(of: UInt8(ascii: "@")) else { return (value, "") }
        let (user, domain) = (String(value[..<at]), String(value[value.utf8.index(after: at)...]))
        return user.isEmpty || domain.isEmpty ? nil : (user, domain)
    }

    // MARK: Changes

    /// Every issuer, by name.
    package func issuers() throws(Refused) -> [Issuer] { try reading { try MappingTables.issuers($0) } }

    /// The rules with numbers above one, in order; at most so many.
    package func mappings(after id: Int64, limit: Int) throws(Refused) -> [MappingRule] {
        try reading { try MappingTables.rules($0, where: "id > ?", [id], limit: limit) }
    }

    /// Trusts an issuer.
    package func add(_ issuer: Issuer) throws(AccountError) {
        try Self.validate(issuer)
        try writing { database in
            let known = try MappingTables.issuers(database)
            guard known.count < Issuer.largestCount else {
                throw AccountError.tooManyMappings(what: "issuers", limit: Issuer.largestCount)
            }
            if let other = known.first(where: {
                $0.name == issuer.name || $0.kind == issuer.kind && $0.identity == issuer.identity
            }) {
                throw AccountError.taken(what: "the issuer \(quoted(issuer.identity))", by: other.name)
            }
            try MappingTables.insert(issuer, database)
        }
    }

    /// Trusts an issuer no more: its rules go with it.
    ///
    /// - Returns: the numbers of its rules.
    package func removeIssuer(named name: String) throws(AccountError) -> [Int64] {
        try writing { database in
            let rules = try MappingTables.rules(database, where: "issuer = ?", [name]).map(\.id)
            try database.execute(sql: "DELETE FROM issuer WHERE name = ?", arguments: [name])
            guard database.changesCount == 1 else { throw AccountError.unknownIssuer(name: name) }
            return rules
        }
    }

    /// Adds rules, all or none.
    ///
    /// - Returns: the rules.
    package func addMappings(
        _ issuerName: String, _ attribute: String, _ matches: [MappingRule.Match]
    ) throws(AccountError) -> [MappingRule] {
        try writing { database in
            guard let issuer = try MappingTables.issuers(database, where: "name = ?", [issuerName]).first
            else {
                throw AccountError.unknownIssuer(name: issuerName)
            }
            let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM mapping") ?? 0
            guard count + matches.count <= MappingRule.largestCount else {
                throw AccountError.tooManyMappings(what: "mapping rules", limit: MappingRule.largestCount)
            }
            return try matches.map { match in
                let match = try Self.validated(match, attribute, of: issuer)
                let known =
                    switch match {
                    case .value(let value, _), .refused(let value):
                        try MappingTables.rules(
                            database, where: "issuer = ? AND attribute = ? AND value = ? AND match <> 2",
                            [issuer.name, attribute, value])
                    case .name(let domain, let account):
                        try MappingTables.rules(
                            database,
                            where: "issuer = ? AND attribute = ? AND value = ? AND match = 2 AND account = ?",
                            [issuer.name, attribute, domain, account.description])
                    }
                if let known = known.first {
                    throw AccountError.taken(what: "such a client", by: "rule \(known.id)")
                }
                let id = try MappingTables.insert(issuer.name, attribute, match, database)
                return MappingRule(id: id, issuer: issuer.name, attribute: attribute, match: match)
            }
        }
    }

    /// Removes a rule.
    package func removeMapping(_ id: Int64) throws(AccountError) {
        try writing { database in
            try database.execute(sql: "DELETE FROM mapping WHERE id = ?", arguments: [id])
            guard database.changesCount == 1 else { throw AccountError.unknownMapping(id: id) }
        }
    }

    private static func validate(_ issuer: Issuer) throws(AccountError) {
        func require(_ condition: Bool, _ rule: String) throws(AccountError) {
            guard condition else {
                throw .invalidMapping(what: "the issuer \(quoted(issuer.name))", rule: rule)
            }
        }
        func isText(_ text: String) -> Bool {
            (1...MappingRule.longestText).contains(text.utf8.count)
                && !text.utf8.contains { $0 < 32 || $0 == 127 }
        }
        try require(
            (1...64).contains(issuer.name.utf8.count) && !issuer.name.hasPrefix("-")
                && issuer.name.utf8.allSatisfy {
                    (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 || $0 == 95
                }, "a name has 1 to 64 of a-z, 0-9, '-', '.' and '_'")
        try require(isText(issuer.identity), "its identity is empty, too long, or has invisible characters")
        try require(
            issuer.keys.count <= Issuer.largestKeySize,
            "its keys take more than \(Issuer.largestKeySize) bytes")
        try require(
            [issuer.audiences.count, issuer.algorithms.count, issuer.services.count].allSatisfy {
                $0 <= Issuer.largestListCount
            }, "it has more than \(Issuer.largestListCount) audiences or services")
        try require(
            issuer.isForAnyService != !issuer.services.isEmpty,
            "say the services that may have its clients, or that any may")
        try require((issuer.kind == .kerberos) == issuer.keys.isEmpty, "keys are for certificates and JWT")
        try require(
            (issuer.kind == .jwt) != (issuer.audiences.isEmpty && issuer.algorithms.isEmpty),
            "an audience and an algorithm are for JWT")
        guard issuer.kind == .jwt else { return }
        try require(
            !issuer.audiences.isEmpty && !issuer.algorithms.isEmpty && issuer.audiences.allSatisfy(isText),
            "say the audience and the algorithms of its tokens")
        for name in issuer.algorithms {
            try require(
                Issuer.algorithms.contains(name),
                "\(quoted(name)) is not among " + Issuer.algorithms.joined(separator: ", "))
        }
    }

    /// The rule as it is kept.
    private static func validated(
        _ match: MappingRule.Match, _ attribute: String, of issuer: Issuer
    ) throws(AccountError) -> MappingRule.Match {
        func invalid(_ rule: String) -> AccountError {
            .invalidMapping(what: "a rule about \(quoted(attribute))", rule: rule)
        }
        guard MappingRule.canonical(attribute, "", issuer.kind) != nil else {
            throw invalid("the attribute is empty, too long, or has invisible characters")
        }
        if let known = Issuer.attributes(of: issuer.kind), !known.contains(attribute) {
            throw invalid("of \(issuer.kind) clients it is one of " + known.joined(separator: ", "))
        }
        func canonical(_ value: String) throws(AccountError) -> String {
            guard let value = MappingRule.canonical(value, attribute, issuer.kind) else {
                throw invalid("\(quoted(value)) cannot be a value of it")
            }
            if issuer.kind == .kerberos {
                guard value.utf8.count > issuer.identity.utf8.count + 1,
                    value.utf8.suffix(issuer.identity.utf8.count + 1).elementsEqual(
                        "@\(issuer.identity)".utf8)
                else { throw invalid("a principal of this issuer ends with @\(issuer.identity)") }
            }
            return value
        }
        switch match {
        case .value(let value, let account):
            guard (issuer.kind, attribute) != (.certificate, "serial") else {
                throw invalid(
                    "each certification authority below the issuer counts its own, so a serial number names no client;"
                        + " it can be refused")
            }
            return .value(try canonical(value), account: account)
        case .refused(let value): return .refused(try canonical(value))
        case .name(let domain, let account):
            switch (issuer.kind, attribute) {
            case (.kerberos, _):
                guard domain.isEmpty || domain.utf8.elementsEqual(issuer.identity.utf8) else {
                    throw invalid("the domain of its principals is \(issuer.identity)")
                }
                return .name(domain: issuer.identity, account: account)
            case (.certificate, "email"), (.certificate, "upn"):
                guard !domain.isEmpty,
                    let whole = MappingRule.canonical("a@" + domain, attribute, issuer.kind)
                else { throw invalid("say the domain of the names: others have users of the same name") }
                return .name(domain: String(whole.dropFirst(2)), account: account)
            case (.certificate, _):
                throw invalid("names are compared with email, upn, and principals and claims")
            case (.jwt, _):
                guard domain.isEmpty || MappingRule.canonical(domain, attribute, issuer.kind) != nil,
                    !domain.utf8.contains(UInt8(ascii: "@"))
                else { throw invalid("\(quoted(domain)) cannot be the domain of names") }
                return .name(domain: domain, account: account)
            }
        }
    }

    // MARK: The database

    private func reading<Value: Sendable>(_ body: (Database) throws -> Value) throws(Refused) -> Value {
        do {
            return try withDatabase { try $0.read(body) }
        } catch { throw Refused(AccountError.storage(detail: "\(error)")) }
    }

    private func writing<Value: Sendable>(_ body: (Database) throws -> Value) throws(AccountError) -> Value {
        do {
            return try withDatabase { queue in
                defer { mappings.forget() }
                return try queue.write(body)
            }
        } catch let error as AccountError {
            throw error
        } catch { throw .storage(detail: "\(error)") }
    }
}
