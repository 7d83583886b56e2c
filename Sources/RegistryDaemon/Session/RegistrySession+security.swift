package import AccessControl
package import RegistryModel

/// The parts of a descriptor (`SECURITY_INFORMATION`).
package struct SecurityParts: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let owner = SecurityParts(rawValue: 1)
    package static let group = SecurityParts(rawValue: 2)
    package static let dacl = SecurityParts(rawValue: 4)
    package static let sacl = SecurityParts(rawValue: 8)
    /// The mandatory label, which is in the SACL.
    package static let label = SecurityParts(rawValue: 0x10)
    package static let all: SecurityParts = [.owner, .group, .dacl, .sacl, .label]
}

extension RegistrySession {
    /// The parts of a key's descriptor: owner, group, DACL and label take READ_CONTROL, the SACL ACCESS_SYSTEM_SECURITY.
    package func descriptor(
        _ handle: UInt64, _ parts: SecurityParts
    ) throws(RegistryError) -> SecurityDescriptor {
        var needed: RegistryAccess = []
        if !parts.isDisjoint(with: [.owner, .group, .dacl, .label]) { needed.insert(.readControl) }
        if parts.contains(.sacl) { needed.insert(.accessSystemSecurity) }
        let key = try open(handle, for: needed)
        let whole = try reading(key.transaction) { view throws(RegistryError) in
            try descriptor(of: try record(key, view))
        }
        var shown = SecurityDescriptor(
            owner: parts.contains(.owner) ? whole.owner : nil,
            group: parts.contains(.group) ? whole.group : nil,
            dacl: parts.contains(.dacl) ? whole.dacl : .absent)
        if parts.contains(.sacl) {
            shown.sacl = whole.sacl
        } else if parts.contains(.label) {
            let labels = whole.sacl.aces.filter { $0.type == .mandatoryLabel }
            if !labels.isEmpty { shown.sacl = .present(try list(labels)) }
        }
        if parts.contains(.dacl) {
            shown.control.formUnion(
                whole.control.intersection([.daclProtected, .daclAutoInherited, .daclDefaulted]))
        }
        if parts.contains(.sacl) {
            shown.control.formUnion(
                whole.control.intersection([.saclProtected, .saclAutoInherited, .saclDefaulted]))
        }
        return shown
    }

    /// Sets parts of a key's descriptor, and has the keys below inherit anew, as `SetSecurityInfo` does: owner, group and
    /// label take WRITE_OWNER, the DACL WRITE_DAC, the SACL ACCESS_SYSTEM_SECURITY. Below, a list that is protected stays,
    /// and so does a key, with all below it, on which the caller has no WRITE_DAC.
    ///
    /// Outside of transactions, the keys of a large tree inherit in parts, one after the other. What goes wrong after the
    /// first leaves the others as they were; the same done again goes through all of them.
    ///
    /// - Throws: ``RegistryError/invalidSecurity(_:)`` for an owner or label that the caller may not give.
    package func setDescriptor(
        _ handle: UInt64, _ parts: SecurityParts, to wanted: SecurityDescriptor, as caller: Caller
    ) throws(RegistryError) {
        var needed: RegistryAccess = []
        if !parts.isDisjoint(with: [.owner, .group, .label]) { needed.insert(.writeOwner) }
        if parts.contains(.dacl) { needed.insert(.writeDAC) }
        if parts.contains(.sacl) { needed.insert(.accessSystemSecurity) }
        guard needed != [], parts.isSubset(of: .all) else { throw .invalid("say which parts are to be set") }
        let key = try open(handle, for: needed)
        let isRestoring = key.intent != [] && caller.token.holds(.restore)
        let inPart = key.transaction == 0
        var rest = try changing(key.transaction) { view throws(RegistryError) -> [Heirs] in
            var record = try record(key, view)
            var descriptor = try descriptor(of: record)
            try apply(parts, of: wanted, to: &descriptor, key, caller)
            if !parts.isDisjoint(with: [.dacl, .sacl]), let parent = try view.key(record.parent) {
                // Its own entries are those wanted; what it inherits is its parent's to say.
                descriptor = try inherit(descriptor, from: try self.descriptor(of: parent), wanted, parts)
            }
            record.descriptor = descriptor.bytes
            try view.update(record)
            guard !parts.isDisjoint(with: [.dacl, .sacl]) else { return [] }
            return try propagate(to: [Heirs(of: record.id)], view, caller, isRestoring, inPart: inPart)
        }
        while !rest.isEmpty {
            let next = rest
            rest = try engine.change(for: share) { view throws(RegistryError) in
                try propagate(to: next, view, caller, isRestoring, inPart: true)
            }
        }
    }

    /// The keys directly below one that are yet to inherit.
    private struct Heirs {
        let key: KeyID
        /// The last of them that has inherited.
        var after: [UInt8]?

        init(of key: KeyID) { self.key = key }
    }

