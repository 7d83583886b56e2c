import CGuise
import Glibc

/// Threads wait here until others signal. A signal handler that runs meanwhile ends a wait, too.
final class Semaphore: Sendable {
    private let counter: Int32

    /// nil when there are no descriptors left.
    init?() {
        counter = guise_semaphore_create()
        if counter < 0 { return nil }
    }

    deinit { close(counter) }

    /// Lets one wait end.
    func signal() {
        var one: UInt64 = 1
        _ = write(counter, &one, 8)
    }

    /// Returns false when it took too long, or was interrupted.
    ///
    /// - Parameter milliseconds: -1 for ever.
    @discardableResult
    func wait(milliseconds: Int32 = -1) -> Bool {
        var one = pollfd(fd: counter, events: Int16(POLLIN), revents: 0)
        guard poll(&one, 1, milliseconds) > 0 else { return false }
        var count: UInt64 = 0
        return read(counter, &count, 8) == 8
    }
}
