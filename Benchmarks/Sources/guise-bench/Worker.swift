import AccessControl
import CFloor
import Glibc
import Guise
import Synchronization

/// One of the processes that are measured: this program, started again. It takes commands from its input.
final class Worker {
    /// A service that impersonates, or one that does not know of Guise.
    private let isService: Bool
    private let path: String
    private var listener: Listener?
    private var bareListener: Int32 = -1
    private var connection: Connection?
    private var pipe: NamedPipe.Server?

    /// Does what the arguments say, if they are a worker's; false: they are not.
    static func run(_ arguments: [String]) throws -> Bool {
        guard arguments.count >= 2, arguments[1].hasPrefix("--worker-") else { return false }
        switch arguments[1] {
        case "--worker-tool":
            // Not one that is measured by itself: a program, its log, its arguments.
            bench_end_with_parent()
            dup2(open(arguments[3], O_WRONLY | O_CREAT | O_CLOEXEC, 0o600), STDERR_FILENO)
            var strings: [UnsafeMutablePointer<CChar>?] = [strdup(arguments[2])]
            strings += arguments[4...].map { strdup($0) } + [nil]
            execv(arguments[2], strings)
            throw BenchError("\(arguments[2]): \(String(cString: strerror(errno)))")
        case "--worker-plain":
            // As a user who owns the files.
            guard let uid = UInt32(arguments[2]), setgroups(0, nil) == 0, setgid(uid) == 0, setuid(uid) == 0
            else {
                throw BenchError("becoming uid \(arguments[2]) failed")
            }
            try Worker(isService: false, path: arguments[3]).serve()
        case "--worker-root":
            try Worker(isService: false, path: "").serve()
        case "--worker-continued", "--worker-floor", "--worker-floor-wide", "--worker-floor-as":
            let error = floor_install(
                arguments[1] == "--worker-continued" ? 1 : 0,
                arguments[1] == "--worker-floor-wide" ? Int32(sysconf(Int32(_SC_NPROCESSORS_ONLN))) : 1,
                arguments[1] == "--worker-floor-as" ? uid_t(arguments[2])! : 0)
            guard error == 0 else { throw BenchError("no filter: \(String(cString: strerror(-error)))") }
            try Worker(isService: false, path: "").serve()
        default:
            try Worker(isService: true, path: arguments[2]).serve()
        }
        return true
    }

