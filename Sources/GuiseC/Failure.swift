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
        case let error as GuiseError: self.init(error.code, error.description)
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
        case .integrityTooHigh, .restricted, .accessDenied, .logonFailed: EACCES
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
