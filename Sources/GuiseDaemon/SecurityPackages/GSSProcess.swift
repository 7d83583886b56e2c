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

    let account: SID
    /// Whether it may ask the KDC to act as its clients elsewhere.
    let delegates: Bool
    let pid: pid_t
    private let socket: Int32
    private let log: Logger

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
        var askingCount = 0
        var hasEnded = false
        /// Nobody is to ask it any more.
        var isEnding = false
    }
    private let state = Mutex(State())

    /// Starts the process.
    init(
        for account: SID, _ keytab: KeytabStore.Keytab, replayCache: OwnedDescriptor, log: Logger
    ) throws(Refused) {
        var (own, theirs): (Int32, Int32) = (-1, -1)
        let error = guise_unix_pair(Int32(SOCK_SEQPACKET.rawValue), &own, &theirs)
        guard error == 0 else { throw Refused(.internal, "no socket pair: \(errnoText(-error))") }
        defer { close(theirs) }
        let secret = guise_secret_make(keytab.bytes, keytab.bytes.count)
        guard secret >= 0 else {
            close(own)
            throw Refused(.internal, "no memory for a keytab: \(errnoText(-secret))")
        }
        defer { close(secret) }
        do throws(Refused) {
            pid = try Self.spawn(
                delegates: keytab.delegates,
                descriptors: [(theirs, 0), (secret, 3), (replayCache.number, 4)])
        } catch {
            close(own)
            throw error
        }
        (self.account, delegates, socket, self.log) = (account, keytab.delegates, own, log)
        guard SystemThread.start("guise-gss", { self.receive() }) else {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw Refused(.internal, "no thread could be started to listen to guise-gss")
        }
    }

    deinit { close(socket) }

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

    /// The program, beside this one.
    private static let program: String = {
        var path = [CChar](repeating: 0, count: 4096)
        let length = max(0, readlink("/proc/self/exe", &path, path.count))
        let own = String(decoding: path.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/guise-gss"
    }()

    private static func spawn(
        delegates: Bool, descriptors: [(own: Int32, theirs: Int32)]
    ) throws(Refused) -> pid_t {
        var environment = ["KRB5RCACHENAME=file2:/proc/self/fd/4", "KRB5CCNAME=MEMORY:none"]
        for name in ["KRB5_CONFIG", "KRB5_TRACE", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        let arguments = [program, AuthorityUser.isRoot ? "\(user)" : "-", delegates ? "1" : "0"]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Those that are wanted may stand where others are to be.
        for (own, theirs) in descriptors {
            posix_spawn_file_actions_adddup2(&actions, own, 100 + theirs)
        }
        for (_, theirs) in descriptors { posix_spawn_file_actions_adddup2(&actions, 100 + theirs, theirs) }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pid: pid_t = 0
        let error = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                posix_spawn(&pid, program, &actions, &attributes, arguments, environment)
            }
        }
        guard error == 0 else {
            throw Refused(
                .unsupported,
                error == ENOENT
                    ? "Kerberos is not installed: there is no \(program); it is built with the package trait Kerberos"
                    : "\(program) cannot be started: \(errnoText(error))")
        }
        return pid
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }

    // MARK: Asking it

    /// Judges a token; waits for that.
    func accept(
        _ context: GSSContext, _ token: [UInt8], negotiates: Bool, credentials: GSSCredentials
    ) throws(Refused) -> WireGssResponse {
        try call(
            .accept(
                .with {
                    $0.context = context.number
                    $0.negotiate = negotiates
                    $0.token = .init(token)
                    $0.credentials = credentials.number
                }), asksKDC: delegates)
    }

    /// Asks something; waits for the answer.
    ///
    /// - Throws: `logonFailure` with what GSSAPI says, `limit`, `internal` when it died or hangs.
    func call(_ body: WireGssRequest.OneOf_Body, asksKDC: Bool) throws(Refused) -> WireGssResponse {
        let waiting = Waiting()
        let id = try state.withLock { state throws(Refused) in
            guard !state.hasEnded else { throw Self.gone }
            if asksKDC {
                guard state.askingCount < Self.largestAskingCount else {
                    throw Refused(.limit, "too many questions to the KDC are not answered yet; ask again")
                }
                state.askingCount += 1
            }
            state.last += 1
            state.waiting[state.last] = waiting
            return state.last
        }
        defer {
            state.withLock { state in
                state.waiting[id] = nil
                if asksKDC { state.askingCount -= 1 }
            }
        }
        let request = WireGssRequest.with {
            $0.id = id
            $0.body = body
        }
        guard (try? ControlPacket.send(request, on: socket, waiting: false)) != nil else {
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
        guard answer.failure.isEmpty else { throw Refused(.logonFailure, visible(answer.failure, 512)) }
        guard answer.token.count <= Self.largestToken else { throw Self.gone }
        return answer
    }

    /// Tells it something that wants no answer.
    fileprivate func tell(_ body: WireGssRequest.OneOf_Body) {
        guard !hasEnded else { return }
        let sent: Void? = try? ControlPacket.send(
            WireGssRequest.with { $0.body = body }, on: socket, waiting: false)
        // What it does not hear it would keep.
        if sent == nil { end() }
    }

    private static let gone = Refused(
        .internal, "the process that judges this service's Kerberos tokens died over this or hung; begin anew"
    )

    private func receive() {
        while true {
            do throws(ControlPacket.Failure) {
                let answer = try ControlPacket.receive(WireGssResponse.self, from: socket).message
                guard let waiting = state.withLock({ $0.waiting[answer.id] }) else { continue }
                waiting.answer.withLock { $0 = answer }
                waiting.done.signal()
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
    func context() throws(Refused) -> GSSContext {
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
        return GSSContext(self, number)
    }

    /// Whether a conversation may go on: it has not taken too long.
    fileprivate func isCurrent(_ context: UInt64) -> Bool {
        let now = WallClock.steadyMilliseconds
        return state.withLock { state in
            state.contexts[context].map { $0 + Self.longestContext > now } ?? false
        }
    }

    fileprivate func forget(_ context: UInt64) {
        state.withLock { _ = $0.contexts.removeValue(forKey: context) }
        tell(.endContext(context))
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

    fileprivate func forget(credentials: UInt64) {
        state.withLock { $0.credentialsCount -= 1 }
        tell(.endCredentials(credentials))
    }
}

/// A conversation that a ``GSSProcess`` has under way, for as long as this lives.
final class GSSContext: Sendable {
    let process: GSSProcess
    let number: UInt64

    fileprivate init(_ process: GSSProcess, _ number: UInt64) {
        (self.process, self.number) = (process, number)
    }

    deinit { process.forget(number) }

    /// Whether it may go on.
    var isCurrent: Bool { process.isCurrent(number) && !process.hasEnded }
}

/// A client's credentials that a ``GSSProcess`` keeps, if it delegated any, for as long as this lives.
final class GSSCredentials: Sendable {
    let process: GSSProcess
    let number: UInt64

    fileprivate init(_ process: GSSProcess, _ number: UInt64) {
        (self.process, self.number) = (process, number)
    }

    deinit { process.forget(credentials: number) }
}

/// The processes that judge tokens, one for each account that has a keytab and clients.
final class GSSProcesses: Sendable {
    private let keytabs: KeytabStore
    private let log: Logger
    private let running = Mutex<[SID: GSSProcess]>([:])

    init(state: String, log: Logger) { (keytabs, self.log) = (KeytabStore(state: state), log) }

    /// The process of an account, started if there is none. Touches the disk.
    ///
    /// - Throws: `notFound` for an account without a keytab, `unsupported` where Kerberos is not installed.
    func process(of account: SID, named name: String) throws(Refused) -> GSSProcess {
        try running.withLock { running throws(Refused) in
            if let known = running[account], !known.hasEnded { return known }
            guard let keytab = try keytabs.keytab(of: account) else {
                throw Refused(
                    .notFound,
                    "\(name) has no keytab, so no client can prove itself to it by Kerberos; an administrator"
                        + " gives it one with `guise account keytab`")
            }
            let cache = try keytabs.replayCache(
                of: account, for: AuthorityUser.isRoot ? GSSProcess.user : nil)
            let process = try GSSProcess(for: account, keytab, replayCache: cache, log: log)
            running[account] = process
            return process
        }
    }

    /// Sets or takes away an account's keytab. Who was proven by the old one stays logged on; what was delegated is gone.
    func set(_ keytab: KeytabStore.Keytab?, of account: SID) throws(Refused) {
        try running.withLock { running throws(Refused) in
            try keytabs.set(keytab, of: account)
            running.removeValue(forKey: account)?.end()
        }
    }
}

/// As much of a text of strangers as one may show: in one line.
func visible(_ text: String, _ length: Int) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.prefix(length).map { $0.properties.generalCategory == .control ? "?" : $0 }))
}
