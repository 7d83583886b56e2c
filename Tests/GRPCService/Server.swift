#if GRPC
    import Foundation
    import GRPCCore
    import GRPCNIOTransportHTTP2Posix
    import Guise
    import GuiseGRPC
    #if Kerberos
        import GuiseKerberos
    #endif
    import Synchronization

    enum Server {
        static func run(_ address: String, options: [String]) async throws {
            try Authority.attach()
            var next: GRPCClient<HTTP2ClientTransport.Posix>?
            if let index = options.firstIndex(of: "--next") {
                next = GRPCClient(
                    transport: try .http2NIOPosix(
                        target: .unixDomainSocket(path: options[index + 1]), transportSecurity: .plaintext),
                    interceptors: [
                        IdentityClientInterceptor(for: options[index + 2], lifetime: .seconds(300))
                    ])
            }
            let isLocal = address != "tcp"
            let server = GRPCServer(
                transport: .http2NIOPosix(
                    address: isLocal ? .unixDomainSocket(path: address) : .ipv4(host: "127.0.0.1", port: 0),
                    transportSecurity: .plaintext),
                services: [WhoService(next: next)],
                interceptors: (options.contains("--unproved") ? [Unproved()] : []) + [
                    Journal(),
                    IdentityServerInterceptor(
                        packages: options.contains("--packages") ? packages : [],
                        unidentified: options.contains("--anonymous") ? .anonymous : .refuse),
                ])
            try await withThrowingDiscardingTaskGroup { group in
                if let next { group.addTask { try await next.runConnections() } }
                group.addTask { try await server.serve() }
                let bound = try await server.listeningAddress
                if isLocal { chmod(address, 0o666) }
                say("serving \(bound?.ipv4?.port ?? 0)")
            }
        }
    }

    private var packages: [any SecurityPackage] {
        #if Kerberos
            [BearerToken(), Negotiate()]
        #else
            [BearerToken()]
        #endif
    }

    /// Keeps from the client by what the server proves who it is.
    private struct Unproved: ServerInterceptor {
        func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>, context: ServerContext,
            next:
                @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
                -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            var response = try await next(request, context)
            response.metadata.removeAllValues(forKey: "www-authenticate")
            return response
        }
    }

    /// Says why calls were refused, as a service's log would.
    struct Journal: ServerInterceptor {
        func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>, context: ServerContext,
            next:
                @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
                -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            let response = try await next(request, context)
            if case .failure(let error) = response.accepted {
                say("refused: \(error.message): \(error.cause.map { "\($0)" } ?? "-")")
            }
            return response
        }
    }

    /// An actor that all calls share, so that each finds it busy with others.
    private actor Crossing {
        func pass(_ path: String) async -> String {
            let before = who(path)
            await Task.yield()
            let after = who(path)
            return before == after ? before : "\(before) then \(after)"
        }
    }

    struct WhoService: RegistrableRPCService {
        let next: GRPCClient<HTTP2ClientTransport.Posix>?
        private let crossing = Crossing()
        /// The context of a call that is over.
        private static let old = Mutex<ServerContext?>(nil)

        init(next: GRPCClient<HTTP2ClientTransport.Posix>?) { self.next = next }

        func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
            func register(
                _ method: String,
                _ handler:
                    @escaping @Sendable (StreamingServerRequest<String>, ServerContext) async throws ->
                    StreamingServerResponse<String>
            ) {
                router.registerHandler(
                    forMethod: MethodDescriptor(method), deserializer: TextDeserializer(),
                    serializer: TextSerializer(), handler: handler)
            }
            func unary(
                _ method: String, _ answer: @escaping @Sendable (String, ServerContext) async throws -> String
            ) {
                register(method) { request, context in
                    let request = try await ServerRequest(stream: request)
                    return StreamingServerResponse(
                        single: ServerResponse(message: try await answer(request.message, context)))
                }
            }
            unary("Read") { path, context in try await impersonateClient(context) { who(path) } }
            unary("Token") { _, context in
                let token = try context.client.clientToken()
                return "\(token.user.name ?? "\(token.user.sid)") \(token.level.map { "\($0)" } ?? "primary")"
            }
            unary("Places", places)
            unary("Slow") { path, context in
                try await impersonateClient(context) {
                    try await Task.sleep(for: .milliseconds(300))
                    return who(path)
                }
            }
            unary("Keep") { _, context in
                Self.old.withLock { $0 = context }
                return "kept"
            }
            unary("UseOld") { path, _ in
                guard let old = Self.old.withLock({ $0 }) else { return "none" }
                do { return try await impersonateClient(old) { who(path) } } catch {
                    return Mirror(reflecting: error).children.first?.label ?? "\(error)"
                }
            }
            unary("Fail") { _, context in
                try await impersonateClient(context) { throw RPCError(code: .dataLoss, message: "mine") }
            }
            unary("Forward") { words, context in
                // METHOD MESSAGE, of the next service, as the client.
                let words = words.split(separator: " ", maxSplits: 1).map(String.init)
                return try await impersonateClient(context) { try await forward(words[0], words[1]) }
            }
            unary("ForwardAsSelf") { words, _ in
                let words = words.split(separator: " ", maxSplits: 1).map(String.init)
                return try await forward(words[0], words[1])
            }
            unary("ForwardAt") { words, context in
                // As the client at Identification.
                let words = words.split(separator: " ", maxSplits: 1).map(String.init)
                return try await impersonateClient(context, atMost: .identification) {
                    try await forward(words[0], words[1])
                }
            }
            // Answers while the response is written, when the handler has returned.
            register("Watch") { request, context in
                let path = try await ServerRequest(stream: request).message
                return StreamingServerResponse { writer in
                    try await impersonateClient(context) {
                        for _ in 0..<20 {
                            try await writer.write(await hop(path))
                        }
                    }
                    try await writer.write(who(path))
                    return [:]
                }
            }
            // Until the client has gone.
            register("Endless") { request, context in
                let path = try await ServerRequest(stream: request).message
                return StreamingServerResponse { writer in
                    try await impersonateClient(context) {
                        defer { say("ended as \(who(path))") }
                        while true {
                            try await writer.write(String(repeating: "x", count: 10_000))
                            try await Task.sleep(for: .milliseconds(1))
                        }
                    }
                }
            }
            register("Collect") { request, context in
                let seen = try await impersonateClient(context) {
                    var seen: [String] = []
                    for try await path in request.messages { seen.append(await hop(path)) }
                    return seen
                }
                return StreamingServerResponse(
                    single: ServerResponse(message: seen.joined(separator: " ")))
            }
            register("Talk") { request, context in
                StreamingServerResponse { writer in
                    try await impersonateClient(context) {
                        for try await path in request.messages { try await writer.write(await hop(path)) }
                    }
                    return [:]
                }
            }
        }

        /// Over threads: a shared actor, child tasks, a pause.
        private func hop(_ path: String) async -> String {
            let crossed = await crossing.pass(path)
            async let child = who(path)
            let grouped = await withTaskGroup(of: String.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        await Task.yield()
                        return who(path)
                    }
                }
                return await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            try? await Task.sleep(for: .milliseconds(1))
            let all = grouped.union([crossed, await child, who(path)])
            return all.sorted().joined(separator: "/")
        }

        private func forward(_ method: String, _ message: String) async throws -> String {
            guard let next else { return "nobody is next" }
            return try await next.unary(
                request: ClientRequest(message: message), descriptor: MethodDescriptor(method),
                serializer: TextSerializer(), deserializer: TextDeserializer(), options: .defaults
            ) { try $0.message }
        }

        /// Who is who in and around the forms of impersonating.
        private func places(_ path: String, _ context: ServerContext) async throws -> String {
            var seen = ["before=\(who(path))"]
            seen.append(try await impersonateClient(context) { "task=\(who(path))" })
            seen.append(
                try await impersonateClient(context) {
                    await Task.detached { "detached=\(who(path))" }.value
                })
            seen.append("between=\(who(path))")
            seen.append(try Self.onThisThread(path, context))
            seen.append(
                await withCheckedContinuation { waiting in
                    Thread.detachNewThread { waiting.resume(returning: Self.onItsOwnThread(path, context)) }
                })
            seen.append("after=\(who(path))")
            return seen.joined(separator: " ")
        }

        private static func onThisThread(_ path: String, _ context: ServerContext) throws -> String {
            try impersonateClient(context) { "thread=\(who(path))" }
        }

        private static func onItsOwnThread(_ path: String, _ context: ServerContext) -> String {
            do {
                try impersonateClient(context)
                let acting = who(path)
                revertToSelf(context)
                let other = who(path)
                try impersonateClient(context)
                revertToSelf()
                return "own=\(acting) reverted=\(other) again=\(who(path))"
            } catch { return "own=\(error)" }
        }
    }
#endif
