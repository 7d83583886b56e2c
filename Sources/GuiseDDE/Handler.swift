extension DDE {
    /// What a service does. Called on a thread of the conversation's own, which acts as the client meanwhile: what the
    /// client may not open, the handler does not open. Where the service may not act as the client it is not called.
    ///
    /// What a handler throws as ``DDEError`` the client is told; of another error it learns only that there was one.
    public protocol Handler: Sendable {
        /// Says what an item is (`XTYP_REQUEST`). Hot links ask the same when the item changes.
        func request(_ item: String, format: String, in conversation: Conversation) throws -> Value
        /// Sets an item (`XTYP_POKE`).
        func poke(_ item: String, _ value: Value, in conversation: Conversation) throws
        /// Carries out a command (`XTYP_EXECUTE`).
        func execute(_ command: String, in conversation: Conversation) throws
        /// Throws unless the client may be told of changes of an item (`XTYP_ADVSTART`).
        func advise(_ item: String, format: String, in conversation: Conversation) throws
    }
}

extension DDE.Handler {
    /// Does nothing and says so.
    public func poke(_ item: String, _ value: DDE.Value, in conversation: DDE.Conversation) throws {
        throw DDEError.notProcessed("this service sets no items")
    }

    /// Does nothing and says so.
    public func execute(_ command: String, in conversation: DDE.Conversation) throws {
        throw DDEError.notProcessed("this service carries out no commands")
    }

    /// Who may ask for an item may be told of its changes.
    public func advise(_ item: String, format: String, in conversation: DDE.Conversation) throws {
        _ = try request(item, format: format, in: conversation)
    }
}
