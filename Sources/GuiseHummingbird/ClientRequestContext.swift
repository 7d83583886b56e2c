#if Hummingbird
    public import Guise
    public import Hummingbird

    /// A request context that knows the client of the request's connection. An own one takes it from its source:
    ///
    ///     struct Context: ClientRequestContext {
    ///         var coreContext: CoreRequestContextStorage
    ///         let client: Connection?
    ///
    ///         init(source: Source) {
    ///             coreContext = .init(source: source)
    ///             client = source.client
    ///         }
    ///     }
    public protocol ClientRequestContext: RequestContext {
        /// The client; its `fileDescriptor` is -1, since the socket is the server's. Nil when the server is not one of
        /// `HTTPServerBuilder.capturing`.
        var client: Connection? { get }
    }

    /// The context of an application that keeps nothing else with its requests.
    public struct BasicClientRequestContext: ClientRequestContext {
        /// What Hummingbird keeps.
        public var coreContext: CoreRequestContextStorage
        /// The client of the request's connection.
        public let client: Connection?

        /// Made by the application, for each request.
        public init(source: ApplicationRequestContextSource) {
            coreContext = .init(source: source)
            client = source.client
        }
    }

    extension ApplicationRequestContextSource {
        /// The client of the request's connection, while the context is made; nil when the server is not one of
        /// `HTTPServerBuilder.capturing`.
        public var client: Connection? { ServedClient.current }
    }
#endif
