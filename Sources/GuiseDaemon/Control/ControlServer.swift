import AccessControl
import CGuise
import Glibc
import GuiseProtocol
package import Logging
import Synchronization

/// Why the authority could not start listening.
package enum ControlServerError: Error, CustomStringConvertible {
    case unusable(String)

    package var description: String {
        switch self {
        case .unusable(let text): text
        }
    }
}

/// The authority's ear: the control socket, and the end of every service. One thread answers all requests,
/// each in microseconds; what takes longer gets a thread of its own.
package final class ControlServer: @unchecked Sendable {
    // Sendable by hand: everything but `wake` is used on the control thread alone.

    /// The most control connections of one user at once.
    static let largestConnectionCountPerUser = 4096

    /// The most answers that are worked on at once elsewhere.
    static let largestWorkerCount = 64

    let requests: Requests
    private let workers = Atomic(0)
    private let log: Logger
    private let listener: Int32
    private let poll: Int32
    private let wake: Int32
    private let path: String
    private var clients: [Int32: ControlClient] = [:]
    private var connections: [UInt32: Int] = [:]
    private var mediators: [Int32: MediatorPool] = [:]

    /// Binds the control socket in the runtime directory, in place of one that nobody listens at.
    package init(runtimeDirectory: String, accounts: AccountStore, log: Logger) throws {
        self.log = log
        path = runtimeDirectory + "/" + ControlPacket.socketName
        SystemThread.prepareInterruption()
        try Self.prepare(runtimeDirectory)
        requests = try Requests(accounts: accounts, audit: Audit(log))
        try Self.removeAbandoned(path)
        listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_SEQPACKET.rawValue), 1024, 0o666)
        guard listener >= 0 else {
            throw ControlServerError.unusable("listening at \(path) failed: \(errnoText(-listener))")
        }
        _ = guise_socket_pass_credentials(listener)
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = eventfd(0, Int32(EFD_CLOEXEC))
        guard poll >= 0, wake >= 0 else {
            throw ControlServerError.unusable("epoll: \(errnoText(guise_errno()))")
        }
        watch(listener)
        watch(wake)
        watch(requests.pipes.poll)
    }

    /// Answers until ``stop()``. Blocks the calling thread.
    package func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(poll, &events, Int32(events.count), 10_000)
            if count == 0 { requests.registrations.sweep() }
            guard count > 0 else { continue }
            for event in events[..<Int(count)] {
                switch event.data.fd {
                case wake:
                    unlink(path)
                    return
                case listener: accept()
                case requests.pipes.poll: requests.attendPipes()
                case let descriptor:
                    if let client = clients[descriptor] {
                        serve(client)
                    } else if let pool = mediators.removeValue(forKey: descriptor) {
                        end(pool, descriptor)
                    }
                }
            }
        }
    }

    /// Has ``run()`` return. From any thread.
    package func stop() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    // MARK: Connections

    private func watch(_ descriptor: Int32, for events: UInt32 = EPOLLIN.rawValue) {
        var event = epoll_event()
        event.events = events
        event.data.fd = descriptor
        epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event)
    }

    private func accept() {
        let socket = guise_unix_accept(listener, true)
        guard socket >= 0 else {
            // Out of descriptors: the connection stays queued, and waiting a little keeps this from spinning.
            if socket == -EMFILE || socket == -ENFILE { usleep(10_000) }
            return
        }
        do throws(Refused) {
            let client = try ControlClient(socket)
            let user = client.credentials.uid
            guard connections[user, default: 0] < Self.largestConnectionCountPerUser else {
                log.notice("too many control connections", metadata: ["uid": "\(user)"])
                return
            }
            connections[user, default: 0] += 1
            clients[socket] = client
            watch(socket)
        } catch {
            log.notice("control connection refused", metadata: ["rule": "\(error.message)"])
        }
    }

    private func drop(_ client: ControlClient) {
        epoll_ctl(poll, EPOLL_CTL_DEL, client.socket, nil)
        clients[client.socket] = nil
        let user = client.credentials.uid
        connections[user, default: 1] -= 1
        if connections[user] == 0 { connections[user] = nil }
        requests.forget(client)
    }

    private func serve(_ client: ControlClient) {
        let received: ControlPacket.Received<WireRequest>
        do throws(ControlPacket.Failure) {
            received = try ControlPacket.receive(WireRequest.self, from: client.socket)
        } catch {
            switch error {
            case .system(EAGAIN), .system(EINTR): return
            case .closed: break
            default:
                log.notice(
                    "malformed control message", metadata: ["process": "\(client.pid)", "error": "\(error)"])
            }
            drop(client)
            return
        }
        defer { if let descriptor = received.descriptor { close(descriptor) } }
        let request = received.message
        var response = WireResponse()
        response.id = request.id
        var descriptor: Int32?
        do throws(Refused) {
            guard request.version == ControlPacket.version else {
                throw Refused(
                    .unsupported,
                    "this authority speaks protocol version \(ControlPacket.version), not \(request.version)")
            }
            // A child that inherited the connection is another process than the one that opened it.
            guard received.sender == client.pid else {
                throw Refused(
                    .accessDenied, "this connection belongs to process \(client.pid): attach from this one")
            }
            let answer = try requests.answer(request, received.descriptor, from: client)
            switch answer {
            case .now(let body):
                response.body = body
            case .with(let body, let attached):
                response.body = body
                descriptor = attached
            case .mediating(let service, let body):
                try start(service)
                response.body = body
            case .later(let work):
                try answerLater(client, request.id, work)
                return
            }
        } catch {
            response.body = .refusal(error.wire)
        }
        defer { if let descriptor { close(descriptor) } }
        // A request without an id wants no response.
        guard request.id != 0 else { return }
        if !client.answer(response, descriptor: descriptor) { drop(client) }
    }

    /// Has a thread of its own work on an answer. Everything that asks the name service switch goes here: it may
    /// take its time, and nobody else is to wait for it.
    private func answerLater(
        _ client: ControlClient, _ id: UInt64, _ work: @escaping Requests.Work
    ) throws(Refused) {
        guard workers.wrappingAdd(1, ordering: .relaxed).newValue <= Self.largestWorkerCount else {
            workers.wrappingSubtract(1, ordering: .relaxed)
            throw Refused(.limit, "the authority works on too many answers already; ask again")
        }
        guard client.isBusy.take() else {
            workers.wrappingSubtract(1, ordering: .relaxed)
            throw Refused(.limit, "the answer to an earlier request is still being worked on; wait for it")
        }
        // The worker sends on a descriptor of its own: the connection may be gone by then.
        let socket = guise_duplicate(client.socket)
        let started =
            socket >= 0
            && SystemThread.start("guise-work") { [isBusy = client.isBusy] in
                var response = WireResponse()
                response.id = id
                do throws(Refused) {
                    response.body = try work()
                } catch {
                    response.body = .refusal(error.wire)
                }
                isBusy.giveBack()
                self.workers.wrappingSubtract(1, ordering: .relaxed)
                _ = ControlClient.answer(response, on: socket)
                close(socket)
            }
        if !started {
            if socket >= 0 { close(socket) }
            client.isBusy.giveBack()
            workers.wrappingSubtract(1, ordering: .relaxed)
            throw Refused(.internal, "no thread could be started to work on the answer")
        }
    }

    // MARK: Services

    private func start(_ service: MediatedService) throws(Refused) {
        guard let pool = MediatorPool(service, requests.context), pool.start() else {
            requests.end(service)
            throw Refused(.internal, "no thread could be started to mediate for the service")
        }
        mediators[service.listener] = pool
        // No events asked for: a hang-up, the end of the last process, is always told.
        watch(service.listener, for: 0)
    }

    private func end(_ pool: MediatorPool, _ listener: Int32) {
        epoll_ctl(poll, EPOLL_CTL_DEL, listener, nil)
        pool.stop()
        if let service = requests.context.processes.service(listener: listener) { requests.end(service) }
    }

    // MARK: The runtime directory

    private static func prepare(_ directory: String) throws {
        if mkdir(directory, 0o700) == 0 {
            // Everybody connects; the umask is not to decide that.
            chmod(directory, 0o755)
        } else if guise_errno() != EEXIST {
            throw ControlServerError.unusable("making \(directory) failed: \(errnoText(guise_errno()))")
        }
        var status = stat()
        guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw ControlServerError.unusable("\(directory) is not a directory; name another with --runtime")
        }
        guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
            throw ControlServerError.unusable(
                "others may write in \(directory), so they could pose as the authority; make it yours, with mode 0755"
            )
        }
    }

    private static func removeAbandoned(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw ControlServerError.unusable("\(path) is there and is no socket; remove it first")
        }
        let probe = guise_unix_socket(Int32(SOCK_SEQPACKET.rawValue), true)
        defer { close(probe) }
        guard guise_unix_connect(probe, path, path.utf8.count) == -ECONNREFUSED else {
            throw ControlServerError.unusable("another authority listens at \(path); stop it first")
        }
        unlink(path)
    }
}
