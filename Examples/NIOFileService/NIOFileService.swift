// The file service of Examples/FileService on SwiftNIO, in its two forms: a task for each client, and, with
// --handlers, a handler on the event loop. One loop serves all clients.
//
//   guise run files -- guise-example-nio /run/files.sock
//
// A client sends one line for each request and gets an answer that starts with OK or ERROR:
//   whoami          who the service takes the client for
//   read PATH       the file's contents
//   write PATH TEXT puts the text into the file

import Foundation
import Guise

#if NIO
    import GuiseNIO
    import NIOCore
    import NIOPosix

    @main
    struct NIOFileService {
        static func main() async {
            var arguments = CommandLine.arguments.dropFirst()
            let handlers = arguments.last == "--handlers"
            if handlers { arguments.removeLast() }
            guard let path = arguments.first, arguments.count == 1 else {
                complain("usage: guise-example-nio SOCKET [--handlers]")
                exit(64)
            }
            do {
                try Authority.attach()
                // A client may say that it will ask no more, and still read.
                let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
                    .childChannelOption(.allowRemoteHalfClosure, value: true)
                try await handlers
                    ? serveWithHandlers(bootstrap, at: path) : serveWithTasks(bootstrap, at: path)
            } catch {
                complain("\(error)")
                exit(1)
            }
        }

        /// Each client has a task, which is the client while it serves it.
        static func serveWithTasks(_ bootstrap: ServerBootstrap, at path: String) async throws {
            let server = try await bootstrap.bind(unixDomainSocketPath: path) { channel in
                channel.captureClient().flatMapThrowing {
                    (client) -> (Connection, NIOAsyncChannel<ByteBuffer, ByteBuffer>) in
                    try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(Lines()))
                    let connection = try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                    return (client, connection)
                }
                .flatMapErrorThrowing { error in
                    complain("a client is refused: \(error)")
                    throw error
                }
            }
            try announce(path)
            try await server.executeThenClose { clients in
                await withDiscardingTaskGroup { group in
                    do {
                        for try await (client, connection) in clients {
                            group.addTask { await serve(client, connection) }
                        }
                    } catch {
                        complain("\(error)")
                    }
                }
            }
        }

        static func serve(_ client: Connection, _ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
            // A client that has gone is nobody's error.
            try? await connection.executeThenClose { (lines, answers) in
                do {
                    try await client.impersonating {
                        for try await line in lines {
                            try await answers.write(
                                ByteBuffer(string: Request(line).answer(to: client) + "\n"))
                        }
                    }
                } catch let error as GuiseError {
                    complain("a client is not served: \(error)")
                    try await answers.write(ByteBuffer(string: "ERROR \(error)\n"))
                }
            }
        }

        /// Each client has a handler. The event loop is the client while it is in the handler, and nowhere else.
        static func serveWithHandlers(_ bootstrap: ServerBootstrap, at path: String) async throws {
            let server =
                try await bootstrap
                .childChannelInitializer { channel in
                    channel.captureClient().flatMapThrowing { client in
                        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(Lines()))
                        try channel.pipeline.syncOperations.addHandler(FileHandler(client), as: client)
                        try channel.pipeline.syncOperations.addHandler(LastHandler())
                    }
                    .flatMapErrorThrowing { error in
                        complain("a client is refused: \(error)")
                        throw error
                    }
                }
                .bind(unixDomainSocketPath: path).get()
            try announce(path)
            try await server.closeFuture.get()
        }

        static func announce(_ path: String) throws {
            // Everybody may connect: who may do what is decided for each file.
            guard chmod(path, 0o666) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
            complain("serving at \(path) as process \(getpid())")
        }
    }

    /// Answers on the event loop. Every other client of the loop waits meanwhile, so this is for what does not take long;
    /// for the rest there is `NIOThreadPool.runIfActive(as:)`.
    final class FileHandler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let client: Connection

        init(_ client: Connection) { self.client = client }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let answer = Request(unwrapInboundIn(data)).answer(to: client)
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer + "\n")), promise: nil)
        }
    }

    /// Closes the channel when the client asks no more, or something is wrong.
    final class LastHandler: ChannelInboundHandler {
        typealias InboundIn = Never

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            complain("a client is not served any more: \(error)")
            context.close(promise: nil)
        }
    }

    /// A line of at most 8,192 bytes.
    struct Lines: ByteToMessageDecoder {
        typealias InboundOut = ByteBuffer

        struct TooLong: Error {}

        mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState
        {
            guard let end = buffer.readableBytesView.firstIndex(of: 0x0A) else {
                guard buffer.readableBytes <= 8192 else { throw TooLong() }
                return .needMoreData
            }
            guard let line = buffer.readSlice(length: end - buffer.readerIndex) else { return .needMoreData }
            buffer.moveReaderIndex(forwardBy: 1)
            context.fireChannelRead(wrapInboundOut(line))
            return .continue
        }
    }

    /// What a client asks for.
    struct Request {
        private let words: [String]

        init(_ line: ByteBuffer) {
            words = String(buffer: line).split(separator: " ", maxSplits: 2).map(String.init)
        }

        /// Carries it out with ordinary calls, as whoever the calling thread is.
        func answer(to client: Connection) -> String {
            do {
                switch (words.first, words.count) {
                case ("whoami", 1):
                    let token = try client.clientToken()
                    return "OK \(token.user.name ?? "unknown") \(token.user.sid) at \(client.level)"
                case ("read", 2):
                    return "OK \(try String(contentsOfFile: words[1], encoding: .utf8))"
                case ("write", 3):
                    try Data(words[2].utf8).write(to: URL(fileURLWithPath: words[1]))
                    return "OK"
                default:
                    return "ERROR whoami, read PATH or write PATH TEXT"
                }
            } catch {
                return "ERROR \(error is GuiseError ? "\(error)" : error.localizedDescription)"
            }
        }
    }
#else
    @main
    struct NIOFileService {
        static func main() {
            complain("built without SwiftNIO; build with: swift build --traits NIO")
            exit(64)
        }
    }
#endif

func complain(_ line: String) { FileHandle.standardError.write(Data("files: \(line)\n".utf8)) }
