#if Configuration
    import Dispatch
    import Registry
    import RegistryModel
    import Synchronization

    /// The snapshot that counts, and who waits for another.
    final class Store: Sendable {
        private struct State {
            var current: RegistrySnapshot
            var watchers: [UInt64: AsyncStream<RegistrySnapshot>.Continuation] = [:]
            var next: UInt64 = 0
        }

        private let state: Mutex<State>

        init(_ first: RegistrySnapshot) { state = Mutex(State(current: first)) }

        var current: RegistrySnapshot { state.withLock { $0.current } }

        func replace(_ snapshot: RegistrySnapshot) {
            state.withLock { state in
                guard state.current != snapshot else { return }
                state.current = snapshot
                for watcher in state.watchers.values { watcher.yield(snapshot) }
            }
        }

        /// The current snapshot, and then each that follows; of those that nobody took in time, the newest.
        func watch() -> (number: UInt64, snapshots: AsyncStream<RegistrySnapshot>) {
            let (stream, continuation) = AsyncStream<RegistrySnapshot>.makeStream(
                bufferingPolicy: .bufferingNewest(1))
            return state.withLock { state in
                state.next += 1
                state.watchers[state.next] = continuation
                continuation.yield(state.current)
                return (state.next, stream)
            }
        }

        func endWatch(_ number: UInt64) {
            state.withLock { $0.watchers.removeValue(forKey: number) }?.finish()
        }
    }

    /// The key that a provider reads.
    struct Source: Sendable {
        /// Between two attempts to find a registry that is gone.
        private static let pause = Duration.seconds(1)

        let path: String
        let socket: String?
        let name: String

        func open() throws(RegistryError) -> RegistryKey {
            try RegistryKey.open(path, for: .allRead, socket: socket)
        }

        func read(_ key: RegistryKey) throws(RegistryError) -> RegistrySnapshot {
            try RegistrySnapshot(name, reading: key)
        }

        /// Keeps a store as the key is, until the task is cancelled.
        func follow(into store: Store) async {
            while !Task.isCancelled {
                do {
                    let (key, changes) = try await elsewhere { () throws(RegistryError) in
                        let key = try open()
                        return (key, try key.changes(includingSubtree: true))
                    }
                    // What changed before there was a watch, and then whatever is told.
                    store.replace(try await elsewhere { () throws(RegistryError) in try read(key) })
                    for try await _ in changes {
                        store.replace(try await elsewhere { () throws(RegistryError) in try read(key) })
                    }
                } catch {
                    // The registry or the key is gone, and may be back later: until then what was read last counts.
                }
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Runs what waits on a thread that nobody's task waits for, and that impersonates nobody.
    func elsewhere<Value: Sendable>(
        _ body: @escaping @Sendable () throws(RegistryError) -> Value
    ) async throws(RegistryError) -> Value {
        let result: Result<Value, RegistryError> = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: Result { () throws(RegistryError) in try body() })
            }
        }
        return try result.get()
    }
#endif
