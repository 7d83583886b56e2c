package import GuiseProtocol

/// Why a request is not carried out: what the sender is told.
package struct Refused: Error, Equatable {
    /// The reason a program acts on.
    package let reason: WireRefusal.Reason
    /// The sentence a person reads: what was refused, for whom, by which rule.
    package let message: String
    /// Whether the audit has it already.
    var isOnRecord = false

    package init(_ reason: WireRefusal.Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    /// As it goes over the wire.
    package var wire: WireRefusal {
        WireRefusal.with {
            $0.reason = reason
            $0.message = message
        }
    }
}

extension Refused {
    package init(_ error: AccountError) {
        let reason: WireRefusal.Reason =
            switch error {
            case .invalidName, .notAGroup, .cycle, .invalidUnixID, .ambiguousUnixName, .unixIDNeeded,
                .groupHasNoPrimaryGroup, .unknownPrivilege, .invalidIntegrity, .noPassword, .invalidRoot,
                .invalidEndpoint, .invalidMapping:
                .badRequest
            case .taken: .alreadyExists
            case .unknownAccount, .unknownRoot, .unknownEndpoint, .unknownIssuer, .unknownMapping: .notFound
            case .builtIn: .accessDenied
            case .exhausted, .tooManyGroups, .tooManyEndpoints, .tooManyMappings: .limit
            case .storage: .internal
            }
        self.init(reason, error.description)
    }
}

extension Refused {
    package init(_ error: LogonError) {
        let reason: WireRefusal.Reason =
            switch error {
            case .tooManyGroups, .tooManySessions: .limit
            case .usersUnknown, .groupsUnknown: .internal
            case .unknownAccount: .notFound
            case .notAService, .noUser: .badRequest
            }
        self.init(reason, error.description)
    }
}
