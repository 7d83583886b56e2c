#if GRPC
    public import AccessControl
    public import GRPCCore
    import Guise

    /// Sends along with each call who makes it: a ticket for whom the calling task acts as at that moment, so the client
    /// in a body of `impersonating` or ``impersonateClient(_:atMost:_:)-(_,_,()->Result)``, else the process. The calls
    /// of many clients go over one channel, each as its own. A call that is tried again takes another ticket. Tickets for
    /// calls that follow each other are fetched up to 32 at once, for the next five seconds and the same identity.
    ///
    ///     GRPCClient(transport: transport, interceptors: [IdentityClientInterceptor(for: "files")])
    ///
    /// Over Unix sockets: a call over anything else fails with FAILED_PRECONDITION before a ticket is asked for. One for
    /// which none is issued fails with UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED or UNAVAILABLE, and has
    /// not been made; the error's `cause` is the `GuiseError`.
    public struct IdentityClientInterceptor: ClientInterceptor {
        private let server: String
        private let level: ImpersonationLevel?
        private let isEffectiveOnly: Bool
        private let lifetime: Duration
        private let runtimeDirectory: String?

        /// - Parameters:
        ///   - server: the account that the server runs under, by its name or its SID. Nobody else can use the tickets.
        ///   - level: what the server may do with the identity. nil: as much as the caller itself may, at most
        ///     Impersonation.
        ///   - effectiveOnly: whether groups and privileges that are not enabled are left out of what the server gets.
        ///   - lifetime: of a ticket, 1 to 300 seconds. A call may take at least half of it to reach the server's
        ///     interceptor.
        ///   - runtimeDirectory: where `guised` runs, as for `Authority.attach`.
        public init(
            for server: String, level: ImpersonationLevel? = nil, effectiveOnly: Bool = false,
            lifetime: Duration = .seconds(30), runtimeDirectory: String? = nil
        ) {
            (self.server, self.level, self.lifetime) = (server, level, lifetime)
            (isEffectiveOnly, self.runtimeDirectory) = (effectiveOnly, runtimeDirectory)
        }

        /// Called by the client.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingClientRequest<Input>, context: ClientContext,
            next: (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<
                Output
            >
        ) async throws -> StreamingClientResponse<Output> {
            guard isLocal(context.remotePeer) else {
                throw RPCError(
                    code: .failedPrecondition,
                    message: "a ticket goes over Unix sockets only, and not to \(context.remotePeer)")
            }
            var request = request
            do {
                let ticket = try await Ticket.next(
                    for: server, level: level, effectiveOnly: isEffectiveOnly, lifetime: lifetime,
                    runtimeDirectory: runtimeDirectory)
                request.metadata.replaceOrAddBinary(ticket, forKey: ticketKey)
            } catch {
                throw RPCError(code: error.code, message: error.description, cause: error)
            }
            return try await next(request, context)
        }
    }

    /// The metadata key of a call's ticket.
    let ticketKey = "guise-ticket-bin"

    /// Whether a peer, as the transport writes it, is reached over a Unix socket.
    func isLocal(_ peer: String) -> Bool { peer.hasPrefix("unix:") }
#endif
