import AccessControl

/// One question of a batch.
struct BatchQuestion: Decodable {
    private enum Key: String, CodingKey, CaseIterable {
        case id, sd, domain, token, desired, mapping, tree, `self`, intent, maximum, policies
    }

    private let descriptor: String
    private let domain: SID?
    private let token: Token
    private let desired: UInt32
    private let mapping: GenericMapping
    private let tree: ObjectTree?
    private let context: AccessContext

    init(from decoder: any Decoder) throws {
        let fields = try decoder.fields(Key.self)
        descriptor = try fields.decode(String.self, forKey: .sd)
        domain = try fields.decodeIfPresent(BatchSID.self, forKey: .domain)?.sid
        token = try fields.decode(BatchToken.self, forKey: .token).token
        let maximum = try fields.decodeIfPresent(Bool.self, forKey: .maximum) ?? false
        let asked = try fields.decodeIfPresent(BatchMask.self, forKey: .desired)?.value
        guard asked != nil || maximum else { throw BatchError("the field \"desired\" is missing") }
        desired = (asked ?? 0) | (maximum ? StandardRights.maximumAllowed : 0)
        mapping = try fields.decodeIfPresent(BatchMapping.self, forKey: .mapping)?.mapping ?? FileKind.genericMapping
        tree = try fields.decodeIfPresent([BatchNode].self, forKey: .tree).map { nodes in
            guard let tree = ObjectTree(nodes.map(\.node)) else {
                throw BatchError(
                    "tree: the first node, and only it, has level 0, each other is at most one level below the one"
                        + " before it, none below level 4, and no GUID comes twice")
            }
            return tree
        }
        context = AccessContext(
            intent: try Self.intent(fields.decodeIfPresent(BatchList<String>.self, forKey: .intent)),
            principalSelf: try fields.decodeIfPresent(BatchSID.self, forKey: .`self`)?.sid,
            policies: try (fields.decodeIfPresent([BatchPolicy].self, forKey: .policies) ?? []).map {
                [domain] policy in try policy.policy(domain)
            })
    }

    private static func intent(_ words: BatchList<String>?) throws -> AccessIntent {
        try (words?.elements ?? []).reduce(into: []) { intent, word in
            switch word {
            case "backup": intent.insert(.backup)
            case "restore": intent.insert(.restore)
            default: throw BatchError("intent: \"backup\" or \"restore\"")
            }
        }
    }

    func answer() throws -> BatchAnswer {
        let bytes = try bytes()
        let desired = AccessMask<RuntimeKind>(rawValue: desired)
        guard let tree else {
            return BatchAnswer(
                try AccessCheck.decide(
                    bytes.span.bytes, token: token, desired: desired, mapping: mapping, context: context))
        }
        return BatchAnswer(
            each: try AccessCheck.decideEach(
                bytes.span.bytes, token: token, desired: desired, mapping: mapping, tree: tree, context: context))
    }

    /// The descriptor as it is checked; in hexadecimal it goes there as it stands.
    private func bytes() throws -> [UInt8] {
        if let bytes = Hex.bytes(descriptor) { return bytes }
        do {
            return try SecurityDescriptor(sddl: descriptor, domain: domain).bytes
        } catch { throw BatchError("sd: \(error)") }
    }
}

/// What generic rights stand for: the name of a kind of object, or four masks.
struct BatchMapping: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case read, write, execute, all }

    let mapping: GenericMapping

    init(from decoder: any Decoder) throws {
        if let name = try? decoder.singleValueContainer().decode(String.self) {
            guard let kind = Self.kinds[name] else {
                throw BatchError("mapping: one of \(Self.kinds.keys.sorted().joined(separator: ", ")), or four masks")
            }
            mapping = kind
            return
        }
        let fields = try decoder.fields(Key.self)
        mapping = GenericMapping(
            read: try fields.decode(BatchNumber.self, forKey: .read).value,
            write: try fields.decode(BatchNumber.self, forKey: .write).value,
            execute: try fields.decode(BatchNumber.self, forKey: .execute).value,
            all: try fields.decode(BatchNumber.self, forKey: .all).value)
    }

    private static let kinds: [String: GenericMapping] = [
        "file": FileKind.genericMapping, "key": RegistryKeyKind.genericMapping, "pipe": PipeKind.genericMapping,
        "token": TokenKind.genericMapping, "process": ProcessKind.genericMapping,
        "thread": ThreadKind.genericMapping, "directory": DirectoryObjectKind.genericMapping,
    ]
}

/// A node of an object tree.
struct BatchNode: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case level, guid }

    let node: ObjectTree.Node

    init(from decoder: any Decoder) throws {
        let fields = try decoder.fields(Key.self)
        guard let type = GUID(try fields.decode(String.self, forKey: .guid)) else {
            throw BatchError("tree: not a GUID")
        }
        node = ObjectTree.Node(level: try fields.decode(Int.self, forKey: .level), type: type)
    }
}

/// A central access policy.
struct BatchPolicy: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case id, rules }

    private struct Rule: Decodable {
        private enum Key: String, CodingKey, CaseIterable { case name, appliesTo, dacl, staged }

        let name: String
        let appliesTo: String?
        let dacl: String
        let staged: String?

        init(from decoder: any Decoder) throws {
            let fields = try decoder.fields(Key.self)
            name = try fields.decodeIfPresent(String.self, forKey: .name) ?? ""
            appliesTo = try fields.decodeIfPresent(String.self, forKey: .appliesTo)
            dacl = try fields.decode(String.self, forKey: .dacl)
            staged = try fields.decodeIfPresent(String.self, forKey: .staged)
        }
    }

    private let id: SID
    private let rules: [Rule]

    init(from decoder: any Decoder) throws {
        let fields = try decoder.fields(Key.self)
        id = try fields.decode(BatchSID.self, forKey: .id).sid
        rules = try fields.decode([Rule].self, forKey: .rules)
    }

    func policy(_ domain: SID?) throws -> CentralPolicy {
        CentralPolicy(
            id: id,
            rules: try rules.map { rule in
                do {
                    return CentralPolicy.Rule(
                        name: rule.name, appliesTo: try rule.appliesTo.map { try Condition(sddl: $0, domain: domain) },
                        dacl: try Self.list(rule.dacl, domain), stagedDACL: try rule.staged.map { try Self.list($0, domain) })
                } catch { throw BatchError("policies: the rule \"\(rule.name)\": \(error)") }
            })
    }

    private static func list(_ sddl: String, _ domain: SID?) throws -> ACL {
        guard let acl = try SecurityDescriptor(sddl: sddl, domain: domain).dacl.acl else {
            throw BatchError("a rule needs D: with a list")
        }
        return acl
    }
}
