import CGuise
import Foundation
import GuiseProtocol

/// Where an ordinary user runs an authority and a service of his own, for alice and bob, whom the machine does not know.
struct RootlessScene {
    let stage: Stage
    /// Whose authority and service it is. Has no account.
    let owner: Person
    let service: Service
    let alice: Person
    let bob: Person
    /// A managed root.
    let root: String
    /// Processes of another Unix user, with alice and bob logged on, and the numbers of their connections to the service.
    let outsider: Client
    let alices: Int
    let bobs: Int

    static let password = "correct-horse"

    /// Has the service do something for the client of one of the connections.
    func ask(_ connection: Int, _ command: String) throws -> Reply {
        let answer = try outsider.ask("tell \(connection) \(command)")
        return Reply(line: answer.value ?? answer.line)
    }

    func acting(_ connection: Int, _ command: String) throws -> Reply {
        let started = try ask(connection, "impersonate")
        guard started.value != nil else { return started }
        defer { _ = try? ask(connection, "revert") }
        return try ask(connection, command)
    }

    /// Makes a file of the operator's.
    @discardableResult
    func file(_ path: String, _ content: String, mode: mode_t = 0o600) throws -> String {
        try stage.file(path, content, of: owner, mode: mode)
    }

    /// Makes a file of the operator's under the managed root.
    func managedFile(_ name: String, _ content: String, _ sddl: String) throws -> String {
        let path = try file(root + "/" + name, content)
        try stage.describe(path, Stage.fill(sddl, [alice, bob]))
        return path
    }
}

extension Stage {
    /// Gives the authority's directories to a user, who then runs it.
    func startRootlessAuthority(of uid: UInt32) throws {
        mkdir(runtime, 0o755)
        chmod(runtime, 0o755)
        for path in [runtime, directory + "/state"] { chown(path, uid, uid) }
        try startAuthority(wrapper: Self.command([], as: uid))
    }
}

/// Runs a test where nothing of Guise is root.
func onRootlessScene(_ body: (RootlessScene) throws -> Void) throws {
    try onStage(withAuthority: false) { stage throws in
        let user = stage.stranger()
        try stage.startRootlessAuthority(of: user.uid)
        let (alice, bob) = (try stage.userWithoutUnixUser("alice"), try stage.userWithoutUnixUser("bob"))
        for person in [alice, bob] { try stage.setPassword(person.name, RootlessScene.password) }
        let account = try stage.ask(
            .accountAdd(
                .with {
                    $0.account.name = "files"
                    $0.account.kind = .service
                    $0.account.privileges = ["SeImpersonatePrivilege"]
                }))
        guard case .account(let added) = account else { throw HarnessError("account add: \(account)") }
        let root = stage.folder("managed", of: user, mode: 0o700)
        try stage.ask(
            .rootAdd(
                .with {
                    $0.path = root
                    $0.sddl = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICIIO;FA;;;CO)(A;;0x1201bf;;;BU)"
                }))
        let service = try stage.serve(
            Person(name: "files", uid: user.uid, sid: added.sid), startedBy: user.uid)
        let stranger = stage.stranger()
        let outsider = try stage.serveUnmediated(stranger, name: "outsider").client(stranger)
        func connect(_ person: Person) throws -> Int {
            _ = try outsider.ask("logon \(person.name) \(person.name) \(RootlessScene.password) network")
            let made = try outsider.ask("logon-dial \(person.name) \(service.socket) impersonation")
            guard let number = made.number else { throw HarnessError("\(made)") }
            return number
        }
        try body(
            RootlessScene(
                stage: stage, owner: user, service: service, alice: alice, bob: bob, root: root,
                outsider: outsider, alices: try connect(alice), bobs: try connect(bob)))
    }
}
