import AccessControl
import Foundation
import Glibc
import Guise
import GuiseDDE
import Synchronization

/// Dynamic data exchange, served and asked for. Items are paths of files.
enum Exchange {
    static let services = Mutex<[String: DDE.Service]>([:])
    static let clients = Mutex<[String: DDE.Client]>([:])
    static let links = Mutex<[String: Updates]>([:])

    /// Takes updates as they come.
    final class Updates: Sendable {
        let taken = Mutex<(texts: [String], isOver: Bool)>(([], false))

        init(_ stream: AsyncStream<DDE.Value?>) {
            Task.detached { [self] in
                for await value in stream { taken.withLock { $0.texts.append(value?.text ?? "(changed)") } }
                taken.withLock { $0.isOver = true }
            }
        }
    }

    struct Files: DDE.Handler {
        func request(_ item: String, format: String, in conversation: DDE.Conversation) throws -> DDE.Value {
            guard format == DDE.plainText else { throw DDEError.notProcessed("no such format") }
            if item == "who" { return DDE.Value(text: try currentToken().user.name ?? "-") }
            if item == "acting" {
                let token = try currentToken()
                return DDE.Value(text: "\(token.user.sid) \(token.level?.word ?? "primary")")
            }
            if item == "large" { return DDE.Value([UInt8](repeating: 0, count: 100_000), format: format) }
            if item == "slow" { sleep(2) }
            guard let text = try? String(contentsOfFile: item, encoding: .utf8) else {
                throw DDEError.denied("the file cannot be read")
            }
            return DDE.Value(text: text)
        }

        func poke(_ item: String, _ value: DDE.Value, in conversation: DDE.Conversation) throws {
            let file = open(item, O_WRONLY | O_TRUNC | O_CLOEXEC)
            // Not of the kind that the client is told of.
            guard file >= 0 else { throw CocoaError(.fileWriteNoPermission) }
            defer { close(file) }
            _ = write(file, value.data, value.data.count)
        }

        func execute(_ command: String, in conversation: DDE.Conversation) throws {
            guard command == "touch" else { throw DDEError.notProcessed("no such command") }
        }
    }
}

extension Session {
    func exchange(_ words: [String]) throws -> Outcome? {
        guard words[0].hasPrefix("dde-") else { return nil }
        func client() -> DDE.Client { Exchange.clients.withLock { $0[words[1]]! } }
        let text = words.dropFirst(3).joined(separator: " ")
        switch words[0] {
        case "dde-serve":
            let service = try DDE.Service(
                name: words[1], topics: Array(words[2...]), handler: Exchange.Files(),
                largestConversationCount: 3)
            Exchange.services.withLock { $0[words[1]] = service }
        case "dde-close": Exchange.services.withLock { $0[words[1]]! }.close()
        case "dde-count": return .value("\(Exchange.services.withLock { $0[words[1]]! }.conversationCount)")
        case "dde-post": Exchange.services.withLock { $0[words[1]]! }.post(words[3], of: words[2])
        case "dde-initiate":
            // dde-initiate AS SERVICE TOPIC [LEVEL]
            let level = words.count > 4 ? ImpersonationLevel(word: words[4])! : .impersonation
            let made = try awaited { [words] in
                try await DDE.Client.initiate(
                    words[2], topic: words[3], quality: .init(level: level), timeout: .milliseconds(1500))
            }
            Exchange.clients.withLock { $0[words[1]] = made }
        case "dde-request":
            return .value(
                try awaited { [client = client(), item = words[2]] in
                    try await client.request(item, timeout: .seconds(1)).text
                })
        case "dde-poke":
            try awaited { [client = client(), item = words[2]] in
                try await client.poke(item, DDE.Value(text: text))
            }
        case "dde-execute":
            try awaited { [client = client(), command = words[2]] in try await client.execute(command) }
        case "dde-advise":
            // dde-advise CLIENT ITEM LINK hot|warm
            let stream = try awaited { [client = client(), words] in
                try await client.advise(words[2], words[4] == "hot" ? .hot : .warm)
            }
            Exchange.links.withLock { $0[words[3]] = Exchange.Updates(stream) }
        case "dde-updates":
            // What came so far, and whether there will be more.
            let taken = Exchange.links.withLock { $0[words[1]]! }.taken.withLock { $0 }
            return .value(taken.texts.joined(separator: ",") + (taken.isOver ? " (over)" : ""))
        case "dde-raw":
            // Whether a request with a format of so many bytes is answered.
            let made = try NamedPipe.connect(to: "files/dde", timeout: .seconds(5))
            let name = Array("files".utf8)
            try made.send([0x08, 1, 0x12, UInt8(name.count)] + name)
            _ = try made.receive()
            let format = [UInt8](repeating: 0x78, count: Int(words[1])!)
            let content = [0x0a, UInt8(format.count)] + format
            let item = [0x0a, 3] + Array("who".utf8) + [0x12, UInt8(content.count)] + content
            try made.send([0x08, 2, 0x1a, UInt8(item.count)] + item)
            return .value(try made.receive() == nil ? "ended" : "answered")
        case "dde-terminate": client().terminate()
        case "dde-drop": Exchange.clients.withLock { _ = $0.removeValue(forKey: words[1]) }
        default: return nil
        }
        return .value("")
    }
}
