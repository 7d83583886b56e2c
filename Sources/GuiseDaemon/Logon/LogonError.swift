/// Why no token was made.
package enum LogonError: Error, Equatable, CustomStringConvertible {
    /// The kernel reported more groups than a token can hold.
    case tooManyGroups(uid: UInt32)
    /// No account of that name.
    case unknownAccount(name: String)
    /// The account exists but is not a service.
    case notAService(name: String)
    /// The account is none that anybody logs on as.
    case noUser(name: String)

    /// One sentence for a person.
    package var description: String {
        switch self {
        case .tooManyGroups(let uid): "uid \(uid) is in more groups than a token can hold"
        case .unknownAccount(let name): "there is no account \(quoted(name))"
        case .noUser(let name):
            "nobody logs on as \(quoted(name)): it is no user and no service with a Unix user"
        case .notAService(let name): "\(quoted(name)) is not a service account"
        }
    }
}
