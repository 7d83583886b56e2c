// A client that says how far the service may go with its identity:
//
//   guise-example-client [--as ACCOUNT] LEVEL SOCKET REQUEST...
//
// LEVEL is anonymous, identification, impersonation or delegation. Sends each request as a line, prints each
// answer. --as logs ACCOUNT on first, by the password in the first line of standard input, and connects as it.

import AccessControl
import Foundation
import Guise

@main
struct FileClient {
    static func main() {
        var arguments = CommandLine.arguments
        let account = arguments.count > 2 && arguments[1] == "--as" ? arguments[2] : nil
        if account != nil { arguments.removeSubrange(1...2) }
        let levels: [String: ImpersonationLevel] = [
            "anonymous": .anonymous, "identification": .identification,
            "impersonation": .impersonation, "delegation": .delegation,
        ]
        guard arguments.count >= 4, let level = levels[arguments[1]] else {
            FileHandle.standardError.write(
                Data("usage: guise-example-client [--as ACCOUNT] LEVEL SOCKET REQUEST...\n".utf8))
            exit(64)
        }
        do {
            let logon = try account.map { try Logon.user($0, password: readLine() ?? "") }
            let connection = try Connection.connect(to: .init(arguments[2]), level: level, as: logon)
            for request in arguments[3...] {
                _ = try connection.fileDescriptor.writeAll((request + "\n").utf8)
                print(try line(from: connection))
            }
        } catch {
            FileHandle.standardError.write(Data("client: \(error)\n".utf8))
            exit(1)
        }
    }

    static func line(from connection: Connection) throws -> String {
        var bytes: [UInt8] = []
        var one: [UInt8] = [0]
        while try one.withUnsafeMutableBytes({ try connection.fileDescriptor.read(into: $0) }) == 1,
            one[0] != 0x0A
        {
            bytes += one
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
