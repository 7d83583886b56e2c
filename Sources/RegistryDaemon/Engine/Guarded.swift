import Foundation

/// A value under a lock that goes to whoever comes first.
///
/// `Mutex` is handed over to whoever has waited for longest (`FUTEX_LOCK_PI`). Where hundreds of threads take it for a few
/// nanoseconds each, one of them that is interrupted inside has all others sleep once for each time they take it.
final class Guarded<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}
