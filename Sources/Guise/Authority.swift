import CGuise
import Glibc
import GuiseProtocol
import Synchronization

/// The attachment of this process to the authority, `guised`. A process attaches once, before it
/// impersonates; what it captures and impersonates after that goes by this attachment.
public final class Authority: Sendable {
    /// Who sees to it that an impersonating thread has the client's rights and no more.
    public enum Enforcement: Sendable, Hashable {
        /// The authority does, from outside the process, which runs under `guise run`.
        case mediated
        /// The program itself does: it asks what the client may do before it does it. Nothing stops it from
        /// forgetting to.
        case cooperative
    }

    /// The number of threads that may impersonate at once unless ``attach(runtimeDirectory:enforcement:threads:)``
    /// says otherwise.
    public static let defaultThreads = 1024

    let client: AuthorityClient
    /// Where it runs.
    package var runtimeDirectory: String { client.runtimeDirectory }
    let page: IdentityPage
    let threads: Int
    /// Tells this attachment's slots from those of an earlier one. Never 0.
    let generation: UInt32
    /// Tells this attachment's task marks from those of an earlier one.
    let tag: UInt64
    /// True when the process runs under `guise run`.
    public let isMediated: Bool

    /// Connections on which clients were judged and are held no more.
    let spares = Mutex<[AuthorityClient]>([])

    private static let attached = Mutex<Authority?>(nil)
    private static let generations = Atomic<UInt32>(0)
    /// 16 bytes in this process's private memory. They are gone after exec, which is how the authority tells. They stay
    /// when the attachment ends: a thread that still acts under it has to be known.
    private nonisolated(unsafe) let nonce = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)

    /// The attachment of this process; nil before it attached.
    public static var current: Authority? { attached.withLock { $0 } }

    /// Attaches this process.
    ///
    /// - Parameters:
    ///   - runtimeDirectory: where `guised` was told to run; else the environment's `GUISE_RUNTIME_DIR`
    ///     (which `guise run` sets), else `/run/guise`.
    ///   - enforcement: whether the process must be mediated, which is the default.
    ///   - threads: how many threads may impersonate at once, 1 to 16,384; each takes 68 bytes. Tasks do not count.
    /// - Throws: ``GuiseError/authorityUnreachable(_:)``, ``GuiseError/notMediated(_:)``,
    ///   ``GuiseError/alreadyAttached(_:)``, or what the authority refused.
    @discardableResult
    public static func attach(
        runtimeDirectory: String? = nil, enforcement: Enforcement = .mediated,
        threads: Int = defaultThreads
    ) throws(GuiseError) -> Authority {
        ThreadIdentity.prepare()
        // An attachment whose authority has gone makes room for a new one.
        if let current, !current.client.isLost {
            throw .alreadyAttached("this process is attached already; use Authority.current")
        }
        let authority = try Authority(
            runtimeDirectory: runtimeDirectory, enforcement: enforcement, threads: threads)
        attached.withLock { $0 = authority }
        authority.watch()
        return authority
    }

    private init(
        runtimeDirectory: String?, enforcement: Enforcement, threads: Int
    ) throws(GuiseError) {
        guard (1...16_384).contains(threads) else {
            throw .invalid("threads: must be from 1 to 16384")
        }
        client = try AuthorityClient(runtimeDirectory: runtimeDirectory)
        var random = SystemRandomNumberGenerator()
        for index in 0..<16 { nonce[index] = UInt8.random(in: 0...255, using: &random) }
        var attach = WireAttach()
        attach.pid = UInt32(getpid())
        // Four times the room: a thread's slot is where the hash of its id says, or near.
        let count = IdentityPage.count(forThreads: 4 * threads)
        attach.threads = UInt32(count)
        attach.nonceAddress = UInt64(UInt(bitPattern: nonce))
        attach.nonce = .init(UnsafeBufferPointer(start: nonce, count: 16))
        if let trail = IdentityExecutor.trail {
            attach.tasks.word = trail.word
            attach.tasks.executor = trail.executor
            attach.tasks.kind = IdentityExecutor.kind
        }
        let (body, descriptor) = try client.exchange(.attach(attach))
        guard case .attached(let attached) = body, let descriptor,
            Int(attached.pageSize) == IdentityPage.size(count: count)
        else {
            if let descriptor { close(descriptor) }
            throw .authorityFailed("the authority's answer to attach makes no sense")
        }
        defer { close(descriptor) }
        guard attached.mediated || enforcement == .cooperative else {
            throw .notMediated(
                "this process is not mediated, so nothing would hold an impersonating thread to the client's"
                    + " rights; start it with `guise run`, or attach with enforcement: .cooperative when the"
                    + " program checks access itself")
        }
        let size = Int(attached.pageSize)
        guard
            let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            base != MAP_FAILED
        else { throw .system(call: "mmap", errno: errno) }
        // A child must never write into its parent's slots.
        guard madvise(base, size, MADV_DONTFORK) == 0 else {
            let error = errno
            munmap(base, size)
            throw .system(call: "madvise", errno: error)
        }
        page = IdentityPage(base: base, count: count)
        tag = UnsafeRawPointer(nonce).loadUnaligned(as: UInt64.self)
        isMediated = attached.mediated
        self.threads = threads
        generation = Self.generations.add(1, ordering: .relaxed).newValue
    }

    /// Waits on a thread of its own for the authority to go, so that impersonating finds out without a system
    /// call. The page stays mapped: threads may still hold pointers into it.
    private func watch() {
        let client = client
        startThread {
            var one = pollfd(fd: client.socket, events: GUISE_POLLRDHUP, revents: 0)
            while poll(&one, 1, -1) < 0 && errno == EINTR {}
            client.lose()
        }
    }

    /// In a child made by fork: this is the parent's attachment.
    static func forget() {
        // The lock may have been held by a thread that does not exist here; a child has one thread.
        _ = attached.withLockIfAvailable { $0 = nil }
    }

    /// The token of this process, which decides while a thread does not impersonate.
    public func token() throws(GuiseError) -> TokenDescription {
        try client.describe(process: 0, thread: 0)
    }
}

/// The token that decides for the calling thread: the client's while it impersonates, else the process's.
///
/// Corresponds to `OpenThreadToken`, or `OpenProcessToken` where that finds none, and a query of it.
///
/// - Throws: ``GuiseError/notAttached(_:)`` and ``GuiseError/authorityLost(_:)``.
public func currentToken() throws(GuiseError) -> TokenDescription {
    guard let authority = Authority.current else {
        throw .notAttached("this process has not attached; call Authority.attach() first")
    }
    return try authority.client.describe(
        process: UInt32(getpid()), thread: UInt32(bitPattern: guise_gettid()))
}

/// The id of the calling thread, as `idn show PID/TID` takes it; gettid(2).
public var currentThreadID: Int32 { guise_gettid() }

/// Starts a detached thread; false when the machine has no more to give.
@discardableResult
func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let error = pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, box.toOpaque())
    if error == 0 { pthread_detach(thread) } else { box.release() }
    return error == 0
}
