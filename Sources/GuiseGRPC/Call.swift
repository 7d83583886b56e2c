#if GRPC
    public import GRPCCore
    public import Guise
    import Synchronization

    /// What ``IdentityServerInterceptor`` puts into a call's context.
    public struct CallIdentity: ServerContext.TransportSpecific {
        /// What the transport has to say of the call, which stood in the context before.
        public let transport: (any ServerContext.TransportSpecific)?
        /// The conversation of the security package that the client proved itself by; nil of a ticket's.
        public let securityContext: SecurityContext?
        let call: Call

        init(
            _ call: Call, _ securityContext: SecurityContext?,
            transport: (any ServerContext.TransportSpecific)?
        ) {
            (self.call, self.securityContext, self.transport) = (call, securityContext, transport)
        }
    }

    /// One call, from when its client is known to its last byte.
    final class Call: Sendable {
        private let held: Mutex<Connection?>

        init(_ client: Connection) { held = Mutex(client) }

        /// - Throws: `closed` once the call is over.
        var client: Connection {
            get throws(GuiseError) {
                guard let client = held.withLock({ $0 }) else {
                    throw .closed("the call is over, and its client's identity with it")
                }
                return client
            }
        }

        /// Who acts as the client still does so to the end of its body; nobody begins to any more.
        func end() {
            let client = held.withLock { held in
                defer { held = nil }
                return held
            }
            // Given up outside the lock: that is a message to the authority.
            _ = consume client
        }
    }

    extension ServerContext {
        /// The client of the call, for as long as the call lasts; its `fileDescriptor` is -1, since the socket is the
        /// server's.
        ///
        /// Corresponds to `RpcBindingInqAuthClient`, by its `clientToken()`.
        ///
        /// - Throws: ``GuiseError/closed(_:)`` once the call is over; ``GuiseError/notAServerConnection(_:)`` when the
        ///   server has no ``IdentityServerInterceptor``.
        public var client: Connection {
            get throws(GuiseError) {
                guard let identity = transportSpecific as? CallIdentity else {
                    throw .notAServerConnection(
                        "nobody said whose call this is; give the server an IdentityServerInterceptor")
                }
                return try identity.call.client
            }
        }
    }
#endif
