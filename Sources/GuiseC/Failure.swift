import CGuiseInterface
import Glibc
import Guise

/// Why a function of guise.h returns -1: an errno value, and a sentence for a person.
struct Failure: Error {
    let code: CInt
    let text: String

    init(_ code: CInt, _ text: String) { (self.code, self.text) = (code, text) }

    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as GuiseError: self.init(error.code, error.advice)
        default: self.init(EIO, "\(error)")
        }
    }

    static func invalid(_ text: String) -> Failure { Failure(EINVAL, text) }
}

/// What `body` returns; where it throws, -1, with errno and the thread's message set.
@inline(__always)
func outcome(_ body: () throws -> CInt) -> CInt {
    let code: CInt
    do { return try body() } catch { code = report(error) }
    // Last: to let go of the error may change it.
    errno = code
    return -1
}

@inline(never)
private func report(_ error: any Error) -> CInt {
    let failure = Failure(error)
    failure.text.utf8CString.withUnsafeBufferPointer { guise_error_set($0.baseAddress, $0.count - 1) }
    return failure.code
}

extension GuiseError {
    /// The sentence, with the names that things have in C.
    fileprivate var advice: String {
        switch self {
        case .notAttached:
            "this process has not attached; call guise_attach() first, and in a child made by fork again"
        case .alreadyAttached: "this process is attached already; guise_attach() is called once"
        case .notMediated:
            "this process is not mediated, so nothing would hold an impersonating thread to the client's rights;"
                + " start it with `guise run`, or attach with GUISE_COOPERATIVE when the program checks access itself"
        case .tooManyThreads:
            "all slots that this thread could have are taken by other impersonating threads; attach with a larger"
                + " `threads`"
        default: description.replacing("revertToSelf()", with: "guise_revert()")
        }
    }

    /// The errno value that guise.h promises.
    var code: CInt {
        switch self {
        case .authorityUnreachable: ECONNREFUSED
        case .authorityLost: ECONNRESET
        case .notAttached: ENOTCONN
        case .alreadyAttached: EALREADY
        case .notMediated: EOPNOTSUPP
        case .tasksNotFollowed: ENOSYS
        case .tooManyThreads: ENOBUFS
        case .privilegeNotHeld: EPERM
        case .integrityTooHigh, .restricted, .accessDenied, .logonFailed, .notMapped, .accountExpired,
            .passwordExpired,
            .accountRestricted:
            EACCES
        case .peerGone: ECONNABORTED
        case .notAServerConnection: EPROTOTYPE
        case .notFound: ENOENT
        case .busy: EBUSY
        case .closed: EPIPE
        case .alreadyExists: EEXIST
        case .conflict: ESTALE
        case .limitReached: EDQUOT
        case .invalid: EINVAL
        case .authorityFailed: EIO
        case .system(_, let errno): errno
        }
    }
}
