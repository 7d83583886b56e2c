import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Whom a process serves, who is logged on, and how the authority itself is.
extension Requests {
    /// The captures that a process holds, for whoever has PROCESS_QUERY_INFORMATION on it.
    func connections(_ request: WireConnections, _ client: ControlClient) throws(Refused) -> Answer {
        let pid = request.process == 0 ? client.pid : Int32(bitPattern: request.process)
        let subject = try subject(pid, client)
        let identity = subject.attachment?.identity ?? (subject.pid == client.pid ? client.identity : 0)
        guard let holder = attached[identity], let attachment = holder.attachment else {
            return .now(.connections(.init()))
        }
        let captures = holder.captures
        let directory = accounts.directory
        return .later { _ throws(Refused) in
            guard let all = subject.threadIDs else {
                throw Refused(.notFound, "there is no process \(subject.pid)")
            }
            let thread = Int32(bitPattern: request.thread)
            guard thread == 0 || all.contains(thread) else {
                throw Refused(.notFound, "process \(subject.pid) has no thread \(thread)")
            }
            let acting = Self.actingThreads(thread == 0 ? all : [thread], of: attachment)
            var page = Page<WireConnectionView>()
            // The name service switch is asked once for each client, not for each of its connections.
            var names: [SID: WireSidName] = [:]
            let rest = captures.filter { $0.value.logon == nil && $0.key > request.after }.sorted {
                $0.key < $1.key
            }
            for (number, captured) in rest {
                let threads = captured.handles.values.flatMap { acting[$0.number] ?? [] }.sorted()
                guard thread == 0 || !threads.isEmpty else { continue }
                let view = WireConnectionView(number, captured, threads) { sid in
                    let name = names[sid] ?? WireSidName(sid, directory)
                    names[sid] = name
                    return name
                }
                guard page.add(view, size: ControlPacket.size(of: view)) else { break }
            }
            return .connections(
                .with {
                    $0.connections = page.items
                    $0.more = page.isFull
                    $0.attached = true
                })
        }
    }

    /// The threads that act as a client now, by the handles under which they do.
    private static func actingThreads(_ ids: [Int32], of attachment: Attachment) -> [UInt64: [Int32]] {
        var acting: [UInt64: [Int32]] = [:]
        for id in ids {
            if case .client(let handle, _) = attachment.identity(ofThread: id) {
                acting[handle.number, default: []].append(id)
            }
        }
        return acting
    }

    /// The logon sessions: all for administrators, one's own for others.
    func sessions(_ request: WireSessions, _ client: ControlClient) throws(Refused) -> Answer {
        let logon = try logon(client)
        let (asking, own) = (logon.token.token.user, logon.session.id)
        let seesAll = isAdministrator(client)
        let directory = accounts.directory
        return .later { [sessions = context.sessions] _ throws(Refused) in
            var page = Page<WireSessionView>()
            for session in sessions.list()
            where session.id > request.after && (seesAll || session.user == asking || session.creator == own)
            {
                let view = WireSessionView(session, directory)
                guard page.add(view, size: ControlPacket.size(of: view)) else { break }
            }
            return .sessions(
                .with {
                    $0.sessions = page.items
                    $0.more = page.isFull
                })
        }
    }

    /// How the authority is; to administrators also how its state directory is.
    func status(_ client: ControlClient) -> Answer {
        var status = WireAuthorityStatus()
        status.version = guiseVersion
        status.process = UInt32(bitPattern: getpid())
        status.since = startTime
        if !AuthorityUser.isRoot { status.rootless = AuthorityUser.credentials.uid }
        // Without root other users' cannot be seen, and nothing is started for them.
        if AuthorityUser.isRoot || AuthorityUser.isOperator(client.credentials) {
            status.otherNamespaces = ["mnt", "pid", "net", "user"].filter { !sameNamespace($0, client.pid) }
        }
        status.unavailableRoots = context.roots.list().filter(\.isUnavailable).prefix(8)
            .map { String(decoding: $0.path, as: UTF8.self) }
        guard isAdministrator(client) else { return .now(.status(status)) }
        status.state = accounts.statePath
        return .later { [accounts, audit = context.audit, status] _ throws(Refused) in
            var status = status
            status.stateDefect = accounts.stateDefect()?.description ?? audit.defect ?? ""
            return .status(status)
        }
    }
}

/// As many items as fit in one message with all that is around them.
struct Page<Item> {
    /// Less than a message by far more than what is around the items.
    private static var largest: Int { ControlPacket.largest * 3 / 4 }

    private(set) var items: [Item] = []
    private(set) var isFull = false
    private var size = 0

    /// False when the item has no place any more.
    mutating func add(_ item: Item, size itemSize: Int) -> Bool {
        // The bytes, and what tells where they end.
        size += itemSize + 8
        isFull = size > Self.largest && !items.isEmpty
        if !isFull { items.append(item) }
        return !isFull
    }
}

extension WireConnectionView {
    /// The most threads that are named one by one.
    private static let largestThreadCount = 256

    /// Of a client at level Anonymous nothing is told to anybody.
    fileprivate init(
        _ number: UInt64, _ captured: ControlClient.Captured, _ threads: [Int32], _ name: (SID) -> WireSidName
    ) {
        self.init()
        let client = captured.client
        capture = number
        level = WireLevel(client.level)
        if client.level > .anonymous { process = UInt32(bitPattern: client.pid) }
        user = name(Token.Impersonation(client.token, level: client.level).token.user)
        self.captured = captured.time
        self.threads = threads.prefix(Self.largestThreadCount).map { UInt32(bitPattern: $0) }
        acting = UInt32(threads.count)
    }
}

extension WireSessionView {
    fileprivate init(_ session: LogonSession, _ directory: AccountDirectory) {
        self.init()
        id = session.id
        sid = session.sid.description
        user = WireSidName(session.user, directory)
        kind =
            switch session.kind {
            case .unix: .unix
            case .service: .service
            case .password(.network): .networkLogon
            case .password(.interactive): .interactiveLogon
            case .password(.batch): .batchLogon
            case .password(.service): .serviceLogon
            case .package: .packageLogon
            }
        since = session.since
    }
}
