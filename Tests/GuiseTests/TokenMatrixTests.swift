import Foundation
import Guise
import GuiseProtocol
import Testing

/// What a service is like.
private struct Setting: Hashable, CustomStringConvertible {
    let hasPrivilege: Bool
    let isRestricted: Bool
    /// Below its clients' integrity; otherwise above.
    let isLow: Bool

    static let all = [true, false].flatMap { privilege in
        [false, true].flatMap { restricted in
            [false, true].map { Setting(hasPrivilege: privilege, isRestricted: restricted, isLow: $0) }
        }
    }
    var description: String {
        "a \(isLow ? "low" : "high"), \(isRestricted ? "restricted" : "unrestricted") service"
            + " \(hasPrivilege ? "with" : "without") the privilege"
    }
}

private enum Who: CaseIterable { case other, same }

private let levels = ["anonymous", "identification", "impersonation", "delegation"]

/// One way in which a thread comes to act as somebody. Another one is another case here, in `observe`, and in what it can
/// be asked for.
private enum EntryPoint: CaseIterable {
    /// Accepted from a Unix socket.
    case connection
    case namedPipe
    /// Dynamic data exchange.
    case exchange
    /// A logon by password, at a level.
    case logon
    /// Its primary token, or the process's own.
    case loggedOnUser
    /// A token that another process of the service's user sets.
    case setThreadToken
    case impersonateSelf
    case anonymous
    /// A call's ticket, as gRPC's.
    case ticket
    /// A client of Negotiate. Where there is a KDC.
    case securityContext

    static let all = allCases.filter { $0 != .securityContext || Realms.isBuilt && Realms.isPossible }

    /// As whom it makes a thread act.
    var users: [Who] {
        switch self {
        case .logon, .securityContext: [.other]
        case .impersonateSelf, .anonymous: [.same]
        default: Who.allCases
        }
    }
    /// At which levels.
    var levels: [String] {
        switch self {
        case .loggedOnUser: ["impersonation"]
        case .anonymous: ["anonymous"]
        // Kerberos cannot say it.
        case .securityContext: Array(GuiseTests.levels.dropFirst())
        default: GuiseTests.levels
        }
    }
    /// Whether the token can be a restricted one where the service is not.
    var restricts: Bool { [.logon, .loggedOnUser, .setThreadToken].contains(self) }
    /// Whether the service showed that it knows the password.
    func isProven(_ who: Who) -> Bool { self == .logon || self == .loggedOnUser && who == .other }
}

private struct Cell: CustomStringConvertible {
    let entry: EntryPoint
    let service: Setting
    let who: Who
    let level: String
    /// Of the token to act under.
    let isRestricted: Bool
    /// Its integrity is the service's own.
    var isOwnToken: Bool { entry == .impersonateSelf || entry == .loggedOnUser && who == .same }

    static let all = EntryPoint.all.flatMap { entry in
        Setting.all.flatMap { service in
            entry.users.flatMap { who in
                entry.levels.flatMap { level in
                    (entry.restricts ? [false, true] : [false]).map { restricted in
                        // A copy of a restricted token is restricted.
                        let isOwn = entry == .impersonateSelf || entry == .loggedOnUser && who == .same
                        return Cell(
                            entry: entry, service: service, who: who, level: level,
                            isRestricted: restricted || isOwn && service.isRestricted)
                    }
                }
            }
        }
    }
    var description: String {
        "\(entry), \(who) user\(isRestricted ? " restricted" : "") at \(level), by \(service)"
    }

    /// What docs/tokens.md says has to happen: nil, or the error.
    var refusal: String? {
        guard level == "impersonation" || level == "delegation" else { return nil }
        let needsPrivilege: Bool
        switch (who, service.isRestricted, isRestricted) {
        case (.same, true, false): return "restricted"
        case (.same, true, true), (.same, false, false): needsPrivilege = false
        case (.same, false, true): needsPrivilege = true
        case (.other, _, _): needsPrivilege = !entry.isProven(who)
        }
        if needsPrivilege, !service.hasPrivilege { return "privilegeNotHeld" }
        return service.isLow && !isOwnToken ? "integrityTooHigh" : nil
    }

