import Glibc
import GuiseProtocol

/// Why a call of this module was refused or failed. Every case carries one sentence for a person: what was
/// refused, for whom, and by which rule.
///
/// After any of these the calling thread is what it was before: impersonation never silently weakens.
public enum GuiseError: Error, Sendable, Hashable {
    /// No authority answers in the runtime directory. Start `guised`, or name its directory.
    case authorityUnreachable(String)
    /// The authority that this process was attached to is gone. Its identities are gone with it; a mediated
    /// service has to be started anew.
    case authorityLost(String)
    /// The process has not attached (a child made by `fork` has not, either). Call ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    case notAttached(String)
    /// The process is attached already.
    case alreadyAttached(String)
    /// The process does not run under `guise run`, and did not ask for cooperative enforcement.
    case notMediated(String)
    /// The Swift runtime of this process is not one whose tasks can be followed. Impersonate on threads.
    case tasksNotFollowed(String)
    /// More threads impersonate at once than were asked for when attaching.
    case tooManyThreads(String)
    /// The service lacks SeImpersonatePrivilege, and the client is another user.
    case privilegeNotHeld(String)
    /// The client's integrity level is above the service's.
    case integrityTooHigh(String)
    /// A restricted service may not act as an unrestricted token of the same user.
    case restricted(String)
    /// The client closed the connection, or its process ended, before it was captured.
    case peerGone(String)
    /// The descriptor is not the accepted end of a connected Unix socket.
    case notAServerConnection(String)
    /// The authority does not let this caller do this.
    case accessDenied(String)
    /// Wrong account or password, or an account that cannot be logged on. Which, the authority does not say.
    case logonFailed(String)
    /// A client from elsewhere proved itself, and no mapping rule lets it in.
    case notMapped(String)
    /// No such process, account, managed root or file.
    case notFound(String)
    /// Every instance of a named pipe serves a client. Try again, or wait (`timeout:`).
    case busy(String)
    /// It was closed, by this side or the other.
    case closed(String)
    /// There is one already.
    case alreadyExists(String)
    /// Somebody else has changed it since it was read. Read it again.
    case conflict(String)
    /// A limit of the authority, per process or per user, is reached.
    case limitReached(String)
    /// The request makes no sense to the authority.
    case invalid(String)
    /// The authority failed; its log says how.
    case authorityFailed(String)
    /// A system call failed.
    case system(call: String, errno: Int32)

    /// A descriptor came, and this process may have no more of them (RLIMIT_NOFILE).
    static let noDescriptors = GuiseError.system(call: "recvmsg", errno: EMFILE)

    init(_ refusal: WireRefusal) {
        let text = refusal.message
        switch refusal.reason {
        case .accessDenied: self = .accessDenied(text)
        case .logonFailure: self = .logonFailed(text)
        case .notMapped: self = .notMapped(text)
        case .notFound: self = .notFound(text)
        case .alreadyExists: self = .alreadyExists(text)
        case .conflict: self = .conflict(text)
        case .busy: self = .busy(text)
        case .limit: self = .limitReached(text)
        case .noPrivilege: self = .privilegeNotHeld(text)
        case .integrity: self = .integrityTooHigh(text)
        case .restricted: self = .restricted(text)
        case .peerGone: self = .peerGone(text)
        case .notLocal: self = .notAServerConnection(text)
        case .alreadyAttached: self = .alreadyAttached(text)
        case .badRequest, .unsupported, .wrongNamespace: self = .invalid(text)
        case .internal, .unspecified, .UNRECOGNIZED: self = .authorityFailed(text)
        }
    }
}

extension GuiseError: CustomStringConvertible {
    /// The sentence of the case.
    public var description: String {
        switch self {
        case .authorityUnreachable(let text), .authorityLost(let text), .notAttached(let text),
            .alreadyAttached(let text), .notMediated(let text), .tasksNotFollowed(let text),
            .tooManyThreads(let text),
            .privilegeNotHeld(let text), .integrityTooHigh(let text), .logonFailed(let text),
            .notMapped(let text),
            .restricted(let text),
            .peerGone(let text), .notAServerConnection(let text), .accessDenied(let text),
            .notFound(let text), .busy(let text), .closed(let text), .alreadyExists(let text),
            .conflict(let text), .limitReached(let text),
            .invalid(let text), .authorityFailed(let text):
            text
        case .system(let call, let errno):
            "\(call) failed: \(errnoText(errno))"
        }
    }
}