    private init(isService: Bool, path: String) throws {
        self.isService = isService
        self.path = path
        if isService {
            try Authority.attach()
            listener = try Listener(path: .init(path))
        } else if !path.isEmpty {
            bareListener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(bareListener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard bound == 0, chmod(path, 0o666) == 0, listen(bareListener, 128) == 0 else {
                throw BenchError("listening at \(path): \(String(cString: strerror(errno)))")
            }
        }
    }

    private func serve() throws {
        say("ready")
        while let line = nextLine() {
            let words = line.split(separator: " ").map(String.init)
            do { say(try answer(words)) } catch { say("error: \(error)") }
        }
    }

    private func answer(_ words: [String]) throws -> String {
        let count = words.count > 1 ? Int32(words[1]) ?? 0 : 0
        switch words[0] {
        case "open":
            return "\(bench_open_close(words[2], count))"
        case "open-refused":
            return "\(bench_open_refused(words[2], count))"
        case "create":
            return "\(bench_create(words[2], count))"
        case "stat":
            return "\(bench_stat(words[2], count))"
        case "unlink":
            return "\(bench_unlink(words[2], count))"
        case "open-at-once":
            return "\(try openAtOnce(threads: Int(words[3]) ?? 1, words[2], count))"
        case "open-as":
            return "\(bench_open_close_as(words[2], count, UInt32(words[3]) ?? 0, UInt32(words[3]) ?? 0))"
        case "connect":
            return "\(bench_connect(words[2], count))"
        case "serve":
            try accept(Int(count))
            return "served"
        case "talk":
            return "\(try talk(Int(count), words[2], runtime: words.count > 3 ? words[3] : nil))"
        case "serve-pipe":
            pipe = try NamedPipe.Server(
                name: words[1],
                securityDescriptor: try SecurityDescriptor(sddl: "D:(A;;FA;;;WD)"))
            return "listening"
        #if GRPC
            case "serve-grpc":
                try GRPCWorker.serve(words[1])
                return "listening"
            case "dial-grpc":
                try GRPCWorker.dial(words[1], words[2])
                return "dialled"
            case "call-grpc":
                return "\(try GRPCWorker.call(Int(count), words[2], words[3]))"
        #endif
        #if Kerberos
            case "make-tokens":
                try KerberosWorker.make(Int(count), words[2], at: words[3])
                return "made"
            case "accept-tokens":
                return "\(try KerberosWorker.accept(words[1], at: words[2]))"
            case "accept-tokens-bare":
                return "\(try KerberosWorker.acceptBare(keytab: words[1], at: words[2]))"
        #endif
        case "serve-pairs":
            guard bench_serve_pairs(words[1]) == 0 else {
                throw BenchError("listening at \(words[1]): \(String(cString: strerror(errno)))")
            }
            return "listening"
        case "pairs":
            return "\(bench_pairs(words[2], count))"
        case "look-up":
            return "\(try RegistryWorker.lookUp(Int(count), words[2], keys: Int(words[3]) ?? 1))"
        case "multiply":
            return "\(try RegistryWorker.multiply(Int(count), words[2]))"
        case "watch":
            try RegistryWorker.watch(words[1])
            return "watching"
        case "change":
            return try RegistryWorker.change(Int(count), words[2])
        case "told":
            return RegistryWorker.heard()
        case "hear":
            try hear(Int(count))
            return "heard"
        case "accept":
            connection = try listener!.accept()
            return "accepted"
        case "drop":
            connection = nil
            return "dropped"
        case "impersonate":
            try impersonate(connection!)
            return "impersonating"
        case "revert":
            revertToSelf()
            return "reverted"
        case "cycle":
            let connection = connection!
            let start = bench_now()
            for _ in 0..<count {
                try connection.impersonate()
                revertToSelf()
            }
            return "\((bench_now() - start) / Double(count))"
        case "cycle-token":
            let token = try TokenHandle.ofProcess(access: [.query, .duplicate]).duplicate(
                at: .impersonation, access: .impersonate)
            return "\(try pairs(count) { try setThreadToken(token) })"
        case "cycle-self":
            return "\(try pairs(count) { try impersonateSelf() })"
        case "redeem":
            // A ticket of the service's own, from its issue to the end of acting by it.
            let start = bench_now()
            for _ in 0..<count {
                let ticket = try Ticket.issue(for: words[2])
                try impersonate(try Connection(redeeming: ticket.bytes))
                revertToSelf()
            }
            return "\((bench_now() - start) / Double(count))"
        default:
            throw BenchError("no such command: \(words[0])")
        }
    }

    /// The nanoseconds of beginning and ending to act as somebody, once that was done before.
    private func pairs(_ count: Int32, _ begin: () throws -> Void) throws -> Double {
        try begin()
        revertToSelf()
        let start = bench_now()
        for _ in 0..<count {
            try begin()
            revertToSelf()
        }
        return (bench_now() - start) / Double(count)
    }

    /// Connects, sends one message, and waits until the server has closed. Returns the nanoseconds of one time.
    ///
    /// - Parameter runtime: where the authority of a pipe is; nil: connect to a bare socket.
    private func talk(_ count: Int, _ name: String, runtime: String?) throws -> Double {
        var byte: UInt8 = 1
        func say(_ socket: Int32) throws {
            guard send(socket, &byte, 1, 0) == 1, recv(socket, &byte, 1, 0) == 0 else {
                throw BenchError("the server does not answer")
            }
        }
        let start = bench_now()
        for _ in 0..<count {
            if let runtime {
                let made = try NamedPipe.connect(to: name, runtimeDirectory: runtime)
                try withExtendedLifetime(made) { try say(made.fileDescriptor.rawValue) }
            } else {
                let socket = bench_dial(name)
                guard socket >= 0 else { throw BenchError("connect: \(String(cString: strerror(errno)))") }
                defer { close(socket) }
                try say(socket)
            }
        }
        return (bench_now() - start) / Double(count)
    }

    /// Takes one message of each client, acts as it where it is a pipe's, and closes.
    private func hear(_ count: Int) throws {
        var byte: UInt8 = 0
        for _ in 0..<count {
            if let pipe {
                let client = try pipe.accept()
                try client.impersonate()
                _ = recv(client.fileDescriptor.rawValue, &byte, 1, 0)
                revertToSelf()
            } else {
                let socket = Glibc.accept(bareListener, nil, nil)
                guard socket >= 0 else { throw BenchError("accept: \(String(cString: strerror(errno)))") }
                _ = recv(socket, &byte, 1, 0)
                close(socket)
            }
        }
    }

    /// Accepts connections, acts as each client once, and closes.
    private func accept(_ count: Int) throws {
        for _ in 0..<count {
            guard let listener else {
                let socket = Glibc.accept(bareListener, nil, nil)
                guard socket >= 0 else { throw BenchError("accept: \(String(cString: strerror(errno)))") }
                close(socket)
                continue
            }
            try impersonate(try listener.accept())
            revertToSelf()
        }
    }

    /// Opens and closes `count` times, shared among so many threads that all act as the client. Returns the nanoseconds
    /// of one: the time from the first to the last by their number.
    private func openAtOnce(threads: Int, _ path: String, _ count: Int32) throws -> Double {
        final class Shared: @unchecked Sendable {
            let connection: Connection?
            let path: String
            let each: Int32
            let failed = Atomic(false)
            let start = UnsafeMutablePointer<pthread_barrier_t>.allocate(capacity: 1)
            init(_ connection: Connection?, _ path: String, _ each: Int32, _ threads: Int) {
                (self.connection, self.path, self.each) = (connection, path, each)
                pthread_barrier_init(start, nil, UInt32(threads + 1))
            }
            deinit { start.deallocate() }
        }
        let shared = Shared(connection, path, max(1, count / Int32(threads)), threads)
        var handles: [pthread_t] = []
        for _ in 0..<threads {
            var handle = pthread_t()
            let error = pthread_create(
                &handle, nil,
                { argument in
                    let shared = Unmanaged<Shared>.fromOpaque(argument!).takeRetainedValue()
                    let acts = shared.connection.map { (try? $0.impersonate()) != nil } ?? true
                    // All are there; now all may go.
                    pthread_barrier_wait(shared.start)
                    pthread_barrier_wait(shared.start)
                    if !acts || bench_open_close(shared.path, shared.each) < 0 {
                        shared.failed.store(true, ordering: .relaxed)
                    }
                    if shared.connection != nil { revertToSelf() }
                    return nil
                }, Unmanaged.passRetained(shared).toOpaque())
            // Those that are there wait for ever: the process is of no more use.
            guard error == 0 else { throw BenchError("pthread_create: \(String(cString: strerror(error)))") }
            handles.append(handle)
        }
        pthread_barrier_wait(shared.start)
        let start = bench_now()
        pthread_barrier_wait(shared.start)
        for handle in handles { pthread_join(handle, nil) }
        let took = bench_now() - start
        guard !shared.failed.load(ordering: .relaxed) else { throw BenchError("a thread could not open") }
        return took / Double(Int32(threads) * shared.each)
    }

    // MARK: Lines, by read and write alone: nothing here may trap.

    private func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }

    private func nextLine() -> String? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(STDIN_FILENO, &byte, 1) == 1 {
            if byte == 0x0A { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }
}
