public import AccessControl
import GuiseProtocol
import Synchronization

/// Has a thread act under a token, or with nil as its process again. Corresponds to `SetThreadToken`.
///
/// The gates are those of ``Connection/impersonate(atMost:)``, against the token of the process whose thread it is. A task
/// that acts as a client on that thread goes on as that: a thread's token counts outside of such tasks.
///
/// - Parameters:
///   - token: an impersonation token, opened for TOKEN_IMPERSONATE. The thread keeps it when the handle is closed.
///   - thread: its id, gettid(2); nil for the calling thread.
///   - process: nil for this one. Another one must have attached, and takes PROCESS_SET_INFORMATION on it.
/// - Throws: ``GuiseError/invalid(_:)`` for a primary token, ``GuiseError/accessDenied(_:)``,
///   ``GuiseError/notFound(_:)`` when there is no such thread, and as ``Connection/impersonate(atMost:)``. The thread then
///   is what it was before.
public func setThreadToken(
    _ token: TokenHandle?, thread: Int32? = nil, process: Int32? = nil
) throws(GuiseError) {
    if process == nil, thread == nil || thread == currentThreadID {
        guard let token else { return revertToSelf() }
        guard token.level != nil else {
            throw .invalid(
                "a primary token cannot be set on a thread; duplicate it as an impersonation token")
        }
        return try token.impersonate()
    }
    let held = try token?.held()
    let client = if let held { held.client } else { try AuthorityClient.ofProcess(runtimeDirectory: nil) }
    guard let thread else { throw .invalid("say which thread of process \(process ?? 0) is meant") }
    _ = try client.call(
        .assignToken(
            .with {
                $0.process = UInt32(bitPattern: process ?? 0)
                $0.thread = UInt32(bitPattern: thread)
                $0.token = held?.number ?? 0
            }))
}

/// Gives this process a token that can do less than its own, for good: what ``TokenHandle/restricted(denyOnly:removing:restrictingTo:_:)``
/// made of it. Of a service that `guise run` started all processes get it. It counts under managed roots, at the gates,
/// and for the services that the process connects to; elsewhere the kernel goes by the process's Unix user.
///
/// Corresponds to a `CreateProcessAsUser` with a restricted token, for the process that runs already.
///
/// - Parameter token: a primary token, opened for TOKEN_ASSIGN_PRIMARY.
/// - Throws: ``GuiseError/accessDenied(_:)`` for a token that can do anything that the process's own cannot.
public func restrictProcess(to token: TokenHandle) throws(GuiseError) {
    _ = try Authority.required()
    let held = try token.held()
    _ = try held.client.call(.assignToken(.with { $0.token = held.number }))
}

/// Makes the calling thread act under a copy of its process's token until ``revertToSelf()``. A privilege that is enabled
/// on the copy (``TokenHandle/ofThread(_:process:access:asSelf:runtimeDirectory:)``) is enabled for this thread alone.
///
/// After the first time a few nanoseconds and no system call. Corresponds to `ImpersonateSelf`.
///
/// - Parameter level: at Identification and below the thread has no rights but those of Anonymous.
/// - Throws: ``GuiseError/notAttached(_:)``, ``GuiseError/authorityLost(_:)``, ``GuiseError/tooManyThreads(_:)``.
public func impersonateSelf(at level: ImpersonationLevel = .impersonation) throws(GuiseError) {
    let authority = try Authority.required().alive()
    let copy = try OwnCopies.shared.copy(Int(level.rawValue), authority) { () throws(GuiseError) in
        try TokenHandle.ofProcess(access: [.query, .duplicate]).duplicate(
            .with {
                $0.level = level.wire
                $0.access = AccessMask<TokenKind>.impersonate.rawValue
                $0.perThread = true
            })
    }
    try ThreadIdentity.install(try copy.handle(atMost: level), of: copy, in: authority)
}

/// Makes the calling thread act as Anonymous, `S-1-5-7`, until ``revertToSelf()``: it has the rights that Anonymous has,
/// which are next to none. Corresponds to `ImpersonateAnonymousToken`.
///
/// - Throws: ``GuiseError/notAttached(_:)``, ``GuiseError/authorityLost(_:)``, ``GuiseError/tooManyThreads(_:)``.
public func impersonateAnonymous() throws(GuiseError) {
    let authority = try Authority.required().alive()
    let copy = try OwnCopies.shared.copy(OwnCopies.anonymous, authority) { () throws(GuiseError) in
        try TokenHandle(
            try authority.client.call(.openToken(.with { $0.anonymous = true })), by: authority.client)
    }
    try ThreadIdentity.install(try copy.handle(atMost: .anonymous), of: copy, in: authority)
}

/// The copies of the process's own token that its threads act under, one for each level, until the process's token
/// changes; and Anonymous's.
private final class OwnCopies: Sendable {
    static let shared = OwnCopies()
    static let anonymous = 4

    private struct State {
        var generation: UInt32 = 0
        var version: UInt64 = 0
        var copies = [Capture?](repeating: nil, count: 5)
    }
    private let state = Mutex(State())

    func copy(
        _ index: Int, _ authority: Authority, _ make: () throws(GuiseError) -> TokenHandle
    ) throws(GuiseError) -> Capture {
        let (generation, version) = (authority.generation, authority.page.tokenVersion)
        let known = state.withLock { state in
            state.generation == generation && state.version == version ? state.copies[index] : nil
        }
        if let known { return known }
        let made = try make().captured()
        state.withLock { state in
            if state.generation != generation || state.version != version {
                state = State(generation: generation, version: version)
            }
            state.copies[index] = made
        }
        return made
    }
}
