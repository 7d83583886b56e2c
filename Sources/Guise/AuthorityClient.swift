import CGuise
import Glibc
package import GuiseProtocol
import Synchronization

/// One connection to the authority: a request goes out, its response comes back. Safe from any thread.
package final class AuthorityClient: Sendable {
    /// The directory that holds the authority's socket.
    package let runtimeDirectory: String
    let socket: Int32
    private let requests = Mutex<UInt64>(0)
    private let lost = Atomic(false)
    private let family = Fork.family

    /// Connects.
    ///
    /// - Parameter runtimeDirectory: where `guised` was told to run; else the environment's
    ///   `GUISE_RUNTIME_DIR`, else `/run/guise`, else, for others than root, `$XDG_RUNTIME_DIR/guise`.
    package init(runtimeDirectory: String? = nil) throws(GuiseError) {
        Fork.prepare()
        let directory =
            runtimeDirectory ?? getenv("GUISE_RUNTIME_DIR").map { String(cString: $0) }
            ?? Self.usualRuntimeDirectory
        self.runtimeDirectory = directory
        let path = directory + "/" + ControlPacket.socketName
        let socket = guise_unix_socket(Int32(SOCK_SEQPACKET.rawValue), false)
        guard socket >= 0 else { throw .system(call: "socket", errno: -socket) }
        let error = guise_unix_connect(socket, path, path.utf8.count)
        guard error == 0 else {
            close(socket)
            throw .authorityUnreachable(
                "no authority answers at \(path) (\(errnoText(-error))); is guised running, with this"
                    + " runtime directory?")
        }
        self.socket = socket
    }

    /// Where this user's processes find an authority: the machine's, and where there is none, their user's own.
    private static var usualRuntimeDirectory: String {
        let system = ControlPacket.defaultRuntimeDirectory
        guard geteuid() != 0, access(system + "/" + ControlPacket.socketName, F_OK) != 0,
            let own = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) + "/guise" }),
            access(own + "/" + ControlPacket.socketName, F_OK) == 0
        else { return system }
        return own
    }

    deinit { close(socket) }

    /// Whether the authority has closed the connection.
    @inline(__always)
    var isLost: Bool { lost.load(ordering: .relaxed) }

    /// Marks the connection as lost.
    func lose() { lost.store(true, ordering: .relaxed) }

    /// Sends a request and waits for its response.
    ///
    /// - Throws: what the authority refused, as the case that fits; ``GuiseError/authorityLost(_:)``.
    package func call(
        _ body: WireRequest.OneOf_Body, descriptor: Int32? = nil
    ) throws(GuiseError) -> WireResponse.OneOf_Body {
        try exchange(body, descriptor: descriptor).body
    }

    /// As ``call(_:descriptor:)``, with the descriptor that came with the response, which is the caller's.
    func exchange(
        _ body: WireRequest.OneOf_Body, descriptor: Int32? = nil
    ) throws(GuiseError) -> (body: WireResponse.OneOf_Body, descriptor: Int32?) {
        try checkAlive()
        return try taken(requests.withLock { converse(&$0, body, descriptor) })
    }

    /// As ``call(_:descriptor:)``, if no other thread is asking something; else nil, and nothing was asked.
    func callIfIdle(_ body: WireRequest.OneOf_Body) throws(GuiseError) -> WireResponse.OneOf_Body? {
        try checkAlive()
        guard let reply = requests.withLockIfAvailable({ converse(&$0, body, nil) }) else { return nil }
        return try taken(reply).body
    }

    private typealias Reply = Result<ControlPacket.Received<WireResponse>, ControlPacket.Failure>

    private func converse(
        _ last: inout UInt64, _ body: WireRequest.OneOf_Body, _ descriptor: Int32?
    ) -> Reply {
        last += 1
        do throws(ControlPacket.Failure) {
            try ControlPacket.send(WireRequest.with(id: last, body), descriptor: descriptor, on: socket)
            let received = try ControlPacket.receive(
                WireResponse.self, from: socket, mayLoseDescriptor: true)
            guard received.message.id == last else { throw .malformed }
            return .success(received)
        } catch {
            return .failure(error)
        }
    }

    /// What a reply says.
    private func taken(
        _ reply: Reply
    ) throws(GuiseError) -> (body: WireResponse.OneOf_Body, descriptor: Int32?) {
        switch reply {
        case .success(let received):
            guard !received.isDescriptorLost else { throw .noDescriptors }
            switch received.message.body {
            case .refusal(let refusal):
                throw GuiseError(refusal)
            case .some(let body):
                return (body, received.descriptor)
            case nil:
                throw .authorityFailed("the authority sent an empty response")
            }
        case .failure(let failure):
            // Whatever it was, request and response no longer pair up.
            lose()
            _ = shutdown(socket, Int32(SHUT_RDWR))
            if case .system(let error) = failure { throw .system(call: "control socket", errno: error) }
            throw .authorityLost("the authority closed the connection; is guised still running?")
        }
    }

    /// Sends a request that has no response. Lost requests are the authority's to clean up when it sees the
    /// connection end.
    ///
    /// One packet, so it waits for nobody's conversation: an event loop may let go of a client.
    func post(_ body: WireRequest.OneOf_Body) {
        guard (try? checkAlive()) != nil else { return }
        try? ControlPacket.send(WireRequest.with(id: 0, body), on: socket)
    }

    /// False in a child made by fork, whose parent's the connection is.
    var isOwn: Bool { family == Fork.family }

    private func checkAlive() throws(GuiseError) {
        guard isOwn else {
            throw .notAttached("this is a child made by fork: it has no identity of its own; attach again")
        }
        guard !isLost else {
            throw .authorityLost("the authority is gone; restart this service once guised runs again")
        }
    }
}

