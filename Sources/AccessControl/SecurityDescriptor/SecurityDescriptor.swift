/// Who owns an object, who may do what with it, and what is audited (MS-DTYP 2.4.6).
public struct SecurityDescriptor: Hashable, Sendable {
    /// The owner; an access check on a descriptor without one is an error.
    public var owner: SID?
    /// The primary group.
    public var group: SID?
    /// Who may do what.
    public var dacl: List
    /// What is audited, the mandatory label, resource attributes and policy ids.
    public var sacl: List
    /// The control bits, without the three that follow from the parts (present bits and self-relative).
    public var control: Control {
        didSet { control.subtract(.derived) }
    }
    /// The resource manager's private byte (`Sbz1`), meaningful if `control` holds `.resourceManagerControl`.
    public var resourceManagerControl: UInt8
    /// The order of the parts in the binary form that was read.
    var layout: Layout

    /// A list, or its absence. A DACL that is absent or null grants everything; an empty one grants nothing.
    public enum List: Hashable, Sendable {
        /// The descriptor does not speak of the list.
        case absent
        /// The list is present and null.
        case null
        /// The list, possibly empty.
        case present(ACL)

        /// The list if there is one.
        public var acl: ACL? { if case .present(let acl) = self { acl } else { nil } }
        /// The entries; none if the list is absent or null.
        public var aces: [ACE] { acl?.aces ?? [] }
    }

    /// The control bits (MS-DTYP 2.4.6).
    public struct Control: OptionSet, Hashable, Sendable {
        /// The 16 bits.
        public let rawValue: UInt16
        /// Makes control bits.
        @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// OD: the owner was set by default.
        public static let ownerDefaulted = Control(rawValue: 0x0001)
        /// GD: the group was set by default.
        public static let groupDefaulted = Control(rawValue: 0x0002)
        /// DP: there is a DACL, possibly null.
        public static let daclPresent = Control(rawValue: 0x0004)
        /// DD: the DACL was set by default.
        public static let daclDefaulted = Control(rawValue: 0x0008)
        /// SP: there is a SACL, possibly null.
        public static let saclPresent = Control(rawValue: 0x0010)
        /// SD: the SACL was set by default.
        public static let saclDefaulted = Control(rawValue: 0x0020)
        /// DT: a server made the descriptor; the DACL can be trusted.
        public static let daclTrusted = Control(rawValue: 0x0040)
        /// SS: CREATOR OWNER SERVER and CREATOR GROUP SERVER are to be replaced.
        public static let serverSecurity = Control(rawValue: 0x0080)
        /// DC: the DACL is to be propagated to children (a request).
        public static let daclAutoInheritRequired = Control(rawValue: 0x0100)
        /// SC: the SACL is to be propagated to children (a request).
        public static let saclAutoInheritRequired = Control(rawValue: 0x0200)
        /// DI: the DACL was made by automatic inheritance.
        public static let daclAutoInherited = Control(rawValue: 0x0400)
        /// SI: the SACL was made by automatic inheritance.
        public static let saclAutoInherited = Control(rawValue: 0x0800)
        /// PD: the DACL does not inherit.
        public static let daclProtected = Control(rawValue: 0x1000)
        /// PS: the SACL does not inherit.
        public static let saclProtected = Control(rawValue: 0x2000)
        /// RM: the resource manager's byte is meaningful.
        public static let resourceManagerControl = Control(rawValue: 0x4000)
        /// SR: the descriptor is self-relative.
        public static let selfRelative = Control(rawValue: 0x8000)

        /// The bits that follow from the parts and are set when the binary form is made.
        static let derived: Control = [.daclPresent, .saclPresent, .selfRelative]
    }

    /// Makes a descriptor from its parts.
    public init(
        owner: SID?, group: SID?, dacl: List, sacl: List = .absent, control: Control = [],
        resourceManagerControl: UInt8 = 0
    ) {
        (self.owner, self.group, self.dacl, self.sacl) = (owner, group, dacl, sacl)
        self.control = control.subtracting(.derived)
        self.resourceManagerControl = resourceManagerControl
        layout = .standard
    }

    /// The control bits of the binary form, those included that follow from the parts.
    public var wireControl: Control {
        var out = control.union(.selfRelative)
        if dacl != .absent { out.insert(.daclPresent) }
        if sacl != .absent { out.insert(.saclPresent) }
        return out
    }

    /// The integrity level and policy of the first mandatory label of the SACL; `nil` if there is none.
    public var mandatoryLabel: (level: IntegrityLevel, policy: MandatoryPolicy)? {
        for case let ace in sacl.aces where ace.type == .mandatoryLabel && !ace.flags.contains(.inheritOnly) {
            guard let entry = ace.entry, entry.sid.authority == 16, let rid = entry.sid.rid else { continue }
            return (IntegrityLevel(rawValue: rid), MandatoryPolicy(rawValue: entry.mask))
        }
        return nil
    }
}
