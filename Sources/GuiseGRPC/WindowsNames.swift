#if GRPC
    public import GRPCCore
    import Guise

    // Whoever types the Windows name is told the Swift one.

    /// `RpcImpersonateClient` is ``impersonateClient(_:atMost:_:)-(_,_,()->Result)`` here.
    @available(*, unavailable, renamed: "impersonateClient(_:_:)")
    public func RpcImpersonateClient(_ context: ServerContext) throws {}

    /// `RpcRevertToSelf` is `revertToSelf()` here.
    @available(*, unavailable, renamed: "revertToSelf()")
    public func RpcRevertToSelf() {}

    /// `RpcRevertToSelfEx` is ``revertToSelf(_:)`` here.
    @available(*, unavailable, renamed: "revertToSelf(_:)")
    public func RpcRevertToSelfEx(_ context: ServerContext) {}

    /// `RpcBindingInqAuthClient` is the `clientToken()` of `ServerContext.client` here.
    @available(*, unavailable, renamed: "getter:ServerContext.client(self:)")
    public func RpcBindingInqAuthClient(_ context: ServerContext) {}

    /// `RpcBindingSetAuthInfo` is ``IdentityClientInterceptor`` here.
    @available(*, unavailable, renamed: "IdentityClientInterceptor.init(for:)")
    public func RpcBindingSetAuthInfo(_ server: String) {}
#endif