    func expected(_ table: Table) -> Observation {
        let service = (user: table.account.sid, opens: Set(["managed-service", "unix-service"]))
        if let refusal {
            // The thread is what it was: the service, whose restricting SIDs mean nothing to the kernel.
            return Observation(
                refusal: entry == .exchange ? "denied" : refusal,
                user: entry == .exchange ? "" : service.user,
                level: "primary", opens: entry == .exchange ? [] : service.opens)
        }
        if level == "anonymous" {
            return Observation(refusal: nil, user: "S-1-5-7", level: level, opens: [])
        }
        let user = who == .same ? table.account.sid : table.alice.sid
        guard level != "identification" else {
            return Observation(refusal: nil, user: user, level: level, opens: [])
        }
        let opens =
            who == .same
            ? (isRestricted ? ["managed-service"] : service.opens)
            : (isRestricted ? ["managed-alice"] : ["managed-alice", "unix-alice"])
        return Observation(refusal: nil, user: user, level: level, opens: opens)
    }
}

private struct Observation: Equatable, CustomStringConvertible {
    var refusal: String?
    /// What `idn show` says, of the user and the level.
    var user: String
    var level: String
    /// The files that open.
    var opens: Set<String>

    var description: String {
        "\(refusal ?? "acting") as \(user) at \(level), opening \(opens.sorted().joined(separator: " "))"
    }
}

/// The services, each like one of the settings, and their clients.
private final class Table {
    let stage: Stage
    let account: Person
    let alice: Person
    private let files: [String]
    private var running: [Setting: Running] = [:]
    /// Another process of the service's user, which sets tokens on its threads.
    private let holder: Client
    private var clients: [Who: Client] = [:]
    /// Where there is a KDC: alice with a ticket of its.
    private let initiator: Client?
    private var isNewExchange = 0

    private struct Running {
        let name: String
        let service: Service
        let control: Client
        let thread: (process: UInt32, thread: UInt32)
        /// Connections that clients made, by user and level: the descriptors in the client, and the threads that serve them.
        var connections: [String: (descriptor: Int, thread: (process: UInt32, thread: UInt32))] = [:]
    }

    static let password = "correct-horse"

    init(_ stage: Stage, _ realms: Realms?) throws {
        self.stage = stage
        alice = try stage.user("alice")
        account = try stage.service("files")
        try stage.setPassword("alice", Self.password)
        stage.folder("home")
        let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
        files = [
            try stage.managedFile(root + "/managed-alice", "x", "O:BAG:SYD:(A;;FR;;;{alice})", for: alice),
            try stage.managedFile(
                root + "/managed-service", "x", "O:BAG:SYD:(A;;FR;;;{files})", for: account),
            try stage.file("home/unix-alice", "x", of: alice),
            try stage.file("home/unix-service", "x", of: account),
        ]
        let root0 = Person(name: "root", uid: 0, sid: "S-1-5-18")
        if let realms {
            try realms.principal("alice")
            try stage.setKeytab("files", try realms.keytab("HTTP/files.a.test"))
            try stage.trust("A.TEST")
            try stage.map("alice@A.TEST", to: alice)
            let variables = try realms.log(alice, onAs: "alice")
            initiator = try Client(
                commandsOn: stage, as: alice, by: ["/usr/bin/env"] + variables.map { "\($0.key)=\($0.value)" }
            )
        } else {
            initiator = nil
        }
        holder = try stage.serve(account, name: "holder").client(root0)
        clients = [
            .other: try Client(commandsOn: stage, as: alice),
            .same: try Client(commandsOn: stage, as: account),
        ]
        for (index, setting) in Setting.all.enumerated() {
            running[setting] = try start(setting, "service\(index)", root0)
        }
        try prepareHolder()
    }

