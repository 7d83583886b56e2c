import AccessControl
import CGuise
import CTestSupport
import Foundation
import Guise
import Synchronization

extension Session {
    /// Unix sockets by their bare system calls. An address is a path, or an abstract name after an @.
    func sockets(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "dial":
            // dial TYPE ADDRESS [nonblocking]: the descriptor of a new, connected socket.
            let socket = Sockets.make(words[1], isNonBlocking: words.contains("nonblocking"))
            let error = Sockets.connect(socket, words[2])
            guard error == 0 else {
                close(socket)
                return Outcome(error)
            }
            return Outcome(Int(socket))
        case "socket": return Outcome(Int(Sockets.make(words[1], isNonBlocking: false)))
        case "redial": return Outcome(Sockets.connect(Int32(words[1])!, words[2]))
        case "bind": return Outcome(Sockets.bind(Int32(words[1])!, words[2]))
        case "listen": return Glibc.listen(Int32(words[1])!, 8) == 0 ? .value("") : .errno(errno)
        case "own-name":
            var name = sockaddr_un()
            var size = socklen_t(MemoryLayout<sockaddr_un>.size)
            let error = withUnsafeMutablePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    getsockname(Int32(words[1])!, $0, &size)
                }
            }
            guard error == 0 else { return .errno(errno) }
            return .value(
                withUnsafeBytes(of: name.sun_path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        case "announce":
            // announce LEVEL PATH: connects as the SDK does it for who wants to be less known.
            let made = try Connection.connect(
                to: .init(words[2]), level: ImpersonationLevel(word: words[1])!)
            Server.kept.withLock { $0.append(made) }
            return .value("\(made.fileDescriptor.rawValue)")
        case "send-to":
            // send-to TYPE ADDRESS TEXT
            let socket = Sockets.make(words[1], isNonBlocking: false)
            defer { close(socket) }
            return Outcome(Sockets.send(socket, words[3], to: words[2]))
        case "send-message-to":
            // send-message-to TYPE ADDRESS TEXT [DESCRIPTOR]
            let socket = Sockets.make(words[1], isNonBlocking: false)
            defer { close(socket) }
            let address = Sockets.address(words[2])
            return Outcome(
                test_send_to(
                    socket, words[3], words[3].utf8.count, address, address.count,
                    words.count > 4 ? Int32(words[4])! : -1))
        case "send-many":
            // send-many ADDRESS,ADDRESS,… TEXT [CONTROL]: one sendmmsg; what it returned, and the length of each.
            let socket = Sockets.make("datagram", isNonBlocking: false)
            defer { close(socket) }
            let batch = MessageBatch(
                words[1].split(separator: ",").map { Sockets.address(String($0)) }, words[2],
                words.count > 3 ? words[3] : "")
            let sent = Files.call(
                Int(SYS_sendmmsg), Int(socket), Int(bitPattern: batch.memory), batch.count, Int(MSG_NOSIGNAL))
            return .value(([sent] + batch.lengths).map(String.init).joined(separator: " "))
        case "send-control":
            // send-control ADDRESS TEXT CONTROL: one sendmsg with control data, in hexadecimal.
            let socket = Sockets.make("datagram", isNonBlocking: false)
            defer { close(socket) }
            let batch = MessageBatch([Sockets.address(words[1])], words[2], words[3])
            return Outcome(
                Files.call(Int(SYS_sendmsg), Int(socket), Int(bitPattern: batch.memory), Int(MSG_NOSIGNAL)))
        case "flood":
            // flood ADDRESS TIMES: how many datagrams were taken.
            let socket = Sockets.make("datagram", isNonBlocking: false)
            defer { close(socket) }
            return Outcome((0..<Int(words[2])!).count { _ in Sockets.send(socket, "x", to: words[1]) == 1 })
        case "dial-rewriting":
            return Outcome(Sockets.dialRewriting(words[1], words[2], times: Int(words[3])!))
        case "dial-reusing":
            return Outcome(Sockets.dialReusing(words[1], times: Int(words[2])!))
        case "dial-many":
            // How many of so many connections could be made, one after the other.
            return Outcome(
                (0..<Int(words[2])!).count { _ in
                    let socket = Sockets.make("stream", isNonBlocking: true)
                    defer { close(socket) }
                    return Sockets.connect(socket, words[1]) == 0
                })
        case "tell-last":
            // As tell, and says that nothing more will come.
            let socket = Int32(words[1])!
            sendLine(words[2...].joined(separator: " "), to: socket)
            shutdown(socket, Int32(SHUT_WR))
            var lines = Lines(socket)
            return lines.next().map { .value($0) } ?? .errno(EPIPE)
        case "alarmed":
            // alarmed COMMAND…: while it runs, this thread gets a signal that it catches.
            return Sockets.alarmed { self.perform(Array(words[1...])) }
        case "postgres": return Postgres.logIn(at: words[1], as: words[2])
        default: return nil
        }
    }
}

