/// What a client allows the service that it connects to (`SECURITY_QUALITY_OF_SERVICE`, winnt.h).
///
/// Chosen before connecting; it cannot change on a live connection.
public struct SecurityQualityOfService: Hashable, Sendable {
    /// Which state of the client's token a service gets (`SECURITY_CONTEXT_TRACKING_MODE`).
    public enum Tracking: Hashable, Sendable {
        /// The token as it was when the client connected.
        case `static`
        /// The token as it is whenever the service impersonates.
        case dynamic
    }

    /// How much of the identity the service may use.
    public var level: ImpersonationLevel
    /// Which state of the token it gets.
    public var tracking: Tracking
    /// Whether groups and privileges that are not enabled are left out of what it gets.
    public var isEffectiveOnly: Bool

    /// Makes a quality of service; without arguments it is what a client that says nothing allows.
    public init(
        level: ImpersonationLevel = .impersonation, tracking: Tracking = .static,
        isEffectiveOnly: Bool = false
    ) {
        (self.level, self.tracking, self.isEffectiveOnly) = (level, tracking, isEffectiveOnly)
    }
}
