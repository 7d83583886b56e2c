import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Looking at the tokens of processes and threads.
extension Requests {
    /// The threads that fit in one answer.
    private static let threadsPerPage = 200

    func tokenOf(_ request: WireTokenOf, _ client: ControlClient) throws(Refused) -> Answer {
        let pid = request.process == 0 ? client.pid : Int32(bitPattern: request.process)
        let subject = try subject(pid, client)
        let thread = Int32(bitPattern: request.thread)
        if thread != 0 {
            guard access("/proc/\(pid)/task/\(thread)", F_OK) == 0 else {
                throw Refused(.notFound, "process \(pid) has no thread \(thread)")
            }
        }
        let directory = accounts.directory
        return .later { _ throws(Refused) in
            .thread(subject.view(thread: thread, whole: true, names: directory))
        }
    }

    func threads(_ request: WireThreads, _ client: ControlClient) throws(Refused) -> Answer {
        let subject = try subject(Int32(bitPattern: request.process), client)
        guard let ids = subject.threadIDs else {
            throw Refused(.notFound, "there is no process \(subject.pid)")
        }
        let sorted = ids.filter { $0 > Int32(bitPattern: request.after) }.sorted()
        let names = accounts.directory
        return .later { _ throws(Refused) in
            var list = WireThreadList()
            list.more = sorted.count > Self.threadsPerPage
            list.threads = sorted.prefix(Self.threadsPerPage).map {
                subject.view(thread: $0, whole: false, names: names)
            }
            return .threads(list)
        }
    }

    /// The token that an account would get.
    func tokenFor(_ request: WireTokenFor, _ client: ControlClient) throws(Refused) -> Answer {
        let asking = try logon(client).token.token.user
        let isAdministrator = isAdministrator(client)
        let directory = accounts.directory
        return .later { _ throws(Refused) in
            let logon: Logon
            do throws(LogonError) {
                logon = try NominalLogon.of(request.name, directory)
            } catch { throw Refused(error) }
            guard isAdministrator || logon.token.token.user == asking else {
                throw Refused(
                    .accessDenied,
                    "the token of \(quoted(request.name)) is shown to itself and to administrators only")
            }
            return .token(WireTokenView(logon.token, credentials: logon.credentials, names: directory))
        }
    }

    /// The process, if the caller has a right on it by its descriptor: unless said otherwise to look at it,
    /// PROCESS_QUERY_INFORMATION.
    func subject(
        _ pid: Int32, _ client: ControlClient, _ right: AccessMask<ProcessKind> = .queryInformation
    ) throws(Refused) -> Subject {
        if pid == client.pid {
            return Subject(
                pid: pid, logon: try logon(client),
                attachment: context.processes.attachment(of: client.identity),
                service: context.processes.service(of: client.identity))
        }
        let identity = ProcessDirectory.identity(of: pid)
        guard identity != 0, let credentials = UnixCredentials(ofProcess: pid) else {
            throw Refused(.notFound, "there is no process \(pid)")
        }
        let logon: Logon
        do { logon = try context.logon(of: identity, credentials) } catch { throw Refused(error) }
        let subject = Subject(
            pid: pid, logon: logon, attachment: context.processes.attachment(of: identity),
            service: context.processes.service(of: identity))
        guard ProcessDirectory.identity(of: pid) == identity else {
            throw Refused(.notFound, "process \(pid) ended meanwhile")
        }
        let asking = try self.logon(client).token.token
        let decision = try? AccessCheck<ProcessKind>.decide(
            subject.logon.token.processDescriptor, token: asking, desired: right)
        guard decision?.isAllowed == true else {
            throw Refused(
                .accessDenied,
                right == .queryInformation
                    ? "the token of process \(pid) is shown to its own user and to administrators only"
                    : "the descriptor of process \(pid) does not grant \(right)")
        }
        return subject
    }
}

/// A process that somebody asks about.
struct Subject: Sendable {
    let pid: Int32
    let logon: Logon
    let attachment: Attachment?
    let service: MediatedService?

    /// The threads that it has now, in no order; nil when it is gone.
    var threadIDs: [Int32]? {
        guard let directory = opendir("/proc/\(pid)/task") else { return nil }
        defer { closedir(directory) }
        var ids: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let id = Int32(name) { ids.append(id) }
        }
        return ids
    }

    /// What a thread acts as; thread 0: the process itself. May ask the name service switch.
    func view(thread: Int32, whole: Bool, names directory: AccountDirectory) -> WireThreadView {
        var view = WireThreadView()
        view.process = UInt32(bitPattern: pid)
        view.thread = UInt32(bitPattern: thread)
        var name = [UInt8](repeating: 0, count: 64)
        let file = thread == 0 ? "/proc/\(pid)/comm" : "/proc/\(pid)/task/\(thread)/comm"
        let length = guise_file_read(file, &name, name.count)
        view.command = String(decoding: name[..<max(0, length)].prefix { $0 != 0x0A }, as: UTF8.self)
        view.attached = attachment != nil
        view.mediated = service != nil
        let identity = thread == 0 ? nil : attachment?.identity(ofThread: thread)
        switch identity {
        case .client(let handle, _):
            view.impersonating = true
            view.level = WireLevel(handle.token.level)
            view.token = WireTokenView(handle.token, credentials: handle.credentials, names: directory)
        case .unknown:
            // The thread acts under what is gone: every decision is a refusal, as for nobody.
            view.impersonating = true
            view.level = .anonymous
            view.token = WireTokenView(Token.Impersonation(.anonymous, level: .anonymous), names: directory)
        case .process, nil:
            view.token = WireTokenView(
                logon.token, credentials: logon.credentials, names: directory)
        }
        if !whole {
            view.token.groups = []
            view.token.privileges = []
            view.token.unixGroups = []
            view.token.restricting = []
            view.token.elevation = .unspecified
        }
        return view
    }
}

extension Token.Primary {
    /// Who may do what with a process under this token: its user, SYSTEM and administrators everything. Who is of lower
    /// integrity may look at it and, as on Windows, end it, and no more.
    var processDescriptor: SecurityDescriptor {
        let everything: UInt32 = 0x1f_ffff
        let entries: [ACE] = [
            .allow(token.user, everything), .allow(.system, everything), .allow(.administrators, everything),
        ]
        // A few short entries fit into any list; if they did not, nobody would have access.
        return SecurityDescriptor(
            owner: token.user, group: nil, dacl: .present((try? ACL(entries)) ?? .empty),
            sacl: .present((try? ACL([.mandatoryLabel(token.integrity)])) ?? .empty))
    }
}

extension UnixCredentials {
    /// The effective credentials of a process, from /proc; nil when there is none.
    init?(ofProcess pid: Int32) {
        guard let status = ProcessStatus(of: pid) else { return nil }
        self.init(status)
    }

    /// The effective ones, of what /proc tells.
    init?(_ status: ProcessStatus) {
        guard let uids = status.numbers("Uid"), uids.count == 4,
            let gids = status.numbers("Gid"), gids.count == 4, let groups = status.numbers("Groups")
        else { return nil }
        self.init(uid: uids[1], gid: gids[1], groups: groups)
    }
}
