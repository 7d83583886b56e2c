import AccessControl

/// One thing in which two descriptors differ.
struct DescriptorDifference: Encodable, Equatable {
    /// Owner, Group, Control, DACL, SACL; of a list either the whole or an entry.
    let part: String
    /// Which entry of the list.
    var index: Int?
    /// What the first has; nothing where only the second has something.
    let first: String?
    let second: String?

    var lines: [String] {
        let name = index.map { "\(part) entry \($0)" } ?? part
        return (first.map { ["- \(name): \($0)"] } ?? []) + (second.map { ["+ \(name): \($0)"] } ?? [])
    }

    static func between(_ one: SecurityDescriptor, _ other: SecurityDescriptor) -> [Self] {
        var out: [Self] = []
        func add(_ part: String, _ first: String, _ second: String) {
            if first != second { out.append(Self(part: part, first: first, second: second)) }
        }
        add("Owner", one.owner?.description ?? "none", other.owner?.description ?? "none")
        add("Group", one.group?.description ?? "none", other.group?.description ?? "none")
        add("Control", text(one.control), text(other.control))
        out += between("DACL", one.dacl, other.dacl)
        out += between("SACL", one.sacl, other.sacl)
        return out
    }

    private static func between(
        _ part: String, _ one: SecurityDescriptor.List, _ other: SecurityDescriptor.List
    ) -> [Self] {
        guard case .present(let first) = one, case .present(let second) = other else {
            return one == other ? [] : [Self(part: part, first: text(one), second: text(other))]
        }
        let changes = second.aces.difference(from: first.aces)
        return changes.removals.map { Self(part, $0) } + changes.insertions.map { Self(part, $0) }
    }

    private init(part: String, first: String?, second: String?) {
        (self.part, self.first, self.second) = (part, first, second)
    }

    private init(_ part: String, _ change: CollectionDifference<ACE>.Change) {
        self.part = part
        switch change {
        case .remove(let offset, let ace, _): (index, first, second) = (offset, ace.sddl(), nil)
        case .insert(let offset, let ace, _): (index, first, second) = (offset, nil, ace.sddl())
        }
    }

    private static func text(_ control: SecurityDescriptor.Control) -> String {
        "0x" + String(control.rawValue, radix: 16)
    }

    private static func text(_ list: SecurityDescriptor.List) -> String {
        switch list {
        case .absent: "absent"
        case .null: "null"
        case .present(let acl): acl.aces.isEmpty ? "empty" : acl.aces.map { $0.sddl() }.joined()
        }
    }
}
