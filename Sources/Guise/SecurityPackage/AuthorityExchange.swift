import GuiseProtocol
import Synchronization

/// The accepting side of a package whose tokens the authority judges: what comes from the client goes there as it is.
package final class AuthorityExchange: SecurityExchange {
    private let connection: ExchangeConnection
    private let package: String
    private struct State {
        var context: UInt64 = 0
        var hasEnded = false
    }
    private let state = Mutex(State())

    /// - Parameter package: as the authority knows it.
    package init(package: String, runtimeDirectory: String?) throws(GuiseError) {
        connection = try ExchangeConnection(runtimeDirectory: runtimeDirectory)
        self.package = package
    }

    package func step(_ token: [UInt8]) throws(GuiseError) -> SecurityStep {
        let context = try state.withLock { state throws(GuiseError) in
            guard !state.hasEnded else { throw .closed("the exchange has ended; begin another") }
            // Until it is known that it goes on.
            state.hasEnded = true
            return state.context
        }
        let request = WireSecurityStep.with {
            $0.context = context
            $0.package = package
            $0.token = .init(token)
        }
        guard case .securityStepped(let stepped) = try connection.client.call(.securityStep(request)) else {
            throw .authorityFailed("the authority's answer to a security token makes no sense")
        }
        let reply = [UInt8](stepped.token)
        guard stepped.hasCaptured else {
            guard stepped.context != 0 else {
                throw .authorityFailed("the authority's answer to a security token makes no sense")
            }
            state.withLock { ($0.context, $0.hasEnded) = (stepped.context, false) }
            return .more(reply: reply)
        }
        return .finished(finished(stepped), reply: reply)
    }

    /// Instead of any step: the context of somebody who is not here.
    package func transition(to principal: String) throws(GuiseError) -> SecurityContext {
        let request = WireSecurityTransition.with {
            $0.package = package
            $0.client = principal
        }
        guard case .securityStepped(let stepped) = try connection.client.call(.securityTransition(request)),
            stepped.hasCaptured
        else { throw .authorityFailed("the authority's answer to a protocol transition makes no sense") }
        return finished(stepped)
    }

    private func finished(_ stepped: WireSecurityStepped) -> SecurityContext {
        connection.hold(stepped.captured.capture)
        return SecurityContext(
            accepted: stepped.captured, by: connection, SecurityContext.Attributes(stepped.attributes))
    }
}
