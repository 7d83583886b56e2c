import ArgumentParser
import Foundation
import Guise
import GuiseProtocol
import RegistryDaemon
import RegistryModel
import RegistryProtocol
import SystemPackage

/// The registry's service.
@main
struct RegistrydCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registryd",
        abstract: "The registry of Guise: keys with descriptors, read and written as the client.",
        discussion: """
            An ordinary service: `guise run` starts it, under its own uid. Runs in the foreground.

            Examples:
              guise run registry -- registryd --state /var/lib/guise-registry
              registryd --state /var/lib/guise-registry --check
              registryd --state /var/lib/guise-registry --backup /var/backups/registry.db

            Exit codes: 0 after a check that found nothing and after a backup, 1 when it could not start,
            lost the authority or found damage, 64 called wrongly.
            """,
        version: guiseVersion)

    @Option(
        help: ArgumentHelp("Where registry.db is kept: a directory of the service's own.", valueName: "dir"),
        completion: .directory)
    var state: String

    @Option(
        help: ArgumentHelp(
            "The socket (else registry/registry.sock in the directory where guised runs).", valueName: "path"),
        completion: .file())
    var socket: String?

    @Option(
        help: ArgumentHelp(
            "What a change outlives once it is answered: full, a power cut; process, the daemon's end alone.",
            valueName: "what"))
    var durability = DatabaseFile.Durability.full

    @Option(help: ArgumentHelp("The largest value, in bytes.", valueName: "size"))
    var largestValue = RegistryLimits.value

    @Flag(help: "Check the database, say what is wrong with it, and end.")
    var check = false

    @Option(
        help: ArgumentHelp(
            "Write a copy of the database, as of one moment, and end. It may be in use meanwhile.",
            valueName: "file"), completion: .file())
    var backup: String?

    func validate() throws {
        guard (1...4 << 20).contains(largestValue) else {
            throw ValidationError("--largest-value is a number of bytes from 1 to \(4 << 20).")
        }
    }

    func run() throws {
        do { try serve() } catch let error as ExitCode { throw error } catch {
            complain("\(error)")
            throw ExitCode(1)
        }
    }

    private func serve() throws {
        let storage = try DatabaseStorage(path: state + "/registry.db", durability: durability)
        if check || backup != nil { return try care(for: storage) }
        var limits = RegistryEngine.Limits()
        limits.value = largestValue
        let engine = try RegistryEngine(storage, limits: limits)
        Self.raiseDescriptorLimit()
        // Each client has a thread, which looks at its token once.
        try Authority.attach(threads: 4096)
        let runtime =
            ProcessInfo.processInfo.environment["GUISE_RUNTIME_DIR"] ?? ControlPacket.defaultRuntimeDirectory
        let path = socket ?? runtime + "/" + RegistryFrames.socketName
        let listener = try Self.listen(path)
        complain("serving at \(path)")
        try RegistryServer(engine).run(on: listener)
    }

    /// The usual soft limit is for programs that use select(2); four users' connections would reach it.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
    }

    /// A socket that an ended registryd left behind is removed: nobody answers there.
    private static func listen(_ path: String) throws -> Listener {
        do { return try Listener(path: FilePath(path), backlog: 4096) } catch {
            guard case .system(_, EADDRINUSE) = error else { throw error }
            if (try? Connection.connect(to: FilePath(path))) != nil { throw error }
            unlink(path)
            return try Listener(path: FilePath(path), backlog: 4096)
        }
    }

    private func care(for storage: DatabaseStorage) throws {
        if check {
            let complaints = try storage.complaints()
            for complaint in complaints { complain(complaint) }
            guard complaints.isEmpty else {
                complain("restore \(state)/registry.db from a backup")
                throw ExitCode(1)
            }
        }
        if let backup { try storage.backup(to: backup) }
    }

    private func complain(_ text: String) {
        FileHandle.standardError.write(Data("registryd: \(text)\n".utf8))
    }
}

extension DatabaseFile.Durability: ExpressibleByArgument {}
