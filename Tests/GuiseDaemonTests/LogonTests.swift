import AccessControl
import CGuise
import CTestSupport
import Dispatch
import Foundation
import Glibc
import Synchronization
import Testing

@testable import GuiseDaemon

@Suite("Logon sessions")
struct LogonSessionsTests {
    @Test("live until they are ended, and their numbers are not used again")
    func lifetime() {
        let sessions = LogonSessions()
        let first = sessions.begin(user: .unixUser(1), kind: .unix)
        #expect(sessions.isAlive(first.id))
        #expect(sessions.end(first.id))
        #expect(!sessions.end(first.id))
        #expect(!sessions.isAlive(first.id))
        let second = sessions.begin(user: .unixUser(1), kind: .unix)
        #expect(second.id != first.id)
        #expect(sessions.list() == [second])
        #expect(first.id >> 32 != 0)
    }

    @Test("of one user end together")
    func endingAUser() {
        let sessions = LogonSessions()
        let mine = (0..<3).map { _ in sessions.begin(user: .unixUser(1), kind: .unix) }
        let other = sessions.begin(user: .unixUser(2), kind: .service)
        #expect(sessions.end(user: .unixUser(1)) == mine)
        #expect(sessions.list() == [other])
    }

    @Test("get numbers of their own from many threads")
    func concurrency() async {
        let sessions = LogonSessions()
        let ids = await withTaskGroup(of: [UInt64].self) { tasks in
            for _ in 0..<8 {
                tasks.addTask { (0..<1000).map { _ in sessions.begin(user: .everyone, kind: .unix).id } }
            }
            return await tasks.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(ids).count == 8000)
    }
}

@Suite("The token factory")
struct TokenFactoryTests {
    let state: ScratchState
    let store: AccountStore
    let sessions = LogonSessions()
    let factory: TokenFactory

    init() throws {
        state = try ScratchState()
        store = try state.open()
        factory = TokenFactory(accounts: store, sessions: sessions)
    }

    private func credentials(_ uid: UInt32, _ gid: UInt32? = nil, _ groups: [UInt32] = []) -> UnixCredentials
    {
        UnixCredentials(uid: uid, gid: gid ?? uid, groups: groups)
    }

