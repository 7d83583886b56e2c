#if NIO
    public import AccessControl
    public import Guise
    public import NIOCore
    public import NIOPosix

    extension NIOThreadPool {
        /// Runs `body` on a thread of the pool as a client, so that no event loop waits for a file.
        ///
        /// - Parameters:
        ///   - client: as whom.
        ///   - limit: act at no more than this level, whatever the client allowed.
        ///   - eventLoop: where the future is completed, as the service.
        ///   - body: synchronous; the thread is the pool's own again when it ends.
        /// - Returns: What `body` returned. Fails as ``Connection/impersonate(atMost:)`` throws, and then `body` has not
        ///   run; when the pool is not active; and with what `body` threw.
        public func runIfActive<Result: Sendable>(
            as client: Connection, atMost limit: ImpersonationLevel = .delegation, eventLoop: any EventLoop,
            _ body: @escaping @Sendable () throws -> Result
        ) -> EventLoopFuture<Result> {
            runIfActive(eventLoop: eventLoop) { try client.impersonating(atMost: limit, body) }
        }

        /// Runs `body` on a thread of the pool as a client, for code that would keep a thread of Swift's own waiting.
        ///
        /// - Parameters:
        ///   - client: as whom.
        ///   - limit: act at no more than this level, whatever the client allowed.
        ///   - body: synchronous; the thread is the pool's own again when it ends.
        /// - Throws: as ``Connection/impersonate(atMost:)``, before `body` runs; when the pool is not active or the task
        ///   was cancelled; else what `body` throws.
        public func runIfActive<Result: Sendable>(
            as client: Connection, atMost limit: ImpersonationLevel = .delegation,
            _ body: @escaping @Sendable () throws -> Result
        ) async throws -> Result {
            try await runIfActive { try client.impersonating(atMost: limit, body) }
        }
    }
#endif
