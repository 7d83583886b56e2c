package import AccessControl
package import ArgumentParser
package import Guise
import GuiseProtocol

/// Who is asked about.
package struct SubjectOptions: ParsableArguments {
    @Option(name: .customLong("as"), help: "An account, a Unix user or a SID; oneself if not said.")
    package var name: String?

    package init() {}

    /// The token that they would get, and their name.
    package func subject(_ authority: AuthorityClient) throws -> (token: Token, user: NamedSID) {
        let view: WireTokenView
        if let name {
            guard case .token(let found) = try authority.call(.tokenFor(.with { $0.name = name })) else {
                throw AuthorityClient.surprise
            }
            view = found
        } else {
            guard case .thread(let found) = try authority.call(.tokenOf(.init())) else {
                throw AuthorityClient.surprise
            }
            view = found.token
        }
        return (try Token(view), NamedSID(view.user))
    }
}
