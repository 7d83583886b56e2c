public import AccessControl
import GuiseProtocol

/// What a token is granted on an object of the program's own.
public struct AccessAnswer<Kind: ObjectKind>: Hashable, Sendable {
    /// Whether every right asked for is granted (and, with MAXIMUM_ALLOWED, at least one).
    public let isAllowed: Bool
    /// What is granted.
    public let granted: AccessMask<Kind>
    /// The privileges without which the answer would have been another.
    public let privilegesUsed: PrivilegeSet
}

/// The record that the authority is to keep of an access check, where the object's SACL asks for one.
public struct AccessAudit: Hashable, Sendable {
    /// The object's name, as the record has it.
    public let object: String
    /// An audit of the access to this object.
    public init(object: String) { self.object = object }
}

/// Questions of access about the token that decides for the calling thread: the client's while it impersonates, else the
/// process's. At level Identification they are about the client too, which is what that level is for.
///
/// - Note: The same questions about a token at hand are methods of ``TokenHandle``.
public enum EffectiveToken {
    /// Whether a SID is the user's or an enabled group's that is not deny-only. Corresponds to `CheckTokenMembership`.
    public static func isMember(of sid: SID) throws(GuiseError) -> Bool {
        try question { $0.member = sid.description }.result
    }

    /// Whether all of these privileges are enabled. Corresponds to `PrivilegeCheck`.
    public static func holds(_ privileges: Privilege...) throws(GuiseError) -> Bool {
        try question { $0.privileges = .with { $0.luids = privileges.map(\.rawValue) } }.result
    }

    /// Whether one of these privileges is enabled.
    public static func holdsAny(of privileges: Privilege...) throws(GuiseError) -> Bool {
        try question {
            $0.privileges = .with {
                $0.luids = privileges.map(\.rawValue)
                $0.any = true
            }
        }.result
    }

    /// Whether the token has rights on an object with this descriptor. Corresponds to `AccessCheck`, and with an audit to
    /// `AccessCheckAndAuditAlarm`.
    ///
    /// - Parameters:
    ///   - desired: the rights; `.maximumAllowed` asks for all there are.
    ///   - audit: has the authority put on record what the descriptor's SACL asks for. Takes SeAuditPrivilege, of the
    ///     process itself.
    /// - Throws: ``GuiseError/privilegeNotHeld(_:)`` for an audit without that; ``GuiseError/invalid(_:)`` for a
    ///   descriptor without an owner; ``GuiseError/accessDenied(_:)`` at level Anonymous.
    public static func checkAccess<Kind: ObjectKind>(
        to descriptor: SecurityDescriptor, _ desired: AccessMask<Kind>, intent: AccessIntent = [],
        principalSelf: SID? = nil, audit: AccessAudit? = nil
    ) throws(GuiseError) -> AccessAnswer<Kind> {
        let access = try WireAccessQuestion(descriptor, desired, intent, principalSelf, audit)
        return AccessAnswer(try question { $0.access = access })
    }

    private static func question(
        _ fill: (inout WireCheckToken) -> Void
    ) throws(GuiseError) -> WireTokenChecked {
        let client = try AuthorityClient.ofProcess(runtimeDirectory: nil)
        var request = WireCheckToken()
        request.handle = try ThreadIdentity.handle(in: Authority.current)
        fill(&request)
        return try client.check(request)
    }
}

extension TokenHandle {
    /// Whether a SID is the user's or an enabled group's that is not deny-only. Corresponds to `CheckTokenMembership`;
    /// this and the other questions take TOKEN_QUERY.
    public func isMember(of sid: SID) throws(GuiseError) -> Bool {
        try question { $0.member = sid.description }.result
    }

    /// Whether all of these privileges are enabled. Corresponds to `PrivilegeCheck`.
    public func holds(_ privileges: Privilege...) throws(GuiseError) -> Bool {
        try question { $0.privileges = .with { $0.luids = privileges.map(\.rawValue) } }.result
    }

    /// Whether one of these privileges is enabled.
    public func holdsAny(of privileges: Privilege...) throws(GuiseError) -> Bool {
        try question {
            $0.privileges = .with {
                $0.luids = privileges.map(\.rawValue)
                $0.any = true
            }
        }.result
    }

    /// As ``EffectiveToken/checkAccess(to:_:intent:principalSelf:audit:)``.
    public func checkAccess<Kind: ObjectKind>(
        to descriptor: SecurityDescriptor, _ desired: AccessMask<Kind>, intent: AccessIntent = [],
        principalSelf: SID? = nil, audit: AccessAudit? = nil
    ) throws(GuiseError) -> AccessAnswer<Kind> {
        let access = try WireAccessQuestion(descriptor, desired, intent, principalSelf, audit)
        return AccessAnswer(try question { $0.access = access })
    }

    private func question(_ fill: (inout WireCheckToken) -> Void) throws(GuiseError) -> WireTokenChecked {
        let held = try held()
        var request = WireCheckToken()
        request.token = held.number
        fill(&request)
        return try held.client.check(request)
    }
}

extension AuthorityClient {
    fileprivate func check(_ request: WireCheckToken) throws(GuiseError) -> WireTokenChecked {
        guard case .tokenChecked(let checked) = try call(.checkToken(request)) else {
            throw .authorityFailed("the authority's answer to a question about a token makes no sense")
        }
        return checked
    }
}

extension AccessAnswer {
    fileprivate init(_ wire: WireTokenChecked) {
        isAllowed = wire.result
        granted = AccessMask(rawValue: wire.granted)
        privilegesUsed = PrivilegeSet(wire.privilegesUsed.compactMap { Privilege(rawValue: $0) })
    }
}

extension WireAccessQuestion {
    fileprivate init<Kind: ObjectKind>(
        _ descriptor: SecurityDescriptor, _ desired: AccessMask<Kind>, _ intent: AccessIntent,
        _ principalSelf: SID?, _ audit: AccessAudit?
    ) throws(GuiseError) {
        self.init()
        let kinds: [(any ObjectKind.Type, WireCheckedKind)] = [
            (FileKind.self, .file), (RegistryKeyKind.self, .key), (PipeKind.self, .pipe),
            (TokenKind.self, .token), (ProcessKind.self, .process), (ThreadKind.self, .thread),
            (DirectoryObjectKind.self, .directoryObject),
        ]
        guard let known = kinds.first(where: { $0.0 == Kind.self }) else {
            throw .invalid("the authority knows no objects of kind \(Kind.self); use AccessCheck")
        }
        kind = known.1
        self.descriptor = .init(descriptor.bytes)
        self.desired = desired.rawValue
        self.intent = UInt32(intent.rawValue)
        self.principalSelf = principalSelf?.description ?? ""
        object = audit?.object ?? ""
        self.audit = audit != nil
    }
}
