/// What of a key has changed, or is to be watched (`REG_NOTIFY_CHANGE_…`).
public struct RegistryChangeKinds: OptionSet, Hashable, Sendable {
    /// The bits of winnt.h.
    public let rawValue: UInt32
    /// Makes kinds of these bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// A key below was made, deleted or renamed; or the key itself was deleted (`REG_NOTIFY_CHANGE_NAME`).
    public static let names = RegistryChangeKinds(rawValue: 1)
    /// The class name, or whether it is a link (`REG_NOTIFY_CHANGE_ATTRIBUTES`).
    public static let attributes = RegistryChangeKinds(rawValue: 2)
    /// A value was set or deleted (`REG_NOTIFY_CHANGE_LAST_SET`).
    public static let values = RegistryChangeKinds(rawValue: 4)
    /// The security descriptor (`REG_NOTIFY_CHANGE_SECURITY`).
    public static let security = RegistryChangeKinds(rawValue: 8)
    /// Everything.
    public static let all: RegistryChangeKinds = [.names, .attributes, .values, .security]
}
