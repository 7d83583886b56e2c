public import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Endpoints by name instead of by path: a name has a security descriptor, a server may serve so many clients at once,
/// and clients that find all instances taken can wait for one. The authority brings the two together and captures the
/// client where it decides that it may connect, so that impersonating it costs the server no question.
///
/// A name has 1 to 256 characters, none of them a backslash or a control character; case does not matter. It may be
/// spelled `\\.\pipe\NAME`. It is there for as long as somebody serves it. The name of a service account, alone or before
/// a slash, is that account's and administrators' to serve.
public enum NamedPipe {
    /// How bytes travel.
    public enum Mode: Sendable, Hashable {
        /// As a stream (`PIPE_TYPE_BYTE`): SOCK_STREAM.
        case byte
        /// As messages, each received whole or not at all (`PIPE_TYPE_MESSAGE`): SOCK_SEQPACKET.
        case message
    }

    /// Who may send.
    public enum Direction: Sendable, Hashable {
        /// The client alone (`PIPE_ACCESS_INBOUND`).
        case inbound
        /// The server alone (`PIPE_ACCESS_OUTBOUND`).
        case outbound
        /// Both (`PIPE_ACCESS_DUPLEX`).
        case duplex
    }

    /// What a client opens a pipe for.
    public struct Access: OptionSet, Sendable, Hashable {
        /// The bits.
        public let rawValue: UInt8
        /// Makes an access of these bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Takes READ_DATA of the pipe's descriptor.
        public static let read = Access(rawValue: 1)
        /// Takes WRITE_DATA.
        public static let write = Access(rawValue: 2)
        /// Both.
        public static let readWrite: Access = [.read, .write]
    }

    /// As many instances as clients come (`PIPE_UNLIMITED_INSTANCES`).
    public static let unlimitedInstances = 255

    /// The most bytes of one message in message mode.
    public static let largestMessage = 65_536

    /// Connects to the server of a pipe.
    ///
    /// Decided with the token of the calling thread: on one that impersonates, the client's, whom the server then sees,
    /// at the level captured or the one given here, whichever is lower. On one that acts at Identification, the
    /// process's own.
    ///
    /// Corresponds to `CreateFile` on a pipe's name with `SECURITY_SQOS_PRESENT`, after `WaitNamedPipe`.
    ///
    /// - Parameters:
    ///   - name: see ``NamedPipe``.
    ///   - access: what for. What is not asked for cannot be done: a connection that was opened to write only reads the
    ///     end at once.
    ///   - quality: what the server may do with the caller's identity; it cannot change later.
    ///   - timeout: how long to wait for an instance, when all serve clients; nil: for ever. Who waits longest is next.
    ///   - server: connect only to servers that run as this user; nil: to whoever serves the name, who gets the caller's
    ///     identity as soon as this returns.
    ///   - runtimeDirectory: where `guised` runs, as for ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    /// - Throws: ``GuiseError/notFound(_:)`` when nobody serves the name; ``GuiseError/accessDenied(_:)``, also
    ///   when none of those who serve it is `server`;
    ///   ``GuiseError/busy(_:)`` after the timeout; ``GuiseError/authorityUnreachable(_:)``;
    ///   ``GuiseError/system(call:errno:)``, with EMFILE where the process may have no more descriptors.
    public static func connect(
        to name: String, access: Access = .readWrite,
        quality: SecurityQualityOfService = SecurityQualityOfService(),
        timeout: Duration? = .zero, server: SID? = nil, runtimeDirectory: String? = nil
    ) throws(GuiseError) -> Connection {
        let authority = Authority.current
        let handle = try ThreadIdentity.handle(in: authority)
        let client =
            if let authority { authority.client } else {
                try AuthorityClient.ofProcess(runtimeDirectory: runtimeDirectory)
            }
        let request = WirePipeOpen.with {
            $0.name = name
            $0.read = access.contains(.read)
            $0.write = access.contains(.write)
            $0.level = quality.level.wire
            $0.dynamicTracking = quality.tracking == .dynamic
            $0.effectiveOnly = quality.isEffectiveOnly
            $0.wait = timeout.map { $0 > .zero } ?? true
            $0.handle = handle
            $0.server = server?.description ?? ""
        }
        var (body, descriptor) = try client.exchange(.pipeOpen(request))
        if case .pipeWaiting = body, let channel = descriptor {
            defer { close(channel) }
            (body, descriptor) = try wait(on: channel, for: timeout, name)
        }
        guard case .pipeOpened(let opened) = body, let descriptor else {
            if let descriptor { close(descriptor) }
            throw .authorityFailed("the authority's answer to opening a pipe makes no sense")
        }
        return Connection(
            client: descriptor, level: ImpersonationLevel(opened.level),
            peer: Connection.Peer(process: opened.process, session: opened.session, user: SID(opened.user)))
    }

    /// The answer that comes once there is an instance.
    private static func wait(
        on channel: Int32, for timeout: Duration?, _ name: String
    ) throws(GuiseError) -> (WireResponse.OneOf_Body, Int32?) {
        let end = timeout.map { ContinuousClock.now + $0 }
        var one = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
        while true {
            var left: Int32 = -1
            if let end {
                let rest = (end - .now).components
                let milliseconds = rest.seconds.multipliedReportingOverflow(by: 1000)
                left =
                    rest.seconds < 0 || rest.attoseconds < 0
                    ? 0
                    : milliseconds.overflow
                        ? Int32.max
                        : Int32(
                            clamping: milliseconds.partialValue + rest.attoseconds / 1_000_000_000_000_000 + 1
                        )
            }
            let count = poll(&one, 1, left)
            if count > 0 { break }
            guard count == 0 || errno == EINTR else { throw .system(call: "poll", errno: errno) }
            if count == 0, let end, end <= .now {
                throw .busy("every instance of the pipe \"\(name)\" still served a client after \(timeout!)")
            }
        }
        let received = try? ControlPacket.receive(WireResponse.self, from: channel, mayLoseDescriptor: true)
        guard received?.isDescriptorLost != true else { throw .noDescriptors }
        guard let received, let body = received.message.body
        else { throw .authorityLost("the authority closed the connection; is guised still running?") }
        if case .refusal(let refusal) = body { throw GuiseError(refusal) }
        return (body, received.descriptor)
    }
}
