import AccessControl
import CGuise
import Dispatch
import Glibc
import GuiseProtocol
import Logging
import Synchronization

/// The process that judges the Kerberos tokens of one service, `guise-gss`. What strangers wrote is read there and not in
/// the authority: it has one service's keytab and nothing else worth having, and when it dies it dies alone.
///
/// It is believed where it says who a client of that service is, which whoever has the keytab could make true anyway.
final class GSSProcess: Sendable {
    /// The most conversations with clients that are not at an end, and for how long one may last.
    static let largestContextCount = 256
    static let longestContext: UInt64 = 60_000
    /// The most clients whose credentials are kept.
    static let largestCredentialsCount = 4096
    /// The most questions to the KDC at once.
    static let largestAskingCount = 8
    /// How long judging a token takes at most. Who takes longer hangs.
    static let longestJudging = Duration.seconds(10)
    /// How long a question to the KDC takes at most.
    static let longestAsking = Duration.seconds(30)
    /// The most bytes of a token.
    static let largestToken = 60_000
    /// Whom it runs as where the authority is root.
    static let user: UInt32 = 65_534
    /// The most that it is not told yet. Who does not read for so long hangs.
    private static let largestUntoldCount = 8192
    /// As many bytes as all that one user asks at once: 16 tokens (``Workers``), and what a packet takes besides.
    private static let sendBuffer: Int32 = 2 << 20

    let account: SID
    /// Whether it may ask the KDC to act as its clients elsewhere.
    let delegates: Bool
    let pid: pid_t
    private let socket: Int32
    private let lanes: [Lane]
    private let log: Logger

    /// What asks no KDC goes this way: whoever wants to know asks and waits, one at a time, and no thread in between is
    /// woken up.
    private final class Lane: Sendable {
        let turn: Mutex<Int32>

        init(_ socket: Int32) { turn = Mutex(socket) }

        deinit { turn.withLock { _ = close($0) } }
    }

    private final class Waiting: Sendable {
        let answer = Mutex<WireGssResponse?>(nil)
        let done = DispatchSemaphore(value: 0)
    }

    private struct State {
        var last: UInt64 = 0
        var waiting: [UInt64: Waiting] = [:]
        /// By number: when it began, in milliseconds.
        var contexts: [UInt64: UInt64] = [:]
        var credentialsCount = 0
        /// Questions to the KDC that it has not answered, whether somebody still waits or not.
        var asking: Set<UInt64> = []
        var hasEnded = false
        /// Nobody is to ask it any more.
        var isEnding = false
    }
    private let state = Mutex(State())

    private struct Outbox {
        /// Contexts and credentials that it has heard of, and not of their end.
        var known: Set<UInt64> = []
        /// What it is to be told once it has read what waits in the socket.
        var untold: [WireGssRequest.OneOf_Body] = []
    }
    private let outbox = Mutex(Outbox())

