import AccessControl
import ToolSupport

/// One thing in which two identities differ.
struct IdentityDifference: Encodable, Equatable {
    /// What it is: User, Level, Group and so on.
    let part: String
    /// What the first has; nothing where only the second has something.
    let first: String?
    let second: String?

    var lines: [String] {
        (first.map { ["- \(part): \($0)"] } ?? []) + (second.map { ["+ \(part): \($0)"] } ?? [])
    }

    static func between(_ one: Identity, _ other: Identity) -> [Self] {
        var out: [Self] = []
        func add(_ part: String, _ text: (Identity) -> String?) {
            let (first, second) = (text(one), text(other))
            if first != second { out.append(Self(part: part, first: first, second: second)) }
        }
        add("User") { "\($0.user)" }
        add("Impersonation Level") { $0.level }
        add("Integrity") { $0.integrity }
        add("Logon Session") { SID.logonSession($0.logonSession).description }
        add("Unix") { $0.unixText }
        add("Elevation") { $0.elevation?.type }
        out += between(
            "Group", one.groups.map { ($0.group.sid, "\($0)") }, other.groups.map { ($0.group.sid, "\($0)") })
        out += between(
            "Restricting SID", one.restrictingSIDs.map { ($0.sid, "\($0)") },
            other.restrictingSIDs.map { ($0.sid, "\($0)") })
        out += between(
            "Privilege", one.privileges.map { ($0.name, "\($0)") },
            other.privileges.map { ($0.name, "\($0)") })
        return out
    }

    /// Of two lists what one alone has, or has differently, in the order of the first, then of the second.
    private static func between(
        _ part: String, _ one: [(key: String, text: String)], _ other: [(key: String, text: String)]
    ) -> [Self] {
        let (first, second) = (
            Dictionary(one) { known, _ in known }, Dictionary(other) { known, _ in known }
        )
        let changed = one.filter { second[$0.key] != $0.text }
            .map { Self(part: part, first: $0.text, second: second[$0.key]) }
        let added = other.filter { first[$0.key] == nil }.map {
            Self(part: part, first: nil, second: $0.text)
        }
        return changed + added
    }
}
