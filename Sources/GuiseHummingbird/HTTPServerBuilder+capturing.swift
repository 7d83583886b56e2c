#if Hummingbird
    public import Guise
    import Hummingbird
    public import HummingbirdCore
    public import NIOCore

    extension HTTPServerBuilder {
        /// A server on a Unix socket whose connections are captured when they are accepted, before anything is read from
        /// them:
        ///
        ///     Application(router: router, server: .capturing(),
        ///                 configuration: .init(address: .unixDomainSocket(path: "/run/web.sock")))
        ///
        /// Where the client cannot be captured, over TCP always, every request is answered 403, whatever its path, and the
        /// log says why.
        ///
        /// - Parameters:
        ///   - authority: nil for ``Authority/current``.
        ///   - build: the protocol that is spoken; HTTP/1 unless said otherwise.
        public static func capturing(
            authority: Authority? = nil,
            _ build:
                @escaping @Sendable (@escaping HTTPChannelHandler.Responder) throws -> any ServerChildChannel =
                {
                    HTTP1Channel(responder: $0)
                }
        ) -> HTTPServerBuilder {
            HTTPServerBuilder { responder in
                func capturing(_ base: some ServerChildChannel) -> any ServerChildChannel {
                    CapturingChannel(base: base, authority: authority)
                }
                let base = try build { (request, writer, channel) in
                    guard ServedClient.current != nil else {
                        return try await writer.writeResponse(
                            HTTPResponse(status: .forbidden, headerFields: [.contentLength: "0"]))
                    }
                    try await responder(request, writer, channel)
                }
                return capturing(base)
            }
        }
    }
#endif
