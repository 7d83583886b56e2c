#if NIO
    public import Guise
    public import NIOCore

    extension ChannelPipeline.SynchronousOperations {
        /// Adds a handler whose event callbacks run as a client: each from its first statement to its last, and nothing
        /// else. What the handler passes on runs as the service again: the handlers before and behind it, other channels
        /// of the event loop.
        ///
        /// As the client runs what a callback calls itself, so also what waits for a promise that it completes, and the
        /// handlers of another channel that it writes to at once. As the service runs what it leaves for later
        /// (`eventLoop.execute`, what is to be done when a future is there), and its `handlerAdded` and `handlerRemoved`.
        ///
        /// When the client cannot be impersonated, the handler is not called: the handlers behind it catch the error, the
        /// channel is closed, and they see that.
        ///
        /// - Parameters:
        ///   - handler: any inbound or outbound handler.
        ///   - client: as whom, usually this channel's ``client``.
        ///   - name: the name of the handler in the pipeline.
        /// - Throws: what the pipeline throws when the channel is closed already.
        public func addHandler(
            _ handler: any ChannelHandler, as client: Connection, name: String? = nil
        ) throws {
            let stretch = ImpersonatingStretch(of: client)
            let front = ImpersonatingBoundary(.front, of: stretch)
            try addHandler(front)
            try addHandler(ImpersonatingBoundary(.back, of: stretch))
            // Last, so that nothing ever leaves it but as the service.
            try addHandler(handler, name: name, position: .after(front))
        }
    }

    /// The stretch of a pipeline in which there is one handler, and which acts as a client.
    private final class ImpersonatingStretch {
        private let client: Connection
        /// Why nothing enters any more.
        private var refusal: (any Error)?
        /// The boundary towards the socket.
        var front: ChannelHandlerContext?
        var back: ChannelHandlerContext?

        init(of client: Connection) { self.client = client }

        /// Passes an event on as the client. The thread is what it was when this returns.
        ///
        /// - Returns: whether the client could be impersonated.
        @discardableResult
        func enter(_ promise: EventLoopPromise<Void>?, _ pass: () -> Void) -> Bool {
            if let refusal {
                promise?.fail(refusal)
                return false
            }
            do {
                try client.impersonating(pass)
                return true
            } catch {
                refusal = error
                promise?.fail(error)
                back?.fireErrorCaught(error)
                front?.close(promise: nil)
                return false
            }
        }
    }

    /// One of the two ends of the stretch. An event that crosses it is passed on as the client or, out of the stretch, as
    /// the service.
    private final class ImpersonatingBoundary: ChannelDuplexHandler {
        typealias InboundIn = Any
        typealias InboundOut = Any
        typealias OutboundIn = Any
        typealias OutboundOut = Any

        enum Side { case front, back }

        private let side: Side
        private let stretch: ImpersonatingStretch

        init(_ side: Side, of stretch: ImpersonatingStretch) {
            self.side = side
            self.stretch = stretch
        }

        func handlerAdded(context: ChannelHandlerContext) { keep(context) }
        func handlerRemoved(context: ChannelHandlerContext) { keep(nil) }

        private func keep(_ context: ChannelHandlerContext?) {
            switch side {
            case .front: stretch.front = context
            case .back: stretch.back = context
            }
        }

        private func inbound(_ pass: () -> Void) {
            if side == .front { stretch.enter(nil, pass) } else { withoutImpersonating(pass) }
        }

        /// An event of the channel's end: who is behind the handler sees it also when the handler may not.
        private func inbound(_ pass: () -> Void, otherwise: (ChannelHandlerContext) -> Void) {
            if side == .back { return withoutImpersonating(pass) }
            guard !stretch.enter(nil, pass), let back = stretch.back else { return }
            withoutImpersonating { otherwise(back) }
        }

        private func outbound(_ promise: EventLoopPromise<Void>? = nil, _ pass: () -> Void) {
            if side == .back { stretch.enter(promise, pass) } else { withoutImpersonating(pass) }
        }

        func channelRegistered(context: ChannelHandlerContext) {
            inbound { context.fireChannelRegistered() }
        }

        func channelUnregistered(context: ChannelHandlerContext) {
            inbound {
                context.fireChannelUnregistered()
            } otherwise: {
                $0.fireChannelUnregistered()
            }
        }

        func channelActive(context: ChannelHandlerContext) {
            inbound { context.fireChannelActive() }
        }

        func channelInactive(context: ChannelHandlerContext) {
            inbound {
                context.fireChannelInactive()
            } otherwise: {
                $0.fireChannelInactive()
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            inbound { context.fireChannelRead(data) }
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            inbound { context.fireChannelReadComplete() }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            inbound { context.fireChannelWritabilityChanged() }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            inbound { context.fireUserInboundEventTriggered(event) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            inbound { context.fireErrorCaught(error) }
        }

        func register(context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
            outbound(promise) { context.register(promise: promise) }
        }

        func bind(context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?)
        {
            outbound(promise) { context.bind(to: address, promise: promise) }
        }

        func connect(
            context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?
        ) {
            outbound(promise) { context.connect(to: address, promise: promise) }
        }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            outbound(promise) { context.write(data, promise: promise) }
        }

        func flush(context: ChannelHandlerContext) {
            outbound { context.flush() }
        }

        func read(context: ChannelHandlerContext) {
            outbound { context.read() }
        }

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            outbound(promise) { context.close(mode: mode, promise: promise) }
        }

        func triggerUserOutboundEvent(
            context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
        ) {
            outbound(promise) { context.triggerUserOutboundEvent(event, promise: promise) }
        }
    }
#endif
