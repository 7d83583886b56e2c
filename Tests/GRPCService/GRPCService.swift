// What the tests of the gRPC adapter ask: who code is at each place where a call runs it.
//
//   guise-test-grpc serve SOCKET [--anonymous] [--next SOCKET SERVICE]    instead of a path: tcp
//   guise-test-grpc call SOCKET SERVICE [OPTION...] METHOD MESSAGE...
//
// "Who" is the content of a file that only the client can read, or "nobody".

import Foundation

#if GRPC
    import Guise

    @main
    struct GRPCService {
        static func main() async throws {
            let arguments = Array(CommandLine.arguments.dropFirst())
            switch arguments.first {
            case "serve": try await Server.run(arguments[1], options: Array(arguments[2...]))
            default: try await Caller.run(arguments[1], arguments[2], Array(arguments[3...]))
            }
        }
    }

    /// Reads with ordinary calls, as whoever the calling thread is.
    func who(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return errno == EACCES ? "nobody" : "errno \(errno)" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }
#else
    @main
    struct GRPCService {
        static func main() { exit(64) }
    }
#endif

func say(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
