import AccessControl
import Guise
import RegistryModel
import Synchronization

/// Whose requests come over a connection: the token as it was when the client connected.
final class ClientIdentity: Sendable {
    /// How long it may take until the end of a logon session is noticed.
    private static let patience = Duration.seconds(1)

    let token: Token
    private let handle: TokenHandle
    private let checked: Mutex<(at: ContinuousClock.Instant, isAlive: Bool)>

    /// - Throws: ``RegistryError/levelTooLow(_:)`` below level Identification, ``RegistryError/unavailable(_:)`` when the
    ///   authority does not say who it is.
    init(_ connection: Connection) throws(RegistryError) {
        guard connection.level >= .identification else {
            throw .levelTooLow(
                "the registry has to know who asks: connect at level Identification or above, not Anonymous")
        }
        do {
            // At Identification no gate is asked: the registry looks at the token, and never acts under it.
            handle = try connection.impersonating(atMost: .identification) {
                try TokenHandle.ofThread(access: [.query, .querySource], asSelf: true)
            }
            token = try Token(try handle.information())
        } catch { throw .unavailable("the authority does not say who the client is: \(error)") }
        checked = Mutex((.now, true))
    }

    /// For whom a request is decided now.
    var caller: Caller {
        let isAlive = checked.withLock { checked in
            if checked.isAlive, checked.at.duration(to: .now) > Self.patience { checked = (.now, ask()) }
            return checked.isAlive
        }
        return Caller(token: token, isSessionAlive: isAlive) { [handle] path, descriptor, desired, intent in
            guard let descriptor = try? SecurityDescriptor(bytes: descriptor) else { return }
            // Without SeAuditPrivilege nothing goes on record, and the decision stands.
            _ = try? handle.checkAccess(
                to: descriptor, desired, intent: intent, audit: AccessAudit(object: path.description))
        }
    }

    /// Asks the authority something that it grants to everybody whose session is alive.
    private func ask() -> Bool {
        let open = SecurityDescriptor(owner: .system, group: nil, dacl: .null)
        return (try? handle.checkAccess(to: open, RegistryAccess.queryValue).isAllowed) ?? false
    }
}

extension Token {
    /// What decides about access, of what the authority says of a token.
    fileprivate init(_ said: TokenInformation) throws(TokenError) {
        let view = said.description
        var fields = Fields(
            user: view.user.sid, integrity: view.integrity, logonSession: view.logonSession)
        fields.isUserDenyOnly = said.isUserDenyOnly
        fields.groups = view.groups.map {
            Group($0.principal.sid, Group.Attributes(rawValue: $0.attributes))
        }
        fields.privileges = Privileges(
            present: PrivilegeSet(view.privileges), enabled: PrivilegeSet(view.enabledPrivileges),
            enabledByDefault: said.enabledByDefault)
        fields.restrictingSIDs = said.restrictingSIDs.map { Group($0.sid) }
        fields.isWriteRestricted = said.isWriteRestricted
        fields.mandatoryPolicy = said.mandatoryPolicy
        fields.defaultOwner = said.owner.sid
        fields.defaultGroup = said.primaryGroup?.sid
        fields.defaultDACL = said.defaultDACL
        fields.userClaims = said.userClaims
        fields.deviceClaims = said.deviceClaims
        fields.deviceGroups = said.deviceGroups.map {
            Group($0.principal.sid, Group.Attributes(rawValue: $0.attributes))
        }
        fields.elevation = said.elevation
        if let source = said.source { fields.source = source }
        try self.init(fields)
    }
}
