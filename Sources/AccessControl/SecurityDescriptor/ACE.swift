/// An access control entry: who may do what, who may not, what is audited, or how far to trust an object.
public struct ACE: Hashable, Sendable {
    /// The type; together with the body it says what the entry does.
    public let type: ACEType
    /// How the entry is inherited and audited.
    public var flags: ACEFlags
    /// What follows the header.
    public let body: Body

    /// The content of an entry.
    public enum Body: Hashable, Sendable {
        /// An entry of a type whose layout is known.
        case entry(Entry)
        /// The bytes of an entry whose type is not known, without the header.
        case opaque([UInt8])
    }

    /// The fields of an entry whose layout is known.
    public struct Entry: Hashable, Sendable {
        /// The rights meant; for a mandatory label the policy, for other kinds as the type says.
        public var mask: UInt32
        /// Whom the entry is about.
        public var sid: SID
        /// The GUIDs of an object entry; `nil` for the others.
        public var object: ObjectPart?
        /// What follows the SID: a condition, a resource attribute, or nothing; kept as it was read.
        public var applicationData: [UInt8]
    }

    /// What an object entry says about classes and properties.
    public struct ObjectPart: Hashable, Sendable {
        /// Flag bits other than the two that say which GUIDs are there, kept as they were read.
        var reservedFlags: UInt32
        /// The class, property or extended right that the entry is about; `nil` for the whole object.
        public var objectType: GUID?
        /// The class of children that inherit the entry; `nil` for every class.
        public var inheritedObjectType: GUID?

        /// Makes the object part of an entry.
        public init(objectType: GUID? = nil, inheritedObjectType: GUID? = nil) {
            self.init(reservedFlags: 0, objectType: objectType, inheritedObjectType: inheritedObjectType)
        }

        init(reservedFlags: UInt32, objectType: GUID?, inheritedObjectType: GUID?) {
            self.reservedFlags = reservedFlags
            self.objectType = objectType
            self.inheritedObjectType = inheritedObjectType
        }

        var wireFlags: UInt32 {
            reservedFlags & ~3 | (objectType == nil ? 0 : 1) | (inheritedObjectType == nil ? 0 : 2)
        }
    }

    /// Makes an entry of a type whose layout is known.
    ///
    /// - Parameter object: for object types only; such a type without it gets an empty one.
    /// - Returns: `nil` if the layout of `type` is not known, or GUIDs are given for a type that has none.
    public init?(
        type: ACEType, flags: ACEFlags = [], mask: UInt32, sid: SID, object: ObjectPart? = nil,
        applicationData: [UInt8] = []
    ) {
        switch type.layout {
        case .opaque: return nil
        case .basic: guard object == nil else { return nil }
        case .object: break
        }
        self.init(
            known: type, flags,
            Entry(
                mask: mask, sid: sid, object: type.layout == .object ? object ?? ObjectPart() : nil,
                applicationData: applicationData))
    }

    init(known type: ACEType, _ flags: ACEFlags, _ entry: Entry) {
        self.type = type
        self.flags = flags
        self.body = .entry(entry)
    }

    /// Makes an entry of a type whose layout is not known; `nil` if it is known or the body is over 65,527 bytes.
    public init?(unknownType type: ACEType, flags: ACEFlags = [], body: [UInt8]) {
        guard type.layout == .opaque, body.count <= ACL.maximumByteCount - 12 else { return nil }
        self.type = type
        self.flags = flags
        self.body = .opaque(body)
    }

    /// An entry that grants `mask` to `sid`.
    public static func allow(_ sid: SID, _ mask: UInt32, flags: ACEFlags = []) -> ACE {
        ACE(known: .allow, flags, Entry(mask: mask, sid: sid, object: nil, applicationData: []))
    }

    /// An entry that refuses `mask` to `sid`.
    public static func deny(_ sid: SID, _ mask: UInt32, flags: ACEFlags = []) -> ACE {
        ACE(known: .deny, flags, Entry(mask: mask, sid: sid, object: nil, applicationData: []))
    }

    /// An entry that grants `mask` to `sid`.
    public static func allow<Kind>(_ sid: SID, _ mask: AccessMask<Kind>, flags: ACEFlags = []) -> ACE {
        allow(sid, mask.rawValue, flags: flags)
    }

    /// An entry that refuses `mask` to `sid`.
    public static func deny<Kind>(_ sid: SID, _ mask: AccessMask<Kind>, flags: ACEFlags = []) -> ACE {
        deny(sid, mask.rawValue, flags: flags)
    }

    /// A mandatory label.
    public static func mandatoryLabel(
        _ level: IntegrityLevel, _ policy: MandatoryPolicy = .noWriteUp, flags: ACEFlags = []
    ) -> ACE {
        ACE(
            known: .mandatoryLabel, flags,
            Entry(mask: policy.rawValue, sid: .mandatoryLabel(level), object: nil, applicationData: []))
    }

    /// The fields; `nil` for a type whose layout is not known.
    public var entry: Entry? { if case .entry(let entry) = body { entry } else { nil } }
    /// Whom the entry is about; `nil` for a type whose layout is not known.
    public var sid: SID? { entry?.sid }
    /// The rights meant; 0 for a type whose layout is not known.
    public var mask: UInt32 { entry?.mask ?? 0 }

    /// This entry with its fields changed; the type stays. Entries of unknown layout are returned as they are.
    func with(flags: ACEFlags? = nil, sid: SID? = nil, mask: UInt32? = nil) -> ACE {
        var copy = self
        copy.flags = flags ?? self.flags
        guard var entry, sid != nil || mask != nil else { return copy }
        entry.sid = sid ?? entry.sid
        entry.mask = mask ?? entry.mask
        return ACE(known: type, copy.flags, entry)
    }
}

/// What a mandatory label keeps lower-trusted code from doing.
public struct MandatoryPolicy: OptionSet, Hashable, Sendable {
    /// The mask of the label's entry.
    public let rawValue: UInt32
    /// Makes a policy of these bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Code of lower integrity must not write.
    public static let noWriteUp = MandatoryPolicy(rawValue: 1)
    /// Code of lower integrity must not read.
    public static let noReadUp = MandatoryPolicy(rawValue: 2)
    /// Code of lower integrity must not execute.
    public static let noExecuteUp = MandatoryPolicy(rawValue: 4)
}
