public import AccessControl
import GuiseProtocol
import Synchronization

/// A token that this process has opened: to look into, to copy, to change, and for threads to act under.
///
/// It is the authority that has the token. What the handle may be used for was decided when it was opened (``access``).
/// Several handles can be to one token: who adjusts it adjusts it for all of them, and for the threads that act under it.
/// Corresponds to a `HANDLE` of a token.
public final class TokenHandle: Sendable {
    /// The level of an impersonation token; nil for a primary one. Corresponds to `TokenType` and
    /// `TokenImpersonationLevel`.
    public let level: ImpersonationLevel?
    /// What it was opened for.
    public let access: AccessMask<TokenKind>

    private struct State {
        var held: HeldToken?
        var capture: Capture?
    }
    private let state: Mutex<State>

    init(_ held: HeldToken, level: ImpersonationLevel?, access: AccessMask<TokenKind>) {
        (self.level, self.access) = (level, access)
        state = Mutex(State(held: held))
    }

    /// What the authority answered on a connection.
    convenience init(_ body: WireResponse.OneOf_Body, by client: AuthorityClient) throws(GuiseError) {
        guard case .tokenOpened(let opened) = body else {
            throw .authorityFailed("the authority's answer to opening a token makes no sense")
        }
        self.init(
            HeldToken(client, opened.token),
            level: opened.level == .unspecified ? nil : ImpersonationLevel(opened.level),
            access: AccessMask(rawValue: opened.access))
    }

    /// Opens the primary token of a process. Corresponds to `OpenProcessToken`.
    ///
    /// All processes of a service that `guise run` started share one token.
    ///
    /// - Parameters:
    ///   - process: nil for this one. Another one takes PROCESS_QUERY_INFORMATION on it.
    ///   - access: what for, as the token's descriptor grants it: to its own user, SYSTEM and administrators everything.
    ///   - runtimeDirectory: where `guised` runs, as for ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    /// - Throws: ``GuiseError/accessDenied(_:)``, ``GuiseError/notFound(_:)`` when there is no such process.
    public static func ofProcess(
        _ process: Int32? = nil, access: AccessMask<TokenKind> = .query, runtimeDirectory: String? = nil
    ) throws(GuiseError) -> TokenHandle {
        try open(process, 0, access, asSelf: true, runtimeDirectory)
    }

    /// Opens the token that a thread acts under. Corresponds to `OpenThreadToken`.
    ///
    /// - Parameters:
    ///   - thread: its id, gettid(2); nil for the calling thread.
    ///   - process: nil for this one. Another one takes PROCESS_QUERY_INFORMATION on it.
    ///   - access: what for, as the token's descriptor grants it: to its own user, the user of the process that it is held
    ///     in, SYSTEM and administrators everything.
    ///   - asSelf: decide with this process's token, whatever the calling thread acts under (`OpenAsSelf`).
    ///   - runtimeDirectory: as for ``ofProcess(_:access:runtimeDirectory:)``.
    /// - Throws: ``GuiseError/notFound(_:)`` for a thread that acts under no token (`ERROR_NO_TOKEN`),
    ///   ``GuiseError/accessDenied(_:)``, also for one that acts as Anonymous.
    public static func ofThread(
        _ thread: Int32? = nil, process: Int32? = nil, access: AccessMask<TokenKind> = .query,
        asSelf: Bool = false, runtimeDirectory: String? = nil
    ) throws(GuiseError) -> TokenHandle {
        try open(process, thread ?? currentThreadID, access, asSelf: asSelf, runtimeDirectory)
    }

    private static func open(
        _ process: Int32?, _ thread: Int32, _ access: AccessMask<TokenKind>, asSelf: Bool,
        _ runtimeDirectory: String?
    ) throws(GuiseError) -> TokenHandle {
        let client = try AuthorityClient.ofProcess(runtimeDirectory: runtimeDirectory)
        var request = WireOpenToken()
        request.process = UInt32(bitPattern: process ?? 0)
        request.thread = UInt32(bitPattern: thread)
        request.access = access.rawValue
        request.handle = asSelf ? 0 : try ThreadIdentity.handle(in: Authority.current)
        return try TokenHandle(try client.call(.openToken(request)), by: client)
    }

    /// Closes the handle: it cannot be used any more. Threads that act under the token go on.
    public func close() { state.withLock { $0 = State() } }

    // MARK: Acting

    /// Makes the calling thread act under the token until ``revertToSelf()``. A primary token is acted under at level
    /// Impersonation. Corresponds to `ImpersonateLoggedOnUser`, and to `SetThreadToken` for the calling thread.
    ///
    /// The gates are those of ``Connection/impersonate(atMost:)``. Takes TOKEN_IMPERSONATE on an impersonation token,
    /// TOKEN_QUERY and TOKEN_DUPLICATE on a primary one. After the first time a few nanoseconds and no system call.
    ///
    /// - Throws: ``GuiseError/privilegeNotHeld(_:)``, ``GuiseError/integrityTooHigh(_:)``,
    ///   ``GuiseError/restricted(_:)``, ``GuiseError/accessDenied(_:)``, ``GuiseError/notAttached(_:)``,
    ///   ``GuiseError/closed(_:)``. The thread then is what it was before.
    public func impersonate() throws(GuiseError) {
        let capture = try captured()
        try ThreadIdentity.install(
            try capture.handle(atMost: .delegation), of: capture, in: try capture.authority.alive())
    }

