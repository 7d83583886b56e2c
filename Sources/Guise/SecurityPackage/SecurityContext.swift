public import AccessControl
package import GuiseProtocol
import Synchronization

/// A finished conversation of a security package. On the accepting side it is a client whom the service can impersonate,
/// in a logon session that lives as long as this value and the threads that act under it.
public final class SecurityContext: Sendable {
    /// What the package says of the conversation.
    public let attributes: Attributes
    /// The most that the accepting side may do with the client's identity.
    public var level: ImpersonationLevel { attributes.level }

    /// What `QueryContextAttributes` tells.
    public struct Attributes: Sendable, Hashable {
        /// The package that did the work: `Kerberos`, where `Negotiate` was asked for (`SECPKG_ATTR_NEGOTIATION_INFO`).
        public let package: String
        /// The client as the package knows it, `alice@A.TEST`; nil where it does not (`SECPKG_ATTR_NATIVE_NAMES`).
        public let client: String?
        /// The service that the client meant, `HTTP/files.a.test@A.TEST` (`SECPKG_ATTR_CLIENT_SPECIFIED_TARGET`).
        public let target: String?
        /// The most that the accepting side may do.
        public let level: ImpersonationLevel
        /// Until when it counts, since 1970, UTC; nil: for good (`SECPKG_ATTR_LIFESPAN`).
        public let expiry: Duration?
        /// What the two sides agreed on (`SECPKG_ATTR_FLAGS`).
        public let flags: Flags

        /// Makes attributes of what a package found out.
        package init(
            package: String, client: String? = nil, target: String? = nil, level: ImpersonationLevel,
            expiry: Duration? = nil, flags: Flags = []
        ) {
            (self.package, self.client, self.target) = (package, client, target)
            (self.level, self.expiry, self.flags) = (level, expiry, flags)
        }

        package init(_ wire: WireSecurityAttributes) {
            self.init(
                package: wire.package, client: wire.client.isEmpty ? nil : wire.client,
                target: wire.target.isEmpty ? nil : wire.target, level: ImpersonationLevel(wire.level),
                expiry: wire.expiry == 0 ? nil : .milliseconds(Int64(clamping: wire.expiry)),
                flags: Flags(rawValue: wire.flags))
        }
    }

    /// What two sides agreed on: `GSS_C_…_FLAG` of RFC 2744 and RFC 4757.
    public struct Flags: OptionSet, Sendable, Hashable {
        /// The bits.
        public let rawValue: UInt32
        /// Makes flags of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// The client's credentials came along (`ASC_RET_DELEGATE`).
        public static let delegate = Flags(rawValue: 1)
        /// The service proves who it is (`ASC_RET_MUTUAL_AUTH`).
        public static let mutual = Flags(rawValue: 2)
        /// A message sent twice is noticed.
        public static let replayDetect = Flags(rawValue: 4)
        /// Messages out of order are noticed.
        public static let sequenceDetect = Flags(rawValue: 8)
        /// Messages could be encrypted.
        public static let confidentiality = Flags(rawValue: 16)
        /// Messages could be signed.
        public static let integrity = Flags(rawValue: 32)
        /// The client allows level Identification and no more (`ASC_RET_IDENTIFY`).
        public static let identify = Flags(rawValue: 0x2000)
    }

    private let accepted: (answer: WireCaptured, connection: ExchangeConnection)?
    private let capture = Mutex<Capture?>(nil)

    /// A client whom the authority holds for this process.
    ///
    /// - Parameters:
    ///   - answer: what it said of the client.
    ///   - connection: by which it holds it, for this context alone.
    init(accepted answer: WireCaptured, by connection: ExchangeConnection, _ attributes: Attributes) {
        accepted = (answer, connection)
        self.attributes = attributes
    }

    /// The connecting side's.
    package init(initiated attributes: Attributes) {
        accepted = nil
        self.attributes = attributes
    }

    /// Makes the calling thread act as the client until ``revert()``, as ``Connection/impersonate(atMost:)`` does.
    /// Corresponds to `ImpersonateSecurityContext`.
    ///
    /// - Parameter limit: act at no more than this level, whatever the client allowed.
    /// - Throws: ``GuiseError/privilegeNotHeld(_:)``, ``GuiseError/integrityTooHigh(_:)``,
    ///   ``GuiseError/notAttached(_:)``, ``GuiseError/accessDenied(_:)`` when the session was ended,
    ///   ``GuiseError/notAServerConnection(_:)`` on the connecting side. The thread then is what it was before.
    public func impersonate(atMost limit: ImpersonationLevel = .delegation) throws(GuiseError) {
        let capture = try captured()
        try ThreadIdentity.install(
            try capture.handle(atMost: limit), of: capture, in: try capture.authority.alive())
    }

    /// Ends the calling thread's impersonation, whoever began it. Corresponds to `RevertSecurityContext`.
    public func revert() { revertToSelf() }

    /// Runs `body` on the calling thread as the client, and puts back what the thread was before.
    ///
    /// - Throws: as ``impersonate(atMost:)``, before `body` runs; else what `body` throws.
    public func impersonating<Result, Failure: Error>(
        atMost limit: ImpersonationLevel = .delegation, _ body: () throws(Failure) -> Result
    ) throws -> Result {
        let before = ThreadIdentity.save()
        try impersonate(atMost: limit)
        defer { ThreadIdentity.restore(before) }
        return try body()
    }

    /// Runs `body` as the client. The identity follows the task, as with ``Connection/impersonating(atMost:_:)``.
    public func impersonating<Result: Sendable>(
        atMost limit: ImpersonationLevel = .delegation, _ body: @Sendable () async throws -> Result
    ) async throws -> Result { try await captured().impersonating(atMost: limit, body) }

    /// The client's token, for inspection (`QuerySecurityContextToken`).
    ///
    /// - Throws: ``GuiseError/notAServerConnection(_:)`` on the connecting side.
    public func token() throws(GuiseError) -> TokenDescription {
        let (answer, connection) = try side()
        return try connection.client.token(ofCapture: answer.capture)
    }

    /// The client as a connection without a socket, for what serves clients of sockets as well.
    ///
    /// - Throws: as ``token()``.
    package func connection() throws(GuiseError) -> Connection { Connection(server: -1, try captured()) }

    /// Asks the authority whether the client may still be acted as: what is known here may be as old as the connection.
    ///
    /// - Throws: as ``impersonate(atMost:)``.
    package func confirm(atMost limit: ImpersonationLevel = .delegation) throws(GuiseError) {
        try captured().confirm(atMost: limit)
    }

    private func side() throws(GuiseError) -> (answer: WireCaptured, connection: ExchangeConnection) {
        guard let accepted else {
            throw .notAServerConnection("this is the connecting side: there is nobody to impersonate")
        }
        return accepted
    }

    func captured() throws(GuiseError) -> Capture {
        let (answer, connection) = try side()
        let authority = try Authority.required()
        return capture.withLock { known in
            if let known, known.authority === authority { return known }
            let capture = Capture(
                answer, by: connection.client, authority, releases: false, keeping: connection)
            known = capture
            return capture
        }
    }
}