    @Test("knows a user without an account by its Unix SIDs")
    func unmapped() throws {
        let logon = try factory.logon(credentials(61001, 61002, [61003, 61003]))
        let token = logon.token.token
        #expect(token.user == .unixUser(61001))
        let sids = Set(token.groups.map(\.sid))
        #expect(
            sids == [
                .everyone, .authenticatedUsers, .local, .users, .unixUser(61001), .unixGroup(61002),
                .unixGroup(61003), .logonSession(logon.session.id),
            ])
        #expect(token.integrity == .medium)
        #expect(token.privileges.enabled == [.changeNotify])
        #expect(token.logonSession == logon.session.id)
        #expect(token.defaultGroup == .unixGroup(61002))
    }

    @Test("gives an account its SID, its groups and the groups of its Unix groups")
    func mapped() throws {
        let outer = try store.add(.init(.group, named: "outer"))
        let crew = try store.add(.init(.group, named: "crew", unixID: 61005, groups: ["outer"]))
        let club = try store.add(.init(.group, named: "club"))
        let alice = try store.add(
            .init(.user, named: "alice-of-test", unixID: 61001, privileges: [.backup], groups: ["club"]))
        let token = try factory.logon(credentials(61001, 61001, [61005])).token.token
        #expect(token.user == alice.sid)
        let sids = token.groups.map(\.sid)
        #expect(Set(sids).count == sids.count)
        for sid in [outer.sid, crew.sid, club.sid, .unixUser(61001), .unixGroup(61005)] {
            #expect(token.isMember(of: sid))
        }
        #expect(token.privileges.present.contains(.backup))
        #expect(!token.privileges.enabled.contains(.backup))
    }

    @Test("makes uid 0 SYSTEM")
    func root() throws {
        let token = try factory.logon(credentials(0, 0)).token.token
        #expect(token.user == .system)
        #expect(token.isMember(of: .administrators))
        #expect(token.integrity == .system)
        #expect(token.privileges.present == .all)
        #expect(token.privileges.enabled == .all)
    }

    @Test("gives administrators High integrity and their privileges, most of them off")
    func administrators() throws {
        try store.add(.init(.group, named: "wheel-of-test", groups: ["Administrators"]))
        try store.add(.init(.user, named: "boss", unixID: 61001, groups: ["wheel-of-test"]))
        let token = try factory.logon(credentials(61001)).token.token
        #expect(token.integrity == .high)
        #expect(token.isMember(of: .administrators))
        #expect(token.groups.first { $0.sid == .administrators }?.attributes.contains(.owner) == true)
        #expect(token.privileges.present.contains(.takeOwnership))
        #expect(!token.privileges.enabled.contains(.takeOwnership))
        #expect(token.privileges.enabled == [.changeNotify, .impersonate, .createGlobal])
    }

    @Test("starts a service as itself, with what it was granted")
    func service() throws {
        try store.add(.init(.group, named: "crew", unixID: 61005))
        try store.add(
            .init(
                .service, named: "files", unixID: 61001, unixGroup: 61002, privileges: [.impersonate],
                groups: ["crew"]))
        let logon = try factory.serviceLogon(named: "Files")
        let token = logon.token.token
        #expect(token.user == .service(named: "files"))
        #expect(token.isMember(of: .service) && token.isMember(of: .allServices))
        #expect(token.integrity == .system)
        #expect(token.privileges.present == [.changeNotify, .impersonate])
        #expect(token.privileges.enabled == [.changeNotify, .impersonate])
        #expect(logon.credentials == UnixCredentials(uid: 61001, gid: 61002, groups: [61005]))
        #expect(logon.session.kind == .service)
        #expect(try factory.serviceLogon(named: "NT SERVICE\\files").session.id != logon.session.id)
    }

    @Test("starts nothing but services")
    func notAService() throws {
        try store.add(.init(.user, named: "person", unixID: 61001))
        #expect(throws: LogonError.notAService(name: "person")) {
            try factory.serviceLogon(named: "person")
        }
        #expect(throws: LogonError.unknownAccount(name: "no one")) {
            try factory.serviceLogon(named: "no one")
        }
        #expect(sessions.list().isEmpty)
    }

    @Test("shares one session and token among equal credentials")
    func sharing() throws {
        let first = try factory.logon(credentials(61001, 61001, [2, 1]))
        let second = try factory.logon(credentials(61001, 61001, [1, 2, 2]))
        #expect(first.session == second.session)
        let other = try factory.logon(credentials(61001, 61001, [1]))
        #expect(other.session != first.session)
        #expect(sessions.list().count == 2)
    }

    @Test("makes a new token in the same session when the accounts changed")
    func accountsChange() throws {
        try store.add(.init(.user, named: "person", unixID: 61001))
        let before = try factory.logon(credentials(61001))
        let group = try store.add(.init(.group, named: "crew"))
        try store.change(name: "person", join: ["crew"])
        let after = try factory.logon(credentials(61001))
        #expect(!before.token.token.isMember(of: group.sid))
        #expect(after.token.token.isMember(of: group.sid))
        #expect(before.session == after.session)
    }

    @Test("begins a new session when the uid is somebody else now, or the old one ended")
    func sessionsChange() throws {
        let stranger = try factory.logon(credentials(61001))
        let account = try store.add(.init(.user, named: "person", unixID: 61001))
        let person = try factory.logon(credentials(61001))
        #expect(person.token.token.user == account.sid)
        #expect(person.session != stranger.session)
        sessions.end(person.session.id)
        let again = try factory.logon(credentials(61001))
        #expect(again.session != person.session)
        #expect(sessions.isAlive(again.session.id))
    }

    @Test("keeps the sessions of one uid to so many, and each of them for as long as it is alive")
    func manySets() throws {
        let first = try factory.logon(credentials(61001, 61001, [70_000])).session
        for group in 1..<UInt32(TokenFactory.largestCountPerUser) {
            _ = try factory.logon(credentials(61001, 61001, [70_000 + group]))
        }
        #expect(throws: LogonError.tooManySessions(uid: 61001)) {
            try factory.logon(credentials(61001, 61001, [1]))
        }
        // Those that there are, others and root are not harmed.
        #expect(try factory.logon(credentials(61001, 61001, [70_000])).session == first)
        _ = try factory.logon(credentials(61002))
        for group in 0...UInt32(TokenFactory.maximumRemembered) {
            _ = try factory.logon(credentials(0, 0, [70_000 + group]))
        }
        // What is no longer remembered has the same session still.
        #expect(try factory.logon(credentials(61001, 61001, [70_000])).session == first)
        sessions.end(first.id)
        _ = try factory.logon(credentials(61001, 61001, [1]))
    }

    @Test("refuses more groups than a token holds")
    func tooManyGroups() {
        #expect(throws: LogonError.tooManyGroups(uid: 61001)) {
            try factory.logon(credentials(61001, 61001, Array(1...2000)))
        }
    }
}

@Suite("Logons by password")
struct PasswordLogonsTests {
    @Test("do not count when the password was changed while it was hashed, or was removed")
    func changed() throws {
        let state = try ScratchState()
        let store = try state.open()
        try store.add(.init(.user, named: "person"))
        let password = try #require(Password("old".utf8))
        try store.setPassword(password.hash(), of: "person")
        let logons = PasswordLogons(accounts: store)
        let proven = try logons.prove("person", password, for: 61001)
        try logons.checkUnchanged(proven)
        for changed in [try #require(Password("new".utf8)?.hash()), nil] {
            try store.setPassword(changed, of: "person")
            let refusal = #expect(throws: Refused.self) { try logons.checkUnchanged(proven) }
            #expect(refusal?.reason == .logonFailure)
        }
    }

