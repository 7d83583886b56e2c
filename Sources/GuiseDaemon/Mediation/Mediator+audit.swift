import AccessControl
import Glibc

/// What of a thread's calls goes on record. All of it after the call was answered.
extension Mediator {
    /// An event about a trap; `user` for whom it was decided, nil: as whom the thread acts.
    func event(_ kind: AuditEvent.Kind, _ trap: Trap, _ user: SID?) -> AuditEvent {
        var event = AuditEvent(kind)
        event.service = trap.service.accountName
        event.thread = trap.tid
        event.call = CallTable.name(trap.call)
        if let acting {
            // At level Anonymous this is the Anonymous token, and nobody is told whose process it was.
            event.user = acting.token.token.user
            event.level = acting.token.level
            event.process = acting.process
            if acting.token.level > .anonymous { event.client = acting.client }
        } else {
            event.user = user ?? trap.service.logon.token.token.user
            event.process = ThreadStatus(trap.tid)?.pid
        }
        return event
    }

    /// Puts a refused call on record.
    func audit(_ trap: Trap, _ user: SID, _ rule: String, path: [UInt8]? = nil, target: [UInt8]? = nil) {
        var event = event(.accessDenied, trap, user)
        event.path = path
        event.target = target
        event.wanted = opener.trail.refusal?.wanted
        event.refused = opener.trail.refusal?.missing
        event.rule = rule
        context.audit.record(event)
    }

    /// By which rule a call was refused; nil: it failed for another reason.
    func rule(_ errno: Int32, _ rule: String?) -> String? {
        if let rule { return rule }
        guard errno == EACCES || errno == EPERM else { return nil }
        if let refusal = opener.trail.refusal {
            return "the security descriptor of a directory on the way does not grant \(refusal.missing)"
        }
        return "the kernel, by the Unix credentials"
    }

    /// What a descriptor of the caller stands for.
    func path(ofDescriptor number: Int32, of trap: Trap) -> [UInt8]? {
        kernelPath(of: number, process: "\(trap.tid)")
    }

    /// A path of the caller with where it starts from, which is still open here.
    func absolute(_ path: UnsafeBufferPointer<CChar>, from start: FileOpener.Start) -> [UInt8] {
        let bytes = path.map(UInt8.init(bitPattern:))
        guard case .directory(let directory) = start, let above = kernelPath(of: directory.number) else {
            return bytes
        }
        return above + [0x2F] + bytes
    }
}
