#if TLS
    public import Guise
    public import NIOCore
    public import NIOSSL
    import NIOPosix
    import NIOTLS
    import Synchronization

    /// Finds out who the client of a TLS connection is, by the certificate that it presented, before anything that it sent
    /// goes any further. Behind the handler that speaks TLS:
    ///
    ///     let pipeline = channel.pipeline.syncOperations
    ///     try pipeline.addHandler(ClientCertificateHandler.tls(context: context))
    ///     let certificate = ClientCertificateHandler(eventLoop: channel.eventLoop)
    ///     try pipeline.addHandler(certificate)
    ///     try pipeline.addHandler(MyHandler())    // asks certificate.client when the first read comes
    ///
    /// Which certification authorities count, an administrator says (`guise mapping trust --certificate-authority`): the
    /// service trusts none itself. It needs SeTcbPrivilege for a client at level Impersonation (``ClientCertificate``).
    public final class ClientCertificateHandler: ChannelDuplexHandler, Sendable {
        /// What the client sent: it is passed on.
        public typealias InboundIn = ByteBuffer
        /// Anything: it is passed on.
        public typealias OutboundIn = Any

        /// What becomes of a connection whose client cannot be told by a certificate.
        public enum Refusal: Sendable {
            /// It is closed, and the handlers behind catch the error.
            case close
            /// It goes on, and ``ClientCertificateHandler/client`` says why.
            case keep
        }

        private enum State: Sendable {
            case waiting
            case known(Result<SecurityContext?, GuiseError>)
        }
        private let state = Mutex(State.waiting)
        /// What came meanwhile; on the event loop alone.
        private let held: NIOLoopBoundBox<Held>
        private let isRequired: Bool
        private let refusal: Refusal
        private let authority: Authority?

        /// More than one turn of the event loop reads.
        private static let largestHeldSize = 256 * 1024

        private struct Held {
            /// Whether the authority was asked, and has not answered.
            var isAsking = false
            /// Whether the client is refused, and the channel being closed: what comes yet is nobody's.
            var isClosing = false
            var reads: [Held.Event] = []
            var size = 0
            /// Whether somebody wants more of what the client sends.
            var wantsRead = false

            enum Event {
                case read(NIOAny)
                case complete
            }
        }

        /// Call it on the channel's event loop.
        ///
        /// - Parameters:
        ///   - eventLoop: the channel's.
        ///   - isRequired: whether a client without a certificate is refused.
        ///   - refusal: what becomes of a refused client's connection.
        ///   - authority: nil for ``Authority/current``.
        public init(
            eventLoop: any EventLoop, isRequired: Bool = true, refusal: Refusal = .close,
            authority: Authority? = nil
        ) {
            held = NIOLoopBoundBox(Held(), eventLoop: eventLoop)
            self.isRequired = isRequired
            self.refusal = refusal
            self.authority = authority
        }

        /// The handler that speaks TLS. It takes any certificate, once the client has proved that it has its key.
        ///
        /// - Parameter context: made with ``TLSConfiguration/certificateVerification`` `.noHostnameVerification`, or
        ///   `.optionalVerification` to serve clients without a certificate as well.
        public static func tls(context: NIOSSLContext) -> NIOSSLServerHandler {
            NIOSSLServerHandler(
                context: context,
                customVerificationCallbackWithMetadata: { chain, promise in
                    // What it is worth, the authority says.
                    promise.succeed(.certificateVerified(.init(.init(chain))))
                })
        }

        /// The client; nil for one without a certificate, where none is required. Known when the first read comes.
        ///
        /// - Throws: why the client is refused; ``GuiseError/closed(_:)`` before it is known.
        public var client: SecurityContext? {
            get throws(GuiseError) {
                switch state.withLock({ $0 }) {
                case .waiting: throw .closed("who the client is, is not known yet")
                case .known(let result): return try result.get()
                }
            }
        }

        private var isWaiting: Bool {
            if case .waiting = state.withLock({ $0 }) { true } else { false }
        }

        /// Called by the pipeline.
        public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !held.value.isClosing else { return }
            guard isWaiting else { return context.fireChannelRead(data) }
            held.value.size += unwrapInboundIn(data).readableBytes
            guard held.value.size <= Self.largestHeldSize else {
                return finish(
                    .failure(.limitReached("the client sent too much before it was known")), context,
                    closing: true)
            }
            held.value.reads.append(.read(data))
        }

        /// Called by the pipeline. While the authority is asked nothing more is read: the client has to wait, too.
        public func read(context: ChannelHandlerContext) {
            if held.value.isAsking { held.value.wantsRead = true } else { context.read() }
        }

        /// Called by the pipeline.
        public func channelReadComplete(context: ChannelHandlerContext) {
            if isWaiting { held.value.reads.append(.complete) } else { context.fireChannelReadComplete() }
        }

        /// Called by the pipeline.
        public func channelInactive(context: ChannelHandlerContext) {
            held.value.reads = []
            context.fireChannelInactive()
        }

        /// Called by the pipeline.
        public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted = event as? TLSUserEvent { ask(context) }
            context.fireUserInboundEventTriggered(event)
        }

        private func ask(_ context: ChannelHandlerContext) {
            guard isWaiting else { return }
            let token: [UInt8]
            do {
                let handler = try context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
                // Of a session that is resumed, the client's own is kept.
                let certificates =
                    handler.peerValidatedCertificateChain.map { Array($0) }
                    ?? handler.peerCertificate.map { [$0] } ?? []
                guard !certificates.isEmpty else {
                    return finish(
                        isRequired
                            ? .failure(.logonFailed("the client presented no certificate")) : .success(nil),
                        context)
                }
                token = try ClientCertificate.token(of: certificates.map { try $0.toDERBytes() })
            } catch {
                return finish(.failure(error as? GuiseError ?? .invalid("\(error)")), context)
            }
            held.value.isAsking = true
            let loop = NIOLoopBound(context, eventLoop: context.eventLoop)
            let directory = authority?.runtimeDirectory
            captures.runIfActive(eventLoop: context.eventLoop) {
                () -> Result<SecurityContext?, GuiseError> in
                do throws(GuiseError) {
                    let step = try ClientCertificate().accept(runtimeDirectory: directory).step(token)
                    guard case .finished(let client, _) = step else {
                        return .failure(.authorityFailed("the authority's answer makes no sense"))
                    }
                    return .success(client)
                } catch { return .failure(error) }
            }.recover { .failure(.authorityFailed("\($0)")) }
                .whenSuccess { self.finish($0, loop.value) }
        }

        private func finish(
            _ result: Result<SecurityContext?, GuiseError>, _ context: ChannelHandlerContext,
            closing: Bool = false
        ) {
            guard isWaiting else { return }
            state.withLock { $0 = .known(result) }
            let (events, wantsRead) = (held.value.reads, held.value.wantsRead)
            held.value = Held()
            if case .failure(let error) = result, closing || refusal == .close {
                held.value.isClosing = true
                context.fireErrorCaught(error)
                context.close(promise: nil)
                return
            }
            for event in events {
                switch event {
                case .read(let data): context.fireChannelRead(data)
                case .complete: context.fireChannelReadComplete()
                }
            }
            if wantsRead { context.read() }
        }
    }
#endif
