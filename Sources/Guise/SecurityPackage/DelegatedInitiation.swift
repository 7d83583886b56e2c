package import AccessControl
import GuiseProtocol
import Synchronization

extension SecurityContext.Flags {
    /// What is asked for at a level, besides that the service proves who it is.
    package static func request(_ level: ImpersonationLevel) -> Self {
        let usual: Self = [.mutual, .replayDetect, .sequenceDetect, .integrity]
        return switch level {
        case .anonymous, .identification: usual.union(.identify)
        case .impersonation: usual
        case .delegation: usual.union(.delegate)
        }
    }

    /// What the client allowed.
    package var level: ImpersonationLevel {
        contains(.identify) ? .identification : contains(.delegate) ? .delegation : .impersonation
    }
}

/// The connecting side as the client that a thread acts as, made by the authority: the client's credentials stay there.
package final class DelegatedInitiation: SecurityExchange {
    private let client: AuthorityClient
    private let first: WireSecurityInitiate
    private struct State {
        var context: UInt64 = 0
        var hasEnded = false
    }
    private let state = Mutex(State())

    /// nil on a thread that acts as the process itself.
    package static func ofThread(
        package: String, to target: String, level: ImpersonationLevel
    ) throws(GuiseError) -> DelegatedInitiation? {
        let authority = Authority.current
        let handle = try ThreadIdentity.handle(in: authority)
        guard handle != 0, let directory = authority?.client.runtimeDirectory else { return nil }
        let client = try asProcess { () throws(GuiseError) in
            try AuthorityClient(runtimeDirectory: directory)
        }
        return DelegatedInitiation(
            client,
            .with {
                $0.package = package
                $0.target = target
                $0.level = level.wire
                $0.handle = handle
                $0.mutual = true
            })
    }

    private init(_ client: AuthorityClient, _ first: WireSecurityInitiate) {
        (self.client, self.first) = (client, first)
    }

    package func step(_ token: [UInt8]) throws(GuiseError) -> SecurityStep {
        let context = try state.withLock { state throws(GuiseError) in
            guard !state.hasEnded else { throw .closed("the exchange has ended; begin another") }
            state.hasEnded = true
            return state.context
        }
        var request = first
        request.context = context
        request.token = .init(token)
        guard case .securityStepped(let stepped) = try client.call(.securityInitiate(request)) else {
            throw .authorityFailed("the authority's answer to a security token makes no sense")
        }
        let reply = [UInt8](stepped.token)
        guard !stepped.hasAttributes else {
            return .finished(
                SecurityContext(initiated: SecurityContext.Attributes(stepped.attributes)), reply: reply)
        }
        state.withLock { ($0.context, $0.hasEnded) = (stepped.context, false) }
        return .more(reply: reply)
    }
}
