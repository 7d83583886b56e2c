import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Starting mediated services: what `guise run` asks for.
extension Requests {
    func launch(_ request: WireLaunch, _ client: ControlClient) throws(Refused) -> WireResponse.OneOf_Body {
        guard client.launch == nil, client.attachment == nil,
            context.processes.service(of: client.identity) == nil
        else { throw Refused(.badRequest, "this process starts, or is, a service already") }
        guard let account = accounts.account(named: request.account) else {
            throw Refused(
                .notFound,
                "there is no account \"\(request.account)\"; add one with `guise account add --service`")
        }
        let own = AuthorityUser.credentials.uid
        guard AuthorityUser.isRoot || client.credentials.uid == own && account.unixID ?? own == own else {
            throw Refused(
                .accessDenied,
                "an authority without root starts services of its own user, uid \(own), and of no other")
        }
        guard !AuthorityUser.isRoot || client.credentials.isRoot || client.credentials.uid == account.unixID
        else {
            throw Refused(
                .accessDenied, "only root, or its own Unix user, may start the service \(account.name)")
        }
        for namespace in ["mnt", "pid", "net", "user"] {
            guard sameNamespace(namespace, client.pid) else {
                throw Refused(
                    .wrongNamespace,
                    "the service would run in a \(namespace) namespace other than the"
                        + " authority's, where paths and peers mean something else")
            }
        }
        guard sameFile("/proc/\(client.pid)/root", "/proc/self/root") else {
            throw Refused(
                .wrongNamespace, "the service would run in a chroot, where paths mean something else")
        }
        let logon: Logon
        do throws(LogonError) {
            logon = try tokens.serviceLogon(named: request.account, startedBy: client.credentials)
        } catch { throw Refused(error) }
        client.launch = logon
        var launched = WireLaunched()
        launched.unixUser = logon.credentials.uid
        launched.unixGroup = logon.credentials.gid
        launched.unixGroups = logon.credentials.groups
        launched.mediator = UInt32(bitPattern: getpid())
        return .launched(launched)
    }

    func mediate(_ request: WireMediate, _ client: ControlClient) throws(Refused) -> Answer {
        guard let logon = client.launch else { throw Refused(.badRequest, "launch first") }
        try checkConfined(client.pid, as: logon.credentials)
        let pidfd = guise_pidfd_open(client.pid, false)
        guard pidfd >= 0 else { throw Refused(.notFound, "process \(client.pid) is gone") }
        defer { close(pidfd) }
        guard guise_pidfd_identity(pidfd) == client.identity else {
            throw Refused(.notFound, "process \(client.pid) is gone")
        }
        let listener = guise_pidfd_getfd(pidfd, Int32(bitPattern: request.listener))
        guard listener >= 0 else {
            throw Refused(.badRequest, "the listener cannot be taken over: \(errnoText(-listener))")
        }
        // By its name, which no file has: asking a file is asking whoever serves it, and so is closing it.
        guard kernelPath(of: listener) == Array("anon_inode:seccomp notify".utf8),
            guise_notification_is_listener(listener)
        else {
            if !SystemThread.start("guise-close", { close(listener) }) { close(listener) }
            throw Refused(.badRequest, "descriptor \(request.listener) is no seccomp listener")
        }
        client.launch = nil
        let user = logon.token.token.user
        let name = accounts.directory.knownName(of: user) ?? user.description
        let service = MediatedService(name: name, logon: logon, listener: listener)
        context.processes.add(service)
        context.processes.admit(client.pid, client.identity, to: service)
        var event = event(.serviceStarted, client)
        event.user = logon.token.token.user
        context.audit.record(event)
        return .mediating(service, .done(.init()))
    }

    /// The process has nothing left but the service's own user: no other id, no capability, no way to gain
    /// any, a filter, one thread.
    private func checkConfined(_ pid: Int32, as user: UnixCredentials) throws(Refused) {
        guard let status = ProcessStatus(of: pid) else { throw Refused(.notFound, "process \(pid) is gone") }
        let uid = Substring("\(user.uid)")
        let none = Substring("0000000000000000")
        guard status["Uid"] == [uid, uid, uid, uid], user.uid != 0,
            status["CapPrm"] == [none], status["CapEff"] == [none], status["CapInh"] == [none],
            status["CapAmb"] == [none], status["NoNewPrivs"] == ["1"], status["Seccomp"] == ["2"],
            status["Threads"] == ["1"]
        else {
            throw Refused(
                .badRequest,
                "the process is not confined: it needs uid \(user.uid), no capabilities,"
                    + " no_new_privs, a seccomp filter and one thread")
        }
    }

    func sameNamespace(_ kind: String, _ pid: Int32) -> Bool {
        sameFile("/proc/\(pid)/ns/\(kind)", "/proc/self/ns/\(kind)")
    }

    private func sameFile(_ one: String, _ other: String) -> Bool {
        var first = stat()
        var second = stat()
        return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_ino == second.st_ino
            && first.st_dev == second.st_dev
    }
}