    private func descriptor(of record: KeyRecord) throws(RegistryError) -> SecurityDescriptor {
        do { return try SecurityDescriptor(bytes: record.descriptor) } catch {
            throw .damaged(
                "the descriptor of \(record.name) is no use (\(error)): an administrator sets another")
        }
    }

    private func list(_ aces: [ACE]) throws(RegistryError) -> ACL {
        do { return try ACL(aces) } catch { throw .invalidSecurity("\(error)") }
    }

    private func apply(
        _ parts: SecurityParts, of wanted: SecurityDescriptor, to descriptor: inout SecurityDescriptor,
        _ key: OpenKey, _ caller: Caller
    ) throws(RegistryError) {
        if parts.contains(.owner) {
            guard let owner = wanted.owner else { throw .invalidSecurity("a key has an owner; name one") }
            guard owner == descriptor.owner || caller.token.canOwn(owner) || caller.token.holds(.restore)
            else {
                throw .invalidSecurity("\(owner) may not be made the owner: that takes SeRestorePrivilege")
            }
            descriptor.owner = owner
        }
        if parts.contains(.group) { descriptor.group = wanted.group }
        if parts.contains(.dacl) {
            guard wanted.dacl != .absent else {
                throw .invalidSecurity(
                    "the descriptor has no DACL; set an empty one to grant nothing, or a null one")
            }
            descriptor.dacl = wanted.dacl
            replace([.daclProtected, .daclDefaulted, .daclAutoInherited], of: wanted, in: &descriptor)
        }
        let labels = wanted.sacl.aces.filter { $0.type == .mandatoryLabel }
        if !parts.isDisjoint(with: [.sacl, .label]) {
            for ace in labels {
                guard let rid = ace.sid?.rid, rid > caller.token.integrity.rawValue else { continue }
                guard caller.token.holds(.relabel) else {
                    throw .invalidSecurity("a label above one's own integrity level takes SeRelabelPrivilege")
                }
            }
        }
        if parts.contains(.sacl) {
            descriptor.sacl = wanted.sacl
            replace([.saclProtected, .saclDefaulted, .saclAutoInherited], of: wanted, in: &descriptor)
        } else if parts.contains(.label) {
            let others = descriptor.sacl.aces.filter { $0.type != .mandatoryLabel }
            descriptor.sacl = others.isEmpty && labels.isEmpty ? .absent : .present(try list(others + labels))
        }
    }

    private func replace(
        _ bits: SecurityDescriptor.Control, of wanted: SecurityDescriptor,
        in descriptor: inout SecurityDescriptor
    ) {
        descriptor.control.subtract(bits)
        descriptor.control.formUnion(wanted.control.intersection(bits))
    }

    private func inherit(
        _ descriptor: SecurityDescriptor, from parent: SecurityDescriptor, _ wanted: SecurityDescriptor,
        _ parts: SecurityParts
    ) throws(RegistryError) -> SecurityDescriptor {
        let whole = try propagated(from: parent, to: descriptor)
        var out = descriptor
        if parts.contains(.dacl) {
            out.dacl = whole.dacl
            if whole.control.contains(.daclAutoInherited) { out.control.insert(.daclAutoInherited) }
        }
        if parts.contains(.sacl) {
            out.sacl = whole.sacl
            if whole.control.contains(.saclAutoInherited) { out.control.insert(.saclAutoInherited) }
        }
        return out
    }

    private func propagated(
        from parent: SecurityDescriptor, to child: SecurityDescriptor
    ) throws(RegistryError) -> SecurityDescriptor {
        do {
            return try parent.propagating(
                to: child, isContainer: true, mapping: RegistryKeyKind.genericMapping)
        } catch { throw .invalidSecurity("a key below cannot inherit this: \(error)") }
    }

    /// Has keys inherit anew, and those below them.
    ///
    /// - Parameter inPart: no more than one call may change.
    /// - Returns: what is left.
    private func propagate(
        to heirs: [Heirs], _ view: RegistryView, _ caller: Caller, _ isRestoring: Bool, inPart: Bool
    ) throws(RegistryError) -> [Heirs] {
        let size = min(limits.page, max(1, engine.limits.changes / 4))
        var (left, looked) = (heirs, 0)
        while var next = left.popLast() {
            // Somebody else may have deleted it, or set what it has, since the part before.
            guard let record = try view.key(next.key) else { continue }
            looked += 1
            let parent = try descriptor(of: record)
            let page = try view.children(of: next.key, after: next.after, limit: size)
            guard let end = page.last else { continue }
            next.after = end.name.folded
            left.append(next)
            for child in page {
                if !isRestoring {
                    guard try caller.has(.writeDAC, on: child) else { continue }
                }
                let before = try descriptor(of: child)
                let inherited = try propagated(from: parent, to: before)
                // Below what did not change nothing does.
                guard inherited != before else { continue }
                var record = child
                record.descriptor = inherited.bytes
                try view.update(record)
                left.append(Heirs(of: child.id))
            }
            looked += page.count
            if inPart, view.changeCount + size >= engine.limits.changes || looked >= engine.limits.changes {
                return left
            }
        }
        return []
    }
}
