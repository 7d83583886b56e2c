import AccessControl
import CGuise
import CTestSupport
import Foundation
import Guise

/// What one connection asks for, carried out on its thread.
final class Session: @unchecked Sendable {
    // Sendable by hand: a command that runs elsewhere is waited for.
    let socket: Int32
    var connection: Connection?
    var isParked = false

    init(_ socket: Int32) { self.socket = socket }

    func run() {
        var lines = Lines(socket)
        while !isParked, let line = lines.next() {
            let outcome = perform(line.split(separator: " ").map(String.init))
            sendLine(outcome.line, to: socket)
        }
        revertToSelf()
        if connection == nil, !isParked { close(socket) }
    }

    func perform(_ words: [String]) -> Outcome {
        do {
            return try identity(words) ?? logons(words) ?? tokens(words) ?? packages(words) ?? pipes(words)
                ?? tickets(words)
                ?? exchange(words) ?? files(words) ?? sockets(words) ?? ports(words) ?? processes(words)
                ?? load(words) ?? awaiting(words) ?? interference(words) ?? youngCalls(words)
                ?? registry(words) ?? registryWork(words) ?? registryHostility(words) ?? handing(words)
                ?? programs(words) ?? workingDirectory(words)
                ?? .errno(ENOTSUP)
        } catch { return .thrown(error) }
    }

    /// The captured client, from now on if not before.
    func captured() throws -> Connection {
        if let connection { return connection }
        let adopted = try Connection(adopting: .init(rawValue: socket))
        connection = adopted
        return adopted
    }

    private func limit(_ words: [String], _ index: Int) -> ImpersonationLevel {
        words.count > index ? ImpersonationLevel(word: words[index])! : .delegation
    }

    /// Whose name, what level and who is who.
    private func identity(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "adopt":
            return .value(try captured().level.word)
        case "client":
            let token = try captured().clientToken()
            return .value(
                "\(token.user.sid) \(token.user.name ?? "-") \(token.integrity) groups \(token.groups.count)")
        case "impersonate":
            try captured().impersonate(atMost: limit(words, 1))
        case "revert":
            revertToSelf()
        case "token":
            let token = try currentToken()
            let name = token.user.name?.split(separator: "\\").last.map(String.init) ?? "\(token.user.sid)"
            return .value("\(name) \(token.level?.word ?? "primary")")
        case "ids":
            return .value("\(getpid())/\(currentThreadID)")
        case "intent":
            // intent backup|restore|both|none COMMAND…
            let intent: AccessIntent =
                switch words[1] {
                case "backup": .backup
                case "restore": .restore
                case "both": [.backup, .restore]
                default: []
                }
            return try withIntent(intent) { self.perform(Array(words[2...])) }
        case "scoped":
            return try captured().impersonating { self.perform(Array(words[1...])) }
        case "scoped-throwing":
            struct Thrown: Error {}
            try captured().impersonating { throw Thrown() }
        case "release":
            // The connection is given up here; a thread that acts under it goes on.
            connection = nil
        case "name":
            Server.named.withLock { $0[words[1]] = connection.map { .connection($0) } ?? .socket(socket) }
        case "park":
            Server.named.withLock { $0[words[1]] = .socket(socket) }
            isParked = true
        case "adopt-named":
            guard case .socket(let other) = Server.named.withLock({ $0[words[1]] }) else {
                return .errno(ENOENT)
            }
            connection = try Connection(adopting: .init(rawValue: other))
        case "adopt-descriptor":
            let adopted = try Connection(adopting: .init(rawValue: Int32(words[1])!))
            return .value("\(try adopted.clientToken().user.sid) \(adopted.level.word)")
        case "impersonate-named":
            guard case .connection(let other) = Server.named.withLock({ $0[words[1]] }) else {
                return .errno(ENOENT)
            }
            try other.impersonate(atMost: limit(words, 2))
        case "reattach":
            let attached = try Authority.attach(
                enforcement: words.contains("cooperative") ? .cooperative : .mediated)
            Server.authority.withLock { $0 = attached }
        default:
            return nil
        }
        return .value("")
    }
}
