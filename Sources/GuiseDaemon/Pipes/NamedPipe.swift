import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// One name: what its first server said of it, who serves it, and who waits for it. Used on the control thread alone.
///
/// It is there for as long as a server takes clients or serves one.
final class NamedPipe {
    /// As many instances as clients come.
    static let unlimited = 255

    enum Direction {
        /// From the client to the server.
        case inbound
        case outbound
        case duplex
    }

    let name: PipeName
    /// Packets keep their boundaries (SOCK_SEQPACKET).
    let hasMessages: Bool
    let direction: Direction
    /// 1 to 254, or ``unlimited``.
    let maximumInstances: Int
    var descriptor: SecurityDescriptor
    var servers: [PipeServer] = []
    /// The first one is served first.
    var waiting: [PipeWaiter] = []

    init(
        _ name: PipeName, hasMessages: Bool, direction: Direction, maximumInstances: Int,
        descriptor: SecurityDescriptor
    ) {
        self.name = name
        self.hasMessages = hasMessages
        self.direction = direction
        self.maximumInstances = maximumInstances
        self.descriptor = descriptor
    }

    /// How many serve a client.
    var instances: Int { servers.reduce(0) { $0 + $1.instances } }

    /// The server to send the next client to: of those that take one, whoever serves the fewest.
    ///
    /// - Parameter user: whose servers count; nil: anybody's.
    func free(of user: SID?) -> PipeServer? {
        guard mayHaveMore(than: instances) else { return nil }
        return servers.filter { $0.takesClients && (user == nil || $0.user == user) }
            .min { $0.instances < $1.instances }
    }

    func mayHaveMore(than count: Int) -> Bool {
        maximumInstances == Self.unlimited || count < maximumInstances
    }
}

/// A process's part in a pipe.
final class PipeServer {
    let number: UInt64
    let pipe: NamedPipe
    let client: ControlClient
    let attachment: Attachment
    /// The authority's end of the channel on which clients arrive; -1 once the server is closed.
    private(set) var channel: Int32
    /// How many clients it has.
    var instances = 0
    /// Whether the channel is full of clients who were not taken yet.
    var isBlocked = false

    init(
        _ number: UInt64, _ pipe: NamedPipe, _ client: ControlClient, _ attachment: Attachment, channel: Int32
    ) {
        self.number = number
        self.pipe = pipe
        self.client = client
        self.attachment = attachment
        self.channel = channel
    }

    deinit { close() }

    /// As whom the process serves.
    var user: SID { attachment.logon.token.token.user }
    var isClosed: Bool { channel < 0 }
    var takesClients: Bool { !isClosed && !isBlocked && client.mayCapture }

    func close() {
        if channel >= 0 { CGuise.close(channel) }
        channel = -1
    }
}

/// A client whose right to open the pipe was seen, who waits for an instance.
final class PipeWaiter {
    let opening: PipeOpening
    let user: UInt32
    private let channel: Int32

    init(_ opening: PipeOpening, of user: UInt32, channel: Int32) {
        (self.opening, self.user, self.channel) = (opening, user, channel)
    }

    deinit { close(channel) }

    /// Whether the client has given up.
    var isGone: Bool {
        var one = pollfd(fd: channel, events: 0, revents: 0)
        return poll(&one, 1, 0) != 0
    }

    func answer(_ body: WireResponse.OneOf_Body, descriptor: Int32? = nil) {
        _ = ControlClient.answer(.with { $0.body = body }, descriptor: descriptor, on: channel)
    }
}

/// What a client was allowed.
struct PipeOpening {
    let client: PeerCapture.Client
    /// To whom alone the client goes; nil: to whoever serves.
    let server: SID?
    let mayRead: Bool
    let mayWrite: Bool
}
