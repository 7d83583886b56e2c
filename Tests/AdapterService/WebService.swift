#if NIO && Hummingbird
    import Foundation
    import Guise
    import GuiseHummingbird
    import GuiseNIO
    import Hummingbird
    import Logging
    import NIOPosix

    enum WebService {
        static func serve(at address: String) async throws {
            LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
            let router = Router(context: BasicClientRequestContext.self)
            router.get("open") { (request, _) in who(path(request)) }
            router.add(middleware: ImpersonationMiddleware())
            router.get("who") { (request, _) in who(path(request)) }
            router.get("leaving") { (request, context) in
                let path = path(request)
                let unstructured = await Task { who(path) }.value
                let detached = await Task.detached { who(path) }.value
                let pool = try await NIOThreadPool.singleton.runIfActive { who(path) }
                guard let client = context.client else { throw HTTPError(.internalServerError) }
                let asClient = try await NIOThreadPool.singleton.runIfActive(as: client) { who(path) }
                async let child = who(path)
                return "\(unstructured) \(detached) \(pool) \(asClient) \(await child)"
            }
            // Opened by the threads of a pool.
            router.get("fileio") { (request, context) in
                Response(
                    status: .ok, body: try await FileIO().loadFile(path: path(request), context: context))
            }
            // Everything happens when the route has returned.
            router.get("stream") { (request, _) in
                let path = path(request)
                return Response(
                    status: .ok,
                    body: ResponseBody { writer in
                        for _ in 0..<3 {
                            try await writer.write(ByteBuffer(string: who(path) + " "))
                            try await Task.sleep(for: .milliseconds(5))
                        }
                        try await writer.finish(nil)
                    })
            }
            // Until the client has gone.
            router.get("endless") { (request, _) in
                let path = path(request)
                return Response(
                    status: .ok,
                    body: ResponseBody { writer in
                        defer { say("ended as \(who(path))") }
                        while true { try await writer.write(ByteBuffer(repeating: 0x2E, count: 65536)) }
                    })
            }
            // The request's body, read as the client.
            router.post("upload") { (request, _) in
                let path = path(request)
                var size = 0
                for try await part in request.body { size += part.readableBytes }
                return "\(size) \(who(path))"
            }
            let application = Application(
                router: router, server: .capturing(),
                configuration: .init(
                    address: address == "tcp"
                        ? .hostname("127.0.0.1", port: 0) : .unixDomainSocket(path: address)),
                onServerRunning: { channel in
                    if address != "tcp" { chmod(address, 0o666) }
                    say("serving \(channel.localAddress?.port ?? 0)")
                })
            try await application.runService()
        }

        private static func path(_ request: Request) -> String {
            request.uri.queryParameters["path"].map(String.init) ?? ""
        }
    }
#endif
