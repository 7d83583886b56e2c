import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Reading and changing the security descriptors of files, as the caller. Whoever serves the file system of a path that
/// the caller names may take any time to answer.
struct DescriptorRequests {
    private let roots: ManagedRoots
    private let sessions: LogonSessions
    private let trail: DecisionTrail

    init(_ context: MediationContext, _ trail: DecisionTrail) {
        (roots, sessions, self.trail) = (context.roots, context.sessions, trail)
    }

    func get(
        _ request: WireDescriptorGet, _ logon: Logon, _ domain: SID
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let intent = try AccessIntent(wire: request.intent)
        let (object, isManaged) = try find(request.path, logon, intent)
        let stored = try read(object, request.path)
        try require(.readControl, stored, logon, request.path, object, intent)
        let descriptor = try stored.shown(to: logon.token.token)
        var answer = WireDescriptor()
        answer.path = name(of: object) ?? request.path
        answer.binary = .init(descriptor.bytes)
        answer.sddl = descriptor.sddl(domain: domain)
        answer.managed = isManaged
        answer.container = isDirectory(object)
        return .descriptor(answer)
    }

    func set(
        _ request: WireDescriptorSet, _ logon: Logon, _ domain: SID, isAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let wanted = try wanted(request, domain)
        let intent = try AccessIntent(wire: request.intent)
        let (object, isManaged) = try find(request.path, logon, intent)
        guard isManaged || isAdministrator else {
            throw Refused(
                .accessDenied, "outside managed roots only an administrator gives objects descriptors")
        }
        try StoredDescriptor.changes(of: object).lock.withLock { _ throws(Refused) in
            let changed = try changed(
                object, request, wanted, logon, intent, isAdministrator: isAdministrator)
            let error = StoredDescriptor.write(changed.bytes, to: object.number)
            guard error == 0 else { throw Refused(.internal, "\(request.path): \(errnoText(-error))") }
        }
        return .done(.init())
    }

    /// The descriptor of what is no file.
    func get(
        _ request: WireDescriptorGet, of descriptor: SecurityDescriptor, _ logon: Logon, _ domain: SID
    ) throws(Refused) -> WireResponse.OneOf_Body {
        try require(
            .readControl, descriptor, logon, request.path, nil, try AccessIntent(wire: request.intent))
        let shown = try descriptor.shown(to: logon.token.token)
        var answer = WireDescriptor()
        answer.path = request.path
        answer.binary = .init(shown.bytes)
        answer.sddl = shown.sddl(domain: domain)
        answer.managed = true
        return .descriptor(answer)
    }

    /// What the descriptor of what is no file is to be.
    func set(
        _ request: WireDescriptorSet, of descriptor: SecurityDescriptor, _ logon: Logon, _ domain: SID
    ) throws(Refused) -> SecurityDescriptor {
        try changed(
            descriptor, of: nil, request, try wanted(request, domain), logon,
            try AccessIntent(wire: request.intent))
    }

    /// Has everything below a folder inherit anew.
    ///
    /// - Parameter record: where what SACLs ask for goes, and what such events look like otherwise.
    func propagate(
        _ request: WirePropagate, _ logon: Logon, recording record: (Audit, AuditEvent)
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let (object, isManaged) = try find(request.path, logon)
        guard isManaged, isDirectory(object) else {
            throw Refused(
                .badRequest, "\(request.path) is no folder under a managed root; nothing inherits from it")
        }
        let descriptor = try read(object, request.path)
        try require(.writeDAC, descriptor, logon, request.path, object)
        let path = name(of: object) ?? request.path
        var propagation = DescriptorPropagation(
            token: logon.token.token, sessions: sessions, record: record)
        propagation.descend(object.number, path, from: descriptor)
        return .propagated(propagation.report)
    }

    private func wanted(_ request: WireDescriptorSet, _ domain: SID) throws(Refused) -> SecurityDescriptor {
        do {
            return request.binary.isEmpty
                ? try SecurityDescriptor(sddl: request.sddl, domain: domain)
                : try SecurityDescriptor(bytes: Array(request.binary))
        } catch {
            throw Refused(.badRequest, request.binary.isEmpty ? "\(request.sddl): \(error)" : "\(error)")
        }
    }

