#if GRPC
    public import AccessControl
    import Dispatch
    import FoundationEssentials
    public import GRPCCore
    public import Guise

    /// Proves with each call who makes it, by a security package: for servers on other machines, over TCP. As whom the
    /// calling task acts at that moment, as far as its client delegated, else as the process.
    ///
    ///     GRPCClient(
    ///         transport: try .http2NIOPosix(target: .dns(host: "files.example.com"), transportSecurity: .tls),
    ///         interceptors: [SecurityClientInterceptor(Negotiate(), for: "HTTP@files.example.com")])
    ///
    /// Give the transport TLS: who reads a token on its way can be faster with it. Where the package says so, as Negotiate
    /// does, the server has to prove in its first answer who it is, or the call fails with UNAUTHENTICATED; messages that
    /// are streamed may have been sent by then. A call for which there is no proof fails with UNAUTHENTICATED,
    /// PERMISSION_DENIED, FAILED_PRECONDITION or UNAVAILABLE and has not been made; the error's `cause` is the
    /// `GuiseError`. A call that is tried again makes another proof.
    public struct SecurityClientInterceptor: ClientInterceptor {
        private let package: any SecurityPackage
        private let target: String
        private let level: ImpersonationLevel

        /// - Parameters:
        ///   - package: such as `Negotiate()`, or `BearerToken(token)`.
        ///   - target: the service, as the package spells it: `HTTP@files.example.com`.
        ///   - level: the most that the server may do with the identity.
        public init(
            _ package: any SecurityPackage, for target: String, level: ImpersonationLevel = .impersonation
        ) {
            (self.package, self.target, self.level) = (package, target, level)
        }

        /// Called by the client.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingClientRequest<Input>, context: ClientContext,
            next: (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<
                Output
            >
        ) async throws -> StreamingClientResponse<Output> {
            var request = request
            let exchange: any SecurityExchange
            var isFinished = false
            do {
                // Here, before the first suspension: on the thread that runs this task.
                exchange = try package.initiate(to: target, level: level)
                let step = try await stepping(exchange, [])
                if case .finished = step { isFinished = true }
                request.metadata.replaceOrAddString(Proof.text(package, step.reply), forKey: proofKey)
            } catch {
                throw RPCError(code: error.code, message: error.description, cause: error)
            }
            let response = try await next(request, context)
            guard !isFinished, case .success(let contents) = response.accepted else { return response }
            do throws(GuiseError) {
                guard let text = contents.metadata[stringValues: replyKey].first(where: { _ in true }),
                    let token = Proof(text)?.token(for: package),
                    case .finished = try await stepping(exchange, token)
                else { throw .logonFailed("the server did not prove that it is \(target)") }
            } catch {
                throw RPCError(code: .unauthenticated, message: error.description, cause: error)
            }
            return response
        }
    }

    /// The metadata key of a client's proof, as HTTP has it (RFC 9110, 11.6.2), and that of the server's answer.
    let proofKey = "authorization"
    let replyKey = "www-authenticate"

    /// What a client or a server proves: a scheme, and a token.
    struct Proof {
        private let scheme: Substring
        private let value: Substring

        init?(_ text: String) {
            guard let space = text.firstIndex(of: " ") else { return nil }
            scheme = text[..<space]
            value = text[text.index(after: space)...]
        }

        func isOf(_ package: any SecurityPackage) -> Bool {
            scheme.lowercased() == Self.scheme(package).lowercased()
        }

        func token(for package: any SecurityPackage) -> [UInt8]? {
            guard isOf(package) else { return nil }
            return Self.isBearer(package)
                ? Array(value.utf8) : Data(base64Encoded: String(value)).map(Array.init)
        }

        static func text(_ package: any SecurityPackage, _ token: [UInt8]) -> String {
            scheme(package) + " "
                + (isBearer(package)
                    ? String(decoding: token, as: UTF8.self) : Data(token).base64EncodedString())
        }

        /// A JWT is text of its own, and has its own scheme (RFC 6750).
        private static func isBearer(_ package: any SecurityPackage) -> Bool { package is BearerToken }
        private static func scheme(_ package: any SecurityPackage) -> String {
            isBearer(package) ? "Bearer" : package.name
        }
    }

    /// A step on a thread that may wait for the authority, or for a network.
    func stepping(
        _ exchange: any SecurityExchange, _ token: [UInt8]
    ) async throws(GuiseError) -> SecurityStep {
        let result = await withCheckedContinuation { waiting in
            DispatchQueue.global().async {
                waiting.resume(returning: Result { () throws(GuiseError) in try exchange.step(token) })
            }
        }
        return try result.get()
    }
#endif
