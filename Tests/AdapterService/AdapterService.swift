// What the tests of the adapters ask: who code is at each place where a library built on event loops runs it.
//
//   guise-test-adapters nio SOCKET   lines, on one event loop
//   guise-test-adapters web SOCKET   HTTP; instead of a path: tcp
//   guise-test-adapters auth required|optional SCHEMES [CERTIFICATE KEY]   HTTP over TCP, or TLS, with who says who
//                                    it is: certificate,bearer
//   guise-test-adapters tls required|optional CERTIFICATE KEY              lines over TLS
//
// "Who" is the content of a file that only the client can read, or the errno.

import Foundation
import Guise

#if NIO && Hummingbird
    @main
    struct AdapterService {
        static func main() async throws {
            try Authority.attach()
            switch CommandLine.arguments[1] {
            case "nio": try await LoopService.serve(at: CommandLine.arguments[2])
            case "auth": try await AuthenticatedService.serve(Array(CommandLine.arguments.dropFirst(2)))
            #if TLS
                case "tls": try await CertificateService.serve(Array(CommandLine.arguments.dropFirst(2)))
            #endif
            default: try await WebService.serve(at: CommandLine.arguments[2])
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
    struct AdapterService {
        static func main() { exit(64) }
    }
#endif

func say(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
