#if GRPC
    public import AccessControl
    public import GRPCCore
    public import Guise

    /// Runs `body` as the client of a call. The identity follows the task through suspension points and into child tasks,
    /// as with `Connection.impersonating`: over every message that is waited for, on whatever threads.
    ///
    ///     try await impersonateClient(context) {
    ///         for try await path in request.messages { try await writer.write(contents(of: path)) }
    ///     }
    ///
    /// Calls that the body makes with an ``IdentityClientInterceptor`` are made as the client. Corresponds to
    /// `RpcImpersonateClient` and, at the end, `RpcRevertToSelfEx`.
    ///
    /// - Parameters:
    ///   - context: of the call, as the handler got it.
    ///   - limit: act at no more than this level, whatever the client allowed.
    /// - Throws: ``GuiseError/closed(_:)`` once the call is over, ``GuiseError/privilegeNotHeld(_:)`` and the like as
    ///   `Connection.impersonate` does, before `body` runs; else what `body` throws. What is not caught of the first the
    ///   client is told as PERMISSION_DENIED or UNAVAILABLE.
    public func impersonateClient<Result: Sendable>(
        _ context: ServerContext, atMost limit: ImpersonationLevel = .delegation,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await context.client.impersonating(atMost: limit, body)
    }

    /// Runs `body`, in which nothing is awaited, on the calling thread as the client of a call, and puts back what the
    /// thread was before. As the form for tasks, which a task gets whether it awaits something in the body or not.
    public func impersonateClient<Result>(
        _ context: ServerContext, atMost limit: ImpersonationLevel = .delegation, _ body: () throws -> Result
    ) throws -> Result {
        try context.client.impersonating(atMost: limit, body)
    }

    /// Makes the calling thread act as the client of a call, until ``revertToSelf(_:)`` or `revertToSelf()`: for threads
    /// of one's own that serve a call. A task has no thread of its own, and takes the form with a body.
    ///
    /// Corresponds to `RpcImpersonateClient`.
    ///
    /// - Throws: as the form with a body. The thread then is what it was before.
    @available(
        *, noasync, message: "a task changes threads; give impersonateClient what is to be done as the client"
    )
    public func impersonateClient(
        _ context: ServerContext, atMost limit: ImpersonationLevel = .delegation
    ) throws(GuiseError) {
        try context.client.impersonate(atMost: limit)
    }

    /// Ends the calling thread's impersonation if it is the client of this call that it acts as. Never fails.
    ///
    /// Corresponds to `RpcRevertToSelfEx`. When the call is over, `revertToSelf()` ends what it left.
    @available(
        *, noasync, message: "a task changes threads; give impersonateClient what is to be done as the client"
    )
    public func revertToSelf(_ context: ServerContext) { try? context.client.revert() }
#endif
