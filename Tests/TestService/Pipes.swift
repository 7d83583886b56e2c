import AccessControl
import CGuise
import Foundation
import Guise
import GuiseProtocol
import Synchronization

/// Named pipes, served and opened.
enum Pipes {
    /// By name.
    static let servers = Mutex<[String: NamedPipe.Server]>([:])
    /// What this process opened, by the descriptors' numbers.
    static let opened = Mutex<[Int32: Connection]>([:])

    /// Carries out the commands on standard input, as a client that is not attached to anything.
    static func runCommands() {
        let session = Session(-1)
        var lines = Lines(0)
        while let line = lines.next() {
            let answer = Array(
                (session.perform(line.split(separator: " ").map(String.init)).line + "\n").utf8)
            guard write(1, answer, answer.count) == answer.count else { return }
        }
    }
}

extension Session {
    func pipes(_ words: [String]) throws -> Outcome? {
        func has(_ word: String) -> Bool { words.contains(word) }
        func number(after word: String) -> Int? {
            words.firstIndex(of: word).flatMap { Int(words[$0 + 1]) }
        }
        switch words[0] {
        case "pipe-serve":
            // pipe-serve NAME [message] [inbound|outbound] [first] [instances N] [sddl SDDL]
            let sddl = words.firstIndex(of: "sddl").map { words[$0 + 1] }
            let server = try NamedPipe.Server(
                name: words[1], mode: has("message") ? .message : .byte,
                direction: has("inbound") ? .inbound : has("outbound") ? .outbound : .duplex,
                maximumInstances: number(after: "instances") ?? NamedPipe.unlimitedInstances,
                securityDescriptor: try sddl.map { try SecurityDescriptor(sddl: $0) }, isFirst: has("first"))
            Pipes.servers.withLock { $0[words[1]] = server }
        case "pipe-serve-many":
            // How many servers of names of this prefix could be made of so many.
            var made = 0
            for index in 0..<Int(words[2])! {
                guard let server = try? NamedPipe.Server(name: "\(words[1])\(index)") else { break }
                Pipes.servers.withLock { $0["\(words[1])\(index)"] = server }
                made += 1
            }
            return .value("\(made)")
        case "pipe-unserve":
            Pipes.servers.withLock { _ = $0.removeValue(forKey: words[1]) }
        case "pipe-starve":
            // No more descriptors for a command.
            var before = rlimit()
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            getrlimit(resource, &before)
            let next = dup(0)
            close(next)
            var none = rlimit(rlim_cur: rlim_t(next), rlim_max: before.rlim_max)
            setrlimit(resource, &none)
            defer { setrlimit(resource, &before) }
            return perform(Array(words[1...]))
        case "pipe-deafen":
            // Nothing can be sent on the server's channel any more.
            let server = Pipes.servers.withLock { $0[words[1]]! }
            shutdown(server.fileDescriptor.rawValue, Int32(SHUT_RD))
        case "pipe-cut":
            // The process lives on, and its connections to the authority do not.
            for number in Int32(3)..<1024 {
                var name = [CChar](repeating: 0, count: 128)
                guard guise_unix_peer_name(number, &name, name.count - 1) > 0,
                    String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                        .hasSuffix("guise.sock")
                else { continue }
                shutdown(number, Int32(SHUT_RDWR))
            }
        case "pipe-close":
            Pipes.servers.withLock { $0[words[1]] }?.close()
        case "pipe-accept":
            guard let server = Pipes.servers.withLock({ $0[words[1]] }) else { return .errno(ENOENT) }
            var one = pollfd(fd: server.fileDescriptor.rawValue, events: Int16(POLLIN), revents: 0)
            guard poll(&one, 1, 5000) > 0 else { return .errno(ETIMEDOUT) }
            connection = try server.accept()
            return .value(connection!.level.word)
        case "pipe-peer":
            let peer = connection!.peer
            return .value("\(peer.process ?? 0) \(peer.session == nil ? "-" : "session")")
        case "pipe-credentials":
            var peer = guise_peer()
            guard guise_peer_of(connection!.fileDescriptor.rawValue, &peer) == 0 else { return .errno(EIO) }
            if peer.pidfd >= 0 { close(peer.pidfd) }
            return .value("\(peer.uid) \(peer.gid)")
        case "pipe-disconnect": connection!.disconnect()
        case "pipe-hang-up": connection = nil
        case "privileges":
            return .value(try captured().clientToken().privileges.map(\.name).sorted().joined(separator: ","))
        case "own-privileges":
            return .value(try currentToken().privileges.map(\.name).sorted().joined(separator: ","))
        case "pipe-open":
            // pipe-open NAME [read|write] [LEVEL] [dynamic] [effective] [timeout MS|forever] [server SID]
            var quality = SecurityQualityOfService()
            quality.level = words.compactMap { ImpersonationLevel(word: $0) }.first ?? .impersonation
            if has("dynamic") { quality.tracking = .dynamic }
            quality.isEffectiveOnly = has("effective")
            let made = try NamedPipe.connect(
                to: words[1], access: has("read") ? .read : has("write") ? .write : .readWrite,
                quality: quality,
                timeout: has("forever") ? nil : .milliseconds(number(after: "timeout") ?? 0),
                server: words.firstIndex(of: "server").map { SID(words[$0 + 1])! })
            Pipes.opened.withLock { $0[made.fileDescriptor.rawValue] = made }
            return .value("\(made.fileDescriptor.rawValue)")
        case "pipe-open-many":
            // How many of so many could be opened; they stay open.
            var count = 0
            for _ in 0..<Int(words[2])! {
                guard let made = try? NamedPipe.connect(to: words[1]) else { break }
                Pipes.opened.withLock { $0[made.fileDescriptor.rawValue] = made }
                count += 1
            }
            return .value("\(count)")
        case "pipe-shut":
            Pipes.opened.withLock { _ = $0.removeValue(forKey: Int32(words[1])!) }
        case "pipe-server":
            let peer = Pipes.opened.withLock { $0[Int32(words[1])!] }!.peer
            return .value("\(peer.process ?? 0) \(peer.user.map { "\($0)" } ?? "-")")
        case "send", "receive":
            // send DESCRIPTOR|server TEXT…, receive DESCRIPTOR|server: whole messages
            let end =
                words[1] == "server" ? connection! : Pipes.opened.withLock { $0[Int32(words[1])!] }!
            if words[0] == "send" {
                for text in words[2...] { try end.send(text.utf8) }
            } else {
                return .value(try end.receive().map { String(decoding: $0, as: UTF8.self) } ?? "(end)")
            }
        case "send-bytes":
            let end = Pipes.opened.withLock { $0[Int32(words[1])!] }!
            try end.send([UInt8](repeating: 0x61, count: Int(words[2])!))
        case "receive-count":
            return .value("\(try connection!.receive()?.count ?? 0)")
        case "receive-slowly":
            return .value("\(try connection!.receive(upTo: Int(words[1])!)?.count ?? 0)")
        case "pipe-forge": return try Pipes.forge(words)
        default: return nil
        }
        return .value("")
    }
}

extension Pipes {
    /// Asks the authority what the library would not.
    static func forge(_ words: [String]) throws -> Outcome {
        let client = try AuthorityClient()
        switch words[1] {
        case "serve":
            _ = try client.call(
                .pipeCreate(
                    .with {
                        $0.name = words[2]
                        $0.direction = .duplex
                        $0.maximumInstances = 1
                    }))
        case "close":
            for number in 1...UInt64(words[2])! {
                _ = try client.call(.pipeClose(.with { $0.server = number }))
            }
        case "open":
            // open NAME HANDLE [nothing]
            _ = try client.call(
                .pipeOpen(
                    .with {
                        $0.name = words[2]
                        $0.read = !words.contains("nothing")
                        $0.write = $0.read
                        $0.level = words.contains("no-level") ? .unspecified : .delegation
                        $0.handle = UInt64(words[3])!
                    }))
        default: return .errno(ENOTSUP)
        }
        return .value("")
    }
}
