#if Hummingbird
    public import AccessControl
    import Guise
    public import Hummingbird
    import Logging

    /// Runs what comes behind it, up to the last byte of the response's body, as the client of the request's connection.
    ///
    ///     router.add(middleware: ImpersonationMiddleware())
    ///     router.get("files/**") { request, context in ... }     // as the client
    ///
    /// As the service run the middleware before it, and what leaves the request's task: unstructured tasks, and the threads
    /// of a pool, so also Hummingbird's `FileIO` and `FileMiddleware`. Files are opened with ordinary calls instead, or with
    /// GuiseNIO's `NIOThreadPool.runIfActive(as:)`.
    ///
    /// A client that cannot be impersonated is answered 403 when a rule refuses it, 503 when the authority is gone or a
    /// limit reached; the log says which. Nothing behind the middleware runs then.
    public struct ImpersonationMiddleware<Context: ClientRequestContext>: RouterMiddleware {
        private let limit: ImpersonationLevel

        /// - Parameter limit: act at no more than this level, whatever the client allowed.
        public init(atMost limit: ImpersonationLevel = .delegation) { self.limit = limit }

        /// Called by the router.
        public func handle(
            _ request: Request, context: Context, next: (Request, Context) async throws -> Response
        ) async throws -> Response {
            guard let client = context.client else {
                context.logger.error(
                    "a request is refused: no client was captured; give the application server: .capturing()")
                throw HTTPError(.forbidden)
            }
            return try await respond(to: request, context, as: client, atMost: limit, next)
        }
    }

#endif
