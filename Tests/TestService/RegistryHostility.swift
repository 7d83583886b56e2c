import AccessControl
import Foundation
import Guise
import Registry
import RegistryModel
import RegistryProtocol
import Synchronization
import SystemPackage

/// What a hostile program does to the registry, with as many connections as it gets.
private final class RawClient {
    let connection: Connection
    private let frames: RegistryFrames

    init(_ path: String) throws {
        connection = try Connection.connect(to: FilePath(path))
        frames = RegistryFrames(connection.fileDescriptor.rawValue)
    }

    var socket: Int32 { connection.fileDescriptor.rawValue }

    func send(_ key: UInt64, _ body: WireRegistryRequest.OneOf_Body) throws {
        try RegistryFrames.send(
            WireRegistryRequest.with {
                $0.id = 1
                $0.key = key
                $0.body = body
            }, on: socket)
    }

    /// The next answer that is no event.
    func receive() throws -> WireRegistryAnswer.OneOf_Body? {
        while true {
            let answer = try frames.receive(WireRegistryAnswer.self)
            if case .event = answer.body { continue }
            return answer.body
        }
    }

    func call(_ key: UInt64, _ body: WireRegistryRequest.OneOf_Body) throws -> WireRegistryAnswer.OneOf_Body?
    {
        try send(key, body)
        return try receive()
    }

    /// A key's handle; nil when it is refused.
    func open(
        _ path: String, _ access: RegistryAccess = .allAccess, create: Bool = false,
        in transaction: UInt64 = 0
    ) throws -> UInt64? {
        let answer = try call(
            0,
            .open(
                .with {
                    $0.path = path
                    $0.access = access.rawValue
                    $0.create = create
                    $0.transaction = transaction
                }))
        guard case .opened(let opened) = answer else { return nil }
        return opened.key
    }
}

/// What stays as it is until the process ends.
private let kept = Mutex<[Kept]>([])
private struct Kept: @unchecked Sendable { let client: RawClient }