    private func start(_ setting: Setting, _ name: String, _ root: Person) throws -> Running {
        let service = try stage.serve(account, name: name)
        let control = try service.client(root)
        var running = Running(
            name: name, service: service, control: control, thread: try Self.ids(try control.ask("ids")))
        func done(_ command: String) throws { try Self.check(try control.ask(command), command) }
        try done("pipe-serve \(name) sddl D:(A;;FA;;;WD)(A;;FA;;;AN)")
        try done("dde-serve \(name) topic")
        try done("logon alice alice \(Self.password) network")
        for who in Who.allCases {
            for level in levels {
                let reply = try clients[who]!.ask("announce \(level) \(service.socket)")
                guard let descriptor = reply.number else { throw HarnessError("\(reply)") }
                let ids = try clients[who]!.ask("tell \(descriptor) ids")
                running.connections["\(who) \(level)"] = (
                    descriptor, try Self.ids(Reply(line: ids.value ?? ids.line))
                )
            }
        }
        // The tokens to act under. A logon's can be acted under by whom it was made for alone.
        try done("tok-logon other alice")
        try done("tok-restrict other-restricted other sids=\(alice.sid)")
        if setting.isRestricted {
            try done("tok-open own process duplicate query assign")
            try done("tok-restrict less own sids=\(account.sid),S-1-1-0")
            try done("tok-process less")
        }
        try done("tok-open own process all")
        if !setting.hasPrivilege { try done("tok-adjust own SeImpersonatePrivilege=off") }
        if setting.isLow { try done("tok-set own integrity 4096") }
        try done("tok-restrict own-restricted own sids=\(account.sid)")
        for (from, key) in [("other", "other"), ("other-restricted", "other-restricted")] {
            for level in levels { try done("tok-duplicate \(key)-\(level) \(from) \(level)") }
        }
        return running
    }

    private func prepareHolder() throws {
        func done(_ command: String) throws { try Self.check(try holder.ask(command), command) }
        try done("logon alice alice \(Self.password) network")
        try done("tok-logon other alice")
        try done("tok-open process process all")
        try done("tok-duplicate same process primary")
        try done("tok-set same integrity 8192")
        try done("tok-restrict other-restricted other sids=\(alice.sid)")
        try done("tok-restrict same-restricted same sids=\(account.sid)")
        for key in ["other", "other-restricted", "same", "same-restricted"] {
            for level in levels { try done("tok-duplicate h-\(key)-\(level) \(key) \(level)") }
        }
    }

    private static func check(_ reply: Reply, _ command: String) throws {
        guard reply.value != nil else { throw HarnessError("\(command): \(reply)") }
    }

    private static func ids(_ reply: Reply) throws -> (process: UInt32, thread: UInt32) {
        let numbers = (reply.value ?? "").split(separator: "/").compactMap { UInt32($0) }
        guard numbers.count == 2 else { throw HarnessError("ids: \(reply)") }
        return (numbers[0], numbers[1])
    }

    // MARK: Observing

    func observe(_ cell: Cell) throws -> Observation {
        let running = running[cell.service]!
        let key = (cell.who == .same ? "own" : "other") + (cell.isRestricted ? "-restricted" : "")
        let control = running.control
        func asking(_ command: String) throws -> Reply { try control.ask(command) }
        switch cell.entry {
        case .connection:
            let (descriptor, thread) = running.connections["\(cell.who) \(cell.level)"]!
            let client = clients[cell.who]!
            return try observe(cell, thread, began: nil) { command in
                let reply = try client.ask("tell \(descriptor) \(command)")
                return Reply(line: reply.value ?? reply.line)
            }
        case .namedPipe:
            let opened = try clients[cell.who]!.ask("pipe-open \(running.name) \(cell.level)")
            guard let descriptor = opened.number else { throw HarnessError("\(opened)") }
            try Self.check(try control.ask("pipe-accept \(running.name)"), "pipe-accept")
            defer {
                _ = try? control.ask("pipe-hang-up")
                _ = try? clients[cell.who]!.ask("pipe-shut \(descriptor)")
            }
            return try observe(cell, running.thread, began: nil, by: asking)
        case .exchange: return try observeExchange(cell, running)
        case .logon:
            return try observe(
                cell, running.thread, began: try control.ask("tok-impersonate \(key)-\(cell.level)"),
                by: asking)
        case .loggedOnUser:
            // Of a restricted service its own token is one already.
            let key = cell.who == .same && cell.service.isRestricted ? "own" : key
            return try observe(
                cell, running.thread, began: try control.ask("tok-impersonate \(key)"), by: asking)
        case .setThreadToken:
            let key = (cell.who == .same ? "same" : "other") + (cell.isRestricted ? "-restricted" : "")
            let (process, thread) = running.thread
            return try observe(
                cell, running.thread,
                began: try holder.ask("tok-assign h-\(key)-\(cell.level) tid=\(thread) pid=\(process)"),
                by: asking)
        case .impersonateSelf:
            return try observe(
                cell, running.thread, began: try control.ask("self \(cell.level)"), by: asking)
        case .anonymous:
            return try observe(cell, running.thread, began: try control.ask("anonymous"), by: asking)
        case .ticket:
            let issued = try clients[cell.who]!.ask("ticket-issue files level \(cell.level)")
            guard let ticket = issued.value?.split(separator: " ").first else {
                throw HarnessError("\(issued)")
            }
            try Self.check(try control.ask("ticket-redeem \(ticket)"), "ticket-redeem")
            return try observe(cell, running.thread, began: nil, by: asking)
        case .securityContext:
            let sent = try initiator!.ask("initiate k Negotiate HTTP@files.a.test \(cell.level)")
            guard let token = sent.value?.split(separator: " ").last else { throw HarnessError("\(sent)") }
            try Self.check(try control.ask("context-accept c Negotiate \(token)"), "context-accept")
            defer { _ = try? control.ask("context-close c") }
            return try observe(
                cell, running.thread, began: try control.ask("context-impersonate c"), by: asking)
        }
    }

