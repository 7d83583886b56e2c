/// The answer to a question of access, with what it took.
public struct AccessDecision<Kind: ObjectKind>: Hashable, Sendable {
    @usableFromInline let outcome: Outcome

    @inlinable init(_ outcome: Outcome) { self.outcome = outcome }

    /// Whether every right asked for is granted (and, with MAXIMUM_ALLOWED, at least one).
    @inlinable public var isAllowed: Bool { outcome.isAllowed }
    /// What is granted: the rights asked for, or with MAXIMUM_ALLOWED all there are; nothing if refused.
    @inlinable public var granted: AccessMask<Kind> { AccessMask(rawValue: outcome.granted) }
    /// The privileges without which the answer would have been another.
    @inlinable public var privilegesUsed: PrivilegeSet { outcome.privilegesUsed }
    /// The privilege that was asked for (by ACCESS_SYSTEM_SECURITY) and is not held.
    @inlinable public var missingPrivilege: Privilege? { outcome.missingPrivilege }
    /// What would be granted if the staged forms of the central access policies were in force; `nil` if none of
    /// those that apply has one.
    @inlinable public var staged: AccessMask<Kind>? {
        if let staged = outcome.staged { AccessMask(rawValue: staged) } else { nil }
    }
}

/// A decision before the kind of object is known again.
@usableFromInline struct Outcome: Hashable, Sendable {
    @usableFromInline var isAllowed: Bool
    @usableFromInline var granted: UInt32
    @usableFromInline var privilegesUsed = PrivilegeSet()
    @usableFromInline var missingPrivilege: Privilege?
    @usableFromInline var staged: UInt32?

    init(isAllowed: Bool, granted: UInt32) {
        (self.isAllowed, self.granted) = (isAllowed, granted)
    }

    static let refused = Outcome(isAllowed: false, granted: 0)
}

/// Why there is no answer. Never treat it as a grant.
public enum AccessCheckError: Error, Hashable, Sendable {
    /// The bytes are not a security descriptor.
    case malformed(DescriptorError)
    /// The descriptor has no owner.
    case noOwner
    /// The token was captured at level Anonymous; there is nobody to decide for.
    case anonymousLevel
}

extension AccessCheckError: CustomStringConvertible {
    /// One sentence.
    public var description: String {
        switch self {
        case .malformed(let error): "no access decision is possible: \(error)"
        case .noOwner: "no access decision is possible: the security descriptor has no owner"
        case .anonymousLevel: "no access decision is possible: the token was captured at level Anonymous"
        }
    }
}

/// What the caller says it is opening the object for; it lets privileges count that otherwise do not.
public struct AccessIntent: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// Makes an intent of these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// To save the object: `SeBackupPrivilege` grants reading.
    public static let backup = AccessIntent(rawValue: 1)
    /// To restore the object: `SeRestorePrivilege` grants writing, WRITE_DAC, WRITE_OWNER and DELETE.
    public static let restore = AccessIntent(rawValue: 2)
}

/// What a decision may depend on besides descriptor, token and desired access.
public struct AccessContext: Sendable {
    /// What the caller is opening the object for.
    public var intent: AccessIntent
    /// The SID of the object, where the object is a principal: what PRINCIPAL_SELF stands for.
    public var principalSelf: SID?
    /// Whether the token's logon session is alive; if it is not, every decision is a refusal.
    public var isSessionAlive: Bool
    /// The central access policies there are. One that an object names and that is not among them leaves access
    /// to owner, Administrators and SYSTEM only.
    public var policies: [CentralPolicy]

    /// The context that says nothing.
    public static let plain = AccessContext()

    /// Makes a context; the default one says nothing.
    public init(
        intent: AccessIntent = [], principalSelf: SID? = nil, isSessionAlive: Bool = true,
        policies: [CentralPolicy] = []
    ) {
        (self.intent, self.principalSelf, self.isSessionAlive) = (intent, principalSelf, isSessionAlive)
        self.policies = policies
    }
}