/// The messages of a sendmmsg (struct mmsghdr), all with the same text and control data.
final class MessageBatch {
    let memory: UnsafeMutableRawPointer
    let count: Int
    private var owned: [UnsafeMutableRawPointer] = []

    init(_ addresses: [[UInt8]], _ text: String, _ control: String) {
        count = addresses.count
        memory = .allocate(byteCount: 64 * addresses.count, alignment: 8)
        memset(memory, 0, 64 * addresses.count)
        let digits = Array(control)
        let bytes = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(digits[$0...$0 + 1]), radix: 16)!
        }
        for (index, address) in addresses.enumerated() {
            let parts = [UInt(bitPattern: keep(Array(text.utf8))), UInt(text.utf8.count)]
            let header = [
                UInt(bitPattern: keep(address)), UInt(address.count),
                UInt(bitPattern: keep(parts.withUnsafeBytes { Array($0) })), 1,
                bytes.isEmpty ? 0 : UInt(bitPattern: keep(bytes)), UInt(bytes.count),
            ]
            (memory + 64 * index).copyMemory(from: header, byteCount: 48)
        }
    }

    private func keep(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
        let copy = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 8)
        copy.copyMemory(from: bytes, byteCount: bytes.count)
        owned.append(copy)
        return copy
    }

    deinit { for one in owned + [memory] { one.deallocate() } }

    /// What the kernel says was sent of each.
    var lengths: [Int] { (0..<count).map { Int((memory + 64 * $0 + 56).load(as: UInt32.self)) } }
}

enum Sockets {
    static func make(_ type: String, isNonBlocking: Bool) -> Int32 {
        let kind =
            switch type {
            case "seqpacket": SOCK_SEQPACKET
            case "datagram": SOCK_DGRAM
            default: SOCK_STREAM
            }
        return guise_unix_socket(Int32(kind.rawValue), isNonBlocking)
    }