    /// Runs `body` on the calling thread under the token, and puts back what the thread was before.
    ///
    /// - Throws: as ``impersonate()``, before `body` runs; else what `body` throws.
    public func impersonating<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws -> Result {
        let before = ThreadIdentity.save()
        try impersonate()
        defer { ThreadIdentity.restore(before) }
        return try body()
    }

    /// Runs `body` under the token. The identity follows the task, as with ``Connection/impersonating(atMost:_:)``.
    public func impersonating<Result: Sendable>(
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result { try await captured().impersonating(atMost: .delegation, body) }

    func captured() throws(GuiseError) -> Capture {
        let authority = try Authority.required()
        let known = state.withLock { state in
            state.capture.flatMap { $0.authority === authority ? $0 : nil }
        }
        if let known { return known }
        let held = try held()
        let made = Capture(
            .with {
                $0.capture = held.number
                $0.level = (level ?? .impersonation).wire
            }, by: held.client, authority, releases: false, keeping: held)
        state.withLock { if $0.held != nil { $0.capture = made } }
        return made
    }

    /// Forgets by which handle threads act under it: it has become another token.
    func renew() { state.withLock { $0.capture = nil } }

    func held() throws(GuiseError) -> HeldToken {
        guard let held = state.withLock({ $0.held }) else { throw .closed("the token's handle was closed") }
        return held
    }

    // MARK: Copies

    /// An impersonation token like this one. Corresponds to `DuplicateToken` and `DuplicateTokenEx`.
    ///
    /// - Parameters:
    ///   - level: at most this token's own; a primary token is copied at any level.
    ///   - access: what the copy may be used for; nil for what this one may.
    ///   - isEffectiveOnly: leave out groups and privileges that are not enabled.
    /// - Throws: ``GuiseError/accessDenied(_:)`` for a level above the token's own, and without TOKEN_DUPLICATE.
    public func duplicate(
        at level: ImpersonationLevel, access: AccessMask<TokenKind>? = nil, isEffectiveOnly: Bool = false
    ) throws(GuiseError) -> TokenHandle {
        try duplicate(
            .with {
                $0.level = level.wire
                $0.access = access?.rawValue ?? 0
                $0.effectiveOnly = isEffectiveOnly
            })
    }

    /// A primary token like this one. Corresponds to `DuplicateTokenEx` with `TokenPrimary`.
    ///
    /// - Parameter access: as for ``duplicate(at:access:isEffectiveOnly:)``.
    /// - Throws: ``GuiseError/accessDenied(_:)`` of a token below level Impersonation, and without TOKEN_DUPLICATE.
    public func duplicateAsPrimary(access: AccessMask<TokenKind>? = nil) throws(GuiseError) -> TokenHandle {
        try duplicate(.with { $0.access = access?.rawValue ?? 0 })
    }

    func duplicate(_ request: WireDuplicateToken) throws(GuiseError) -> TokenHandle {
        let held = try held()
        var request = request
        request.token = held.number
        return try TokenHandle(try held.client.call(.duplicateToken(request)), by: held.client)
    }

    /// How a token is restricted (`DISABLE_MAX_PRIVILEGE`, `WRITE_RESTRICTED` of winnt.h).
    public struct Restriction: OptionSet, Sendable {
        /// The bits of winnt.h.
        public let rawValue: UInt32
        /// Makes a restriction of these bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// All privileges go but SeChangeNotifyPrivilege.
        public static let disableMaximumPrivilege = Restriction(rawValue: 0x1)
        /// The restricting SIDs count for writing only.
        public static let writeRestricted = Restriction(rawValue: 0x8)
    }

    /// A token of the same type that can do less. Corresponds to `CreateRestrictedToken`.
    ///
    /// Outside managed roots, where the kernel knows nothing of restricting SIDs, nothing is open to a token that has
    /// some; a Unix group that is deny-only is left out there.
    ///
    /// - Parameters:
    ///   - denyOnly: the user or groups that are to match deny entries only; those the token has not are passed over.
    ///   - removing: privileges that are to go for good.
    ///   - restrictingTo: SIDs that have to be granted access too. Of a token that has some already those stay that are
    ///     in both lists.
    /// - Throws: ``GuiseError/accessDenied(_:)`` without TOKEN_DUPLICATE; ``GuiseError/limitReached(_:)``.
    public func restricted(
        denyOnly: [SID] = [], removing: PrivilegeSet = [], restrictingTo: [SID] = [],
        _ restriction: Restriction = []
    ) throws(GuiseError) -> TokenHandle {
        let held = try held()
        var request = WireRestrictToken()
        request.token = held.number
        request.denyOnly = denyOnly.map(\.description)
        request.remove = removing.map(\.rawValue)
        request.restricting = restrictingTo.map(\.description)
        request.disableMaxPrivilege = restriction.contains(.disableMaximumPrivilege)
        request.writeRestricted = restriction.contains(.writeRestricted)
        return try TokenHandle(try held.client.call(.restrictToken(request)), by: held.client)
    }
}

/// A token that the authority holds for this process, until nothing of it needs it any more: a handle, or a thread that
/// acts under it.
final class HeldToken: Sendable {
    let client: AuthorityClient
    let number: UInt64
    /// A logon ends with its connection.
    private let releases: Bool

    init(_ client: AuthorityClient, _ number: UInt64, releases: Bool = true) {
        (self.client, self.number, self.releases) = (client, number, releases)
    }

    deinit { if releases { client.release(number) } }
}
