import CGuise
import Dispatch
import Glibc
package import GuiseProtocol
import Synchronization

/// What a logon is for; a token says so by a group. `LOGON32_LOGON_…` of `LogonUser`.
public enum LogonType: Sendable, Hashable, CaseIterable {
    /// Somebody asks from elsewhere: group NETWORK, `S-1-5-2`.
    case network
    /// Somebody sits here: group INTERACTIVE, `S-1-5-4`.
    case interactive
    /// Work that was put off: group BATCH, `S-1-5-3`. For services and administrators.
    case batch
    /// A service: group SERVICE, `S-1-5-6`. For services and administrators.
    case service
}

/// An account, or a user of the machine's, that this process logged on by a password: a logon session of its own, whose token threads may act under
/// and connections may be made as.
///
/// The session lives as long as this value, the connections that were made as it, and the threads that act under it; at
/// the latest it ends with the process. A service needs no SeImpersonatePrivilege to act as whom it logged on itself,
/// but an account whose integrity is above its own it cannot act as.
public final class Logon: Sendable {
    /// The connection to the authority that holds the session. One of its own: while a password is checked nothing else
    /// of this process waits for that.
    let client: AuthorityClient
    /// The number that connections are registered with.
    let number: UInt64
    /// The primary token of the logon, opened for everything: to copy, restrict, adjust, and act under.
    public let handle: TokenHandle

    /// Logs a user on. Corresponds to `LogonUser`.
    ///
    /// An account that has a password at the authority is logged on by that, and any other by the machine's own, which the
    /// authority asks PAM about where the administrator set that up.
    ///
    /// Takes some tens of milliseconds, by PAM up to 15 seconds, more when others log on at the same time. After three wrong passwords for one
    /// account from one Unix user that user has to wait before it tries that account again: a second, then two, up to a
    /// minute.
    ///
    /// - Parameters:
    ///   - name: of the account or of the machine's user, or its SID as text: `alice`, `Unix User\bob`, `S-1-22-1-1001`.
    ///   - password: of 1 to 256 bytes of UTF-8, none of them zero.
    ///   - type: what the logon is for.
    ///   - runtimeDirectory: where `guised` runs, as for ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    /// - Throws: ``GuiseError/logonFailed(_:)`` for a wrong name or password, which of them is not said;
    ///   ``GuiseError/accountExpired(_:)``, ``GuiseError/passwordExpired(_:)`` and
    ///   ``GuiseError/accountRestricted(_:)`` for a right one whose account PAM keeps out;
    ///   ``GuiseError/limitReached(_:)`` when it has to be tried later; ``GuiseError/accessDenied(_:)`` for a type that
    ///   this process may not ask for.
    public static func user(
        _ name: String, password: String, type: LogonType = .network, runtimeDirectory: String? = nil
    ) throws(GuiseError) -> Logon {
        // Not copied: nobody would wipe it.
        var password = password
        let result = password.withUTF8 { bytes in
            Result { () throws(GuiseError) in
                try Logon(name, UnsafeRawBufferPointer(bytes), type, runtimeDirectory)
            }
        }
        return try result.get()
    }

    /// As ``user(_:password:type:runtimeDirectory:)``, with a password in memory that the caller can wipe afterwards.
    public static func user(
        _ name: String, password: UnsafeRawBufferPointer, type: LogonType = .network,
        runtimeDirectory: String? = nil
    ) throws(GuiseError) -> Logon { try Logon(name, password, type, runtimeDirectory) }

    private init(
        _ name: String, _ password: UnsafeRawBufferPointer, _ type: LogonType, _ runtimeDirectory: String?
    ) throws(GuiseError) {
        let directory = runtimeDirectory ?? Authority.current?.client.runtimeDirectory
        client = try asProcess { () throws(GuiseError) in try AuthorityClient(runtimeDirectory: directory) }
        let request = WireLogonUser.with {
            $0.account = name
            $0.type = type.wire
        }
        guard case .captured(let captured) = try client.call(.logonUser(request), secret: password) else {
            throw .authorityFailed("the authority's answer to a logon makes no sense")
        }
        number = captured.capture
        handle = TokenHandle(
            HeldToken(client, captured.capture, releases: false), level: nil, access: .allAccess)
    }

    /// The token, for inspection.
    public func token() throws(GuiseError) -> TokenDescription { try client.token(ofCapture: number) }

    /// Makes the calling thread act as the account until ``revertToSelf()``, as ``Connection/impersonate(atMost:)`` does
    /// for a client. Corresponds to `ImpersonateLoggedOnUser`.
    ///
    /// - Throws: ``GuiseError/notAttached(_:)``, ``GuiseError/integrityTooHigh(_:)``,
    ///   ``GuiseError/accessDenied(_:)`` when the session was ended. The thread then is what it was before.
    public func impersonate() throws(GuiseError) { try handle.impersonate() }

    /// Runs `body` on the calling thread as the account, and puts back what the thread was before.
    ///
    /// - Throws: as ``impersonate()``, before `body` runs; else what `body` throws.
    public func impersonating<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws -> Result { try handle.impersonating(body) }

    /// Runs `body` as the account. The identity follows the task, as with
    /// ``Connection/impersonating(atMost:_:)``.
    public func impersonating<Result: Sendable>(
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result { try await handle.impersonating(body) }
}

extension LogonType {
    var wire: WireLogonType {
        switch self {
        case .network: .network
        case .interactive: .interactive
        case .batch: .batch
        case .service: .service
        }
    }
}

extension AuthorityClient {
    /// Sends a request with a password, and waits for its response. In no message, and in no memory of ours that is not
    /// given back to the kernel.
    package func call(
        _ body: WireRequest.OneOf_Body, secret: UnsafeRawBufferPointer
    ) throws(GuiseError) -> WireResponse.OneOf_Body {
        guard (1...Int(GUISE_PASSWORD_LARGEST)).contains(secret.count), !secret.contains(0) else {
            throw .invalid("a password has 1 to \(GUISE_PASSWORD_LARGEST) bytes, none of them zero")
        }
        let descriptor = guise_secret_make(secret.baseAddress, secret.count)
        guard descriptor >= 0 else { throw .system(call: "memfd_create", errno: -descriptor) }
        defer { close(descriptor) }
        return try call(body, descriptor: descriptor)
    }
}

/// Runs `body` on a thread that acts as nobody else, whatever the calling one does: the authority serves processes, and
/// refuses who comes to it as a client.
func asProcess<Value: Sendable>(
    _ body: @escaping @Sendable () throws(GuiseError) -> Value
) throws(GuiseError) -> Value {
    let result = Mutex<Result<Value, GuiseError>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let started = startThread {
        let value = Result { () throws(GuiseError) in try body() }
        result.withLock { $0 = value }
        done.signal()
    }
    if started { done.wait() }
    guard let result = result.withLock({ $0 }) else {
        throw .authorityFailed("no thread could be started to ask the authority")
    }
    return try result.get()
}
