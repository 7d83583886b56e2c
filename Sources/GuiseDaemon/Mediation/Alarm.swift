import CGuise
import Glibc

/// Keeps one thread from waiting in the kernel for longer than a moment. Belongs to that thread, which handles the
/// interruption's signal.
final class Alarm {
    // A process's first timer has the number 0, which as a pointer is nil.
    private var timer: timer_t?
    private var isMade = false

    init() {}

    deinit { if isMade { timer_delete(timer) } }

    /// Runs a system call that is interrupted once it took so long, and then says -EINTR.
    func within(milliseconds: Int32, _ call: () -> Int32) -> Int32 {
        if !isMade { isMade = guise_alarm_create(SystemThread.interruption, &timer) }
        guard isMade else { return -EINTR }
        guise_alarm_set(timer, milliseconds)
        defer { guise_alarm_set(timer, 0) }
        return call()
    }
}
