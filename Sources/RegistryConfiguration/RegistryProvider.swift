#if Configuration
    public import Configuration
    import Dispatch
    import Registry
    public import RegistryModel
    import Synchronization

    /// Reads an application's configuration from a key of the registry.
    ///
    /// ```swift
    /// let config = ConfigReader(provider: try RegistryProvider("Machine\\Software\\Acme"))
    /// let port = config.int(forKey: "http.port", default: 8080)
    /// ```
    ///
    /// `http.port` is the value `port` of the key `http` below the provider's. Texts are REG_SZ or REG_EXPAND_SZ (variables
    /// are not expanded), integers and truth values REG_DWORD, REG_QWORD or texts, fractions texts, bytes REG_BINARY or
    /// base64, lists REG_MULTI_SZ. A value of another type is an error, not an absent value. Names have no case.
    ///
    /// All of it is read at the beginning and whenever something in it changes, so that asking costs no call; links are not
    /// followed. What is changed in several calls while it is read may be in it in part, and is whole a moment later. The
    /// key is opened as the process, whoever the calling thread acts as. When the registry ends, the last values stay, and
    /// it is tried again until it is back.
    public final class RegistryProvider: ConfigProvider {
        /// `RegistryProvider[Machine\Software\Acme]`.
        public let providerName: String

        private let store: Store
        private let source: Source
        private let following: Task<Void, Never>

        /// Opens a key, and reads it and all below it; takes KEY_READ on all of it.
        ///
        /// - Parameter socket: where the registry listens; nil for `$GUISE_REGISTRY`, else the usual place.
        /// - Throws: ``RegistryError``: the key is not there, refuses it, or no registry answers.
        public init(_ path: String, socket: String? = nil) throws(RegistryError) {
            let name = "RegistryProvider[\(path)]"
            let source = Source(path: path, socket: socket, name: name)
            let result = Mutex<Result<RegistrySnapshot, RegistryError>?>(nil)
            let done = DispatchSemaphore(value: 0)
            // A thread that impersonates nobody.
            DispatchQueue.global().async {
                let read = Result { () throws(RegistryError) in try source.read(try source.open()) }
                result.withLock { $0 = read }
                done.signal()
            }
            done.wait()
            let first = result.withLock { $0 } ?? .success(RegistrySnapshot(name))
            let store = Store(try first.get())
            (providerName, self.source, self.store) = (name, source, store)
            following = Task.detached { await source.follow(into: store) }
        }

        deinit { following.cancel() }

        /// The value as it was last read.
        public func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
            try store.current.value(forKey: key, type: type)
        }

        /// The value as it is now.
        public func fetchValue(forKey key: AbsoluteConfigKey, type: ConfigType) async throws -> LookupResult {
            let source = source
            store.replace(
                try await elsewhere { () throws(RegistryError) in try source.read(try source.open()) })
            return try value(forKey: key, type: type)
        }

        /// The value now and whenever it changes.
        public func watchValue<Return: ~Copyable>(
            forKey key: AbsoluteConfigKey, type: ConfigType,
            updatesHandler: (
                _ updates: ConfigUpdatesAsyncSequence<Result<LookupResult, any Error>, Never>
            ) async throws -> Return
        ) async throws -> Return {
            let (number, snapshots) = store.watch()
            defer { store.endWatch(number) }
            // Other settings' changes are none of this one's.
            let last = Mutex<RegistrySnapshot.Answer?>(nil)
            let values = snapshots.compactMap { snapshot -> Result<LookupResult, any Error>? in
                let result = Result { try snapshot.value(forKey: key, type: type) }
                let answer = RegistrySnapshot.Answer(result)
                return last.withLock { last in
                    defer { last = answer }
                    return last == answer ? nil : result
                }
            }
            return try await updatesHandler(ConfigUpdatesAsyncSequence(values))
        }

        /// Everything as it was last read.
        public func snapshot() -> any ConfigSnapshot { store.current }

        /// Everything, now and whenever something changes.
        public func watchSnapshot<Return: ~Copyable>(
            updatesHandler: (_ updates: ConfigUpdatesAsyncSequence<any ConfigSnapshot, Never>) async throws ->
                Return
        ) async throws -> Return {
            let (number, snapshots) = store.watch()
            defer { store.endWatch(number) }
            return try await updatesHandler(
                ConfigUpdatesAsyncSequence(snapshots.map { $0 as any ConfigSnapshot }))
        }
    }

    extension RegistrySnapshot {
        /// What a setting was found to be, to be compared.
        fileprivate enum Answer: Equatable {
            case found(LookupResult)
            case failed(String)

            init(_ result: Result<LookupResult, any Error>) {
                switch result {
                case .success(let found): self = .found(found)
                case .failure(let error): self = .failed("\(error)")
                }
            }
        }
    }
#endif
