import AccessControl

/// Decides by the descriptors of files, and keeps what of it goes on record. Belongs to one thread.
final class DecisionTrail {
    /// What was asked of a descriptor and not granted.
    struct Refusal {
        let wanted: AccessMask<FileKind>
        /// Of that, what the descriptor does not grant.
        let missing: AccessMask<FileKind>
    }

    /// A decision that a SACL wants a record of, or that took a privilege.
    struct Note {
        /// By the kernel's name.
        let object: [UInt8]?
        let wanted: AccessMask<FileKind>
        let decision: AccessDecision<FileKind>
        let isAudited: Bool
    }

    /// The last refusal.
    private(set) var refusal: Refusal?
    private(set) var notes: [Note] = []
    /// Privileges that were used besides those of decisions.
    private(set) var privileges = PrivilegeSet()

    /// Whether nothing was noted that goes on record by itself.
    var isEmpty: Bool { notes.isEmpty && privileges.isEmpty }

    /// Forgets everything.
    func clear() {
        guard refusal != nil || !isEmpty else { return }
        refusal = nil
        notes = []
        privileges = []
    }

    /// The last refusal was not the last word: something else granted what was wanted.
    func forgive() {
        refusal = nil
        if let last = notes.lastIndex(where: { !$0.decision.isAllowed }) { notes.remove(at: last) }
    }

    /// A privilege made the difference.
    func use(_ privilege: Privilege) { privileges.insert(privilege) }

    /// Decides, and notes what a SACL or a privilege asks for, and what was refused.
    ///
    /// - Parameters:
    ///   - intent: what it is declared to be for.
    ///   - object: the object, open, for its name; nil when it is no file.
    func isAllowed(
        _ descriptor: UnsafeRawBufferPointer, _ wanted: AccessMask<FileKind>, _ token: Token,
        for intent: AccessIntent = [], object: Int32?
    ) throws(AccessCheckError) -> Bool {
        let decision = try Self.decide(descriptor, wanted, token, for: intent)
        note(decision, by: descriptor, wanted, token, for: intent, object: object)
        return decision.isAllowed
    }

    static func decide(
        _ descriptor: UnsafeRawBufferPointer, _ wanted: AccessMask<FileKind>, _ token: Token,
        for intent: AccessIntent
    ) throws(AccessCheckError) -> AccessDecision<FileKind> {
        guard !intent.isEmpty else {
            return try AccessCheck<FileKind>.decide(descriptor, token: token, desired: wanted)
        }
        let context = AccessContext(intent: intent)
        return try AccessCheck<FileKind>.decide(descriptor, token: token, desired: wanted, context: context)
    }

    /// Notes a decision. Where it is a plain grant by a descriptor without a SACL, that is two comparisons.
    @inline(__always)
    func note(
        _ decision: AccessDecision<FileKind>, by descriptor: UnsafeRawBufferPointer,
        _ wanted: AccessMask<FileKind>, _ token: Token, for intent: AccessIntent, object: Int32?
    ) {
        let mayAudit = SecurityDescriptorView.hasSACL(descriptor)
        guard mayAudit || !decision.isAllowed || !decision.privilegesUsed.isEmpty else { return }
        noteAtLength(decision, by: descriptor, wanted, token, intent, object, mayAudit)
    }

    private func noteAtLength(
        _ decision: AccessDecision<FileKind>, by descriptor: UnsafeRawBufferPointer,
        _ wanted: AccessMask<FileKind>, _ token: Token, _ intent: AccessIntent, _ object: Int32?,
        _ mayAudit: Bool
    ) {
        if !decision.isAllowed {
            let most = try? Self.decide(descriptor, .maximumAllowed, token, for: intent)
            refusal = Refusal(wanted: wanted, missing: wanted.subtracting(most?.granted ?? []))
        }
        // What cannot be told asks for a record.
        let isAudited =
            mayAudit
            && (try? AccessCheck<FileKind>.auditEntries(
                descriptor.bytes, token: token, desired: wanted, decision: decision))?.isEmpty != true
        guard isAudited || !decision.privilegesUsed.isEmpty else { return }
        notes.append(
            Note(
                object: object.flatMap { kernelPath(of: $0) }, wanted: wanted, decision: decision,
                isAudited: isAudited))
    }
}

extension Audit {
    /// Puts on record what was noted, in events that are otherwise like `event`.
    func record(_ trail: DecisionTrail, as event: AuditEvent) {
        for note in trail.notes {
            var event = event
            event.object = note.object
            event.wanted = note.wanted
            event.isSuccess = note.decision.isAllowed
            if note.decision.isAllowed { event.granted = note.decision.granted }
            if note.isAudited {
                event.kind = .accessAudited
                record(event)
            }
            if !note.decision.privilegesUsed.isEmpty {
                event.kind = .privilegeUsed
                event.privileges = note.decision.privilegesUsed
                record(event)
            }
        }
        if !trail.privileges.isEmpty {
            var event = event
            event.kind = .privilegeUsed
            event.privileges = trail.privileges
            record(event)
        }
    }
}
