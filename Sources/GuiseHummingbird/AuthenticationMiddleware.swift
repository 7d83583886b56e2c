#if Hummingbird
    public import AccessControl
    import FoundationEssentials
    public import Guise
    public import Hummingbird
    import Logging
    import NIOPosix
    import Synchronization

    #if TLS
        import GuiseNIO
    #endif

    /// A request context that knows the client who proved itself.
    public protocol AuthenticatedRequestContext: RequestContext {
        /// The client; set by ``AuthenticationMiddleware``, nil before it.
        var client: SecurityContext? { get set }
    }

    /// The context of an application that keeps nothing else with its requests.
    public struct BasicAuthenticatedRequestContext: AuthenticatedRequestContext {
        /// What Hummingbird keeps.
        public var coreContext: CoreRequestContextStorage
        /// The client of the request.
        public var client: SecurityContext?

        /// Made by the application, for each request.
        public init(source: ApplicationRequestContextSource) { coreContext = .init(source: source) }
    }

    /// How a client proves itself in HTTP.
    public enum AuthenticationScheme: Sendable {
        /// By a certificate in TLS. The server is one of `HTTPServerBuilder.tls(certificates:)`.
        case certificate
        /// By a signed JWT: `Authorization: Bearer` (RFC 6750).
        case bearer
        /// By Negotiate: `Authorization: Negotiate` (RFC 4559), with the package that does the work. One round: the
        /// client's first token has to be enough, as Kerberos' is.
        case negotiate(any SecurityPackage)
    }

    /// Finds out who the client of a request is, and runs what comes behind it as this client, as
    /// ``ImpersonationMiddleware`` does for clients of Unix sockets.
    ///
    ///     router.add(middleware: AuthenticationMiddleware([.certificate, .bearer]))
    ///     router.get("files/**") { request, context in ... }     // as the client
    ///
    /// The schemes are tried in order; the first one that the request has a proof for decides, and no other one after it.
    /// A request is never handled as the service:
    ///
    /// - without a proof it is answered 401 with a challenge for each scheme, or handled as Anonymous, as set;
    /// - with a wrong one, 401 (`Bearer error="invalid_token"`);
    /// - where the client is refused by a rule or a gate, 403;
    /// - when the authority is gone or a limit is reached, 503.
    public struct AuthenticationMiddleware<Context: AuthenticatedRequestContext>: RouterMiddleware {
        private let schemes: [AuthenticationScheme]
        private let isRequired: Bool
        private let limit: ImpersonationLevel
        private let authority: Authority?
        private let anonymous = AnonymousClient()

        /// - Parameters:
        ///   - schemes: in the order in which they are looked for and offered.
        ///   - isRequired: false to handle requests without any proof as Anonymous.
        ///   - limit: act at no more than this level.
        ///   - authority: nil for ``Authority/current``.
        public init(
            _ schemes: [AuthenticationScheme], isRequired: Bool = true,
            atMost limit: ImpersonationLevel = .delegation,
            authority: Authority? = nil
        ) {
            self.schemes = schemes
            self.isRequired = isRequired
            self.limit = limit
            self.authority = authority
        }

        /// Called by the router.
        public func handle(
            _ request: Request, context: Context, next: (Request, Context) async throws -> Response
        ) async throws -> Response {
            let (client, reply) = try await client(of: request, context.logger)
            var context = context
            context.client = client
            var response = try await respond(to: request, context, as: client, atMost: limit, next)
            if let reply { response.headers.append(.init(name: .wwwAuthenticate, value: reply)) }
            return response
        }

        /// What a request has for a scheme.
        private enum Proof {
            case none
            case known(Result<SecurityContext, GuiseError>)
            case token([UInt8], any SecurityPackage)
        }

        /// - Returns: the client, and what its package answers it.
        private func client(
            of request: Request, _ logger: Logger
        ) async throws -> (SecurityContext, reply: String?) {
            let fields = request.headers[values: .authorization]
            guard fields.count <= 1 else { throw HTTPError(.badRequest) }
            let credentials = fields.first.flatMap(Credentials.init)
            for scheme in schemes {
                switch try proof(for: scheme, credentials) {
                case .none: continue
                case .known(let result):
                    do { return (try await alive(try result.get()), nil) } catch let error as GuiseError {
                        throw refusal(error, scheme, logger)
                    }
                case .token(let token, let package):
                    do {
                        let step = try await step(package, token)
                        guard case .finished(let client, let reply) = step else {
                            logger.warning("a request is refused: \(package.name) takes more than one round")
                            throw HTTPError(.unauthorized, headers: challenges)
                        }
                        guard case .negotiate = scheme, !reply.isEmpty else { return (client, nil) }
                        return (client, "Negotiate " + Data(reply).base64EncodedString())
                    } catch let error as GuiseError { throw refusal(error, scheme, logger) }
                }
            }
            // Whoever tries to say who it is, and cannot, is not nobody in particular.
            guard !isRequired, fields.isEmpty else { throw HTTPError(.unauthorized, headers: challenges) }
            do { return (try await anonymous.client(authority, step), nil) } catch let error as GuiseError {
                throw refusal(error, nil, logger)
            }
        }

        private func proof(
            for scheme: AuthenticationScheme, _ credentials: Credentials?
        ) throws -> Proof {
            switch scheme {
            case .certificate:
                #if TLS
                    guard let handler = ServedCertificate.current else { return .none }
                    do throws(GuiseError) {
                        return try handler.client.map { .known(.success($0)) } ?? .none
                    } catch { return .known(.failure(error)) }
                #else
                    return .none
                #endif
            case .bearer:
                guard let credentials, credentials.isOf("bearer") else { return .none }
                return .token(Array(credentials.value.utf8), BearerToken())
            case .negotiate(let package):
                guard let credentials, credentials.isOf("negotiate") else { return .none }
                guard let token = Data(base64Encoded: String(credentials.value)) else {
                    throw HTTPError(.badRequest)
                }
                return .token(Array(token), package)
            }
        }

        /// The client, if its session has not ended since it proved itself: that was for a whole connection.
        private func alive(_ client: SecurityContext) async throws -> SecurityContext {
            do {
                try await NIOThreadPool.singleton.runIfActive { try client.confirm(atMost: limit) }
            } catch GuiseError.accessDenied(let why) { throw GuiseError.logonFailed(why) }
            return client
        }

        private func step(_ package: any SecurityPackage, _ token: [UInt8]) async throws -> SecurityStep {
            let directory = authority?.runtimeDirectory
            // It waits for the authority, which may wait for a directory service: not on a thread of Swift's own.
            return try await NIOThreadPool.singleton.runIfActive {
                try package.accept(runtimeDirectory: directory).step(token)
            }
        }

        private func refusal(
            _ error: GuiseError, _ scheme: AuthenticationScheme?, _ logger: Logger
        ) -> HTTPError {
            logger.warning("a request is refused: \(error)")
            guard case .logonFailed = error else { return HTTPError(error.status) }
            guard case .bearer = scheme else {
                var headers = challenges
                let status: HTTPResponse.Status = headers.isEmpty ? .forbidden : .unauthorized
                // What a certificate proves it proves for a connection: on another one it may prove something again.
                if case .certificate = scheme { headers[.connection] = "close" }
                return HTTPError(status, headers: headers)
            }
            return HTTPError(
                .unauthorized, headers: [.wwwAuthenticate: #"Bearer error="invalid_token""#])
        }

        /// Who has no proof, or a wrong one, is told what would be one. TLS has no word for it in HTTP.
        private var challenges: HTTPFields {
            var fields = HTTPFields()
            for scheme in schemes {
                switch scheme {
                case .certificate: break
                case .bearer: fields.append(.init(name: .wwwAuthenticate, value: "Bearer"))
                case .negotiate: fields.append(.init(name: .wwwAuthenticate, value: "Negotiate"))
                }
            }
            return fields
        }
    }

    /// What an `Authorization` field says (RFC 9110, 11.4).
    private struct Credentials {
        private let scheme: Substring
        let value: Substring

        init?(_ field: String) {
            let parts = field.split(separator: " ", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            scheme = parts[0]
            value = parts[1].drop { $0 == " " }
        }

        func isOf(_ name: String) -> Bool { scheme.lowercased() == name }
    }

    /// The one client that all are who did not say who they are.
    private final class AnonymousClient: Sendable {
        private let known = Mutex<(authority: Authority?, client: SecurityContext)?>(nil)

        func client(
            _ authority: Authority?,
            _ step: (any SecurityPackage, [UInt8]) async throws -> SecurityStep
        ) async throws -> SecurityContext {
            // One that was started anew knows nothing of it.
            let authority = authority ?? Authority.current
            if let known = known.withLock({ $0 }), known.authority === authority { return known.client }
            guard case .finished(let client, _) = try await step(NoProof(), []) else {
                throw GuiseError.authorityFailed("the authority's answer makes no sense")
            }
            known.withLock { $0 = (authority, client) }
            return client
        }
    }
#endif
