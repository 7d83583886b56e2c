import CGuise
import CTestSupport
import Foundation

extension Session {
    /// Internet sockets and their ports. An address is `127.1.2.3:80` or `[::1]:80`.
    func ports(_ words: [String]) -> Outcome? {
        switch words[0] {
        case "bind-port":
            // bind-port TYPE ADDRESS [reuseport]: a socket that is named so, and stays open; its port.
            let socket = Ports.socket(words[1], words[2])
            if words.contains("reuseport") { Ports.shareport(socket) }
            let error = Ports.bind(socket, words[2])
            guard error == 0 else {
                close(socket)
                return Outcome(error)
            }
            return Outcome(Ports.port(of: socket))
        case "bind-foreign":
            // bind-foreign FAMILY TYPE ADDRESS: names a socket of another kind so.
            let made = Glibc.socket(Int32(words[1])!, Int32(words[2])!, 0)
            guard made >= 0 else { return .value("no socket: \(errno)") }
            defer { close(made) }
            return Outcome(Ports.bind(made, words[3]))
        case "bind-rewriting":
            // bind-rewriting ONE OTHER TIMES: another thread changes the address from one to the other and back. The
            // ports that were bound.
            return .value(Ports.bindRewriting(words[1], words[2], times: Int(words[3])!))
        case "bind-swapping":
            // bind-swapping ADDRESS OTHER TIMES: the socket's number stands for another one every now and then, which is
            // named OTHER. How often the call worked, and how often a socket had neither name.
            return .value(Ports.bindSwapping(words[1], words[2], times: Int(words[3])!))
        default: return nil
        }
    }
}

private enum Ports {
    static func isIPv6(_ address: String) -> Bool { address.hasPrefix("[") }

    static func bytes(_ text: String) -> [UInt8] {
        let at = text.lastIndex(of: ":")!
        let port = UInt16(text[text.index(after: at)...])!
        let host = text[..<at].filter { $0 != "[" && $0 != "]" }
        let family = isIPv6(text) ? AF_INET6 : AF_INET
        var address = [UInt8](repeating: 0, count: isIPv6(text) ? 16 : 4)
        inet_pton(family, host, &address)
        let start =
            withUnsafeBytes(of: sa_family_t(family)) { Array($0) }
            + withUnsafeBytes(of: port.bigEndian) { Array($0) }
        let zeros = { (count: Int) in [UInt8](repeating: 0, count: count) }
        return isIPv6(text) ? start + zeros(4) + address + zeros(4) : start + address + zeros(8)
    }

    static func socket(_ type: String, _ address: String) -> Int32 {
        let kind = type == "datagram" ? SOCK_DGRAM : SOCK_STREAM
        return Glibc.socket(
            isIPv6(address) ? AF_INET6 : AF_INET, Int32(kind.rawValue), type == "mptcp" ? 262 : 0)
    }

    static func shareport(_ socket: Int32) {
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    static func bind(_ socket: Int32, _ address: String) -> Int {
        let bytes = bytes(address)
        return Int(guise_socket_bind(socket, bytes, UInt32(bytes.count)))
    }

    static func port(of socket: Int32) -> Int {
        var name = [UInt8](repeating: 0, count: 128)
        var size = socklen_t(name.count)
        let error = name.withUnsafeMutableBytes {
            getsockname(socket, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &size)
        }
        return error == 0 ? Int(name[2]) << 8 | Int(name[3]) : -Int(errno)
    }

    private static func whileAnother(_ again: @escaping @Sendable () -> Void, _ body: () -> String) -> String
    {
        nonisolated(unsafe) let isOver = UnsafeMutablePointer<Bool>.allocate(capacity: 1)
        isOver.initialize(to: false)
        let thread = onNewThread { while !isOver.pointee { again() } }
        let result = body()
        isOver.pointee = true
        if let thread { pthread_join(thread, nil) }
        isOver.deallocate()
        return result
    }

    static func bindRewriting(_ one: String, _ other: String, times: Int) -> String {
        let addresses = [bytes(one), bytes(other)]
        let size = addresses[0].count
        nonisolated(unsafe) let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memory.copyMemory(from: addresses[0], byteCount: size)
        defer { memory.deallocate() }
        return whileAnother({
            memory.copyMemory(from: addresses[1], byteCount: size)
            memory.copyMemory(from: addresses[0], byteCount: size)
        }) {
            var ports: Set<Int> = []
            for _ in 0..<times {
                let socket = socket("stream", one)
                if guise_socket_bind(socket, memory, UInt32(size)) == 0 { ports.insert(port(of: socket)) }
                close(socket)
            }
            return ports.sorted().map(String.init).joined(separator: ",")
        }
    }

    static func bindSwapping(_ address: String, _ other: String, times: Int) -> String {
        let contested = socket("stream", address)
        let ports = [address, other].map { Int($0[$0.index(after: $0.lastIndex(of: ":")!)...])! }
        let outcome = whileAnother({
            let fresh = socket("stream", address)
            dup2(fresh, contested)
            close(fresh)
            let local = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            dup2(local, contested)
            close(local)
        }) {
            var (worked, strange) = (0, 0)
            for round in 0..<times {
                if bind(contested, round % 2 == 0 ? address : other) == 0 { worked += 1 }
                let copy = dup(contested)
                if guise_socket_domain(copy) == AF_INET, ![0, ports[0], ports[1]].contains(port(of: copy)) {
                    strange += 1
                }
                close(copy)
            }
            return "\(worked) \(strange)"
        }
        close(contested)
        return outcome
    }
}
