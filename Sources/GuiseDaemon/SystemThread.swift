import CGuise
import Glibc

/// Detached threads of their own, for work that blocks in the kernel or changes the thread's credentials.
package enum SystemThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread; false when the machine has no more to give.
    package static func start(_ name: String, _ run: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 * 1024)
        defer { pthread_attr_destroy(&attributes) }
        let body = Unmanaged.passRetained(
            Body {
                guise_thread_name(name)
                allowInterruption()
                run()
            })
        var thread = pthread_t()
        let error = pthread_create(
            &thread, &attributes,
            { argument in
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        if error != 0 { body.release() }
        return error == 0
    }

    /// The signal that interrupts a blocking call of one thread. Its handler does nothing.
    static let interruption = SIGUSR1

    /// A thread inherits what its maker blocks, and Dispatch's threads block nearly everything.
    private static func allowInterruption() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, interruption)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    static func prepareInterruption() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        sigaction(interruption, &action, nil)
    }
}
