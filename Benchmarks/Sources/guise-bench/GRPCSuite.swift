import Glibc

/// A unary gRPC call over a Unix socket, between two processes: as anybody's, with a ticket for whom it is, and handled as
/// that client.
func grpcSuite() throws {
    #if GRPC
        var suite = Suite("gRPC")
        let stage = try Stage()
        defer { stage.end() }
        let service = try stage.service()
        let sockets = stage.directory + "/sockets/"
        try service.ask("serve-grpc \(sockets)")
        let client = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
        try client.ask("dial-grpc \(sockets) \(stage.directory)/run")
        let bare = "unary call"
        let rows = [
            (bare, "bare Echo", nil), ("… with interceptors that do nothing", "idle Echo", nil),
            ("unary call with identity", "known Echo", 1.1),
            ("… handled as the client", "known EchoAsClient", nil as Double?),
        ]
        var turns = Turns()
        for row in rows { turns.add(row.0) { try client.measure("call-grpc 200 \(row.1)") } }
        try turns.run(rounds: 5)
        for (name, _, limit) in rows {
            guard let result = turns.results[name] else { continue }
            suite.record(
                name, result, median: turns.medians[name], baseline: name == bare ? nil : bare, atMost: limit)
        }
    #else
        print("\ngRPC\n  not measured: build the benchmarks with the package trait GRPC")
    #endif
}

#if GRPC
    import CFloor
    import Dispatch
    import GRPCCore
    import GRPCNIOTransportHTTP2Posix
    import Guise
    import GuiseGRPC
    import Synchronization

    /// The server's and the client's part, in their processes.
    enum GRPCWorker {
        private static let clients = Mutex<[String: GRPCClient<HTTP2ClientTransport.Posix>]>([:])

        /// Two servers of one process: who asks for identity, and who does not.
        static func serve(_ directory: String) throws {
            for (name, interceptors) in [
                ("bare", []), ("idle", [Idle()]), ("known", [IdentityServerInterceptor()]),
            ] as [(String, [any ServerInterceptor])] {
                let path = directory + name
                let server = GRPCServer(
                    transport: .http2NIOPosix(
                        address: .unixDomainSocket(path: path), transportSecurity: .plaintext),
                    services: [Echo()], interceptors: interceptors)
                Task { try await server.serve() }
                try blocking { _ = try await server.listeningAddress }
                guard chmod(path, 0o666) == 0 else { throw BenchError("chmod \(path)") }
            }
        }

        static func dial(_ directory: String, _ runtime: String) throws {
            for (name, interceptors) in [
                ("bare", []), ("idle", [Idle()]),
                ("known", [IdentityClientInterceptor(for: "bench-files", runtimeDirectory: runtime)]),
            ] as [(String, [any ClientInterceptor])] {
                let client = GRPCClient(
                    transport: try .http2NIOPosix(
                        target: .unixDomainSocket(path: directory + name), transportSecurity: .plaintext),
                    interceptors: interceptors)
                Task { try await client.runConnections() }
                clients.withLock { $0[name] = client }
            }
        }

        /// Calls one after the other. Returns the nanoseconds of one.
        static func call(_ count: Int, _ name: String, _ method: String) throws -> Double {
            guard let client = clients.withLock({ $0[name] }) else { throw BenchError("not dialled") }
            return try blocking {
                let start = bench_now()
                for _ in 0..<count {
                    let answer = try await client.unary(
                        request: ClientRequest(message: "text"), descriptor: Echo.method(method),
                        serializer: Text(), deserializer: Text(), options: .defaults
                    ) { try $0.message }
                    guard answer == "text" else { throw BenchError("the answer is \(answer)") }
                }
                return (bench_now() - start) / Double(count)
            }
        }

        private static func blocking<Value: Sendable>(
            _ body: @escaping @Sendable () async throws -> Value
        ) throws -> Value {
            let result = Mutex<Result<Value, any Error>?>(nil)
            let done = DispatchSemaphore(value: 0)
            Task {
                let value: Result<Value, any Error>
                do { value = .success(try await body()) } catch { value = .failure(error) }
                result.withLock { $0 = value }
                done.signal()
            }
            done.wait()
            return try result.withLock { $0! }.get()
        }
    }

    /// What any interceptor costs.
    private struct Idle: ClientInterceptor, ServerInterceptor {
        func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingClientRequest<Input>, context: ClientContext,
            next: (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<
                Output
            >
        ) async throws -> StreamingClientResponse<Output> { try await next(request, context) }

        func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>, context: ServerContext,
            next:
                @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
                -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> { try await next(request, context) }
    }

    private struct Echo: RegistrableRPCService {
        static func method(_ name: String) -> MethodDescriptor {
            MethodDescriptor(fullyQualifiedService: "guise.bench.Echo", method: name)
        }

        func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
            for (name, isClient) in [("Echo", false), ("EchoAsClient", true)] {
                router.registerHandler(
                    forMethod: Self.method(name), deserializer: Text(), serializer: Text()
                ) { request, context in
                    let request = try await ServerRequest(stream: request)
                    let text =
                        isClient
                        ? try await impersonateClient(context) { request.message } : request.message
                    return StreamingServerResponse(single: ServerResponse(message: text))
                }
            }
        }
    }

    private struct Text: MessageSerializer, MessageDeserializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: String) -> Bytes { Bytes(message.utf8) }
        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) -> String {
            bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
    }
#endif
