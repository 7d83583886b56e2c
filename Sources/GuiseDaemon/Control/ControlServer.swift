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
/// each in microseconds; what takes longer is done by ``Workers``. Nothing that a caller named, and no file that a caller
/// sent, is touched on this thread: some other user may serve the file system behind it, and never answer.
package final class ControlServer: @unchecked Sendable {
    // Sendable by hand: everything but `wake`, and what is made for several threads, is used on the control thread alone.

    /// The most control connections of one user at once.
    static let largestConnectionCountPerUser = 4096

    /// How long a look-up of a path may take, the wait for a worker with it.
    static let largestLookUpTime = Duration.seconds(5)

    /// The most of one user's descriptors that may wait to be closed before that user's connections are ended.
    static let largestWaitingCount = 256

    let requests: Requests
    private let workers: Workers
    /// What workers have to say.
    private let reports = Mutex<[Report]>([])
    private let isStopping = Atomic(false)
    private let log: Logger
    private let servesItself: Bool
    private let listener: Int32
    private let poll: Int32
    private let wake: Int32
    private let path: String
    private var clients: [Int32: ControlClient] = [:]
    private var connections: [UInt32: Int] = [:]
    private var mediators: [Int32: MediatorPool] = [:]
    /// The answers that are worked on, by numbers of their own.
    private var pending: [UInt64: Pending] = [:]
    private var lastPending: UInt64 = 0

    private struct Pending {
        let client: ControlClient
        let request: UInt64
        /// nil: it may take as long as it takes.
        let deadline: SuspendingClock.Instant?
        let conclusion: Requests.Conclusion?
    }

    private enum Report: Sendable {
        case result(of: UInt64, Result<WireResponse.OneOf_Body, Refused>)
        /// A password was checked or hashed, or a worker is done: what is left is for this thread.
        case checked(for: UInt64, Requests.Finish)
        /// A connection of the user is closed.
        case closed(UInt32)
    }

    /// Binds the control socket in the runtime directory, in place of one that nobody listens at.
    ///
    /// - Parameters:
    ///   - audit: takes the record of what is decided.
    ///   - log: for what the operator has to hear at once.
    ///   - pam: who is asked about the machine's own users.
    ///   - servesItself: whether this process may be a client of its own, which nobody then takes for a thread that it
    ///     acts for. For tests without services.
    package init(
        runtimeDirectory: String, accounts: AccountStore, audit: Audit, log: Logger,
        pam: PAMStack = PAMStack(), servesItself: Bool = false
    ) throws {
        self.log = log
        self.servesItself = servesItself
        path = runtimeDirectory + "/" + ControlPacket.socketName
        SystemThread.prepareInterruption()
        try Self.prepare(runtimeDirectory)
        requests = try Requests(accounts: accounts, audit: audit, log: log, pam: pam)
        try Self.removeAbandoned(path)
        listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_SEQPACKET.rawValue), 1024, 0o666)
        guard listener >= 0 else {
            throw ControlServerError.unusable("listening at \(path) failed: \(errnoText(-listener))")
        }
        _ = guise_socket_pass_credentials(listener)
        guard let workers = Workers() else {
            throw ControlServerError.unusable("eventfd: \(errnoText(guise_errno()))")
        }
        self.workers = workers
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
        var nextSweep = SuspendingClock().now
        while true {
            let count = epoll_wait(poll, &events, Int32(events.count), pending.isEmpty ? 10_000 : 500)
            if SuspendingClock().now >= nextSweep {
                nextSweep = SuspendingClock().now + .seconds(10)
                sweep()
            }
            var hasReports = false
            for event in events[..<Int(max(0, count))] {
                switch event.data.fd {
                case wake:
                    var signals: UInt64 = 0
                    _ = read(wake, &signals, 8)
                    guard !isStopping.load(ordering: .acquiring) else {
                        unlink(path)
                        return
                    }
                    hasReports = true
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
            // Last, because it may end connections: the events at hand are all of descriptors that are still what they were.
            if hasReports { takeReports() }
            giveUpLate()
        }
    }

    /// Drops what is known of sockets that are gone, also while there is never a quiet moment. It asks the kernel for
    /// each, on a worker.
    private func sweep() {
        workers.retry()
        requests.tickets.sweep()
        guard workers.waitingCount(of: Workers.nobody) == 0 else { return }
        workers.run(for: Workers.nobody) { [registrations = requests.registrations] in registrations.sweep() }
    }

    /// Has ``run()`` return. From any thread.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeUp()
    }

    private func wakeUp() {
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
            let client = try ControlClient(socket, mayBeOwn: servesItself)
            let user = client.credentials.uid
            guard connections[user, default: 0] < Self.largestConnectionCountPerUser else {
                log.notice("too many control connections", metadata: ["uid": "\(user)"])
                refuse(socket, of: user)
                return
            }
            connections[user, default: 0] += 1
            clients[socket] = client
            watch(socket)
        } catch {
            log.notice("control connection refused", metadata: ["rule": "\(error.message)"])
            var peer = guise_peer()
            _ = guise_peer_of(socket, &peer)
            if peer.pidfd > 0 { close(peer.pidfd) }
            refuse(socket, of: peer.uid)
        }
    }

    /// Closes a connection that is not counted: its number is free again at once, however long the closing takes, and
    /// whatever the user's workers wait for.
    private func refuse(_ socket: Int32, of user: UInt32) {
        shutdown(socket, Int32(SHUT_RDWR))
        if !SystemThread.start("guise-close", { close(socket) }) { discard(socket, of: user) }
    }

    private func drop(_ client: ControlClient) {
        epoll_ctl(poll, EPOLL_CTL_DEL, client.socket, nil)
        clients[client.socket] = nil
        pending = pending.filter { $0.value.client !== client }
        requests.forget(client)
        // It counts until it is closed, which it may be long in: what was sent and not received is closed with it.
        let (socket, user) = (client.socket, client.credentials.uid)
        workers.run(for: user) {
            close(socket)
            self.report(.closed(user))
        }
    }

    /// Closes what a user sent.
    private func discard(_ descriptor: Int32, of user: UInt32) {
        workers.run(for: user) { close(descriptor) }
    }

    private func serve(_ client: ControlClient) {
        let user = client.credentials.uid
        let received: ControlPacket.Received<WireRequest>
        do throws(ControlPacket.Failure) {
            received = try ControlPacket.receive(WireRequest.self, from: client.socket) {
                discard($0, of: user)
            }
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
        defer { if let descriptor = received.descriptor { discard(descriptor, of: user) } }
        guard workers.waitingCount(of: user) <= Self.largestWaitingCount else {
            log.notice("what the user sent cannot be closed", metadata: ["uid": "\(user)"])
            drop(client)
            return
        }
        let request = received.message
        var response = WireResponse()
        response.id = request.id
        var descriptor: Int32?
        var conclude = {}
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
            case .with(let body, let attached, let then):
                response.body = body
                descriptor = attached
                conclude = then
            case .mediating(let service, let body):
                try start(service)
                response.body = body
            case .later(let work):
                try answerLater(client, request.id, work)
                return
            case .lookingUp(let work, let conclusion):
                try answerLater(client, request.id, within: Self.largestLookUpTime, work, then: conclusion)
                return
            case .inLine(let line, let work):
                try answerInLine(client, request.id, line, work)
                return
            case .onWorker(let work):
                let number = try expect(client, request.id)
                workers.run(for: user) { self.report(.checked(for: number, work())) }
                return
            }
        } catch {
            response.body = .refusal(error.wire)
        }
        defer {
            if let descriptor { close(descriptor) }
            conclude()
        }
        // A request without an id wants no response.
        guard request.id != 0 else { return }
        if !client.answer(response, descriptor: descriptor) { drop(client) }
    }

    // MARK: Answers that take their time

    /// Has a worker do what an answer takes.
    ///
    /// - Parameters:
    ///   - limit: past it the caller is told that there is no answer.
    ///   - conclusion: makes the answer of it, on this thread.
    private func answerLater(
        _ client: ControlClient, _ id: UInt64, within limit: Duration? = nil, _ work: @escaping Requests.Work,
        then conclusion: Requests.Conclusion? = nil
    ) throws(Refused) {
        let deadline = limit.map { SuspendingClock().now + $0 }
        let number = try expect(client, id, by: deadline, then: conclusion)
        workers.run(for: client.credentials.uid) {
            // Nobody waits any more for what waited too long for a worker.
            if let deadline, SuspendingClock().now > deadline { return }
            let result: Result<WireResponse.OneOf_Body, Refused>
            do throws(Refused) { result = .success(try work(DecisionTrail())) } catch {
                result = .failure(error)
            }
            self.report(.result(of: number, result))
        }
    }

    /// Has an answer worked on in a line of those whose passwords are checked, and finished on this thread.
    private func answerInLine(
        _ client: ControlClient, _ id: UInt64, _ line: LogonLine, _ work: @escaping Requests.LineWork
    ) throws(Refused) {
        let number = try expect(client, id)
        do throws(Refused) {
            try line.add(client.credentials.uid) {
                self.report(.checked(for: number, work()))
            }
        } catch {
            pending[number] = nil
            client.isBusy = false
            throw error
        }
    }

    /// Notes that an answer is worked on; returns its number.
    private func expect(
        _ client: ControlClient, _ id: UInt64, by deadline: SuspendingClock.Instant? = nil,
        then conclusion: Requests.Conclusion? = nil
    ) throws(Refused) -> UInt64 {
        guard !client.isBusy else {
            throw Refused(.limit, "the answer to an earlier request is still being worked on; wait for it")
        }
        client.isBusy = true
        lastPending += 1
        pending[lastPending] = Pending(
            client: client, request: id, deadline: deadline, conclusion: conclusion)
        return lastPending
    }

    /// From any thread.
    private func report(_ report: Report) {
        let isFirst = reports.withLock { reports in
            reports.append(report)
            return reports.count == 1
        }
        if isFirst { wakeUp() }
    }

    private func takeReports() {
        let reports = reports.withLock { reports in
            defer { reports = [] }
            return reports
        }
        for report in reports {
            switch report {
            case .result(let number, let result):
                if let pending = pending.removeValue(forKey: number) { finish(pending, result) }
            case .checked(let number, let concluding):
                // Otherwise the process is gone, and nothing has happened.
                guard let pending = pending.removeValue(forKey: number) else { continue }
                finish(
                    pending, Result { () throws(Refused) in try concluding(requests, pending.client) })
            case .closed(let user):
                connections[user, default: 1] -= 1
                if connections[user] == 0 { connections[user] = nil }
            }
        }
    }

    private func finish(_ pending: Pending, _ result: Result<WireResponse.OneOf_Body, Refused>) {
        pending.client.isBusy = false
        var response = WireResponse()
        response.id = pending.request
        do throws(Refused) {
            let body = try result.get()
            response.body = try pending.conclusion.map { conclude throws(Refused) in try conclude() } ?? body
        } catch {
            response.body = .refusal(error.wire)
        }
        guard pending.request != 0 else { return }
        if !pending.client.answer(response) { drop(pending.client) }
    }

    private func giveUpLate() {
        guard !pending.isEmpty else { return }
        let now = SuspendingClock().now
        for (number, late) in pending where late.deadline.map({ $0 < now }) == true {
            pending[number] = nil
            finish(
                late,
                .failure(
                    Refused(
                        .limit,
                        "a file system on the way did not answer within \(Self.largestLookUpTime); a change that"
                            + " was asked for may still be made")))
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
