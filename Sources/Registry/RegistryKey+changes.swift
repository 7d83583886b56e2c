public import RegistryModel
import RegistryProtocol

/// Changes of a key, as they are committed: what kinds of change there were since the element before. Ends by throwing
/// ``RegistryError/unavailable(_:)`` when the registry ends: open the key anew, and read it.
public struct RegistryChanges: AsyncSequence, Sendable {
    /// Kinds of change.
    public typealias Element = RegistryChangeKinds

    private let watch: Watch

    fileprivate init(_ watch: Watch) { self.watch = watch }

    /// An iterator. All iterators of a sequence share its changes.
    public func makeAsyncIterator() -> Iterator { Iterator(watch) }

    /// Waits for changes.
    public struct Iterator: AsyncIteratorProtocol {
        private let watch: Watch
        private var stream: AsyncThrowingStream<RegistryChangeKinds, any Error>.Iterator

        fileprivate init(_ watch: Watch) {
            self.watch = watch
            stream = watch.stream.makeAsyncIterator()
        }

        /// The kinds of change since the last call; nil once the task is cancelled.
        public mutating func next() async throws -> RegistryChangeKinds? {
            guard let kinds = try await stream.next() else { return nil }
            // What changes from now on is the next element.
            watch.take()
            return kinds
        }
    }

    /// A watch, until nobody waits any more.
    fileprivate final class Watch: Sendable {
        let stream: AsyncThrowingStream<RegistryChangeKinds, any Error>
        private let key: RegistryKey
        private let number: UInt64

        init(
            _ key: RegistryKey, _ kinds: RegistryChangeKinds, includingSubtree: Bool
        ) throws(RegistryError) {
            let (stream, continuation) = AsyncThrowingStream.makeStream(of: RegistryChangeKinds.self)
            let wire = WireWatch.with {
                $0.kinds = kinds.rawValue
                $0.subtree = includingSubtree
            }
            number = try key.connection.watch(key.handle, wire) { kinds in
                if let kinds {
                    continuation.yield(kinds)
                } else {
                    continuation.finish(
                        throwing: RegistryError.unavailable(
                            "the registry has ended: open the key anew, and read what has become of it"))
                }
            }
            (self.stream, self.key) = (stream, key)
        }

        func take() { key.connection.post(0, .taken(number)) }

        deinit { key.connection.endWatch(number) }
    }
}

extension RegistryKey {
    /// Changes of this key from now on; takes KEY_NOTIFY. Corresponds to `RegNotifyChangeKeyValue`.
    ///
    /// No change is lost: those that come faster than they are taken are told as one.
    ///
    /// ```swift
    /// for try await _ in try key.changes() { reload(try key.get("Port", as: UInt32.self)) }
    /// ```
    ///
    /// - Parameters:
    ///   - kinds: which changes.
    ///   - includingSubtree: whether changes of the keys below count, too.
    /// - Throws: ``RegistryError/accessDenied(_:)``, ``RegistryError/limitReached(_:)``.
    public func changes(
        _ kinds: RegistryChangeKinds = .all, includingSubtree: Bool = false
    ) throws(RegistryError) -> RegistryChanges {
        RegistryChanges(try RegistryChanges.Watch(self, kinds, includingSubtree: includingSubtree))
    }
}
