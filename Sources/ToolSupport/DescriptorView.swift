package import AccessControl
package import Guise

/// A descriptor as people read it.
package struct DescriptorView: Encodable {
    package struct Entry: Encodable {
        let list: String
        let type: String
        let trustee: NamedSID?
        let rights: String
        let flags: [String]
    }

    let path: String
    /// Of a file: whether this descriptor alone decides.
    let managed: Bool?
    let sddl: String
    let owner: NamedSID?
    let group: NamedSID?
    let dacl: String
    let entries: [Entry]

    /// - Parameters:
    ///   - authority: knows the names of who is in it; nil where none can be asked.
    ///   - rights: the rights of an entry in words.
    package init(
        of descriptor: SecurityDescriptor, at path: String, managed: Bool? = nil, sddl: String,
        names authority: AuthorityClient?, rights: (UInt32) -> String
    ) throws {
        let aces = descriptor.dacl.aces.map { ("DACL", $0) } + descriptor.sacl.aces.map { ("SACL", $0) }
        let sids = [descriptor.owner, descriptor.group].compactMap(\.self) + aces.compactMap(\.1.sid)
        let names = try authority?.names(of: Set(sids.map(\.description)).sorted()) ?? [:]
        func named(_ sid: SID?) -> NamedSID? { sid.map { names[$0.description] ?? NamedSID($0) } }

        (self.path, self.managed, self.sddl) = (path, managed, sddl)
        owner = named(descriptor.owner)
        group = named(descriptor.group)
        dacl =
            switch descriptor.dacl {
            case .absent, .null: "none: everyone has full access"
            case .present(let acl) where acl.aces.isEmpty: "empty: nobody has access"
            case .present(let acl): acl.isCanonical ? "in canonical order" : "not in canonical order"
            }
        entries = aces.map { list, ace in
            Entry(
                list: list, type: Self.name(of: ace.type), trustee: named(ace.sid),
                rights: Self.rights(of: ace, rights), flags: Self.names(of: ace.flags))
        }
    }

    package func show() {
        Tool.say("Path: \(visible(path))")
        if let managed {
            Tool.say("Decided by: \(managed ? "this descriptor alone" : "the kernel, and this descriptor")")
        }
        Tool.say("SDDL: \(visible(sddl))")
        Tool.say("Owner: \(owner?.description ?? "none")")
        Tool.say("Group: \(group?.description ?? "none")")
        Tool.say("DACL: \(dacl)")
        guard !entries.isEmpty else { return }
        Tool.say("")
        var table = Table("LIST", "TYPE", "RIGHTS", "FLAGS", "WHO")
        for entry in entries {
            table.add(
                entry.list, entry.type, entry.rights,
                entry.flags.isEmpty ? "-" : entry.flags.joined(separator: " "),
                entry.trustee?.description ?? "-")
        }
        table.show()
    }

    private static func name(of type: ACEType) -> String {
        switch type {
        case _ where type.isAllow: type.isCallback ? "allow if" : "allow"
        case _ where type.isDeny: type.isCallback ? "deny if" : "deny"
        case _ where type.isAudit: type.isCallback ? "audit if" : "audit"
        case .mandatoryLabel: "label"
        case .resourceAttribute: "attribute"
        case .scopedPolicyID: "policy"
        default: "type 0x" + String(type.rawValue, radix: 16)
        }
    }

    private static func rights(of ace: ACE, _ rights: (UInt32) -> String) -> String {
        guard ace.type == .mandatoryLabel else { return rights(ace.mask) }
        let policy = MandatoryPolicy(rawValue: ace.mask)
        let names: [(MandatoryPolicy, String)] = [
            (.noWriteUp, "no write up"), (.noReadUp, "no read up"), (.noExecuteUp, "no execute up"),
        ]
        return names.filter { policy.contains($0.0) }.map(\.1).joined(separator: " | ")
    }

    private static func names(of flags: ACEFlags) -> [String] {
        let names: [(ACEFlags, String)] = [
            (.objectInherit, "OI"), (.containerInherit, "CI"), (.noPropagateInherit, "NP"),
            (.inheritOnly, "IO"), (.inherited, "ID"), (.critical, "CR"), (.successfulAccess, "SA"),
            (.failedAccess, "FA"),
        ]
        return names.filter { flags.contains($0.0) }.map(\.1)
    }
}