extension WireRequest {
    static func with(id: UInt64, _ body: OneOf_Body) -> WireRequest {
        var request = WireRequest()
        request.version = ControlPacket.version
        request.id = id
        request.body = body
        return request
    }
}

/// Tells a process from its children.
enum Fork {
    /// Raised in every child that libc's fork makes.
    private static let generation = Atomic<UInt64>(0)
    private static let hook: Void = {
        _ = guise_fork_prepare {
            Fork.generation.add(1, ordering: .relaxed)
            ThreadIdentity.forget()
        }
    }()

    static func prepare() { hook }
    static var family: UInt64 { generation.load(ordering: .relaxed) }
}

/// The text of an errno value.
func errnoText(_ errno: Int32) -> String { String(cString: strerror(errno)) }

extension AuthorityClient {
    /// The connection that an unattached process keeps for its requests, and as whom it was made.
    private struct Kept {
        let client: AuthorityClient
        let runtimeDirectory: String?
        let user: [UInt32]
    }
    private static let kept = Mutex<Kept?>(nil)

    /// The connection of this process: its attachment's, else one that is made once and kept for as long as the process
    /// has the same credentials, since the authority goes by those it had when it connected.
    static func ofProcess(runtimeDirectory: String?) throws(GuiseError) -> AuthorityClient {
        if let current = Authority.current { return current.client }
        var groups = [gid_t](repeating: 0, count: Int(max(0, getgroups(0, nil))))
        let count = getgroups(Int32(groups.count), &groups)
        let user = [geteuid(), getegid()] + groups.prefix(Int(max(0, count)))
        let known =
            count < 0
            ? nil
            : kept.withLock { kept in
                kept.flatMap { one in
                    one.client.isUsable && one.runtimeDirectory == runtimeDirectory && one.user == user
                        ? one.client : nil
                }
            }
        if let known { return known }
        let made = try AuthorityClient(runtimeDirectory: runtimeDirectory)
        // Whose groups changed just now connects anew the next time.
        if count >= 0 {
            kept.withLock { $0 = Kept(client: made, runtimeDirectory: runtimeDirectory, user: user) }
        }
        return made
    }

    /// Whether a request can be sent: the connection is this process's own, and the authority has not closed it.
    var isUsable: Bool {
        guard isOwn, !isLost else { return false }
        var one = pollfd(fd: socket, events: GUISE_POLLRDHUP, revents: 0)
        return poll(&one, 1, 0) == 0
    }
}
