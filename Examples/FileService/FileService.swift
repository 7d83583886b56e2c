// A small file server that acts as its clients. Each client gets a thread; every file is opened with ordinary
// calls, while the thread impersonates the client. There is no access check in here, and none is missing.
//
//   guise run files -- guise-example-files /run/files.sock
//
// A client sends one line for each request and gets an answer that starts with OK or ERROR:
//   whoami          who the service takes the client for
//   read PATH       the file's contents
//   write PATH TEXT puts the text into the file
//   hold PATH       reads, and keeps acting as the client until the next line
//   ask SOCKET LINE asks another service, which sees the client

import Foundation
import Guise

@main
struct FileService {
    static func main() {
        guard CommandLine.arguments.count == 2 else {
            complain("usage: guise-example-files SOCKET")
            exit(64)
        }
        do {
            try Authority.attach()
            let listener = try Listener(path: .init(CommandLine.arguments[1]))
            complain("serving at \(CommandLine.arguments[1]) as process \(getpid())")
            while true {
                do {
                    let connection = try listener.accept()
                    Thread.detachNewThread { serve(connection) }
                } catch GuiseError.peerGone, GuiseError.accessDenied, GuiseError.notAServerConnection {
                    // This one did not wait for us, or is not to be served. The next may be.
                }
            }
        } catch {
            complain("\(error)")
            exit(1)
        }
    }

    static func serve(_ connection: Connection) {
        var input = Lines(connection)
        while let line = input.next() {
            let words = line.split(separator: " ", maxSplits: 2).map(String.init)
            do {
                switch (words.first, words.count) {
                case ("whoami", 1):
                    let token = try connection.clientToken()
                    answer(
                        "OK \(token.user.name ?? "unknown") \(token.user.sid) at \(connection.level)",
                        connection)
                case ("read", 2):
                    answer("OK \(try read(words[1], connection))", connection)
                case ("write", 3):
                    try connection.impersonate()
                    defer { revertToSelf() }
                    try Data(words[2].utf8).write(to: URL(fileURLWithPath: words[1]))
                    answer("OK", connection)
                case ("hold", 2):
                    try connection.impersonate()
                    defer { revertToSelf() }
                    let text = try String(contentsOfFile: words[1], encoding: .utf8)
                    answer("OK \(currentThreadID) \(text)", connection)
                    guard input.next() != nil else { return }
                    revertToSelf()
                    answer("OK", connection)
                case ("ask", 3):
                    answer(try ask(words[1], words[2], connection), connection)
                default:
                    answer(
                        "ERROR whoami, read PATH, write PATH TEXT, hold PATH or ask SOCKET LINE", connection)
                }
            } catch let error as GuiseError {
                answer("ERROR \(error)", connection)
            } catch {
                answer("ERROR \(reason(error))", connection)
            }
        }
    }

    static func read(_ path: String, _ connection: Connection) throws -> String {
        try connection.impersonate()
        defer { revertToSelf() }
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    /// The connection carries the client; what is sent on it then does not depend on who the thread is.
    static func ask(_ socket: String, _ line: String, _ connection: Connection) throws -> String {
        let other = try connection.impersonating { try Connection.connect(to: .init(socket)) }
        _ = try other.fileDescriptor.writeAll((line + "\n").utf8)
        var answers = Lines(other)
        return answers.next() ?? "ERROR the other service said nothing"
    }

    static func reason(_ error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        let code = underlying?.domain == NSPOSIXErrorDomain ? underlying?.code : nil
        return code.map { String(cString: strerror(Int32($0))) } ?? error.localizedDescription
    }

    static func answer(_ line: String, _ connection: Connection) {
        _ = try? connection.fileDescriptor.writeAll((line + "\n").utf8)
    }

    static func complain(_ line: String) {
        FileHandle.standardError.write(Data("files: \(line)\n".utf8))
    }
}

/// What a client sends, by line; a line has at most 8,192 bytes.
struct Lines {
    private let connection: Connection
    private var rest: [UInt8] = []

    init(_ connection: Connection) { self.connection = connection }

    mutating func next() -> String? {
        while true {
            if let end = rest.firstIndex(of: 0x0A) {
                defer { rest.removeSubrange(...end) }
                return String(decoding: rest[..<end], as: UTF8.self)
            }
            guard rest.count <= 8192 else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4096)
            guard
                let count = try? buffer.withUnsafeMutableBytes({
                    try connection.fileDescriptor.read(into: $0)
                }),
                count > 0
            else { return nil }
            rest += buffer[..<count]
        }
    }
}