    /// - Parameter began: what the entry point answered; nil: it is the connection's.
    private func observe(
        _ cell: Cell, _ ids: (process: UInt32, thread: UInt32), began: Reply?,
        by ask: (String) throws -> Reply
    ) throws -> Observation {
        let began = try began ?? ask("impersonate")
        let answer = try stage.ask(
            .tokenOf(
                .with {
                    $0.process = ids.process
                    $0.thread = ids.thread
                }))
        guard case .thread(let view) = answer else { throw HarnessError("\(answer)") }
        let opens = try files.filter { try ask("cat \($0)").value != nil }
        try Self.check(try ask("revert"), "revert")
        return Observation(
            refusal: began.value == nil ? began.thrown ?? began.line : nil, user: view.token.user.sid,
            level: view.impersonating ? "\(view.level)" : "primary", opens: Self.names(opens))
    }

    private func observeExchange(_ cell: Cell, _ running: Running) throws -> Observation {
        let client = clients[cell.who]!
        try Self.check(
            try client.ask("dde-initiate c \(running.name) topic \(cell.level)"), "dde-initiate \(cell)")
        defer { _ = try? client.ask("dde-drop c") }
        let acting = try client.ask("dde-request c acting")
        let opens = try files.filter { try client.ask("dde-request c \($0)").value != nil }
        guard let words = acting.value?.split(separator: " ").map(String.init), words.count == 2 else {
            return Observation(
                refusal: acting.thrown ?? acting.line, user: "", level: "primary", opens: Self.names(opens))
        }
        return Observation(refusal: nil, user: words[0], level: words[1], opens: Self.names(opens))
    }

    private static func names(_ paths: [String]) -> Set<String> {
        Set(paths.map { ($0 as NSString).lastPathComponent })
    }

    /// What the tool itself prints while a service acts as alice.
    func shown() throws -> String {
        let running = running[Setting(hasPrivilege: true, isRestricted: false, isLow: false)]!
        try Self.check(try running.control.ask("tok-impersonate other-restricted"), "tok-impersonate")
        defer { _ = try? running.control.ask("revert") }
        let target = "\(running.thread.process)/\(running.thread.thread)"
        return try stage.run([product("idn"), "show", target]).output
    }
}

@Suite("Ways to act as somebody", .asRoot)
struct TokenMatrixTests {
    @Test("each does at every level, for everybody, with every service, what the gates say and no more")
    func matrix() throws {
        try onStage(withAuthority: false) { (stage) throws in
            let realms = Realms.isBuilt && Realms.isPossible ? try Realms(stage) : nil
            try stage.startAuthority(environment: realms?.environment ?? [:])
            let table = try Table(stage, realms)
            for cell in Cell.all {
                let observed = try table.observe(cell)
                #expect(observed == cell.expected(table), "\(cell)")
            }
            #expect(Cell.all.count > 300)
            let shown = try table.shown()
            #expect(shown.contains("User: \(table.alice.sid) (alice)\nImpersonating: yes\n"))
            #expect(shown.contains("Impersonation Level: Impersonation\n"))
        }
    }
}
