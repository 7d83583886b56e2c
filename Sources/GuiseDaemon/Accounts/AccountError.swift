/// Why the accounts were not changed. Nothing was.
package enum AccountError: Error, Equatable, CustomStringConvertible {
    /// The name breaks a rule.
    case invalidName(name: String, rule: String)
    /// A name, or a Unix id, that another account has.
    case taken(what: String, by: String)
    /// No account of that name.
    case unknownAccount(name: String)
    /// The account exists but is not a group.
    case notAGroup(name: String)
    /// One group would come to contain itself.
    case cycle(member: String, group: String)
    /// So many memberships of one account that it could not be shown any more.
    case tooManyGroups(name: String)
    /// The account is part of the model and stays.
    case builtIn(name: String)
    /// A Unix id that an account may not have.
    case invalidUnixID(id: UInt32, rule: String)
    /// The machine has a user or group of that name; which one is meant was not said.
    case ambiguousUnixName(name: String, id: UInt32, isGroup: Bool)
    /// A service without a uid cannot be started.
    case unixIDNeeded(name: String)
    /// Users and services have a primary group, groups do not.
    case groupHasNoPrimaryGroup(name: String)
    /// No privilege of that name.
    case unknownPrivilege(name: String)
    /// An account cannot have that integrity level.
    case invalidIntegrity(name: String, rule: String)
    /// An account that cannot have a password.
    case noPassword(name: String)
    /// A managed root with a path that cannot be one.
    case invalidRoot(path: String, rule: String)
    /// No managed root there.
    case unknownRoot(path: String)
    /// An abstract name that cannot be registered.
    case invalidEndpoint(name: String, rule: String)
    /// No abstract name that is registered.
    case unknownEndpoint(name: String)
    /// As many abstract names as may be are registered.
    case tooManyEndpoints
    /// An issuer or a mapping rule that there cannot be.
    case invalidMapping(what: String, rule: String)
    /// No issuer of that name.
    case unknownIssuer(name: String)
    /// No mapping rule of that number.
    case unknownMapping(id: Int64)
    /// As many as are kept.
    case tooManyMappings(what: String, limit: Int)
    /// Every RID was used.
    case exhausted
    /// The database refused.
    case storage(detail: String)

    /// One sentence for a person: what was refused, and by which rule.
    package var description: String {
        switch self {
        case .invalidName(let name, let rule):
            "\(quoted(name)) cannot be an account's name: \(rule)"
        case .taken(let what, let owner):
            "\(what) already belongs to \(quoted(owner))"
        case .unknownAccount(let name):
            "there is no account \(quoted(name))"
        case .notAGroup(let name):
            "\(quoted(name)) is not a group"
        case .cycle(let member, let group):
            "\(quoted(member)) cannot join \(quoted(group)): that group is itself a member of it"
        case .tooManyGroups(let name):
            "\(quoted(name)) would be in more than \(Account.maximumGroups) groups: put groups into groups"
        case .builtIn(let name):
            "\(quoted(name)) is built in and cannot be removed"
        case .invalidUnixID(let id, let rule):
            "\(id) cannot be an account's Unix id: \(rule)"
        case .ambiguousUnixName(let name, let id, let isGroup):
            "this machine has a \(isGroup ? "group" : "user") \(quoted(name)) with \(isGroup ? "gid" : "uid") "
                + "\(id): say which Unix id the account is to have"
        case .unixIDNeeded(let name):
            "the service \(quoted(name)) needs a uid of its own to run under: say --uid"
        case .groupHasNoPrimaryGroup(let name):
            "\(quoted(name)) is a group and has no primary group"
        case .invalidIntegrity(let name, let rule):
            "\(quoted(name)) cannot have that integrity level: \(rule)"
        case .noPassword(let name):
            "\(quoted(name)) cannot have a password: only users are logged on by one"
        case .unknownPrivilege(let name):
            "there is no privilege \(quoted(name))"
        case .invalidRoot(let path, let rule):
            "\(quoted(path)) cannot be a managed root: \(rule)"
        case .unknownRoot(let path):
            "\(quoted(path)) is not a managed root"
        case .invalidEndpoint(let name, let rule):
            "\(quoted(name)) cannot be registered: \(rule)"
        case .unknownEndpoint(let name):
            "the name \(quoted(name)) is not registered"
        case .tooManyEndpoints:
            "\(RegisteredEndpoint.largestCount) names are registered, and may be no more"
        case .invalidMapping(let what, let rule):
            "\(what) is not kept: \(rule)"
        case .unknownIssuer(let name):
            "\(quoted(name)) is no issuer that is trusted"
        case .unknownMapping(let id):
            "there is no mapping rule \(id)"
        case .tooManyMappings(let what, let limit):
            "this machine has \(limit) \(what), and may have no more"
        case .exhausted:
            "every RID of this machine was used"
        case .storage(let detail):
            "the state could not be written (\(detail))"
        }
    }
}

/// A name as it may appear in a message or a log line: quoted, and on one line whatever it holds.
func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars.prefix(256) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        default:
            if scalar == "\"" || scalar == "\\" { result += "\\" }
            result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
