#if NIO && Hummingbird
    import Foundation
    import Guise
    import GuiseNIO
    import NIOCore
    import NIOPosix
    import Synchronization

    /// All channels are on one event loop, and known to each other.
    enum LoopService {
        static let channels = Mutex<[any Channel]>([])

        static func serve(at path: String) async throws {
            let server =
                try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.captureClient().flatMapThrowing { client in
                        channels.withLock { $0.append(channel) }
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(ByteToMessageHandler(LineDecoder()))
                        try pipeline.addHandler(Before())
                        try pipeline.addHandler(Inside(client), as: client, name: "inside")
                        try pipeline.addHandler(Behind())
                    }
                    .flatMapErrorThrowing { error in
                        say("refused: \(error)")
                        throw error
                    }
                }
                .bind(unixDomainSocketPath: path).get()
            chmod(path, 0o666)
            say("serving")
            try await server.closeFuture.get()
        }
    }

    /// Who each of a request's places was.
    final class Question {
        let words: [String]
        var seen: [String] = []

        init(_ words: [String]) { self.words = words }

        var path: String { words.count > 1 ? words[1] : "" }

        func look(_ place: String) { seen.append("\(place)=\(who(path))") }
        var answer: String { seen.joined(separator: " ") }
    }

    struct LineDecoder: ByteToMessageDecoder {
        typealias InboundOut = Question

        mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState
        {
            guard let end = buffer.readableBytesView.firstIndex(of: 0x0A),
                let line = buffer.readString(length: end - buffer.readerIndex)
            else { return .needMoreData }
            buffer.moveReaderIndex(forwardBy: 1)
            context.fireChannelRead(wrapInboundOut(Question(line.split(separator: " ").map(String.init))))
            return .continue
        }
    }

    /// Towards the socket: not the client's. Writes the answer out.
    final class Before: ChannelDuplexHandler {
        typealias InboundIn = Question
        typealias InboundOut = Question
        typealias OutboundIn = Question
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let question = unwrapInboundIn(data)
            context.fireChannelRead(data)
            // The thread is what it was before its client's handler was called.
            if question.words.first == "afterwards" {
                question.look("afterwards")
                context.writeAndFlush(
                    wrapOutboundOut(ByteBuffer(string: question.answer + "\n")), promise: nil)
            }
        }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            let question = unwrapOutboundIn(data)
            // Only to see who is called on the way.
            guard question.words.first != "written" else {
                question.look("before")
                return promise?.succeed() ?? ()
            }
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(string: question.answer + "\n")), promise: promise)
        }
    }

    /// Asks another channel of the loop.
    struct Ask {
        let question: Question
    }

    /// The handler that is the client's.
    final class Inside: ChannelDuplexHandler, RemovableChannelHandler {
        typealias InboundIn = Question
        typealias InboundOut = Question
        typealias OutboundIn = Question
        typealias OutboundOut = Question

        private let client: Connection

        init(_ client: Connection) { self.client = client }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let question = unwrapInboundIn(data)
            switch question.words.first {
            case "places":
                question.look("read")
                context.fireChannelRead(data)
                // What came of it while others were called.
                question.look("still")
                let loop = NIOLoopBound((self, context, question), eventLoop: context.eventLoop)
                context.eventLoop.execute {
                    let (handler, context, question) = loop.value
                    question.look("later")
                    context.writeAndFlush(handler.wrapOutboundOut(question), promise: nil)
                }
            case "neighbours":
                question.look("self")
                for other in LoopService.channels.withLock({ $0 }) where other !== context.channel {
                    other.pipeline.syncOperations.fireUserInboundEventTriggered(Ask(question: question))
                    question.look("self")
                }
                context.writeAndFlush(wrapOutboundOut(question), promise: nil)
            case "pool":
                let path = question.path
                let asClient = NIOThreadPool.singleton.runIfActive(as: client, eventLoop: context.eventLoop) {
                    who(path)
                }
                let plain = NIOThreadPool.singleton.runIfActive(eventLoop: context.eventLoop) { who(path) }
                let loop = NIOLoopBound((self, context, question), eventLoop: context.eventLoop)
                asClient.and(plain).whenSuccess { (asClient, plain) in
                    let (handler, context, question) = loop.value
                    question.seen = ["as=\(asClient)", "plain=\(plain)"]
                    question.look("then")
                    context.writeAndFlush(handler.wrapOutboundOut(question), promise: nil)
                }
            case "afterwards":
                question.look("read")
            case "revert":
                revertToSelf()
                question.look("read")
                context.writeAndFlush(wrapOutboundOut(question), promise: nil)
            case "upgrade":
                let pipeline = context.pipeline.syncOperations
                do {
                    try pipeline.addHandler(
                        Upgraded(), position: .after(pipeline.handler(type: Behind.self)))
                    question.seen = ["upgraded"]
                } catch {
                    question.seen = ["\(error)"]
                }
                context.writeAndFlush(wrapOutboundOut(question), promise: nil)
                pipeline.removeHandler(context: context, promise: nil)
            default:
                question.seen = ["what?"]
                context.writeAndFlush(wrapOutboundOut(question), promise: nil)
            }
        }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            unwrapOutboundIn(data).look("write")
            context.write(data, promise: promise)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let ask = event as? Ask { ask.question.look("other") }
            // The client may read the last answer before it goes.
            if event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
        }
    }

    /// Away from the socket: not the client's.
    final class Behind: ChannelInboundHandler {
        typealias InboundIn = Question
        typealias InboundOut = Question
        typealias OutboundOut = Question

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let question = unwrapInboundIn(data)
            if question.words.first == "places" {
                question.look("behind")
                let written = Question(["written", question.path])
                context.write(wrapOutboundOut(written), promise: nil)
                question.seen += written.seen
            }
            context.fireChannelRead(data)
        }

        private var isRefused = false

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            isRefused = true
            say("caught: \(error)")
        }

        func channelInactive(context: ChannelHandlerContext) {
            if isRefused { say("inactive after the refusal") }
        }

        func channelUnregistered(context: ChannelHandlerContext) {
            if isRefused { say("unregistered after the refusal") }
        }
    }

    /// What speaks the other protocol.
    final class Upgraded: ChannelInboundHandler {
        typealias InboundIn = Question
        typealias OutboundOut = Question

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let question = unwrapInboundIn(data)
            do {
                let client = try context.pipeline.syncOperations.client
                question.seen = [try client.clientToken().user.name ?? "unknown"]
                question.look("bare")
                try client.impersonating { question.look("as") }
            } catch {
                question.seen = ["\(error)"]
            }
            context.writeAndFlush(wrapOutboundOut(question), promise: nil)
        }
    }
#endif
