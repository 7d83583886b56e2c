#if GRPC
    public import GRPCCore
    public import Guise
    import Synchronization

    /// Finds out whose each call is, before the handler hears of it: by its ticket over Unix sockets, and over anything by
    /// what it proves to a security package (``SecurityClientInterceptor``). The handler acts as the client where
    /// it says so, by ``impersonateClient(_:atMost:_:)-(_,_,()->Result)``, for as long as the call lasts.
    ///
    ///     GRPCServer(transport: transport, services: [FileService()], interceptors: [IdentityServerInterceptor()])
    ///
    /// A call with a ticket that is malformed, used, expired, for another service, or one of several, with a proof that is
    /// none, and a call over anything but a Unix socket without one, is answered UNAUTHENTICATED; one whose client no
    /// mapping rule lets in, PERMISSION_DENIED; while the authority is gone, UNAVAILABLE. The error's
    /// `cause` is the `GuiseError`, for a logging interceptor before this one; the client is not told it.
    public struct IdentityServerInterceptor: ServerInterceptor {
        /// What becomes of calls that say nothing of who makes them.
        public enum Unidentified: Sendable, Hashable {
            /// They are answered UNAUTHENTICATED.
            case refuse
            /// Their client is Anonymous, `S-1-5-7`.
            case anonymous
        }

        private let unidentified: Unidentified
        private let packages: [any SecurityPackage]
        private let anonymous = AnonymousClient()

        /// - Parameters:
        ///   - packages: by which clients may prove themselves, in the metadata `authorization`: `Negotiate` and the
        ///     client's token in base64, or `Bearer` and a JWT. The first token has to be enough, as Kerberos' is.
        ///     Anybody who reads what goes over the transport could use it: give that TLS.
        ///   - unidentified: what becomes of calls that say nothing of who makes them.
        public init(packages: [any SecurityPackage] = [], unidentified: Unidentified = .refuse) {
            (self.packages, self.unidentified) = (packages, unidentified)
        }

        /// Called by the server.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>, context: ServerContext,
            next:
                @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
                -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            let proven = try await proven(by: request.metadata)
            let call = Call(try await client(proven, request.metadata, context))
            var (request, context) = (request, context)
            // Nothing behind this needs it, and it is worth nothing any more.
            request.metadata.removeAllValues(forKey: ticketKey)
            if proven != nil { request.metadata.removeAllValues(forKey: proofKey) }
            context.transportSpecific = CallIdentity(
                call, proven?.context, transport: context.transportSpecific)
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
                // By it the client knows that this is the service that it meant.
                if let reply = proven?.reply { contents.metadata.addString(reply, forKey: replyKey) }
                // Runs when the handler has returned.
                contents.producer = { [producer = contents.producer] writer in
                    defer { call.end() }
                    do { return try await producer(writer) } catch { throw told(error) }
                }
                response.accepted = .success(contents)
            }
            return response
        }

        /// Whom a call proves to be made by, and what its client is answered; nil if it proves nothing.
        private func proven(
            by metadata: Metadata
        ) async throws -> (context: SecurityContext, reply: String?)? {
            // Without packages it is the handler's, who may have means of its own.
            let values = packages.isEmpty ? [] : Array(metadata[stringValues: proofKey])
            guard let proof = values.first else { return nil }
            guard values.count == 1, !metadata[ticketKey].contains(where: { _ in true }) else {
                throw refused("the call says more than once who makes it")
            }
            guard let proof = Proof(proof), let package = packages.first(where: { proof.isOf($0) }),
                let token = proof.token(for: package)
            else { throw refused("the call proves nothing that this service takes") }
            do {
                guard case .finished(let context, let reply) = try await stepping(package.accept(), token)
                else { throw refused("\(package.name) takes more than one round here") }
                return (context, reply.isEmpty ? nil : Proof.text(package, reply))
            } catch let error as GuiseError {
                guard error.code != .unavailable else { throw told(error) }
                throw RPCError(
                    code: error.code == .permissionDenied ? .permissionDenied : .unauthenticated,
                    message: "the call's proof is not accepted", cause: error)
            }
        }

        private func refused(_ why: String, _ cause: GuiseError? = nil) -> RPCError {
            RPCError(code: .unauthenticated, message: why, cause: cause)
        }

        private func client(
            _ proven: (context: SecurityContext, reply: String?)?, _ metadata: Metadata,
            _ context: ServerContext
        ) async throws -> Connection {
            if let proven { return try proven.context.connection() }
            guard isLocal(context.localPeer) || !packages.isEmpty else {
                throw refused("who calls is known over Unix sockets only")
            }
            let values = Array(metadata[ticketKey])
            guard isLocal(context.localPeer) || values.isEmpty else {
                throw refused("a ticket goes over Unix sockets only")
            }
            guard values.count <= 1 else { throw refused("the call carries more than one ticket") }
            do {
                guard !values.isEmpty else {
                    guard unidentified == .anonymous else {
                        throw refused("the call does not say who makes it")
                    }
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
            case .privilegeNotHeld, .integrityTooHigh, .restricted, .accessDenied, .notMapped:
                .permissionDenied
            case .invalid, .notMediated, .tasksNotFollowed, .closed, .notAServerConnection:
                .failedPrecondition
            default: .unauthenticated
            }
        }
    }
#endif