    static func address(_ text: String) -> [UInt8] {
        let family = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) }
        return text.hasPrefix("@")
            ? family + [0] + Array(text.dropFirst().utf8) : family + Array(text.utf8) + [0]
    }

    static func connect(_ socket: Int32, _ address: String) -> Int {
        let bytes = Self.address(address)
        return Int(guise_socket_connect(socket, bytes, UInt32(bytes.count)))
    }

    static func bind(_ socket: Int32, _ address: String) -> Int {
        let bytes = Self.address(address)
        return Int(guise_socket_bind(socket, bytes, UInt32(bytes.count)))
    }

    static func send(_ socket: Int32, _ text: String, to address: String) -> Int {
        let bytes = Self.address(address)
        let payload = Array(text.utf8)
        return bytes.withUnsafeBytes { name in
            payload.withUnsafeBytes { text in
                Files.call(
                    Int(SYS_sendto), Int(socket), Int(bitPattern: text.baseAddress!), text.count,
                    Int(MSG_NOSIGNAL), Int(bitPattern: name.baseAddress!), name.count)
            }
        }
    }

    static func alarmed(_ body: () -> Outcome) -> Outcome {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        sigaction(SIGUSR2, &action, nil)
        let (me, process) = (Int32(truncatingIfNeeded: currentThreadID), getpid())
        let thread = onNewThread {
            usleep(200_000)
            _ = guise_tgkill(process, me, SIGUSR2)
        }
        defer { if let thread { pthread_join(thread, nil) } }
        return body()
    }

    /// Connects again and again, while another thread changes the address between two names of the same length.
    /// How often it worked.
    static func dialRewriting(_ one: String, _ other: String, times: Int) -> Int {
        let addresses = [address(one), address(other)]
        let size = addresses[0].count
        nonisolated(unsafe) let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memory.copyMemory(from: addresses[0], byteCount: size)
        let isOver = Mutex(false)
        let thread = onNewThread {
            var round = 0
            while !isOver.withLock({ $0 }) {
                round += 1
                memory.copyMemory(from: addresses[round % 2], byteCount: size)
            }
        }
        defer {
            isOver.withLock { $0 = true }
            if let thread { pthread_join(thread, nil) }
            memory.deallocate()
        }
        return (0..<times).count { _ in
            let socket = make("stream", isNonBlocking: true)
            defer { close(socket) }
            return guise_socket_connect(socket, memory, UInt32(size)) == 0
        }
    }

    /// Connects again and again, while another thread puts another socket in the place of the one being connected.
    /// How often the call worked.
    static func dialReusing(_ path: String, times: Int) -> Int {
        let socket = make("stream", isNonBlocking: true)
        let isOver = Mutex(false)
        let thread = onNewThread {
            while !isOver.withLock({ $0 }) {
                let fresh = make("stream", isNonBlocking: true)
                dup2(fresh, socket)
                close(fresh)
            }
        }
        defer {
            isOver.withLock { $0 = true }
            if let thread { pthread_join(thread, nil) }
            close(socket)
        }
        return (0..<times).count { _ in connect(socket, path) == 0 }
    }
}

/// As much of PostgreSQL's protocol as it takes to log in by the kernel's word and ask who one is.
enum Postgres {
    static func logIn(at path: String, as user: String) -> Outcome {
        let socket = Sockets.make("stream", isNonBlocking: false)
        defer { close(socket) }
        let error = Sockets.connect(socket, path)
        guard error == 0 else { return Outcome(error) }
        var start = bigEndian(196_608)
        for text in ["user", user, "database", "postgres"] { start += Array(text.utf8) + [0] }
        write([], start + [0], to: socket)
        while let (kind, body) = next(socket) {
            switch kind {
            case UInt8(ascii: "R"):
                guard body == [0, 0, 0, 0] else { return .value("asked for another way to log in") }
            case UInt8(ascii: "E"):
                return .value("refused \(fields(body))")
            case UInt8(ascii: "Z"):
                write([UInt8(ascii: "Q")], Array("select current_user".utf8) + [0], to: socket)
            case UInt8(ascii: "D"):
                // One column: two bytes of count, four of length.
                return .value("logged in as \(String(decoding: body.dropFirst(6), as: UTF8.self))")
            default: continue
            }
        }
        return .errno(EPIPE)
    }

    private static func bigEndian(_ number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(number).bigEndian) { Array($0) }
    }

    /// A message: its kind, unless it is the first, its length and what is in it.
    private static func write(_ kind: [UInt8], _ body: [UInt8], to socket: Int32) {
        let bytes = kind + bigEndian(body.count + 4) + body
        _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private static func read(_ count: Int, _ socket: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return count == 0 || recv(socket, &bytes, count, Int32(MSG_WAITALL)) == count ? bytes : nil
    }

    private static func next(_ socket: Int32) -> (UInt8, [UInt8])? {
        guard let head = read(5, socket) else { return nil }
        let length = head[1...].reduce(0) { $0 << 8 | Int($1) }
        return read(length - 4, socket).map { (head[0], $0) }
    }

    /// The sentence for people out of an error's fields.
    private static func fields(_ body: [UInt8]) -> String {
        let message = body.split(separator: 0).first { $0.first == UInt8(ascii: "M") } ?? []
        return String(decoding: message.dropFirst(), as: UTF8.self)
    }
}
