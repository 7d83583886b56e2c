import AccessControl
import CGuise
import Foundation
import Guise
import Synchronization

/// Accepts connections by itself, each served by a thread of its own, and leaves it to the commands when a
/// connection's client is captured.
enum Server {
    static let authority = Mutex<Authority?>(nil)
    /// Sockets and connections that were given a name, for other threads to use.
    static let named = Mutex<[String: Shared]>([:])

    /// Accounts that were logged on, by the names that the commands gave them.
    static let logons = Mutex<[String: Logon]>([:])

    /// Connections to other services, kept open until the process ends.
    static let kept = Mutex<[Connection]>([])

    enum Shared {
        case socket(Int32)
        case connection(Connection)
    }

    nonisolated(unsafe) static var listener: Int32 = -1

    static func run(_ path: String, options: ArraySlice<String>) {
        var threads = Authority.defaultThreads
        if let at = options.firstIndex(of: "--threads") { threads = Int(options[at + 1])! }
        do {
            let enforcement: Authority.Enforcement =
                options.contains("--cooperative") ? .cooperative : .mediated
            let attached = try Authority.attach(enforcement: enforcement, threads: threads)
            authority.withLock { $0 = attached }
        } catch { TestService.fail("\(error)") }
        listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_STREAM.rawValue), 4096, 0o666)
        guard listener >= 0 else { TestService.fail("listen at \(path): \(listener)") }
        _ = write(1, "serving\n", 8)
        if options.contains("--first-on-main") {
            let first = guise_unix_accept(listener, false)
            _ = onNewThread { serveOthers() }
            Session(first).run()
        }
        serveOthers()
    }

    private static func serveOthers() {
        while true {
            let socket = guise_unix_accept(listener, false)
            guard socket >= 0 else { continue }
            if let thread = onNewThread({ Session(socket).run() }) { pthread_detach(thread) }
        }
    }
}

/// The lines that come on a socket.
struct Lines {
    let socket: Int32
    private var rest: [UInt8] = []

    init(_ socket: Int32) { self.socket = socket }

    mutating func next() -> String? {
        while true {
            if let end = rest.firstIndex(of: 0x0A) {
                defer { rest.removeSubrange(...end) }
                return String(decoding: rest[..<end], as: UTF8.self)
            }
            var buffer = [UInt8](repeating: 0, count: 16384)
            let count = read(socket, &buffer, buffer.count)
            guard count > 0 else { return nil }
            rest += buffer[..<count]
        }
    }
}

/// Writes a line whole.
func sendLine(_ text: String, to socket: Int32) {
    var bytes = Array((text + "\n").utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { send(socket, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}