    /// What the object's descriptor is to be, if the caller may have it so.
    private func changed(
        _ object: OwnedDescriptor, _ request: WireDescriptorSet, _ wanted: SecurityDescriptor, _ logon: Logon,
        _ intent: AccessIntent, isAdministrator: Bool
    ) throws(Refused) -> SecurityDescriptor {
        if case .none = StoredDescriptor.reading(of: object.number) {
            try expect([], request)
            // An object that has none: whoever administers the machine gives it its first.
            guard isAdministrator, wanted.owner != nil else {
                throw Refused(
                    .accessDenied,
                    "\(request.path) has no descriptor: an administrator sets one with an owner")
            }
            return wanted
        }
        return try changed(try read(object, request.path), of: object, request, wanted, logon, intent)
    }

    private func changed(
        _ descriptor: SecurityDescriptor, of object: OwnedDescriptor?, _ request: WireDescriptorSet,
        _ wanted: SecurityDescriptor, _ logon: Logon, _ intent: AccessIntent
    ) throws(Refused) -> SecurityDescriptor {
        var rights: AccessMask<FileKind> = []
        if wanted.owner != nil || wanted.group != nil { rights.insert(.writeOwner) }
        if wanted.dacl != .absent { rights.insert(.writeDAC) }
        if wanted.sacl != .absent { rights.insert(.accessSystemSecurity) }
        guard rights != [] else { throw Refused(.badRequest, "\"\(request.sddl)\" sets nothing") }
        try require(rights, descriptor, logon, request.path, object, intent)
        if let owner = wanted.owner, owner != descriptor.owner {
            guard logon.token.token.mayOwn(owner) else {
                throw Refused(
                    .accessDenied, "\(owner) may not be made the owner: it takes SeRestorePrivilege")
            }
            if !logon.token.token.isOwner(owner) { trail.use(.restore) }
        }
        if let label = wanted.mandatoryLabel, label.level > logon.token.token.integrity {
            guard logon.token.token.holds(.relabel) else {
                throw Refused(
                    .accessDenied, "a label above your own integrity level takes SeRelabelPrivilege")
            }
            trail.use(.relabel)
        }
        try expect(try descriptor.shown(to: logon.token.token).bytes, request)
        return descriptor.replaced(by: wanted)
    }

    /// Whoever changes what they have read says what that was, so that no change made meanwhile is lost.
    private func expect(_ bytes: [UInt8], _ request: WireDescriptorSet) throws(Refused) {
        guard !request.hasExpected || request.expected.elementsEqual(bytes) else {
            throw Refused(
                .conflict, "the descriptor of \(request.path) was changed by somebody else meanwhile")
        }
    }

    private func name(of object: OwnedDescriptor) -> String? {
        kernelPath(of: object.number).map { String(decoding: $0, as: UTF8.self) }
    }

    private func isDirectory(_ object: OwnedDescriptor) -> Bool {
        var status = statx()
        return guise_stat(object.number, "", GUISE_AT_EMPTY_PATH, &status) == 0 && status.isDirectory
    }

    private func find(
        _ path: String, _ logon: Logon, _ intent: AccessIntent = []
    ) throws(Refused) -> (OwnedDescriptor, managed: Bool) {
        guard path.hasPrefix("/"), path.utf8.count <= 4096, !path.utf8.contains(0) else {
            throw Refused(.badRequest, "name the object by its absolute path")
        }
        let caller = Caller(
            token: logon.token.token, credentials: logon.credentials, tid: 0, umask: 0, intent: intent)
        let request = OpenRequest(directory: AT_FDCWD, flags: OpenRequest.Flag.path, mode: 0)
        // The thread's own for this once: look-ups of one user are few.
        let files = UnixFiles()
        let walk = PathWalk(files: files, roots: roots, caller: caller, trail: trail)
        let way = path.utf8.map(CChar.init(bitPattern:)).withUnsafeBufferPointer { walk.way($0, request) }
        switch walk.find(way.path, from: way.start, request: request) {
        case .managed(let object, _): return (object, true)
        case .missing: throw Refused(.notFound, "\(path): \(errnoText(ENOENT))")
        case .failed(let error):
            throw Refused(error == EACCES ? .accessDenied : .notFound, "\(path): \(errnoText(error))")
        case .reached(let object), .ownDescriptors(let object): return (object, false)
        case .unix(let directory, let name):
            let found = files.open(
                as: logon.credentials, directory.number, name, open_how(OpenRequest.Flag.path))
            guard found >= 0 else {
                throw Refused(found == -EACCES ? .accessDenied : .notFound, "\(path): \(errnoText(-found))")
            }
            return (OwnedDescriptor(found), false)
        }
    }

