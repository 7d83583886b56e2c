#if Hummingbird
    import AccessControl
    import Guise
    import Hummingbird
    import Logging

    /// As whom requests are handled.
    protocol RequestClient: Sendable {
        func impersonating<Result: Sendable>(
            atMost limit: ImpersonationLevel, _ body: @Sendable () async throws -> Result
        ) async throws -> Result
    }

    extension Connection: RequestClient {}
    extension SecurityContext: RequestClient {}

    /// Runs the rest of a request, up to the last byte of the response's body, as a client.
    func respond<Context: RequestContext>(
        to request: Request, _ context: Context, as client: some RequestClient,
        atMost limit: ImpersonationLevel,
        _ next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response = try await result(of: request, context, as: client, atMost: limit, next).get()
        let (body, logger) = (response.body, context.logger)
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
    private func result<Context: RequestContext>(
        of request: Request, _ context: Context, as client: some RequestClient,
        atMost limit: ImpersonationLevel,
        _ next: (Request, Context) async throws -> Response
    ) async throws -> Result<Response, any Error> {
        do {
            return try await withoutActuallyEscaping(next) { next in
                // Only this task has it, and it waits.
                nonisolated(unsafe) let next = next
                return try await client.impersonating(atMost: limit) {
                    do { return .success(try await next(request, context)) } catch { return .failure(error) }
                }
            }
        } catch let error as GuiseError {
            context.logger.warning("a request is refused: \(error)")
            throw HTTPError(error.status)
        }
    }

    extension GuiseError {
        /// The answer to a client that could not be impersonated.
        var status: HTTPResponse.Status {
            switch self {
            case .privilegeNotHeld, .integrityTooHigh, .restricted, .accessDenied, .notMapped: .forbidden
            default: .serviceUnavailable
            }
        }
    }
#endif
