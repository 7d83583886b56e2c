import AccessControl
import GuiseProtocol
import Testing

@testable import GuiseDaemon

@Suite("Requests about accounts")
struct AccountRequestsTests {
    let state: ScratchState
    let store: AccountStore
    let sessions = LogonSessions()
    let requests: AccountRequests

    init() throws {
        state = try ScratchState()
        store = try state.open()
        requests = AccountRequests(accounts: store, sessions: sessions)
    }

    private func adding(_ name: String, _ kind: WireAccountKind, _ uid: UInt32?) -> WireAccountAdd {
        WireAccountAdd.with {
            $0.account.name = name
            $0.account.kind = kind
            if let uid { $0.account.unixID = uid }
        }
    }

    private func reason(_ body: () throws -> Void) -> WireRefusal.Reason? {
        do {
            try body()
            return nil
        } catch { return (error as? Refused)?.reason }
    }

    @Test("that change something are for administrators only")
    func administratorsOnly() {
        #expect(
            reason { _ = try requests.answer(adding("files", .service, 61001), fromAdministrator: false) }
                == .accessDenied)
        #expect(
            reason { _ = try requests.answer(WireAccountRemove(), fromAdministrator: false) } == .accessDenied
        )
        #expect(
            reason { _ = try requests.answer(WireAccountChange(), fromAdministrator: false) } == .accessDenied
        )
        #expect(store.account(named: "files") == nil)
    }

    @Test("add, change, list and remove")
    func everyday() throws {
        guard
            case .account(let added) = try requests.answer(
                adding("files", .service, 61001), fromAdministrator: true)
        else {
            Issue.record("no account in the answer")
            return
        }
        #expect(added.sid == SID.service(named: "files").description)
        #expect(added.unixGroup == 61001)

        let change = WireAccountChange.with {
            $0.name = "files"
            $0.grant = ["seimpersonateprivilege"]
            $0.join = ["BUILTIN\\Administrators"]
        }
        guard case .account(let changed) = try requests.answer(change, fromAdministrator: true) else {
            Issue.record("no account in the answer")
            return
        }
        #expect(changed.privileges == ["SeImpersonatePrivilege"])
        #expect(changed.groups == ["Administrators"])

        guard case .accounts(let list) = try requests.answer(WireAccountList(), fromAdministrator: false)
        else {
            Issue.record("no list in the answer")
            return
        }
        #expect(list.accounts.contains(changed))
        #expect(!list.more)

        let session = sessions.begin(user: .service(named: "files"), kind: .service)
        guard
            case .done = try requests.answer(
                WireAccountRemove.with { $0.name = "files" }, fromAdministrator: true)
        else {
            Issue.record("not done")
            return
        }
        #expect(!sessions.isAlive(session.id))
    }

    @Test("say what was wrong")
    func refusals() throws {
        _ = try requests.answer(adding("files", .service, 61001), fromAdministrator: true)
        #expect(
            reason { _ = try requests.answer(adding("files", .user, 61002), fromAdministrator: true) }
                == .alreadyExists)
        #expect(
            reason { _ = try requests.answer(adding("x", .unspecified, 61002), fromAdministrator: true) }
                == .badRequest)
        #expect(
            reason { _ = try requests.answer(adding("x", .service, 0), fromAdministrator: true) }
                == .badRequest)
        #expect(
            reason {
                _ = try requests.answer(
                    WireAccountRemove.with { $0.name = "nobody-here" }, fromAdministrator: true)
            } == .notFound)
        #expect(
            reason {
                _ = try requests.answer(
                    WireAccountChange.with {
                        $0.name = "files"
                        $0.grant = ["SeNonsensePrivilege"]
                    }, fromAdministrator: true)
            } == .badRequest)
    }

    @Test("list any number of accounts, page by page")
    func paging() throws {
        for index in 0..<700 {
            try store.add(
                .init(
                    .user, named: "a person with quite a long name, \(index)", unixID: 100_000 + UInt32(index)
                ))
        }
        var names: [String] = []
        var request = WireAccountList()
        while true {
            guard case .accounts(let page) = try requests.answer(request, fromAdministrator: false) else {
                break
            }
            let bytes: [UInt8] = try page.serializedBytes()
            #expect(bytes.count < ControlPacket.largest - 512)
            names += page.accounts.map(\.name)
            guard page.more, let last = page.accounts.last else { break }
            request.after = last.name
        }
        #expect(names == store.list().map(\.name))
    }

    @Test("look names and SIDs up in the order asked")
    func lookUp() throws {
        let request = WireLookUp.with {
            $0.names = ["nobody-here", "SYSTEM"]
            $0.sids = ["S-1-1-0", "nonsense"]
        }
        guard case .names(let found) = try requests.answer(request, fromAdministrator: false) else {
            Issue.record("no names in the answer")
            return
        }
        #expect(found.names.map(\.sid) == ["", "S-1-5-18", "S-1-1-0", "nonsense"])
        #expect(found.names.map(\.name) == ["nobody-here", "SYSTEM", "Everyone", ""])
        let many = WireLookUp.with { $0.sids = Array(repeating: "S-1-1-0", count: 257) }
        #expect(reason { _ = try requests.answer(many, fromAdministrator: false) } == .limit)
    }

    @Test("a token shows with names")
    func tokenView() throws {
        try store.add(.init(.user, named: "alice-of-test", unixID: 61001))
        let factory = TokenFactory(accounts: store, sessions: sessions)
        let logon = try factory.logon(UnixCredentials(uid: 61001, gid: 61001, groups: [61005]))
        let view = WireTokenView(logon.token, credentials: logon.credentials, names: store.directory)
        #expect(view.user.name == "alice-of-test")
        #expect(view.primary)
        #expect(view.integrity == 0x2000)
        #expect(view.unixGroups == [61005])
        #expect(view.groups.contains { $0.sid.name == "Everyone" && $0.attributes == 7 })
        #expect(view.privileges.contains { $0.name == "SeChangeNotifyPrivilege" && $0.enabled })

        let anonymous = WireTokenView(
            Token.Impersonation(logon.token.token, level: .anonymous), credentials: logon.credentials,
            names: store.directory)
        #expect(anonymous.user.sid == "S-1-5-7")
        #expect(!anonymous.hasUnixUser && anonymous.level == .anonymous && !anonymous.primary)
    }
}