    private func read(_ object: OwnedDescriptor, _ path: String) throws(Refused) -> SecurityDescriptor {
        switch StoredDescriptor.reading(of: object.number) {
        case .descriptor(let descriptor): return descriptor
        case .damaged(let error):
            throw Refused(.internal, "\(path) carries a damaged security descriptor: \(error)")
        case .none: throw Refused(.notFound, "\(path) carries no security descriptor; its Unix mode decides")
        case .failed(let error): throw Refused(.internal, "\(path): \(errnoText(error))")
        }
    }

    private func require(
        _ rights: AccessMask<FileKind>, _ descriptor: SecurityDescriptor, _ logon: Logon, _ path: String,
        _ object: OwnedDescriptor?, _ intent: AccessIntent = []
    ) throws(Refused) {
        let isAllowed =
            sessions.isAlive(logon.session.id)
            && descriptor.bytes.withUnsafeBytes {
                (try? trail.isAllowed(
                    $0, rights, logon.token.token, for: intent, object: object?.number)) == true
            }
        guard isAllowed else {
            throw Refused(.accessDenied, "\(path): its security descriptor does not grant you \(rights)")
        }
    }
}

extension AccessIntent {
    /// - Throws: for bits that mean nothing, so that a later one is not taken for nothing.
    fileprivate init(wire bits: UInt32) throws(Refused) {
        guard bits <= 3 else { throw Refused(.badRequest, "intent \(bits) is neither backup nor restore") }
        self.init(rawValue: UInt8(bits))
    }
}

extension SecurityDescriptor {
    /// As a token may see it: who is audited is shown to holders of SeSecurityPrivilege only. Labels, resource
    /// attributes and policies come with READ_CONTROL (MS-DTYP 2.4.7, SECURITY_INFORMATION).
    func shown(to token: Token) throws(Refused) -> SecurityDescriptor {
        guard !token.holds(.security), case .present(let list) = sacl else { return self }
        let rest = list.aces.filter { !$0.type.isAudit && !$0.type.isAlarm }
        guard rest.count < list.aces.count else { return self }
        var shown = self
        do {
            shown.sacl = rest.isEmpty ? .absent : .present(try ACL(rest))
        } catch { throw Refused(.internal, "\(error)") }
        return shown
    }

    /// What is set in `other` in place of what is here.
    fileprivate func replaced(by other: SecurityDescriptor) -> SecurityDescriptor {
        var result = self
        if let owner = other.owner { result.owner = owner }
        if let group = other.group { result.group = group }
        if other.dacl != .absent {
            result.dacl = other.dacl
            result.control = result.control.taking(other.control, [.daclProtected, .daclAutoInherited])
        }
        if other.sacl != .absent {
            result.sacl = other.sacl
            result.control = result.control.taking(other.control, [.saclProtected, .saclAutoInherited])
        }
        return result
    }
}

extension SecurityDescriptor.Control {
    fileprivate func taking(_ other: Self, _ bits: Self) -> Self {
        subtracting(bits).union(other.intersection(bits))
    }
}

extension Token {
    /// Whether the token may make a SID the owner of an object: itself, a group marked for it, or anybody with
    /// SeRestorePrivilege.
    fileprivate func mayOwn(_ sid: SID) -> Bool { isOwner(sid) || holds(.restore) }

    fileprivate func isOwner(_ sid: SID) -> Bool {
        sid == user || groups.contains { $0.sid == sid && $0.attributes.isSuperset(of: [.enabled, .owner]) }
    }
}
