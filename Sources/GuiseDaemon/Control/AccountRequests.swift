import AccessControl
package import GuiseProtocol

/// The part of the control protocol that is about accounts and names.
package struct AccountRequests: Sendable {
    /// The most names and SIDs in one look-up: each may cost a question to the name service switch.
    package static let maximumLookUps = 256

    private let accounts: AccountStore
    private let sessions: LogonSessions

    package init(accounts: AccountStore, sessions: LogonSessions) {
        self.accounts = accounts
        self.sessions = sessions
    }

    /// Adds an account.
    package func answer(
        _ request: WireAccountAdd, fromAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let asked = request.account
        try require(fromAdministrator, "add the account \(quoted(asked.name))")
        let kind: Account.Kind
        switch asked.kind {
        case .user: kind = .user
        case .group: kind = .group
        case .service: kind = .service
        case .unspecified, .UNRECOGNIZED:
            throw Refused(.badRequest, "say whether \(quoted(asked.name)) is a user, a group or a service")
        }
        let proposal = Account.Proposal(
            kind, named: asked.name,
            unixID: asked.hasUnixID ? asked.unixID : nil,
            unixGroup: asked.hasUnixGroup ? asked.unixGroup : nil,
            privileges: try Self.privileges(asked.privileges), groups: asked.groups,
            integrity: asked.hasIntegrity ? IntegrityLevel(rawValue: asked.integrity) : nil)
        do {
            return .account(self.record(of: try accounts.add(proposal)))
        } catch { throw Refused(error) }
    }

    /// Removes an account and ends its sessions.
    package func answer(
        _ request: WireAccountRemove, fromAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        try require(fromAdministrator, "remove the account \(quoted(request.name))")
        do {
            let removed = try accounts.remove(name: request.name)
            sessions.end(user: removed.sid)
            return .done(WireDone())
        } catch { throw Refused(error) }
    }

    /// Changes privileges, memberships and integrity.
    package func answer(
        _ request: WireAccountChange, fromAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        try require(fromAdministrator, "change the account \(quoted(request.name))")
        let (grant, revoke) = (try Self.privileges(request.grant), try Self.privileges(request.revoke))
        let integrity: IntegrityLevel?? =
            switch request.integrity {
            case .level(let level): IntegrityLevel(rawValue: level)
            case .usualIntegrity: .some(nil)
            case nil: nil
            }
        do {
            let changed = try accounts.change(
                name: request.name, grant: grant, revoke: revoke, join: request.join, leave: request.leave,
                integrity: integrity)
            return .account(record(of: changed))
        } catch { throw Refused(error) }
    }

    /// Lists the accounts, for anyone: as many as fit in one message, in the order of their names.
    package func answer(
        _ request: WireAccountList, fromAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let directory = accounts.directory
        var page = WireAccountRecords()
        var size = 0
        for account in directory.accounts(after: request.after) {
            let record = record(of: account, in: directory, tellsPasswords: fromAdministrator)
            size += Self.size(of: record)
            guard size <= Self.pageSize || page.accounts.isEmpty else {
                page.more = true
                break
            }
            page.accounts.append(record)
        }
        return .accounts(page)
    }

    /// Names to SIDs and SIDs to names, for anyone.
    package func answer(
        _ request: WireLookUp, fromAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        guard request.names.count + request.sids.count <= Self.maximumLookUps else {
            throw Refused(.limit, "more than \(Self.maximumLookUps) names in one request")
        }
        let directory = accounts.directory
        var found: [WireSidName] = request.names.map { name in
            WireSidName.with {
                $0.name = name
                $0.sid = directory.sid(named: name)?.description ?? ""
            }
        }
        found += request.sids.map { text in
            WireSidName.with {
                $0.sid = text
                $0.name = SID(text).flatMap(directory.name(of:)) ?? ""
            }
        }
        return .names(WireNames.with { $0.names = found })
    }

    private func require(_ isAdministrator: Bool, _ deed: String) throws(Refused) {
        guard isAdministrator else { throw Refused(.accessDenied, "only administrators may \(deed)") }
    }

    private static func privileges(_ names: [String]) throws(Refused) -> PrivilegeSet {
        var set = PrivilegeSet()
        for name in names {
            guard let privilege = Privilege(name: name) else {
                throw Refused(AccountError.unknownPrivilege(name: name))
            }
            set.insert(privilege)
        }
        return set
    }

    private func record(
        of account: Account, in directory: AccountDirectory? = nil, tellsPasswords: Bool = true
    ) -> WireAccountRecord {
        let directory = directory ?? accounts.directory
        return WireAccountRecord.with {
            $0.name = account.name
            $0.sid = account.sid.description
            switch account.kind {
            case .user: $0.kind = .user
            case .group: $0.kind = .group
            case .service: $0.kind = .service
            }
            if let id = account.unixID { $0.unixID = id }
            if account.kind != .group, let gid = account.unixGroup ?? account.unixID { $0.unixGroup = gid }
            $0.privileges = account.privileges.map(\.name)
            $0.groups = account.groups.compactMap { directory.account(sid: $0)?.name }
            if let integrity = account.integrity { $0.integrity = integrity.rawValue }
            $0.password = account.hasPassword && tellsPasswords
        }
    }

    /// How much of a message its accounts may fill: the largest message less some room for what is around.
    private static let pageSize = ControlPacket.largest - 1024

    /// No less than the bytes of a record on the wire.
    private static func size(of record: WireAccountRecord) -> Int {
        let texts = [record.name, record.sid] + record.privileges + record.groups
        return texts.reduce(32) { $0 + $1.utf8.count + 4 }
    }
}
