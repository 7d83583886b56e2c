import CGuise
import Foundation

/// A real PostgreSQL on temporary files, which knows its users by the kernel's word alone (peer authentication).
final class Database {
    /// Where its programs are; nil: it is not installed.
    static let programs: String? = {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        return versions.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }
            .map { "/usr/lib/postgresql/\($0)/bin" }
            .first { access($0 + "/initdb", X_OK) == 0 }
    }()

    /// Users that the machine has a name for, since peer authentication asks for it. They are not changed.
    static let machineUsers: [(name: String, uid: UInt32)] = {
        setpwent()
        defer { endpwent() }
        var users: [(String, UInt32)] = []
        while let entry = getpwent() {
            if (1..<1000).contains(entry.pointee.pw_uid) {
                users.append((String(cString: entry.pointee.pw_name), entry.pointee.pw_uid))
            }
        }
        return users
    }()

    static var isPossible: Bool { programs != nil && machineUsers.count >= 4 }

    let socket: String
    private let process: ChildProcess

    /// - Parameter roles: the database's users, by the names that the machine has for them.
    init(_ stage: Stage, as owner: UInt32, roles: [(machineUser: String, role: String)]) throws {
        let programs = Self.programs!
        let person = Person(name: "database", uid: owner, sid: "")
        let directory = stage.folder("database", of: person)
        let data = directory + "/data"
        socket = directory + "/.s.PGSQL.5432"
        func run(_ command: [String]) throws {
            let outcome = try stage.run(command, as: person)
            guard outcome.status == 0 else { throw HarnessError("\(command): \(outcome.errors)") }
        }
        try run([
            programs + "/initdb", "-D", data, "-U", "postgres", "--auth=peer", "--no-sync", "--locale=C",
        ])
        try run([
            "/bin/sh", "-c",
            "echo '\(roles.map { "create role \($0.role) login;" }.joined(separator: " "))'"
                + " | \(programs)/postgres --single -D \(data) postgres",
        ])
        try "local all all peer map=guise\n".write(
            toFile: data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try roles.map { "guise \($0.machineUser) \($0.role)\n" }.joined().write(
            toFile: data + "/pg_ident.conf", atomically: false, encoding: .utf8)
        process = try stage.start(
            Stage.command(
                [
                    programs + "/postgres", "-D", data, "-k", directory, "-c", "listen_addresses=", "-c",
                    "fsync=off",
                ], as: owner))
        let (started, socket) = (process, socket)
        try eventually("the database to listen") {
            guard !started.hasEnded else { throw HarnessError("the database ended") }
            return access(socket, F_OK) == 0
        }
    }
}
