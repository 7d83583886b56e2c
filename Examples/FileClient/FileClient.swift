// A client that says how far the service may go with its identity:
//
//   guise-example-client LEVEL SOCKET REQUEST...
//
// LEVEL is anonymous, identification, impersonation or delegation. Sends each request as a line, prints each
// answer.

import AccessControl
import Foundation
import Guise

@main
struct FileClient {
    static func main() {
        let arguments = CommandLine.arguments
        let levels: [String: ImpersonationLevel] = [
            "anonymous": .anonymous, "identification": .identification,
            "impersonation": .impersonation, "delegation": .delegation,
        ]
        guard arguments.count >= 4, let level = levels[arguments[1]] else {
            FileHandle.standardError.write(
                Data("usage: guise-example-client LEVEL SOCKET REQUEST...\n".utf8))
            exit(64)
        }
        do {
            let connection = try Connection.connect(to: .init(arguments[2]), level: level)
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
