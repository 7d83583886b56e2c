#if GRPC
    public import GRPCCore
    import Guise
    import Synchronization

    /// Finds out whose each call is, by its ticket, before the handler hears of it. The handler acts as the client where
    /// it says so, by ``impersonateClient(_:atMost:_:)-(_,_,()->Result)``, for as long as the call lasts.
    ///
    ///     GRPCServer(transport: transport, services: [FileService()], interceptors: [IdentityServerInterceptor()])
    ///
    /// A call with a ticket that is malformed, used, expired, for another service, or one of several, and a call over
    /// anything but a Unix socket, is answered UNAUTHENTICATED; while the authority is gone, UNAVAILABLE. The error's
    /// `cause` is the `GuiseError`, for a logging interceptor before this one; the client is not told it.
    public struct IdentityServerInterceptor: ServerInterceptor {
        /// What becomes of calls that carry no ticket.
        public enum Unidentified: Sendable, Hashable {
            /// They are answered UNAUTHENTICATED.
            case refuse
            /// Their client is Anonymous, `S-1-5-7`.
            case anonymous
        }

        private let unidentified: Unidentified
        private let anonymous = AnonymousClient()

        /// - Parameter unidentified: what becomes of calls that carry no ticket.
        public init(unidentified: Unidentified = .refuse) { self.unidentified = unidentified }

        /// Called by the server.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>, context: ServerContext,
            next:
                @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
                -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            let call = Call(try await client(of: request.metadata, context))
            var (request, context) = (request, context)
            // Nothing behind this needs it, and it is worth nothing any more.
            request.metadata.removeAllValues(forKey: ticketKey)
            context.transportSpecific = CallIdentity(call, transport: context.transportSpecific)
            var response: StreamingServerResponse<Output>
            do { response = try await next(request, context) } catch {
                call.end()
                throw told(error)
            }
            switch response.accepted {
            case .failure(let error):
                call.end()
                response.accepted = .failure((told(error) as? RPCError) ?? error)
            case .success(var contents):
                // Runs when the handler has returned.
                contents.producer = { [producer = contents.producer] writer in
                    defer { call.end() }
                    do { return try await producer(writer) } catch { throw told(error) }
                }
                response.accepted = .success(contents)
            }
            return response
        }

        private func client(of metadata: Metadata, _ context: ServerContext) async throws -> Connection {
            func refused(_ why: String, _ cause: GuiseError? = nil) -> RPCError {
                RPCError(code: .unauthenticated, message: why, cause: cause)
            }
            guard isLocal(context.localPeer) else {
                throw refused("who calls is known over Unix sockets only")
            }
            let values = Array(metadata[ticketKey])
            guard values.count <= 1 else { throw refused("the call carries more than one ticket") }
            do {
                guard !values.isEmpty else {
                    guard unidentified == .anonymous else { throw refused("the call carries no ticket") }
                    return try await anonymous.client
                }
                guard let ticket = metadata[binaryValues: ticketKey].first(where: { _ in true }) else {
                    throw refused("the call's ticket is none")
                }
                return try await Connection(redeeming: ticket)
            } catch let error as GuiseError {
                guard error.code != .unavailable else { throw told(error) }
                throw refused("the call's ticket is not accepted", error)
            }
        }
    }

    /// The one client that calls without a ticket have.
    private final class AnonymousClient: Sendable {
        private let known = Mutex<(authority: Authority, client: Connection)?>(nil)

        var client: Connection {
            get async throws(GuiseError) {
                guard let authority = Authority.current else {
                    throw .notAttached("this process has not attached; call Authority.attach() first")
                }
                if let known = known.withLock({ $0 }), known.authority === authority { return known.client }
                let own = try authority.token().user.sid.description
                let ticket = try await Ticket.issue(for: own, level: .anonymous)
                let client = try await Connection(redeeming: ticket.bytes, authority: authority)
                known.withLock { $0 = (authority, client) }
                return client
            }
        }
    }

    /// What the client is told of an error that the handler did not catch: of one of ours its kind alone.
    private func told(_ error: any Error) -> any Error {
        let rpc = error as? RPCError
        guard let ours = (rpc == nil ? error : rpc?.code == .unknown ? rpc?.cause : nil) as? GuiseError else {
            return error
        }
        return RPCError(
            code: ours.code,
            message: ours.code == .unavailable
                ? "the authority does not answer" : "the server may not act as the client",
            cause: ours)
    }

    extension GuiseError {
        /// The status of a call that fails because of it.
        var code: RPCError.Code {
            switch self {
            case .authorityLost, .authorityUnreachable, .authorityFailed, .notAttached, .busy,
                .tooManyThreads,
                .system:
                .unavailable
            case .limitReached: .resourceExhausted
            case .privilegeNotHeld, .integrityTooHigh, .restricted, .accessDenied: .permissionDenied
            case .invalid, .notMediated, .tasksNotFollowed, .closed, .notAServerConnection:
                .failedPrecondition
            default: .unauthenticated
            }
        }
    }
#endif
