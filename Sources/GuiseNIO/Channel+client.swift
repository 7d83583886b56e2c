#if NIO
    import Glibc
    public import Guise
    public import NIOCore
    import NIOPosix
    import SystemPackage

    extension Channel {
        /// Captures the client of an accepted channel, once and for all. Called where a child channel is initialized, so
        /// that nothing is read from a client before it is known who that is:
        ///
        ///     ServerBootstrap(group: group).childChannelInitializer { channel in
        ///         channel.captureClient().flatMapThrowing { client in ... }
        ///     }
        ///
        /// The conversation with the authority is held on a thread of its own: the event loop goes on meanwhile. When it
        /// fails the channel has been closed.
        ///
        /// - Parameter authority: nil for ``Authority/current``.
        /// - Returns: The client, which later is to be had as ``client`` too. Its `fileDescriptor` is -1, since the socket
        ///   is the channel's. Fails with ``GuiseError/peerGone(_:)`` when the client has left,
        ///   ``GuiseError/notAServerConnection(_:)`` when the channel is not an accepted Unix socket,
        ///   ``GuiseError/notAttached(_:)``, and what the authority refused.
        public func captureClient(authority: Authority? = nil) -> EventLoopFuture<Connection> {
            captureClientOrStayOpen(authority: authority).flatMapErrorThrowing { error in
                self.close(promise: nil)
                throw error
            }
        }

        /// As ``captureClient(authority:)``, and leaves the channel open when it fails.
        package func captureClientOrStayOpen(authority: Authority?) -> EventLoopFuture<Connection> {
            eventLoop.inEventLoop
                ? captureOnLoop(authority) : eventLoop.flatSubmit { self.captureOnLoop(authority) }
        }

        private func captureOnLoop(_ authority: Authority?) -> EventLoopFuture<Connection> {
            let socket: Int32
            do {
                // A copy: the channel may be closed before its turn comes, and its number be somebody else's then.
                let copy = try pipeline.syncOperations.withUnsafeTransportIfAvailable {
                    (accepted: NIOBSDSocket.Handle) in
                    let copy = fcntl(accepted, F_DUPFD_CLOEXEC, 0)
                    guard copy >= 0 else {
                        throw GuiseError.system(call: "fcntl F_DUPFD_CLOEXEC", errno: errno)
                    }
                    return copy
                }
                guard let copy else {
                    throw GuiseError.notAServerConnection(
                        "this channel has no socket, so nobody can be captured")
                }
                socket = copy
            } catch {
                return eventLoop.makeFailedFuture(error)
            }
            return captures.runIfActive(eventLoop: eventLoop) {
                defer { Glibc.close(socket) }
                return try Connection(clientOf: FileDescriptor(rawValue: socket), authority: authority)
            }.flatMapThrowing { client in
                try self.pipeline.syncOperations.addHandler(ClientHandler(client), position: .first)
                return client
            }
        }

        /// The client that ``captureClient(authority:)`` captured, for instance after an upgrade to another protocol.
        ///
        /// - Throws: ``GuiseError/notAServerConnection(_:)`` when none was.
        public var client: Connection {
            get async throws {
                let found = try? await pipeline.handler(type: ClientHandler.self).get()
                return try ClientHandler.client(of: found)
            }
        }
    }

    extension ChannelPipeline.SynchronousOperations {
        /// The client that ``Channel/captureClient(authority:)`` captured.
        ///
        /// - Throws: ``GuiseError/notAServerConnection(_:)`` when none was.
        public var client: Connection {
            get throws { try ClientHandler.client(of: try? handler(type: ClientHandler.self)) }
        }
    }

    /// One thread: the authority answers a process one question after the other.
    let captures: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        return pool
    }()

    /// Keeps its channel's client in the pipeline, for as long as the channel is open.
    private final class ClientHandler: ChannelInboundHandler, Sendable {
        typealias InboundIn = Any

        private let client: Connection

        init(_ client: Connection) { self.client = client }

        static func client(of handler: ClientHandler?) throws(GuiseError) -> Connection {
            guard let handler else {
                throw .notAServerConnection(
                    "no client was captured for this channel; call captureClient() where it is initialized")
            }
            return handler.client
        }
    }
#endif
