public import Guise

// Whoever types the Windows name is told the Swift one.

/// `DdeImpersonateClient` is done around every call of a ``DDE/Handler``; elsewhere it is
/// ``Guise/Connection/impersonate(atMost:)`` of ``DDE/Conversation/connection``.
@available(
    *, unavailable,
    message: "handlers are called as the client; elsewhere: conversation.connection.impersonate()"
)
public func DdeImpersonateClient(_ conversation: DDE.Conversation) throws(GuiseError) {
    try conversation.connection.impersonate()
}

/// `DdePostAdvise` is ``DDE/Service/post(_:of:)`` here.
@available(*, unavailable, renamed: "DDE.Service.post(self:_:of:)")
public func DdePostAdvise(_ service: DDE.Service, _ item: String, _ topic: String) {
    service.post(item, of: topic)
}
