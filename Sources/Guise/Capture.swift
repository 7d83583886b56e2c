import AccessControl
import GuiseProtocol
import Synchronization

/// Somebody whom this process may act as, as the authority knows it: a client that was captured from one accepted
/// connection, or a token that it holds; and the handles this process got for it. Lives as long as the
/// connection or the logon, or a thread that acts under it.
final class Capture: Sendable {
    let authority: Authority
    /// The connection to the authority that it is held by.
    private let client: AuthorityClient
    /// Whether it is given up with this value. A token may be known by several.
    private let releases: Bool
    /// What it stands for is held by this.
    private let source: (any AnyObject & Sendable)?
    /// The level that the client allowed.
    let level: ImpersonationLevel
    /// Who connected.
    let peer: Connection.Peer
    private let number: UInt64
    /// Dynamic tracking: the token is asked for each time, and no handle stands for it for good.
    private let isFollowed: Bool
    /// By level: the handle for the identity page; 0 until the authority gave one.
    private let handles: InlineArray<4, Atomic<UInt64>>

    /// Captures the peer of an accepted socket.
    convenience init(of socket: Int32, authority: Authority) throws(GuiseError) {
        guard case .captured(let captured) = try authority.client.call(.capture(.init()), descriptor: socket)
        else { throw .authorityFailed("the authority's answer to a capture makes no sense") }
        self.init(captured, by: authority.client, authority)
    }

    /// What the authority answered on a connection, for use with the process's attachment.
    init(
        _ captured: WireCaptured, by client: AuthorityClient, _ authority: Authority, releases: Bool = true,
        keeping source: (any AnyObject & Sendable)? = nil
    ) {
        self.source = source
        self.authority = authority
        self.releases = releases
        self.client = client
        isFollowed = captured.dynamicTracking
        peer = Connection.Peer(process: captured.process, session: captured.session, user: nil)
        number = captured.capture
        level = ImpersonationLevel(captured.level)
        handles = InlineArray { index in
            Atomic(index == Int(ImpersonationLevel(captured.level).rawValue) ? captured.handle : 0)
        }
    }

    deinit { if releases { client.release(number) } }

    /// The handle at no more than a level: from the first call, or from the authority, which asks the gates.
    @inline(__always)
    func handle(atMost limit: ImpersonationLevel) throws(GuiseError) -> UInt64 {
        let level = min(limit, level)
        let known = handles[Int(level.rawValue)].load(ordering: .acquiring)
        return known != 0 ? known : try open(level)
    }

    /// Asks the gates again, whatever handles are known.
    func confirm(atMost limit: ImpersonationLevel) throws(GuiseError) { _ = try open(min(limit, level)) }

    @inline(never)
    private func open(_ level: ImpersonationLevel) throws(GuiseError) -> UInt64 {
        var request = WireOpenHandle()
        request.capture = number
        request.atMost = level.wire
        guard case .handle(let opened) = try client.call(.openHandle(request)), opened.handle != 0
        else { throw .authorityFailed("the authority's answer to impersonate makes no sense") }
        if !isFollowed { handles[Int(level.rawValue)].store(opened.handle, ordering: .releasing) }
        return opened.handle
    }

    /// Gives up the pipe's instance, so that another client may have it.
    func release() {
        var close = WireCloseCapture()
        close.capture = number
        close.instanceOnly = true
        client.post(.closeCapture(close))
    }

    func token() throws(GuiseError) -> TokenDescription { try client.token(ofCapture: number) }
}

extension AuthorityClient {
    func token(ofCapture number: UInt64) throws(GuiseError) -> TokenDescription {
        var request = WireCapturedToken()
        request.capture = number
        guard case .token(let view) = try call(.capturedToken(request)) else {
            throw .authorityFailed("the authority's answer to a token query makes no sense")
        }
        return try TokenDescription(view)
    }

    func release(_ number: UInt64) {
        var close = WireCloseCapture()
        close.capture = number
        post(.closeCapture(close))
    }
}
