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

    /// The name service could not say whether there is such a user.
    case usersUnknown(name: String, errno: Int32)
    /// The name service could not say which groups the user is in.
    case groupsUnknown(uid: UInt32, errno: Int32)
    /// The user was seen with as many different sets of groups as are remembered.
    case tooManySessions(uid: UInt32)

    /// One sentence for a person.
    package var description: String {
        switch self {
        case .tooManyGroups(let uid): "uid \(uid) is in more groups than a token can hold"
        case .unknownAccount(let name): "there is no account \(quoted(name))"
        case .noUser(let name):
            "nobody logs on as \(quoted(name)): it is no user and no service with a Unix user"
        case .usersUnknown(let name, let errno):
            "whether there is a user \(quoted(name)) could not be found out (\(errnoText(errno))); try again later"
        case .groupsUnknown(let uid, let errno):
            "which groups uid \(uid) is in could not be found out (\(errnoText(errno))); try again later"
        case .tooManySessions(let uid):
            "uid \(uid) has logon sessions for \(TokenFactory.largestCountPerUser) sets of groups already;"
                + " end some of them with `guise session end`"
        case .notAService(let name): "\(quoted(name)) is not a service account"
        }
    }
}
