#if NIO && Hummingbird
    import AccessControl
    import Foundation
    import Guise
    import GuiseHummingbird
    #if Kerberos
        import GuiseKerberos
    #endif
    import GuiseNIO
    import Hummingbird
    import HummingbirdCore
    import Logging
    import NIOCore
    import NIOPosix

    #if TLS
        import NIOSSL
    #endif

    /// HTTP whose clients say who they are.
    enum AuthenticatedService {
        static func serve(_ arguments: [String]) async throws {
            LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
            let schemes = arguments[1].split(separator: ",").compactMap { name -> AuthenticationScheme? in
                switch name {
                case "certificate": .certificate
                case "bearer": .bearer
                #if Kerberos
                    case "negotiate": .negotiate(Negotiate())
                #endif
                case "stand-in": .negotiate(StandIn())
                default: nil
                }
            }
            let router = Router(context: BasicAuthenticatedRequestContext.self)
            router.get("open") { (request, _) in who(path(request)) }
            router.add(middleware: AuthenticationMiddleware(schemes, isRequired: arguments[0] == "required"))
            router.get("who") { (request, _) in who(path(request)) }
            router.get("name") { (_, context) in
                guard let client = context.client else { throw HTTPError(.internalServerError) }
                let name =
                    client.level == .anonymous ? "anonymous" : try client.token().user.name ?? "unknown"
                return "\(name) \(client.level) \(client.attributes.package)"
            }
            router.get("stream") { (request, _) in
                let path = path(request)
                return Response(
                    status: .ok,
                    body: ResponseBody { writer in
                        for _ in 0..<2 {
                            try await writer.write(ByteBuffer(string: who(path) + " "))
                            try await Task.sleep(for: .milliseconds(5))
                        }
                        try await writer.finish(nil)
                    })
            }
            // Until the session has ended: the client is held all the while.
            router.get("hold") { (request, _) in
                let path = path(request)
                return Response(
                    status: .ok,
                    body: ResponseBody { writer in
                        for _ in 0..<600 {
                            let who = who(path)
                            try await writer.write(ByteBuffer(string: who + "\n"))
                            guard who != "nobody" else { break }
                            try await Task.sleep(for: .milliseconds(50))
                        }
                        try await writer.finish(nil)
                    })
            }
            var server = HTTPServerBuilder.http1()
            #if TLS
                if arguments.count == 4 {
                    server = try .tls(
                        certificates: try configuration(arguments[2], arguments[3], .optionalVerification))
                }
            #endif
            let application = Application(
                router: router, server: server,
                configuration: .init(address: .hostname("127.0.0.1", port: 0)),
                onServerRunning: { channel in say("serving \(channel.localAddress?.port ?? 0)") })
            try await application.runService()
        }

        private static func path(_ request: Request) -> String {
            request.uri.queryParameters["path"].map(String.init) ?? ""
        }

        #if TLS
            static func configuration(
                _ certificate: String, _ key: String, _ verification: CertificateVerification
            ) throws -> TLSConfiguration {
                var configuration = TLSConfiguration.makeServerConfiguration(
                    certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
                    privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
                configuration.certificateVerification = verification
                return configuration
            }
        #endif
    }

    /// Speaks no SPNEGO: its token is a JWT, or `more`, which takes another round.
    private struct StandIn: SecurityPackage {
        let name = "Negotiate"

        func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange {
            Exchange(base: try BearerToken().accept(runtimeDirectory: runtimeDirectory))
        }

        func initiate(to target: String, level: ImpersonationLevel) throws(GuiseError) -> any SecurityExchange
        {
            throw .invalid("only accepts")
        }

        private final class Exchange: SecurityExchange {
            private let base: any SecurityExchange

            init(base: any SecurityExchange) { self.base = base }

            func step(_ token: [UInt8]) throws(GuiseError) -> SecurityStep {
                guard token != Array("more".utf8) else { return .more(reply: token) }
                guard case .finished(let client, _) = try base.step(token) else {
                    throw .authorityFailed("not finished")
                }
                return .finished(client, reply: Array("reply".utf8))
            }
        }
    }

    #if TLS
        /// A line for a line: who can read the file that it names.
        enum CertificateService {
            static func serve(_ arguments: [String]) async throws {
                let isRequired = arguments[0] == "required"
                let context = try NIOSSLContext(
                    configuration: try AuthenticatedService.configuration(
                        arguments[1], arguments[2],
                        isRequired ? .noHostnameVerification : .optionalVerification))
                let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            let pipeline = channel.pipeline.syncOperations
                            try pipeline.addHandler(ClientCertificateHandler.tls(context: context))
                            let certificate = ClientCertificateHandler(
                                eventLoop: channel.eventLoop, isRequired: isRequired)
                            try pipeline.addHandler(certificate)
                            try pipeline.addHandler(Lines(certificate))
                        }
                    }
                    .bind(host: "127.0.0.1", port: 0).get()
                say("serving \(server.localAddress?.port ?? 0)")
                try await server.closeFuture.get()
            }

            private final class Lines: ChannelInboundHandler {
                typealias InboundIn = ByteBuffer
                typealias OutboundOut = ByteBuffer

                private let certificate: ClientCertificateHandler

                init(_ certificate: ClientCertificateHandler) { self.certificate = certificate }

                func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                    let path =
                        String(buffer: unwrapInboundIn(data)).split(separator: "\n").first.map(String.init)
                        ?? ""
                    let answer: String
                    do {
                        answer =
                            try certificate.client.map { try $0.impersonating { who(path) } }
                            ?? "no certificate"
                    } catch { answer = "\(error)" }
                    context.writeAndFlush(
                        wrapOutboundOut(ByteBuffer(string: "\(answer), \(who(path))\n")), promise: nil)
                }

                func errorCaught(context: ChannelHandlerContext, error: any Error) {
                    say("refused: \(error)")
                    context.close(promise: nil)
                }
            }
        }
    #endif
#endif
