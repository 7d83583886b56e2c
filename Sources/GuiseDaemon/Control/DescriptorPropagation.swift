import AccessControl
import CGuise
import GuiseProtocol

/// Has what lies in a folder inherit anew, as one caller, and counts.
struct DescriptorPropagation {
    private static let deepest = 128
    /// How many bytes of a message failures may fill.
    private static let reportSize = ControlPacket.largest - 1024

    private let token: Token
    private let sessions: LogonSessions
    private let record: (audit: Audit, event: AuditEvent)
    private let trail = DecisionTrail()
    private(set) var report = WirePropagated()
    private var size = 0

    /// - Parameter record: where what SACLs ask for goes, and what such events look like otherwise.
    init(token: Token, sessions: LogonSessions, record: (Audit, AuditEvent)) {
        (self.token, self.sessions, self.record) = (token, sessions, record)
    }

    /// Goes through everything below a directory, parents first. Who may change an object may be told its name;
    /// who may not change a folder is told nothing of what is in it.
    mutating func descend(_ directory: Int32, _ path: String, from parent: SecurityDescriptor, depth: Int = 0)
    {
        guard depth < Self.deepest else {
            return fail(path, "what is in it lies deeper than \(Self.deepest) folders")
        }
        guard let entries = directoryEntries(of: directory) else {
            return fail(path, "it cannot be listed: \(errnoText(guise_errno()))")
        }
        for entry in entries { visit(entry, in: directory, path + "/" + text(ofName: entry), parent, depth) }
    }

    private mutating func visit(
        _ entry: [CChar], in directory: Int32, _ path: String, _ parent: SecurityDescriptor, _ depth: Int
    ) {
        var how = open_how(
            OpenRequest.Flag.path | OpenRequest.Flag.noFollow | OpenRequest.Flag.closeOnExec,
            resolve: GUISE_RESOLVE_BENEATH)
        let found = guise_openat2(directory, entry, &how)
        // What was removed meanwhile needs no descriptor.
        guard found != -ENOENT else { return }
        guard found >= 0 else { return fail(path, errnoText(-found)) }
        let object = OwnedDescriptor(found)
        var (status, above) = (statx(), statx())
        guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0,
            guise_stat(directory, "", GUISE_AT_EMPTY_PATH, &above) == 0
        else { return fail(path, errnoText(guise_errno())) }
        // A link has no descriptor; who may remove it says its folder.
        guard !status.isSymbolicLink else { return }
        guard status.device == above.device else { return fail(path, "it is a mount, and so not managed") }
        guard let own = inherit(object, path, parent, isContainer: status.isDirectory) else { return }
        if status.isDirectory { descend(found, path, from: own, depth: depth + 1) }
    }

    /// - Returns: what the object's descriptor is now; `nil` if it may not or cannot be changed.
    private mutating func inherit(
        _ object: OwnedDescriptor, _ path: String, _ parent: SecurityDescriptor, isContainer: Bool
    ) -> SecurityDescriptor? {
        do throws(Refused) {
            let (before, after, keptSACL) = try StoredDescriptor.changes(of: object).lock.withLock {
                _ throws(Refused) in
                try change(object, parent, isContainer: isContainer)
            }
            if before == after { report.unchanged += 1 } else { report.changed += 1 }
            if keptSACL { report.keptSacls += 1 }
            return after
        } catch {
            fail(path, error.message)
            return nil
        }
    }

    private func change(
        _ object: OwnedDescriptor, _ parent: SecurityDescriptor, isContainer: Bool
    ) throws(Refused) -> (before: SecurityDescriptor, after: SecurityDescriptor, keptSACL: Bool) {
        let before: SecurityDescriptor
        switch StoredDescriptor.reading(of: object.number) {
        case .descriptor(let descriptor): before = descriptor
        case .none: throw Refused(.notFound, "it carries no security descriptor")
        case .damaged(let error): throw Refused(.internal, "\(error)")
        case .failed(let error): throw Refused(.internal, errnoText(error))
        }
        defer {
            record.audit.record(trail, as: record.event)
            trail.clear()
        }
        guard may(.writeDAC, before, object) else {
            throw Refused(.accessDenied, "its security descriptor does not grant you WRITE_DAC")
        }
        var after: SecurityDescriptor
        do throws(DescriptorError) {
            after = try parent.propagating(to: before, isContainer: isContainer)
        } catch { throw Refused(.internal, "\(error)") }
        let keepsSACL = after.sacl != before.sacl && !may(.accessSystemSecurity, before, object)
        if keepsSACL {
            after.sacl = before.sacl
            let bits: SecurityDescriptor.Control = [.saclAutoInherited]
            after.control = after.control.subtracting(bits).union(before.control.intersection(bits))
        }
        if after != before {
            let error = StoredDescriptor.write(after.bytes, to: object.number)
            guard error == 0 else { throw Refused(.internal, errnoText(-error)) }
        }
        return (before, after, keepsSACL)
    }

    private func may(
        _ rights: AccessMask<FileKind>, _ descriptor: SecurityDescriptor, _ object: OwnedDescriptor
    ) -> Bool {
        sessions.isAlive(token.logonSession)
            && descriptor.bytes.withUnsafeBytes {
                (try? trail.isAllowed($0, rights, token, object: object.number)) == true
            }
    }

    private mutating func fail(_ path: String, _ reason: String) {
        report.refused += 1
        size += path.utf8.count + reason.utf8.count + 16
        guard size <= Self.reportSize else { return }
        report.failures.append(
            WirePropagationFailure.with {
                $0.path = path
                $0.reason = reason
            })
    }
}