    /// Starts the process.
    init(
        for account: SID, _ keytab: KeytabStore.Keytab, replayCache: OwnedDescriptor, log: Logger
    ) throws(Refused) {
        let (own, theirs) = try Self.pair()
        defer { close(theirs) }
        var size = Self.sendBuffer
        // Beyond what is allowed to everybody as root alone.
        for option in [SO_SNDBUF, SO_SNDBUFFORCE] {
            setsockopt(own, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        let secret = guise_secret_make(keytab.bytes, keytab.bytes.count)
        guard secret >= 0 else {
            close(own)
            throw Refused(.internal, "no memory for a keytab: \(errnoText(-secret))")
        }
        defer { close(secret) }
        var lanes: [Lane] = []
        var descriptors: [(own: Int32, theirs: Int32)] = [
            (theirs, GSSDescriptor.authority), (secret, GSSDescriptor.keytab),
            (replayCache.number, GSSDescriptor.replayCache),
        ]
        defer { for (lane, _) in descriptors[3...] { close(lane) } }
        do throws(Refused) {
            var limit = timeval(tv_sec: Int(Self.longestJudging.components.seconds), tv_usec: 0)
            for number in GSSDescriptor.lanes {
                let (near, far) = try Self.pair()
                setsockopt(near, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                lanes.append(Lane(near))
                descriptors.append((far, number))
            }
            pid = try Self.spawn(delegates: keytab.delegates, descriptors: descriptors)
        } catch {
            close(own)
            throw error
        }
        self.lanes = lanes
        (self.account, delegates, socket, self.log) = (account, keytab.delegates, own, log)
        guard SystemThread.start("guise-gss", { self.receive() }) else {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw Refused(.internal, "no thread could be started to listen to guise-gss")
        }
    }

    deinit { close(socket) }

    private static func pair() throws(Refused) -> (own: Int32, theirs: Int32) {
        var (own, theirs): (Int32, Int32) = (-1, -1)
        let error = guise_unix_pair(Int32(SOCK_SEQPACKET.rawValue), &own, &theirs)
        guard error == 0 else { throw Refused(.internal, "no socket pair: \(errnoText(-error))") }
        return (own, theirs)
    }

    /// Whether it is there no more.
    var hasEnded: Bool { state.withLock { $0.hasEnded || $0.isEnding } }

    /// Has it end, and all that it holds with it.
    func end() {
        state.withLock { state in
            // The number is its own for as long as nobody has waited for it.
            if !state.hasEnded { kill(pid, SIGKILL) }
            state.isEnding = true
        }
    }

    // MARK: Asking it

    /// Judges a token; waits for that.
    func accept(
        _ context: GSSContext, _ token: [UInt8], negotiates: Bool, credentials: GSSCredentials
    ) throws(Refused) -> WireGssResponse {
        let accept = WireGssAccept.with {
            $0.context = context.number
            $0.negotiate = negotiates
            $0.token = .init(token)
            $0.credentials = credentials.number
        }
        guard !delegates else { return try call(.accept(accept), asksKDC: true) }
        // A context stays in its lane.
        let answer = try ask(accept, by: lanes[Int(context.number % UInt64(lanes.count))])
        // Of the end of anything else it need not be told.
        outbox.withLock { outbox in
            if !answer.finished { outbox.known.insert(context.number) }
            if answer.delegated || !answer.failure.isEmpty { outbox.known.insert(credentials.number) }
        }
        return try checked(answer)
    }

    /// Asks on a lane; waits for its turn, and for the answer.
    private func ask(_ accept: WireGssAccept, by lane: Lane) throws(Refused) -> WireGssResponse {
        let reply = lane.turn.withLock { socket -> Result<WireGssResponse, ControlPacket.Failure> in
            do throws(ControlPacket.Failure) {
                guard !hasEnded else { throw .closed }
                try ControlPacket.send(
                    WireGssRequest.with {
                        $0.id = accept.context
                        $0.body = .accept(accept)
                    }, on: socket)
                let answer = try ControlPacket.receive(WireGssResponse.self, from: socket).message
                guard answer.id == accept.context else { throw .malformed }
                return .success(answer)
            } catch {
                // Before anybody else has a turn: what it says yet answers nobody.
                if case .system(EAGAIN) = error {
                    log.notice("guise-gss hangs", metadata: ["account": "\(account)"])
                }
                end()
                return .failure(error)
            }
        }
        do { return try reply.get() } catch { throw Self.gone }
    }

    /// Asks something; waits for the answer.
    ///
    /// - Throws: `logonFailure` with what GSSAPI says, `limit`, `internal` when it died or hangs.
    func call(_ body: WireGssRequest.OneOf_Body, asksKDC: Bool) throws(Refused) -> WireGssResponse {
        let waiting = Waiting()
        let id = try state.withLock { state throws(Refused) in
            guard !state.hasEnded else { throw Self.gone }
            guard !asksKDC || state.asking.count < Self.largestAskingCount else {
                throw Refused(.limit, "too many questions to the KDC are not answered yet; ask again")
            }
            state.last += 1
            state.waiting[state.last] = waiting
            if asksKDC { state.asking.insert(state.last) }
            return state.last
        }
        defer { state.withLock { _ = $0.waiting.removeValue(forKey: id) } }
        let request = WireGssRequest.with {
            $0.id = id
            $0.body = body
        }
        let isSent = outbox.withLock { outbox in
            guard flush(&outbox), send(request) else { return false }
            outbox.known.formUnion(body.begun)
            return true
        }
        guard isSent else {
            state.withLock { _ = $0.asking.remove(id) }
            throw Refused(.limit, "too many tokens wait to be judged; try again")
        }
        let limit = asksKDC ? Self.longestAsking : Self.longestJudging
        guard waiting.done.wait(timeout: .now() + .seconds(Int(limit.components.seconds))) == .success else {
            guard asksKDC else {
                log.notice("guise-gss hangs", metadata: ["account": "\(account)"])
                end()
                throw Self.gone
            }
            throw Refused(.limit, "no KDC answered within \(limit); try again")
        }
        guard let answer = waiting.answer.withLock({ $0 }) else { throw Self.gone }
        return try checked(answer)
    }

    private func checked(_ answer: WireGssResponse) throws(Refused) -> WireGssResponse {
        guard answer.failure.isEmpty else { throw Refused(.logonFailure, visible(answer.failure, 512)) }
        guard answer.token.count <= Self.largestToken else { throw Self.gone }
        return answer
    }

    /// Tells it the end of what it has heard of: now, or once it has room.
    private func tell(_ body: WireGssRequest.OneOf_Body, of number: UInt64) {
        guard !hasEnded else { return }
        let isFull = outbox.withLock { outbox in
            guard outbox.known.remove(number) != nil else { return false }
            outbox.untold.append(body)
            _ = flush(&outbox)
            return outbox.untold.count > Self.largestUntoldCount
        }
        // What it does not hear it would keep.
        if isFull { end() }
    }

    /// - Returns: whether it has been told all.
    private func flush(_ outbox: inout Outbox) -> Bool {
        let count = outbox.untold.prefix { body in send(.with { $0.body = body }) }.count
        outbox.untold.removeFirst(count)
        return outbox.untold.isEmpty
    }

    /// - Returns: false when there is no room.
    private func send(_ request: WireGssRequest) -> Bool {
        (try? ControlPacket.send(request, on: socket, waiting: false)) != nil
    }

    private static let gone = Refused(
        .internal, "the process that judges this service's Kerberos tokens died over this or hung; begin anew"
    )

    private func receive() {
        while true {
            do throws(ControlPacket.Failure) {
                let answer = try ControlPacket.receive(WireGssResponse.self, from: socket).message
                let waiting = state.withLock { state in
                    state.asking.remove(answer.id)
                    return state.waiting[answer.id]
                }
                waiting?.answer.withLock { $0 = answer }
                waiting?.done.signal()
                outbox.withLock { _ = flush(&$0) }
            } catch {
                if case .system(EINTR) = error { continue }
                break
            }
        }
        // Whatever it said last, it is not to go on.
        kill(pid, SIGKILL)
        var status: Int32 = 0
        let waiting = state.withLock { state in
            while waitpid(pid, &status, 0) < 0, guise_errno() == EINTR {}
            state.hasEnded = true
            return state.waiting.values
        }
        log.notice(
            "guise-gss ended", metadata: ["account": "\(account)", "status": "\(status)"])
        for one in waiting { one.done.signal() }
    }

    // MARK: What it keeps

    /// A new conversation with a client, or as one.
    func context(for purpose: GSSContext.Purpose) throws(Refused) -> GSSContext {
        let now = WallClock.steadyMilliseconds
        let number = try state.withLock { state throws(Refused) in
            guard !state.hasEnded else { throw Self.gone }
            if state.contexts.count >= Self.largestContextCount {
                state.contexts = state.contexts.filter { $0.value + Self.longestContext > now }
            }
            guard state.contexts.count < Self.largestContextCount else {
                throw Refused(
                    .limit,
                    "this service has \(Self.largestContextCount) conversations of Kerberos under way, and may have no more"
                )
            }
            state.last += 1
            state.contexts[state.last] = now
            return state.last
        }
        return GSSContext(self, number, for: purpose)
    }

    /// Whether a conversation may go on: it has not taken too long.
    func isCurrent(_ context: UInt64) -> Bool {
        let now = WallClock.steadyMilliseconds
        return state.withLock { state in
            state.contexts[context].map { $0 + Self.longestContext > now } ?? false
        }
    }

    /// Ends a conversation.
    func forget(_ context: UInt64) {
        state.withLock { _ = $0.contexts.removeValue(forKey: context) }
        tell(.endContext(context), of: context)
    }

    /// Room for what a client may delegate.
    func credentials() throws(Refused) -> GSSCredentials {
        let number = try state.withLock { state throws(Refused) in
            guard state.credentialsCount < Self.largestCredentialsCount else {
                throw Refused(
                    .limit,
                    "this service has \(Self.largestCredentialsCount) clients of Kerberos, and may have no more"
                )
            }
            state.credentialsCount += 1
            state.last += 1
            return state.last
        }
        return GSSCredentials(self, number)
    }

    /// Ends what a client delegated.
    func forget(credentials: UInt64) {
        state.withLock { $0.credentialsCount -= 1 }
        tell(.endCredentials(credentials), of: credentials)
    }
}

extension WireGssRequest.OneOf_Body {
    /// The contexts and credentials that are kept for it.
    fileprivate var begun: [UInt64] {
        switch self {
        case .accept(let accept): [accept.context, accept.credentials]
        case .initiate(let initiate): [initiate.context]
        case .transition(let transition): [transition.credentials]
        case .endContext, .endCredentials: []
        }
    }
}

/// As much of a text of strangers as one may show: in one line.
func visible(_ text: String, _ length: Int) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.prefix(length).map { $0.properties.generalCategory == .control ? "?" : $0 }))
}
