import Foundation
import RegistryModel
import Synchronization

/// The events that one client has not been told of yet: one for each watch, whatever happened meanwhile.
///
/// An event goes out when the client has taken the one before it, so that a client that takes none costs nothing.
final class EventQueue: Sendable {
    private struct State {
        var waiting: [UInt64: RegistryChangeKinds] = [:]
        var untaken: Set<UInt64> = []
        var isRunning = false
        var isOver = false
    }

    private let state = Mutex(State())
    private let signal = DispatchSemaphore(value: 0)
    private let send: @Sendable (UInt64, RegistryChangeKinds) -> Bool

    /// - Parameter send: sends an event, and may wait; false when the client is gone.
    init(send: @escaping @Sendable (UInt64, RegistryChangeKinds) -> Bool) { self.send = send }

    /// Notes an event. Never waits.
    func add(_ watch: UInt64, _ kinds: RegistryChangeKinds) {
        let isNew = state.withLock { state in
            guard !state.isOver else { return false }
            state.waiting[watch, default: []].formUnion(kinds)
            guard !state.untaken.contains(watch) else { return false }
            if !state.isRunning {
                state.isRunning = true
                Thread.detachNewThread { [self] in run() }
            }
            return true
        }
        if isNew { signal.signal() }
    }

    /// The client took an event, or ended the watch.
    func settle(_ watch: UInt64, isOver: Bool) {
        let isNext = state.withLock { state in
            state.untaken.remove(watch)
            if isOver { state.waiting[watch] = nil }
            return state.waiting[watch] != nil
        }
        if isNext { signal.signal() }
    }

    /// The client is gone.
    func end() {
        state.withLock { $0.isOver = true }
        signal.signal()
    }

    private func run() {
        while true {
            signal.wait()
            let (next, isOver) = state.withLock { state in
                let ready = state.waiting.filter { !state.untaken.contains($0.key) }
                for watch in ready.keys {
                    state.waiting[watch] = nil
                    state.untaken.insert(watch)
                }
                return (ready, state.isOver)
            }
            guard !isOver else { return }
            for (watch, kinds) in next where !send(watch, kinds) { return }
        }
    }
}
