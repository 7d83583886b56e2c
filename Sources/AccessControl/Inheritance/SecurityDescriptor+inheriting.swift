/// Why a new object's descriptor could not be made.
public enum InheritanceError: Error, Hashable, Sendable {
    /// The creator asked for an owner that its token may not assign.
    case ownerNotAllowed(SID)
    /// The creator asked for audit entries without holding `SeSecurityPrivilege`.
    case auditNotAllowed
    /// The creator asked for a label above its own integrity without holding `SeRelabelPrivilege`.
    case labelNotAllowed(IntegrityLevel)
    /// A list would be over 65,535 bytes.
    case descriptor(DescriptorError)
}

/// How a new object's descriptor is made from its parent's and its creator's wishes.
public struct InheritanceOptions: Sendable {
    /// Mark what is inherited, merge it with the creator's entries, and so allow re-propagation later.
    public var autoInherit = true
    /// Check that the creator may assign the owner, audit entries and label it asks for.
    public var checksCreator = true
    /// The class of the new object and those it contains, for INHERITED_OBJECT_TYPE.
    public var objectTypes: [GUID] = []
    /// The service that makes the object for a client: what CREATOR OWNER SERVER stands for.
    public var server: Token?

    /// Makes the usual options.
    public init() {}
}

extension SecurityDescriptor {
    /// The descriptor of a new object (`CreatePrivateObjectSecurityEx`, MS-DTYP 2.5.3.4).
    ///
    /// The owner is the creator's wish, else the token's default owner. Each list is the creator's wish, merged
    /// with what the parent passes on unless the wish is protected; without a wish, what the parent passes
    /// on; and if that is nothing, the token's default DACL (the owner and SYSTEM, if it has none either).
    ///
    /// - Parameters:
    ///   - parent: the descriptor of the container; `nil` for the root of a tree.
    ///   - creator: what the creator asks for; its default bits make a list a fallback only.
    ///   - isContainer: whether the new object can have children.
    ///   - token: the creator's token.
    ///   - mapping: what generic rights stand for on the new object.
    /// - Throws: if the creator may not ask for that, or a list grows too large.
    public static func inheriting(
        parent: SecurityDescriptor?, creator: SecurityDescriptor? = nil, isContainer: Bool, token: Token,
        mapping: GenericMapping = FileKind.genericMapping, options: InheritanceOptions = InheritanceOptions()
    ) throws(InheritanceError) -> SecurityDescriptor {
        if options.checksCreator, let creator { try check(creator, token) }
        let owner = creator?.owner ?? token.defaultOwner
        let group = creator?.group ?? token.defaultGroup
        let heir = Heir(
            isContainer: isContainer, objectTypes: options.objectTypes, owner: owner, group: group,
            serverOwner: options.server?.defaultOwner, serverGroup: options.server?.defaultGroup,
            mapping: mapping)
        let dacl = try compose(
            Wish(creator, \.dacl, defaulted: .daclDefaulted, protected: .daclProtected),
            parent: parent?.dacl ?? .absent, heir, options)
        let sacl = try compose(
            Wish(creator, \.sacl, defaulted: .saclDefaulted, protected: .saclProtected),
            parent: parent?.sacl ?? .absent, heir, options)

        var child = SecurityDescriptor(owner: owner, group: group, dacl: dacl.list, sacl: sacl.list)
        if dacl.list == .absent {
            child.dacl = .present(try settled(token.defaultDACL ?? fallback(owner: owner), heir))
            child.control.insert(.daclDefaulted)
        }
        if dacl.isInherited { child.control.insert(.daclAutoInherited) }
        if sacl.isInherited { child.control.insert(.saclAutoInherited) }
        if let creator {
            child.control.formUnion(creator.control.intersection([.daclProtected, .saclProtected]))
        }
        try child.addLabel(for: token)
        return child
    }

    /// A list as the creator asks for it.
    private struct Wish {
        var list: List = .absent
        var isDefault = false
        var isProtected = false

        init(
            _ creator: SecurityDescriptor?, _ part: KeyPath<SecurityDescriptor, List>, defaulted: Control,
            protected: Control
        ) {
            guard let creator else { return }
            list = creator[keyPath: part]
            isDefault = creator.control.contains(defaulted)
            isProtected = creator.control.contains(protected)
        }
    }

