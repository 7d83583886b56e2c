import AccessControl
import Synchronization

/// The primary token of a service's processes, or of a process that attached by itself: adjusted, restricted, but never
/// another user's.
final class ProcessToken: Sendable {
    private let session: LogonSession
    private let object: Mutex<TokenObject>

    init(_ logon: Logon) {
        session = logon.session
        object = Mutex(TokenObject(logon, of: 0))
    }

    /// The token as an object. Whoever holds it still does when the process has got another.
    var current: TokenObject {
        get { object.withLock { $0 } }
        set { object.withLock { $0 = newValue } }
    }

    /// As of now.
    var logon: Logon {
        let object = current
        return Logon(session: session, token: Token.Primary(object.token), credentials: object.credentials)
    }
}
