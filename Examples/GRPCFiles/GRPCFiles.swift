// Gives files over gRPC, on a Unix socket, as whoever calls. There is no access check in here, and none is missing.
//
//   guise run files -- guise-example-grpc serve /run/grpc.sock
//   guise-example-grpc call /run/grpc.sock files whoami
//   guise-example-grpc call /run/grpc.sock files read /srv/files/plan
//
// The service is written by hand, and its messages are bytes; one of a .proto file differs in nothing that matters here.

import Foundation

#if GRPC
    import GRPCCore
    import GRPCNIOTransportHTTP2Posix
    import Guise
    import GuiseGRPC
    import SystemPackage

    @main
    struct GRPCFiles {
        static func main() async {
            let arguments = Array(CommandLine.arguments.dropFirst())
            do {
                switch (arguments.first, arguments.count) {
                case ("serve", 2): try await serve(at: arguments[1])
                case ("call", 4), ("call", 5):
                    try await call(
                        arguments[3], arguments.count > 4 ? arguments[4] : "", at: arguments[1],
                        of: arguments[2])
                default:
                    complain(
                        "usage: guise-example-grpc serve SOCKET | call SOCKET SERVICE whoami | read PATH")
                    exit(64)
                }
            } catch let error as RPCError {
                complain("\(error.code): \(error.message)")
                exit(1)
            } catch {
                complain("\(error)")
                exit(1)
            }
        }

        static func serve(at socket: String) async throws {
            try Authority.attach()
            let server = GRPCServer(
                transport: .http2NIOPosix(
                    address: .unixDomainSocket(path: socket), transportSecurity: .plaintext),
                services: [FileService()],
                // Finds out whose each call is.
                interceptors: [IdentityServerInterceptor()])
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { try await server.serve() }
                _ = try await server.listeningAddress
                // Everybody may connect: who may do what is decided for each file.
                chmod(socket, 0o666)
                complain("serving at \(socket) as process \(getpid())")
            }
        }

        static func call(_ method: String, _ message: String, at socket: String, of service: String)
            async throws
        {
            try await withGRPCClient(
                transport: .http2NIOPosix(
                    target: .unixDomainSocket(path: socket), transportSecurity: .plaintext),
                // Says whose each call is.
                interceptors: [IdentityClientInterceptor(for: service)]
            ) { client in
                try await client.serverStreaming(
                    request: ClientRequest(message: Array(message.utf8)),
                    descriptor: MethodDescriptor(
                        fullyQualifiedService: "guise.example.Files", method: method),
                    serializer: BytesSerializer(), deserializer: BytesDeserializer(), options: .defaults
                ) { response in
                    for try await part in response.messages { FileHandle.standardOutput.write(Data(part)) }
                    FileHandle.standardOutput.write(Data("\n".utf8))
                }
            }
        }
    }

    struct FileService: RegistrableRPCService {
        func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
            for (method, handler) in [("whoami", whoami), ("read", read)] {
                router.registerHandler(
                    forMethod: MethodDescriptor(fullyQualifiedService: "guise.example.Files", method: method),
                    deserializer: BytesDeserializer(), serializer: BytesSerializer(), handler: handler)
            }
        }

        @Sendable func whoami(
            _ request: StreamingServerRequest<[UInt8]>, _ context: ServerContext
        ) async throws -> StreamingServerResponse<[UInt8]> {
            let token = try context.client.clientToken()
            let level = token.level.map { "\($0)" } ?? ""
            return StreamingServerResponse(
                single: ServerResponse(message: Array("\(token.user.name ?? "unknown") at \(level)".utf8)))
        }

        @Sendable func read(
            _ request: StreamingServerRequest<[UInt8]>, _ context: ServerContext
        ) async throws -> StreamingServerResponse<[UInt8]> {
            let path = String(decoding: try await ServerRequest(stream: request).message, as: UTF8.self)
            // As the client; what it could open it may read, whoever does that.
            let file = try await impersonateClient(context) { try OpenFile(path) }
            return StreamingServerResponse { writer in
                while let part = try file.next() { try await writer.write(part) }
                return [:]
            }
        }
    }

    /// A file that the client could open.
    final class OpenFile: Sendable {
        private let descriptor: FileDescriptor

        /// - Throws: what the client is to be told.
        init(_ path: String) throws {
            do {
                // A FIFO would wait for its other end.
                descriptor = try FileDescriptor.open(
                    FilePath(path), .readOnly, options: [.nonBlocking, .closeOnExec])
            } catch Errno.permissionDenied, Errno.notPermitted {
                throw RPCError(code: .permissionDenied, message: path)
            } catch let error as Errno {
                throw RPCError(
                    code: error == .noSuchFileOrDirectory ? .notFound : .failedPrecondition,
                    message: "\(path): \(error)")
            }
            var status = stat()
            guard fstat(descriptor.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                try? descriptor.close()
                throw RPCError(code: .failedPrecondition, message: "\(path): not a file")
            }
        }

        deinit { try? descriptor.close() }

        /// The next 64 KiB at most; nil at the end.
        func next() throws -> [UInt8]? {
            let part = try [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
                count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
            return part.isEmpty ? nil : part
        }
    }

    struct BytesSerializer: MessageSerializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) -> Bytes { Bytes(message) }
    }

    struct BytesDeserializer: MessageDeserializer {
        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) -> [UInt8] {
            bytes.withUnsafeBytes { Array($0) }
        }
    }
#else
    @main
    struct GRPCFiles {
        static func main() {
            complain("built without gRPC; build with: swift build --traits GRPC")
            exit(64)
        }
    }
#endif

func complain(_ line: String) { FileHandle.standardError.write(Data("grpc: \(line)\n".utf8)) }
