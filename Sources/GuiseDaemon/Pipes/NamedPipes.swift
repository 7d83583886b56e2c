import CGuise
import Glibc
import GuiseProtocol

/// Every named pipe and who serves it. Used on the control thread alone.
final class NamedPipes {
    /// The most servers of pipes one user may have.
    static let largestServerCountPerUser = 1024

    /// Readable when a server has closed its channel, or can be sent clients again.
    let poll: Int32
    var pairs = SocketPairs()
    private var pipes: [PipeName: NamedPipe] = [:]
    /// Those that take clients, by their numbers.
    private var servers: [UInt64: PipeServer] = [:]
    private var last: UInt64 = 0
    private var serversPerUser: [UInt32: Int] = [:]

    init() throws(Refused) {
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw Refused(.internal, "epoll: \(errnoText(guise_errno()))") }
    }

    deinit { Glibc.close(poll) }

    subscript(_ name: PipeName) -> NamedPipe? { pipes[name] }

    /// In the order of their names, those after one.
    func list(after folded: String) -> [NamedPipe] {
        pipes.values.filter { $0.name.folded > folded }.sorted { $0.name.folded < $1.name.folded }
    }

    /// Makes a process a server of a pipe, which may be a new one.
    ///
    /// - Returns: the server's number, and its end of the channel.
    func add(
        _ client: ControlClient, _ attachment: Attachment, to pipe: NamedPipe
    ) throws(Refused) -> (number: UInt64, channel: Int32) {
        let user = client.credentials.uid
        guard serversPerUser[user, default: 0] < Self.largestServerCountPerUser else {
            throw Refused(.limit, "user \(user) serves \(Self.largestServerCountPerUser) pipes already")
        }
        let (own, theirs) = try pairs.takeChannel()
        last += 1
        let server = PipeServer(last, pipe, client, attachment, channel: own)
        guard watch(server, EPOLL_CTL_ADD) else {
            Glibc.close(theirs)
            throw Refused(.internal, "epoll: \(errnoText(guise_errno()))")
        }
        serversPerUser[user, default: 0] += 1
        pipes[pipe.name] = pipe
        pipe.servers.append(server)
        servers[server.number] = server
        return (server.number, theirs)
    }

    func server(_ number: UInt64) -> PipeServer? { servers[number] }

    /// The servers of a process that take clients.
    func servers(of client: ControlClient) -> [PipeServer] {
        serversPerUser[client.credentials.uid] == nil ? [] : servers.values.filter { $0.client === client }
    }

    /// Sends a server no more clients; those it has stay its own.
    func close(_ server: PipeServer) {
        guard servers.removeValue(forKey: server.number) != nil else { return }
        server.close()
        let user = server.client.credentials.uid
        serversPerUser[user, default: 1] -= 1
        if serversPerUser[user] == 0 { serversPerUser[user] = nil }
    }

    /// How many clients of a user wait. Those that gave up are dropped.
    func waiting(of user: UInt32) -> Int {
        pipes.values.reduce(0) { sum, pipe in
            pipe.waiting.removeAll { $0.user == user && $0.isGone }
            return sum + pipe.waiting.count { $0.user == user }
        }
    }

    /// Drops what is over of a pipe; true when nobody serves it any more.
    func tidy(_ pipe: NamedPipe) -> Bool {
        pipe.servers.removeAll { $0.isClosed && $0.instances == 0 }
        guard pipe.servers.isEmpty else { return false }
        if pipes[pipe.name] === pipe { pipes[pipe.name] = nil }
        return true
    }

    // MARK: Channels

    /// Has ``poll`` tell of a server: that its channel is closed at the other end, and when it is blocked, that it is
    /// not any more.
    @discardableResult
    func watch(_ server: PipeServer, _ operation: Int32 = EPOLL_CTL_MOD) -> Bool {
        var event = epoll_event()
        event.events = server.isBlocked ? EPOLLOUT.rawValue : 0
        event.data.u64 = server.number
        return epoll_ctl(poll, operation, server.channel, &event) == 0
    }

    /// What ``poll`` tells of.
    func events() -> [(server: PipeServer, isGone: Bool)] {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        let count = epoll_wait(poll, &events, Int32(events.count), 0)
        return events[..<Int(max(0, count))].compactMap { event in
            let gone = EPOLLHUP.rawValue | EPOLLERR.rawValue
            return servers[event.data.u64].map { ($0, event.events & gone != 0) }
        }
    }
}