    @Test("by PAM fail where nobody can say whether there is such a user, and count as no guess")
    func nameService() throws {
        let state = try ScratchState()
        let logons = PasswordLogons(accounts: try state.open())
        let password = try #require(Password("guess".utf8))
        try #require(Self.asksFilesAlone)
        let failures = try withoutDescriptors {
            [PasswordLogons.UnixUser.name("daemon"), .uid(1)].flatMap { user in
                (0..<2 * LogonThrottle.freeFailures).map { _ -> Refused? in
                    do throws(PasswordLogons.Failure) {
                        _ = try logons.prove(user, named: "daemon", password, for: 61001)
                        return nil
                    } catch { return error.refused }
                }
            }
        }
        for failure in failures {
            #expect(failure?.reason == .internal, "\(String(describing: failure))")
            #expect(failure?.message.contains("could not be found out") == true)
        }
        for key in ["daemon", "S-1-22-1-1"] {
            #expect(logons.throttle.withLock { $0.delay(61001, key, now: LogonThrottle.now) } == 0)
        }
    }

    /// Has the name service of this process ask /etc/passwd and nothing else (__nss_configure_lookup): where that cannot be
    /// opened, others that know nobody would speak for all.
    private static let asksFilesAlone: Bool = {
        typealias Configure = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
        guard let found = dlsym(nil, "__nss_configure_lookup") else { return false }
        return unsafeBitCast(found, to: Configure.self)("passwd", "files") == 0
    }()

    /// Runs something on a thread that can open nothing more: its table of descriptors is its own, and full.
    private func withoutDescriptors<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) throws -> Result {
        let result = Mutex<Swift.Result<Result, any Error>?>(nil)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            // CLONE_FILES
            if test_call(Int(SYS_unshare), [0x400, 0, 0, 0, 0, 0]) == 0 {
                while dup(0) >= 0 {}
                result.withLock { $0 = Swift.Result { try body() } }
            }
            done.signal()
        }
        thread.start()
        done.wait()
        return try #require(result.withLock { $0 }).get()
    }

    @Test("by PAM do not count when whose the Unix user is was changed meanwhile")
    func remapped() throws {
        let state = try ScratchState()
        let store = try state.open()
        let logons = PasswordLogons(accounts: store)
        let tokens = TokenFactory(accounts: store, sessions: LogonSessions())
        let credentials = UnixCredentials(uid: 61001, gid: 61001, groups: [])
        func refused(_ account: Account?) -> Bool {
            let user = PasswordLogons.Proven(account: account, credentials: credentials, evidence: .pam)
            let isUnchanged = (try? logons.checkUnchanged(user)) != nil
            let token = try? tokens.passwordLogon(user, .network, creator: 1)
            #expect((token != nil) == isUnchanged)
            return !isUnchanged
        }
        #expect(!refused(nil))
        let account = try store.add(.init(.user, named: "person", unixID: 61001))
        #expect(refused(nil))
        #expect(!refused(account))
        try store.setPassword(try #require(Password("new".utf8)?.hash()), of: "person")
        #expect(refused(account))
        try store.remove(name: "person")
        #expect(refused(account))
        try store.add(.init(.service, named: "person", unixID: 61001))
        #expect(refused(nil))
    }
}

@Suite("The throttle of logons")
struct LogonThrottleTests {
    @Test("forgets nobody for a flood of other names, and lets nobody off for another's right password")
    func flood() {
        var throttle = LogonThrottle()
        for _ in 0..<4 { throttle.failed(1, "a", now: 100) }
        for index in 0..<200_000 { throttle.failed(1, "name \(index)", now: 100) }
        #expect(throttle.delay(1, "a", now: 100) > 0)
        // By now some name's failures are counted where another's are.
        for index in 0..<200_000 { throttle.succeeded(1, "name \(index)") }
        throttle.succeeded(1, "own account")
        #expect(throttle.delay(1, "a", now: 100) > 0)
        #expect(throttle.delay(2, "a", now: 100) == 0, "nobody else waits")
        // It ends as it does for one name.
        let later = 100 + LogonThrottle.memory
        #expect(throttle.delay(1, "a", now: later) == 0)
        for _ in 0..<3 { throttle.failed(1, "a", now: later) }
        throttle.succeeded(1, "a")
        #expect(throttle.delay(1, "a", now: later) == 0)
        for user in 0..<5000 as Range<UInt32> { throttle.failed(user, "a", now: later) }
        #expect(throttle.delay(1, "a", now: later) == 0)
        for _ in 0..<2 { throttle.failed(1, "a", now: later) }
        #expect(throttle.delay(1, "a", now: later) == 1)
    }

