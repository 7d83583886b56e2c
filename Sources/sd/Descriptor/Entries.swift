import AccessControl
import ToolSupport

/// The few changes to a DACL that the commands make. Entries that are not meant stay where they are.
enum Entries {
    /// How a folder passes an entry on.
    enum Inheritance: Equatable {
        case none
        /// To everything below, and it counts for the folder too.
        case below
        /// To everything below only.
        case onlyBelow

        var flags: ACEFlags {
            switch self {
            case .none: []
            case .below: [.objectInherit, .containerInherit]
            case .onlyBelow: [.objectInherit, .containerInherit, .inheritOnly]
            }
        }
    }

    /// Adds rights for somebody, to the entry there is for the same people in the same way, or as a new entry in
    /// canonical order: what denies before what allows, both before what is inherited.
    static func adding(
        _ mask: UInt32, for sid: SID, type: ACEType, _ inheritance: Inheritance, to list: SecurityDescriptor.List
    ) throws -> SecurityDescriptor.List {
        guard case .present(let acl) = list else {
            throw ToolError("there is no DACL, so everyone has full access; give it one with `sd set` first")
        }
        var aces = acl.aces
        let same = aces.firstIndex {
            $0.type == type && $0.flags == inheritance.flags && $0.sid == sid
        }
        guard let entry = ACE(
            type: type, flags: inheritance.flags, mask: mask | (same.map { aces[$0].mask } ?? 0), sid: sid)
        else { throw ToolError("an entry of type \(type.rawValue) cannot be made") }
        if let same {
            aces[same] = entry
        } else {
            aces.insert(entry, at: place(for: type, in: aces))
        }
        return .present(try acl.replacing(aces))
    }

    private static func place(for type: ACEType, in aces: [ACE]) -> Int {
        let inherited = aces.firstIndex { $0.flags.contains(.inherited) } ?? aces.endIndex
        guard type.isDeny else { return inherited }
        return aces[..<inherited].firstIndex { !$0.type.isDeny } ?? inherited
    }

    /// Takes every entry for somebody out that the object has itself.
    static func removing(_ sid: SID, from list: SecurityDescriptor.List) throws -> SecurityDescriptor.List {
        let named = list.aces.filter { $0.sid == sid && ($0.type.isAllow || $0.type.isDeny) }
        guard case .present(let acl) = list, !named.isEmpty else { throw ToolError("no entry names \(sid)") }
        guard !named.allSatisfy({ $0.flags.contains(.inherited) }) else {
            throw ToolError(
                "the entries that name \(sid) are inherited; revoke them on the folder they come from, or use"
                    + " `sd inherit off` first")
        }
        let kept = acl.aces.filter { !named.contains($0) || $0.flags.contains(.inherited) }
        return .present(try acl.replacing(kept))
    }
}

extension SecurityDescriptor {
    /// As it is when it no longer inherits: what it has inherited becomes its own, or goes.
    func protected(keepingInherited: Bool) throws -> SecurityDescriptor {
        var out = self
        out.control.insert(.daclProtected)
        out.control.subtract([.daclAutoInherited])
        guard case .present(let acl) = dacl else { return out }
        let aces = acl.aces.compactMap { ace -> ACE? in
            guard ace.flags.contains(.inherited) else { return ace }
            guard keepingInherited else { return nil }
            var own = ace
            own.flags.subtract(.inherited)
            return own
        }
        out.dacl = .present(try acl.replacing(aces))
        return out
    }

    /// As it is when it inherits from `parent` (again).
    func inheriting(from parent: SecurityDescriptor?, isContainer: Bool) throws -> SecurityDescriptor {
        var out = self
        out.control.subtract(.daclProtected)
        guard let parent else { return out }
        var passed = parent
        // Only the DACL was asked for.
        passed.sacl = .absent
        let inherited = try passed.propagating(to: out, isContainer: isContainer)
        out.dacl = inherited.dacl
        out.control = out.control.union(inherited.control.intersection(.daclAutoInherited))
        return out
    }
}
