import AccessControl
import Foundation
import Guise

extension Session {
    /// Accounts that the service logs on itself. They are kept by a name, for every session.
    func logons(_ words: [String]) throws -> Outcome? {
        func logon() throws -> Logon {
            guard let logon = Server.logons.withLock({ $0[words[1]] }) else {
                throw GuiseError.notFound("no logon \(words[1])")
            }
            return logon
        }
        switch words[0] {
        case "logon":
            // logon KEPT-AS NAME PASSWORD TYPE: the session's number.
            let type = LogonType.allCases.first { "\($0)" == words[4] }!
            let made = try Logon.user(words[2], password: words[3], type: type)
            Server.logons.withLock { $0[words[1]] = made }
            return .value("\(try made.token().logonSession)")
        case "logon-token":
            let token = try logon().token()
            let groups = token.groups.map { "\($0.principal.sid)" }
            return .value("\(token.user.sid) \(token.unixUser ?? 0) \(groups.joined(separator: ","))")
        case "logon-impersonate": try logon().impersonate()
        case "logon-scoped": return try logon().impersonating { perform(Array(words[2...])) }
        case "logon-task":
            // Reads a file in a task of the account's.
            let (logon, path) = (try logon(), words[2])
            return .value(
                try awaited {
                    try await logon.impersonating {
                        await Task.yield()
                        return Files.cat(path).line
                    }
                })
        case "logon-close":
            Server.logons.withLock { $0[words[1]] = nil }
        case "logon-dial":
            // logon-dial NAME PATH LEVEL: the descriptor of a connection that was made as the account.
            let made = try Connection.connect(
                to: .init(words[2]), level: ImpersonationLevel(word: words[3])!, as: try logon())
            Server.kept.withLock { $0.append(made) }
            return .value("\(made.fileDescriptor.rawValue)")
        case "logon-hang-up":
            Server.kept.withLock { $0 = [] }
        default: return nil
        }
        return .value("")
    }
}
