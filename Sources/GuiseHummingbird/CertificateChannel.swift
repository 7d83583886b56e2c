#if Hummingbird && TLS
    public import Guise
    import GuiseNIO
    import Hummingbird
    public import HummingbirdCore
    import Logging
    public import NIOCore
    public import NIOSSL

    /// What knows the certificate of the connection whose requests the task serves.
    enum ServedCertificate {
        @TaskLocal static var current: ClientCertificateHandler?
    }

    /// Puts TLS before another protocol, and who the client is by its certificate.
    struct CertificateChannel<Base: ServerChildChannel>: ServerChildChannel {
        struct Value: ServerChildChannelValue {
            let base: Base.Value
            let certificate: ClientCertificateHandler

            var channel: any Channel { base.channel }
        }

        let base: Base
        let context: NIOSSLContext
        let authority: Authority?

        func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
            channel.eventLoop.makeCompletedFuture {
                // Refused clients are answered in HTTP.
                let certificate = ClientCertificateHandler(
                    eventLoop: channel.eventLoop, isRequired: false, refusal: .keep, authority: authority)
                try channel.pipeline.syncOperations.addHandlers([
                    ClientCertificateHandler.tls(context: context), certificate,
                ])
                return certificate
            }.flatMap { certificate in
                base.setup(channel: channel, logger: logger).map { Value(base: $0, certificate: certificate) }
            }
        }

        func handle(value: Value, logger: Logger) async {
            await ServedCertificate.$current.withValue(value.certificate) {
                await base.handle(value: value.base, logger: logger)
            }
        }
    }

    extension HTTPServerBuilder {
        /// A server with TLS, whose requests ``AuthenticationMiddleware`` can tell the client of by its certificate:
        ///
        ///     Application(router: router, server: try .tls(certificates: configuration),
        ///                 configuration: .init(address: .hostname("0.0.0.0", port: 443)))
        ///
        /// - Parameters:
        ///   - configuration: the server's certificate and key; `certificateVerification` says whether clients are asked
        ///     for theirs (`.optionalVerification`), or not served without (`.noHostnameVerification`).
        ///   - authority: nil for ``Authority/current``.
        ///   - build: the protocol that is spoken; HTTP/1 unless said otherwise.
        /// - Throws: what NIOSSL throws of a configuration that cannot be used.
        public static func tls(
            certificates configuration: TLSConfiguration, authority: Authority? = nil,
            _ build:
                @escaping @Sendable (@escaping HTTPChannelHandler.Responder) throws -> any ServerChildChannel =
                {
                    HTTP1Channel(responder: $0)
                }
        ) throws -> HTTPServerBuilder {
            let context = try NIOSSLContext(configuration: configuration)
            return HTTPServerBuilder { responder in
                func certified(_ base: some ServerChildChannel) -> any ServerChildChannel {
                    CertificateChannel(base: base, context: context, authority: authority)
                }
                return certified(try build(responder))
            }
        }
    }
#endif
