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
            var response = try await respond(to: request, context, as: client, next).get()
            let (body, limit, logger) = (response.body, limit, context.logger)
            // Written when the middleware have returned.
            response.body = ResponseBody(contentLength: body.contentLength) { writer in
                // Only this task has it, and it waits.
                nonisolated(unsafe) let writer = writer
                do {
                    try await client.impersonating(atMost: limit) { try await body.write(writer) }
                } catch {
                    logger.debug("the body of a response ended early: \(error)")
                    throw error
                }
            }
            return response
        }

        /// - Returns: what the next one returned or threw.
        private func respond(
            to request: Request, _ context: Context, as client: Connection,
            _ next: (Request, Context) async throws -> Response
        ) async throws -> Result<Response, any Error> {
            do {
                return try await withoutActuallyEscaping(next) { next in
                    // Only this task has it, and it waits.
                    nonisolated(unsafe) let next = next
                    return try await client.impersonating(atMost: limit) {
                        do { return .success(try await next(request, context)) } catch {
                            return .failure(error)
                        }
                    }
                }
            } catch let error as GuiseError {
                context.logger.warning("a request is refused: \(error)")
                throw HTTPError(error.status)
            }
        }
    }

    extension GuiseError {
        /// The answer to a client that could not be impersonated.
        fileprivate var status: HTTPResponse.Status {
            switch self {
            case .privilegeNotHeld, .integrityTooHigh, .restricted, .accessDenied: .forbidden
            default: .serviceUnavailable
            }
        }
    }
#endif