    private static func compose(
        _ wish: Wish, parent: List, _ heir: Heir, _ options: InheritanceOptions
    ) throws(InheritanceError) -> (list: List, isInherited: Bool) {
        let inherited = wish.isProtected ? [] : heir.inherited(from: parent, mark: options.autoInherit)
        let marks = options.autoInherit && !wish.isProtected
        switch wish.list {
        case .null where !wish.isDefault: return (.null, false)
        case .present(let acl) where !wish.isDefault || inherited.isEmpty:
            var own = acl.aces
            if marks { own.removeAll { $0.flags.contains(.inherited) } }
            own = own.flatMap { heir.settled($0) }
            if marks, !wish.isDefault { own += inherited }
            return (.present(try list(own, like: acl)), marks)
        default:
            guard !inherited.isEmpty else { return (.absent, false) }
            return (.present(try list(inherited, like: parent.acl ?? .empty)), options.autoInherit)
        }
    }

    private static func settled(_ acl: ACL, _ heir: Heir) throws(InheritanceError) -> ACL {
        try list(acl.aces.flatMap { heir.settled($0) }, like: acl)
    }

    private static func list(_ aces: [ACE], like acl: ACL) throws(InheritanceError) -> ACL {
        do throws(DescriptorError) {
            return try acl.replacing(aces)
        } catch {
            throw .descriptor(error)
        }
    }

    /// What a new object gets that inherits nothing from a creator without a default DACL: never a null DACL.
    private static func fallback(owner: SID) -> ACL {
        (try? ACL([.allow(owner, 0x1000_0000), .allow(.system, 0x1000_0000)])) ?? .empty
    }

    private static func check(_ creator: SecurityDescriptor, _ token: Token) throws(InheritanceError) {
        if let owner = creator.owner, !token.canOwn(owner), !token.holds(.restore) {
            throw .ownerNotAllowed(owner)
        }
        let needsAudit = creator.sacl != .absent && creator.sacl.aces.contains { $0.type != .mandatoryLabel }
        if needsAudit || creator.sacl == .null, !token.holds(.security) { throw .auditNotAllowed }
        for ace in creator.sacl.aces where ace.type == .mandatoryLabel {
            guard let rid = ace.sid?.rid, rid > token.integrity.rawValue else { continue }
            if !token.holds(.relabel) { throw .labelNotAllowed(IntegrityLevel(rawValue: rid)) }
        }
    }

    /// What a creator below Medium makes is labelled as it is, or it could not write its own objects.
    private mutating func addLabel(for token: Token) throws(InheritanceError) {
        guard token.integrity < .medium, mandatoryLabel == nil else { return }
        let acl = sacl.acl ?? .empty
        sacl = .present(try Self.list(acl.aces + [.mandatoryLabel(token.integrity)], like: acl))
    }

    /// The descriptor of a child after this, its parent's, has changed: what the child had inherited is replaced
    /// by what it inherits now, after its explicit entries in their order. A protected or null list stays.
    ///
    /// - Throws: `DescriptorError.listTooLarge`.
    public func propagating(
        to child: SecurityDescriptor, isContainer: Bool, mapping: GenericMapping = FileKind.genericMapping,
        objectTypes: [GUID] = []
    ) throws(DescriptorError) -> SecurityDescriptor {
        let heir = Heir(
            isContainer: isContainer, objectTypes: objectTypes, owner: child.owner, group: child.group,
            serverOwner: nil, serverGroup: nil, mapping: mapping)
        var out = child
        if !child.control.contains(.daclProtected), case .present(let acl) = child.dacl {
            let explicit = acl.aces.filter { !$0.flags.contains(.inherited) }
            out.dacl = .present(try acl.replacing(explicit + heir.inherited(from: dacl, mark: true)))
            out.control.insert(.daclAutoInherited)
        }
        if !child.control.contains(.saclProtected) {
            let explicit = child.sacl.aces.filter { !$0.flags.contains(.inherited) }
            let inherited = heir.inherited(from: sacl, mark: true)
            if child.sacl.acl != nil || (child.sacl == .absent && !inherited.isEmpty) {
                out.sacl = .present(try (child.sacl.acl ?? .empty).replacing(explicit + inherited))
                out.control.insert(.saclAutoInherited)
            }
        }
        return out
    }
}
