import AccessControl
import Guise
import GuiseProtocol
import ToolSupport

/// A descriptor as people read it.
struct DescriptorView: Encodable {
    struct Entry: Encodable {
        let list: String
        let type: String
        let trustee: NamedSID?
        let rights: String
        let flags: [String]
    }

    let path: String
    let managed: Bool
    let sddl: String
    let owner: NamedSID?
    let group: NamedSID?
    let dacl: String
    let entries: [Entry]

    init(_ stored: StoredDescriptor, names authority: AuthorityClient) throws {
        let (wire, descriptor) = (stored.wire, stored.descriptor)
        let aces = descriptor.dacl.aces.map { ("DACL", $0) } + descriptor.sacl.aces.map { ("SACL", $0) }
        let sids = [descriptor.owner, descriptor.group].compactMap(\.self) + aces.compactMap(\.1.sid)
        let names = try authority.names(of: Set(sids.map(\.description)).sorted())
        func named(_ sid: SID?) -> NamedSID? { sid.flatMap { names[$0.description] } }

        path = wire.path
        managed = wire.managed
        sddl = wire.sddl
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
                rights: Self.rights(of: ace), flags: Self.names(of: ace.flags))
        }
    }

    func show() {
        Tool.say("Path: \(visible(path))")
        Tool.say("Decided by: \(managed ? "this descriptor alone" : "the kernel, and this descriptor")")
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

    private static func rights(of ace: ACE) -> String {
        guard ace.type == .mandatoryLabel else { return AccessMask<FileKind>(rawValue: ace.mask).words }
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