extension Session {
    func registryHostility(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "registry-hostile":
            // registry-hostile KIND COUNT
            let socket =
                ProcessInfo.processInfo.environment["GUISE_RUNTIME_DIR"]! + "/" + RegistryFrames.socketName
            return try hostility(words[1], Int(words[2])!, socket)
        case "registry-measure":
            // registry-measure SECONDS PATH: how long what an ordinary program does takes, in milliseconds
            return .value(try Measure(words[2]).run(seconds: Double(words[1])!))
        default: return nil
        }
    }

    private func hostility(_ kind: String, _ count: Int, _ socket: String) throws -> Outcome {
        if kind == "changes" { return .value(try changes(seconds: count, socket)) }
        var clients: [RawClient] = []
        for _ in 0..<count {
            guard let client = try? RawClient(socket), try client.open("Machine", .allRead) != nil else {
                break
            }
            clients.append(client)
        }
        defer { kept.withLock { $0 += clients.map(Kept.init) } }
        var total = 0
        for client in clients {
            switch kind {
            case "watches":
                // Answers are read when all is asked for; events are left where they are.
                for _ in 0..<257 {
                    try client.send(
                        1,
                        .watch(
                            .with {
                                $0.kinds = 15
                                $0.subtree = true
                            }))
                }
                for _ in 0..<257 { if case .watch = try client.receive() { total += 1 } }
            case "keys":
                let path = (["CurrentUser"] + (0..<508).map { _ in "k" }).joined(separator: "\\")
                guard try client.open(path, create: true) != nil else { return .errno(EIO) }
                while try client.open(path, .allRead) != nil { total += 1 }
            case "transactions":
                guard case .transaction(let number) = try client.call(0, .begin(true)),
                    let key = try client.open("CurrentUser", in: number)
                else { return .errno(EIO) }
                for name in 0..<30 {
                    let set = WireRegistryRequest.OneOf_Body.set(
                        .with {
                            $0.name = "\(name)"
                            $0.type = 3
                            $0.data = Data(count: 1 << 20)
                        })
                    guard case .done = try client.call(key, set) else { break }
                    total += 1
                }
            case "lists":
                // Much is asked for, and nothing read.
                guard let key = try client.open("CurrentUser") else { return .errno(EIO) }
                for name in 0..<2 {
                    _ = try client.call(
                        key,
                        .set(
                            .with {
                                $0.name = "big\(name)"
                                $0.type = 3
                                $0.data = Data(count: (1 << 20) - 10)
                            }))
                }
                for _ in 0..<100 { try client.send(key, .values(WirePage())) }
                total += 1
            case "halves":
                // A message of which the end never comes.
                let size = UInt32(RegistryFrames.largest)
                let header = (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * UInt32($0))) }
                let bytes = header + [UInt8](repeating: 0, count: Int(size) - 1)
                var sent = 0
                while sent < bytes.count {
                    let count = bytes.withUnsafeBytes {
                        Glibc.send(
                            client.socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
                    }
                    guard count > 0 else { break }
                    sent += count
                }
                total += 1
            case "connections": total += 1
            default: return .errno(ENOTSUP)
            }
        }
        return .value("\(clients.count) connections \(total)")
    }

    /// Trees at the limit made, copied and deleted, transactions at it, and values at it and over it.
    private func changes(seconds: Int, _ socket: String) throws -> String {
        var (trees, transactions, refused, values) = (0, 0, 0, 0)
        let top = try RegistryKey.create("CurrentUser\\Hostile")
        let made = try RegistryKey.create("CurrentUser\\Hostile\\Tree")
        for number in 0..<750 { _ = try made.create("\(number)") }
        let deep = (0..<400).map { _ in "d" }.joined(separator: "\\")
        let bottom = try made.create(deep)
        for number in 0..<750 { _ = try bottom.create("\(number)") }
        let tree = try top.open("Tree", for: .allAccess)
        try tree.copy(to: try top.create("Second"))
        let end = ContinuousClock.now + .seconds(seconds)
        let big = [UInt8](repeating: 1, count: 1 << 20)
        while .now < end {
            let copy = try top.create("Copy")
            do throws(RegistryError) {
                try tree.copy(to: copy)
                try copy.delete(tree: true)
                trees += 1
                // Together they are too many.
                try top.delete(tree: true)
            } catch {
                guard case .limitReached = error else { throw error }
                refused += 1
            }
            try RegistryTransaction.run { transaction in
                let key = try RegistryKey.open(
                    "CurrentUser\\Hostile", for: .allAccess, in: transaction)
                for number in 0..<2000 { try key.set("v\(number)", "x") }
                transactions += 1
            }
            for _ in 0..<5 {
                try top.set("big", to: RegistryValue(type: .binary, bytes: big))
                values += 1
            }
            do throws(RegistryError) {
                try top.set("big", to: RegistryValue(type: .binary, bytes: big + [1]))
            } catch {
                guard case .valueTooLarge = error else { throw error }
                refused += 1
            }
        }
        return "trees=\(trees) transactions=\(transactions) values=\(values) refused=\(refused)"
    }
}

/// An ordinary program's use of the registry.
private struct Measure {
    private let key: RegistryKey
    private let path: String

    init(_ path: String) throws {
        (self.path, key) = (path, try RegistryKey.open(path, for: .allAccess))
        try key.set("v", "x")
    }

    func run(seconds: Double) throws -> String {
        var times: [String: [Duration]] = [:]
        func time(_ what: String, _ body: () throws -> Void) rethrows {
            let start = ContinuousClock.now
            try body()
            times[what, default: []].append(start.duration(to: .now))
        }
        let end = ContinuousClock.now + .seconds(seconds)
        var round = 0
        while .now < end {
            try time("read") { _ = try key.value("v") }
            try time("read") { _ = try RegistryKey.open(path, for: .allRead).subkeys(after: nil) }
            if round % 5 == 0 { try time("commit") { try key.set("v", "x\(round)") } }
            round += 1
            usleep(2000)
        }
        return times.sorted { $0.key < $1.key }.map { what, times in
            let sorted = times.sorted().map { Int($0 / .microseconds(1)) }
            return "\(what) \(sorted.count) \(sorted[sorted.count / 2]) \(sorted[sorted.count * 99 / 100])"
                + " \(sorted.last!)"
        }.joined(separator: " ")
    }
}
