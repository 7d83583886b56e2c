import AccessControl
import GuiseProtocol

/// Issuers and mapping rules, kept by administrators.
extension Requests {
    func addIssuer(_ request: WireIssuerAdd, _ client: ControlClient) throws(Refused) -> Answer {
        try require(client, "trust an issuer")
        return .later { [accounts] _ throws(Refused) in
            let issuer = try Issuer(request.issuer, accounts.directory)
            try Proofs.checkKeys(of: issuer)
            do throws(AccountError) { try accounts.add(issuer) } catch { throw Refused(error) }
            return .done(.init())
        }
    }

    func removeIssuer(_ request: WireIssuerRemove, _ client: ControlClient) throws(Refused) -> Answer {
        try require(client, "remove an issuer")
        return .later { [accounts, sessions = context.sessions] _ throws(Refused) in
            do throws(AccountError) {
                sessions.end(rules: Set(try accounts.removeIssuer(named: request.name)))
            } catch { throw Refused(error) }
            return .done(.init())
        }
    }

    func listIssuers(_ request: WireIssuerList, _ client: ControlClient) throws(Refused) -> Answer {
        try require(client, "list issuers")
        return .later { [accounts] _ throws(Refused) in
            var page = Page<WireIssuerRecord>()
            for issuer in try accounts.issuers() where issuer.name > request.after {
                let record = WireIssuerRecord(issuer, accounts.directory)
                guard page.add(record, size: ControlPacket.size(of: record)) else { break }
            }
            return .issuers(
                .with {
                    $0.issuers = page.items
                    $0.more = page.isFull
                })
        }
    }

    func addMappings(_ request: WireMappingAdd, _ client: ControlClient) throws(Refused) -> Answer {
        try require(client, "add mapping rules")
        return .later { [accounts] _ throws(Refused) in
            let matches = try Self.matches(request, accounts.directory)
            do throws(AccountError) {
                let rules = try accounts.addMappings(request.issuer, request.attribute, matches)
                return .mappings(
                    .with { $0.mappings = rules.map { WireMappingRecord($0, accounts.directory) } })
            } catch { throw Refused(error) }
        }
    }

    private static func matches(
        _ request: WireMappingAdd, _ directory: AccountDirectory
    ) throws(Refused) -> [MappingRule.Match] {
        guard request.accounts.count <= Issuer.largestListCount else {
            throw Refused(.limit, "more than \(Issuer.largestListCount) accounts in one request")
        }
        let users = try request.accounts.map { name throws(Refused) in
            try account(named: name, directory, [.user])
        }
        switch (request.byName, users.count) {
        case (true, 1...): return users.map { .name(domain: request.value, account: $0) }
        case (false, 1): return [.value(request.value, account: users[0])]
        case (false, 0): return [.refused(request.value)]
        default:
            throw Refused(
                .badRequest, "a value is one account's; by name, say the accounts that may be meant")
        }
    }

    /// The account that is meant by its name or SID, if it is of one of these kinds.
    fileprivate static func account(
        named name: String, _ directory: AccountDirectory, _ kinds: [Account.Kind]
    ) throws(Refused) -> SID {
        let found =
            directory.account(named: name) ?? directory.sid(named: name).flatMap(directory.account(sid:))
        guard let account = found else { throw Refused(AccountError.unknownAccount(name: name)) }
        guard kinds.contains(account.kind) else {
            throw Refused(
                .badRequest,
                kinds.contains(.service)
                    ? "\(quoted(account.name)) is a group: processes run as users and services"
                    : "\(quoted(account.name)) is no user: clients from elsewhere are users")
        }
        return account.sid
    }

    func removeMapping(_ request: WireMappingRemove, _ client: ControlClient) throws(Refused) -> Answer {
        try require(client, "remove mapping rules")
        return .later { [accounts, sessions = context.sessions] _ throws(Refused) in
            guard let id = Int64(exactly: request.id) else {
                throw Refused(.notFound, "there is no mapping rule \(request.id)")
            }
            do throws(AccountError) { try accounts.removeMapping(id) } catch { throw Refused(error) }
            sessions.end(rules: [id])
            return .done(.init())
        }
    }

    func listMappings(_ request: WireMappingList, _ client: ControlClient) throws(Refused) -> Answer {
        try require(client, "list mapping rules")
        return .later { [accounts] _ throws(Refused) in
            var page = Page<WireMappingRecord>()
            let after = Int64(exactly: request.after) ?? .max
            // A message has at most some 65,536 bytes, and each record some ten.
            for rule in try accounts.mappings(after: after, limit: ControlPacket.largest / 8) {
                let record = WireMappingRecord(rule, accounts.directory)
                guard page.add(record, size: ControlPacket.size(of: record)) else { break }
            }
            return .mappings(
                .with {
                    $0.mappings = page.items
                    $0.more = page.isFull
                })
        }
    }
}

extension Issuer {
    fileprivate init(_ record: WireIssuerRecord, _ directory: AccountDirectory) throws(Refused) {
        let kind: Kind
        switch record.kind {
        case .kerberos: kind = .kerberos
        case .certificate: kind = .certificate
        case .jwt: kind = .jwt
        case .unspecified, .UNRECOGNIZED:
            throw Refused(.badRequest, "say whether the issuer is of kerberos, certificate or jwt")
        }
        guard record.services.count <= Self.largestListCount else {
            throw Refused(.limit, "more than \(Self.largestListCount) services in one request")
        }
        self.init(
            kind, named: record.name, identity: kind == .certificate ? record.name : record.identity,
            keys: Array(record.keys), audiences: record.audiences, algorithms: record.algorithms,
            unmapped: record.unmappedAnonymous ? .anonymous : .refused,
            services: try record.services.map { name throws(Refused) in
                try Requests.account(named: name, directory, [.user, .service])
            },
            isForAnyService: record.anyService)
    }
}

extension WireIssuerRecord {
    fileprivate init(_ issuer: Issuer, _ directory: AccountDirectory) {
        self.init()
        name = issuer.name
        switch issuer.kind {
        case .kerberos: kind = .kerberos
        case .certificate: kind = .certificate
        case .jwt: kind = .jwt
        }
        if issuer.kind != .certificate { identity = issuer.identity }
        audiences = issuer.audiences
        algorithms = issuer.algorithms
        unmappedAnonymous = issuer.unmapped == .anonymous
        services = issuer.services.compactMap { directory.account(sid: $0)?.name }
        anyService = issuer.isForAnyService
    }
}

extension WireMappingRecord {
    fileprivate init(_ rule: MappingRule, _ directory: AccountDirectory) {
        self.init()
        id = UInt64(rule.id)
        issuer = rule.issuer
        attribute = rule.attribute
        let user: SID?
        switch rule.match {
        case .value(let value, let account): (self.value, user) = (value, account)
        case .name(let domain, let account): (self.value, user, byName) = (domain, account, true)
        case .refused(let value): (self.value, user) = (value, nil)
        }
        if let user { account = directory.account(sid: user)?.name ?? user.description }
    }
}
