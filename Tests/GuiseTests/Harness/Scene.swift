import Foundation

/// What most tests start from: a running service, alice, bob, and places of both kinds.
struct Scene {
    let stage: Stage
    let service: Service
    let alice: Person
    let bob: Person
    /// A client process of alice's, connected.
    let client: Client
    /// A client process of bob's, connected.
    let bobs: Client
    /// A Unix place of alice's that others may enter.
    let home: String
    /// A managed root; only alice and the system have anything in it.
    let root: String
}

/// Runs a test on a stage where a service runs and alice and bob are connected.
func onScene(threads: Int? = nil, _ body: (Scene) throws -> Void) throws {
    try onStage { (stage) throws in
        let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
        let home = stage.folder("home", of: alice)
        let root = try stage.root(
            "managed", "O:{alice}G:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{alice})", for: alice)
        let service = try stage.serve(try stage.service("files"), threads: threads)
        try body(
            Scene(
                stage: stage, service: service, alice: alice, bob: bob, client: try service.client(alice),
                bobs: try service.client(bob), home: home, root: root))
    }
}

/// The flags of open(2), as the commands take them.
enum Flags {
    static let read = Int(O_RDONLY)
    static let write = Int(O_WRONLY)
    static let readWrite = Int(O_RDWR)
    static let create = Int(O_CREAT)
    static let exclusive = Int(O_EXCL)
    static let truncate = Int(O_TRUNC)
    static let append = Int(O_APPEND)
    static let directory = Int(O_DIRECTORY)
    static let noFollow = Int(O_NOFOLLOW)
    static let nonBlocking = Int(O_NONBLOCK)
    static let closeOnExec = Int(O_CLOEXEC)
    static let noControllingTerminal = Int(O_NOCTTY)
    static let path = 0o10000000
    static let temporary = 0o20200000
}
