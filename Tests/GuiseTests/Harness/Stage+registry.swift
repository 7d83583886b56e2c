import Foundation

/// A registry that runs on a stage.
final class RegistryService {
    let account: Person
    private let stage: Stage
    private let state: String
    private let options: [String]
    private(set) var process: ChildProcess

    /// - Parameter options: of registryd.
    init(_ stage: Stage, privileges: [String] = [], options: [String] = []) throws {
        (self.stage, self.options) = (stage, options)
        account = try stage.service("registry", privileges: privileges)
        state = stage.folder("registry-state", of: account, mode: 0o700)
        stage.folder("runtime/registry", of: account)
        process = try Self.start(stage, account, state, options)
    }

    private static func start(_ stage: Stage, _ account: Person, _ state: String, _ options: [String]) throws
        -> ChildProcess
    {
        unlink(stage.directory + "/registryd.log")
        return try stage.launch(
            [product("registryd"), "--state", state] + options, as: account, name: "registryd")
    }

    /// Ends it as a crash would, and starts it anew.
    func crash() throws {
        process.end()
        process = try Self.start(stage, account, state, options)
    }

    /// Runs registryd on its database, with other options.
    func care(_ options: String...) throws -> Stage.Outcome {
        try stage.run([product("registryd"), "--state", state] + options)
    }
}

/// The tool beside a registry, and a user.
struct RegistryToolScene {
    let stage: Stage
    let alice: Person
    let registry: RegistryService

    /// Runs reg as a service, with its privileges.
    func reg(_ arguments: String..., asService account: Person) throws -> Stage.Outcome {
        try stage.run([product("guise"), "run", account.name, "--", product("reg")] + arguments)
    }

    /// Runs reg as root or somebody else.
    func reg(_ arguments: String..., as person: Person? = nil) throws -> Stage.Outcome {
        try stage.run([product("reg")] + arguments, as: person)
    }
}

func onRegistryTool(_ body: (RegistryToolScene) throws -> Void) throws {
    try onStage { (stage) throws in
        let alice = try stage.user("alice")
        let scene = RegistryToolScene(stage: stage, alice: alice, registry: try RegistryService(stage))
        try eventually("the registry to answer", seconds: 30) { try scene.reg("query", "HKLM").status == 0 }
        try body(scene)
    }
}