    @Test("lets who failed too often try once at a time, and others as they like")
    func attempts() {
        var throttle = LogonThrottle()
        for _ in 0..<3 { #expect(throttle.begin(1, "a", now: 100) == 0) }
        for _ in 0..<3 { throttle.failed(1, "a", now: 100) }
        #expect(throttle.begin(1, "a", now: 100) == 1)
        #expect(throttle.begin(1, "a", now: 101) == 0)
        #expect(throttle.begin(1, "a", now: 101) == 1)
        #expect(throttle.begin(2, "a", now: 101) == 0)
        #expect(throttle.begin(1, "b", now: 101) == 0)
        throttle.succeeded(1, "a")
        for _ in 0..<2 { #expect(throttle.begin(1, "a", now: 101) == 0) }
        // What is forgotten is not brought back.
        for _ in 0..<3 { throttle.failed(1, "a", now: 200) }
        let later = 200 + LogonThrottle.memory
        for _ in 0..<2 { #expect(throttle.begin(1, "a", now: later) == 0) }
    }
}

@Suite("Unix names")
struct UnixNamesTests {
    private func look(_ error: Int32) throws -> UInt32? {
        try UnixNames.lookUp { (_: inout passwd, _, _, _) in
            error
        } read: {
            $0.pw_uid
        }
    }

    @Test("that are not there are nobody's", arguments: [0, ENOENT, ESRCH, EBADF, EPERM])
    func none(error: Int32) throws { #expect(try look(error) == nil) }

    @Test("that cannot be looked up are not taken for nobody's", arguments: [EMFILE, ENOMEM, EIO, ERANGE])
    func unavailable(error: Int32) {
        #expect(throws: UnixNames.Unavailable(errno: error)) { try look(error) }
        #expect(Refused(LogonError.groupsUnknown(uid: 1, errno: error)).reason == .internal)
    }
}

@Suite("The line of passwords")
struct LogonLineTests {
    @Test("goes on while those who have hashed do something else, and comes back to theirs")
    func leaving() throws {
        let line = LogonLine.ofHashing()
        let gate = DispatchSemaphore(value: 0)
        let (hashed, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let users = UInt32(line.width) * 3
        for user in 0..<users {
            try line.add(user) {
                line.leave(user)
                hashed.signal()
                gate.wait()
                done.signal()
            }
        }
        for _ in 0..<users { #expect(hashed.wait(timeout: .now() + 10) == .success) }
        // One at a time of each, all the same.
        try line.add(0) { done.signal() }
        #expect(done.wait(timeout: .now() + 0.1) == .timedOut)
        for _ in 0..<users { gate.signal() }
        for _ in 0...users { #expect(done.wait(timeout: .now() + 10) == .success) }
    }

    @Test("is open to whoever has none in it, however many others have filled it")
    func full() throws {
        let line = LogonLine.ofHashing()
        let gate = DispatchSemaphore(value: 0)
        let done = DispatchSemaphore(value: 0)
        var added = 0
        func add(_ user: UInt32) throws {
            try line.add(user) {
                gate.wait()
                done.signal()
            }
            added += 1
        }
        defer {
            for _ in 0..<added { gate.signal() }
            for _ in 0..<added { done.wait() }
        }
        let crowd = UInt32(LogonLine.largestCount / LogonLine.largestCountPerUser) + 1
        for user in 0..<crowd {
            for _ in 0..<LogonLine.largestCountPerUser {
                do { try add(user) } catch { break }
            }
        }
        #expect(throws: Refused.self) { for _ in 0..<3 { try add(crowd - 1) } }
        try add(crowd)
        #expect(throws: Refused.self) { try add(crowd) }
    }

    @Test("serves as many of one caller as it is told, and others beside them")
    func width() throws {
        let line = LogonLine(width: 5, perUser: 2)
        let gate = DispatchSemaphore(value: 0)
        let (started, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        func add(_ user: UInt32) throws {
            try line.add(user) {
                started.signal()
                gate.wait()
                done.signal()
            }
        }
        for _ in 0..<4 { try add(1) }
        for _ in 0..<2 { #expect(started.wait(timeout: .now() + 10) == .success) }
        #expect(started.wait(timeout: .now() + 0.1) == .timedOut)
        for user in 2...5 as ClosedRange<UInt32> { try add(user) }
        for _ in 0..<3 { #expect(started.wait(timeout: .now() + 10) == .success) }
        #expect(started.wait(timeout: .now() + 0.1) == .timedOut)
        for _ in 0..<8 { gate.signal() }
        for _ in 0..<8 { #expect(done.wait(timeout: .now() + 10) == .success) }
    }
}
