import AccessControl
import CGuise
import Glibc

/// Signals to other processes, sent as the client.
extension Mediator {
    /// kill(process, signal), tkill(thread, signal), tgkill(process, thread, signal).
    func signal(_ trap: Trap, _ handle: ImpersonationHandle) -> Verdict {
        let name = CallTable.name(trap.call)
        let isOfThread = name != "kill"
        let target = trap.int(name == "tgkill" ? 1 : 0)
        let number = trap.int(name == "tgkill" ? 2 : 1)
        guard let caller = ThreadStatus(trap.tid), trap.isPending else { return .answered }
        // Within the own process it is nobody else's business.
        if name == "tgkill" ? trap.int(0) == caller.pid : target == caller.pid {
            trap.proceed()
            return .answered
        }
        guard target > 0 else {
            return refuse(
                trap, handle, EPERM,
                "an impersonating thread signals one process at a time: name it by its pid")
        }
        let pidfd = guise_pidfd_open(target, isOfThread)
        guard pidfd >= 0 else {
            trap.fail(pidfd == -EINVAL ? ESRCH : -pidfd)
            return .answered
        }
        let process = OwnedDescriptor(pidfd)
        // What is read by the number is the process's that the descriptor stands for if that still lives afterwards.
        guard let status = ProcessStatus(of: target), !guise_pidfd_has_ended(pidfd),
            name != "tgkill" || status.numbers("Tgid")?.first == UInt32(bitPattern: trap.int(0))
        else {
            trap.fail(ESRCH)
            return .answered
        }
        if isOfThread, status.numbers("Tgid")?.first == UInt32(bitPattern: caller.pid) {
            trap.proceed()
            return .answered
        }
        return signal(trap, handle, process, status, number, by: caller)
    }

    /// pidfd_send_signal(pidfd, signal, info, flags). The descriptor was taken once; whatever its number stands for by
    /// now, the process that was judged is the one that is signalled, the service's own, too.
    func signalByDescriptor(_ trap: Trap, _ handle: ImpersonationHandle) -> Verdict {
        let borrowed = borrow(trap.int(0), of: trap)
        guard borrowed >= 0 else {
            trap.fail(-borrowed)
            return .answered
        }
        let process = OwnedDescriptor(borrowed)
        guard let caller = ThreadStatus(trap.tid), trap.isPending else { return .answered }
        guard guise_is_pidfs(borrowed) else {
            trap.fail(EBADF)
            return .answered
        }
        guard trap.argument(2) == 0, trap.int(3) == 0 else {
            return refuse(
                trap, handle, EPERM,
                "an impersonating thread signals what the pidfd stands for, in no other name than its own")
        }
        guard let target = Self.process(of: borrowed), let status = ProcessStatus(of: target),
            !guise_pidfd_has_ended(borrowed)
        else {
            trap.fail(ESRCH)
            return .answered
        }
        guard status.numbers("Tgid")?.first != UInt32(bitPattern: caller.pid) else {
            let sent = guise_pidfd_signal(
                borrowed, trap.int(1), caller.pid, trap.service.logon.credentials.uid)
            if sent == 0 { trap.succeed() } else { trap.fail(-sent) }
            return .answered
        }
        return signal(trap, handle, process, status, trap.int(1), by: caller)
    }

    /// The process or thread of a pidfd; nil when it has ended or has no number here.
    private static func process(of pidfd: Int32) -> Int32? {
        descriptorStatus("Pid:\t", of: pidfd).flatMap { Int32($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    /// Signals a process or thread that is not of the caller's process, if the client may.
    private func signal(
        _ trap: Trap, _ handle: ImpersonationHandle, _ target: OwnedDescriptor, _ status: ProcessStatus,
        _ number: Int32, by caller: ThreadStatus
    ) -> Verdict {
        guard let uids = status.numbers("Uid"), uids.count == 4,
            let process = status.numbers("Tgid")?.first, let credentials = UnixCredentials(status)
        else {
            trap.fail(ESRCH)
            return .answered
        }
        // kill(2): by the sender's uid and the target's real and saved one.
        guard let client = handle.credentials?.uid, client == 0 || client == uids[0] || client == uids[2]
        else {
            return refuse(trap, handle, EPERM, "process \(process) is not the client's")
        }
        let right: AccessMask<ProcessKind> =
            switch number {
            case 0: .queryLimitedInformation
            case SIGSTOP, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU: .suspendResume
            default: .terminate
            }
        let descriptor = context.token(of: Int32(bitPattern: process), credentials)?.processDescriptor
        let decision = descriptor.flatMap {
            try? AccessCheck<ProcessKind>.decide($0, token: handle.deciding, desired: right)
        }
        guard decision?.isAllowed == true else {
            return refuse(trap, handle, EPERM, "the descriptor of process \(process) does not grant \(right)")
        }
        guard trap.isPending else { return .answered }
        let sent = guise_pidfd_signal(target.number, number, caller.pid, client)
        if sent == 0 { trap.succeed() } else { trap.fail(-sent) }
        return .answered
    }

    private func refuse(_ trap: Trap, _ handle: ImpersonationHandle, _ error: Int32, _ rule: String)
        -> Verdict
    {
        trap.fail(error)
        audit(trap, handle.deciding.user, rule)
        return .answered
    }
}

extension MediationContext {
    /// The logon of a process, by its identity: what it is known as, else that of whoever has its credentials.
    func logon(of identity: UInt64, _ credentials: UnixCredentials) throws(LogonError) -> Logon {
        if let known = processes.logon(of: identity, user: credentials.uid) { return known }
        return try tokens.logon(credentials)
    }

    fileprivate func token(of pid: Int32, _ credentials: UnixCredentials) -> Token.Primary? {
        let identity = ProcessDirectory.identity(of: pid)
        guard identity != 0, let logon = try? logon(of: identity, credentials),
            ProcessDirectory.identity(of: pid) == identity
        else { return nil }
        return logon.token
    }
}
