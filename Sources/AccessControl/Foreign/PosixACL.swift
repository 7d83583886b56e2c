/// A POSIX access control list: what `ls -l` and `getfacl` show.
public struct PosixACL: Hashable, Sendable {
    /// Whom an entry is about.
    public enum Subject: Hashable, Sendable {
        /// The owner of the file.
        case owner
        /// A user by number.
        case user(UInt32)
        /// The group of the file.
        case group
        /// A group by number.
        case namedGroup(UInt32)
        /// The most that users and groups, but not the owner and others, can have.
        case mask
        /// Everybody else.
        case others
    }

    /// Reading 4, writing 2, executing or searching 1.
    public struct Permissions: OptionSet, Hashable, Sendable {
        /// The three bits.
        public let rawValue: UInt16
        /// Makes permissions of these bits.
        public init(rawValue: UInt16) { self.rawValue = rawValue & 7 }
        /// x: execute a file, search a directory.
        public static let execute = Permissions(rawValue: 1)
        /// w: write a file, make and remove entries of a directory.
        public static let write = Permissions(rawValue: 2)
        /// r: read a file, list a directory.
        public static let read = Permissions(rawValue: 4)
    }

    /// An entry.
    public struct Entry: Hashable, Sendable {
        /// Whom it is about.
        public var subject: Subject
        /// What they may do.
        public var permissions: Permissions
        /// Makes an entry.
        public init(_ subject: Subject, _ permissions: Permissions) {
            (self.subject, self.permissions) = (subject, permissions)
        }
    }

    /// The entries.
    public var entries: [Entry]

    /// The list that the nine permission bits of a mode stand for.
    public init(mode: UInt16) {
        entries = [
            Entry(.owner, Permissions(rawValue: mode >> 6)), Entry(.group, Permissions(rawValue: mode >> 3)),
            Entry(.others, Permissions(rawValue: mode)),
        ]
    }

    /// Reads the value of `system.posix_acl_access` or `system.posix_acl_default`.
    ///
    /// - Returns: `nil` if it is malformed, of another version than 2, or names something twice that can be there
    ///   only once.
    public init?(bytes: [UInt8]) {
        guard bytes.count >= 4, bytes.count % 8 == 4, bytes[0..<4] == [2, 0, 0, 0] else { return nil }
        entries = []
        for start in stride(from: 4, to: bytes.count, by: 8) {
            let (tag, permissions, id) = bytes.withUnsafeBytes {
                (
                    $0.load(UInt16.self, at: start), $0.load(UInt16.self, at: start + 2),
                    $0.load(UInt32.self, at: start + 4)
                )
            }
            let subject: Subject
            switch tag {
            case 0x01: subject = .owner
            case 0x02: subject = .user(id)
            case 0x04: subject = .group
            case 0x08: subject = .namedGroup(id)
            case 0x10: subject = .mask
            case 0x20: subject = .others
            default: return nil
            }
            guard permissions <= 7 else { return nil }
            entries.append(Entry(subject, Permissions(rawValue: permissions)))
        }
        guard Set(entries.map(\.subject)).count == entries.count else { return nil }
    }

    private var mask: Permissions {
        entries.first { $0.subject == .mask }?.permissions ?? Permissions(rawValue: 7)
    }

    /// What an entry gives once the mask is applied.
    func effective(_ entry: Entry) -> Permissions {
        switch entry.subject {
        case .owner, .others, .mask: entry.permissions
        case .user, .namedGroup: entry.permissions.intersection(mask)
        case .group: entry.permissions.intersection(mask)
        }
    }
}

extension SecurityDescriptor {
    /// The descriptor that says what a file's POSIX permissions say.
    ///
    /// Entries come in the order in which POSIX judges: owner, users, groups, others; each class is refused what it
    /// is not given, because POSIX never falls through from one class to the next. Two things differ: who is in two
    /// groups has what both give together (POSIX wants one that gives everything asked for at once), and the
    /// sticky bit keeps others from deleting at all.
    ///
    /// - Parameters:
    ///   - posix: what counts for the file itself.
    ///   - defaults: what new entries of the directory get; none for a file.
    ///   - owner: the SID of the file's owner.
    ///   - group: the SID of the file's group.
    ///   - isSticky: whether the sticky bit is set.
    ///   - user: the SID of a user by number.
    ///   - namedGroup: the SID of a group by number.
    /// - Throws: `DescriptorError.listTooLarge`.
    public init(
        posix: PosixACL, defaults: PosixACL? = nil, owner: SID, group: SID, isDirectory: Bool,
        isSticky: Bool = false,
        user: @escaping (UInt32) -> SID = SID.unixUser,
        namedGroup: @escaping (UInt32) -> SID = SID.unixGroup
    ) throws(DescriptorError) {
        let names = PosixNames(user: user, namedGroup: namedGroup)
        var aces = names.entries(posix, owner, group, isDirectory: isDirectory, isSticky: isSticky, flags: [])
        if let defaults, isDirectory {
            aces += names.entries(
                defaults, .creatorOwner, .creatorGroup, isDirectory: true, isSticky: false,
                flags: [.objectInherit, .containerInherit, .inheritOnly])
        }
        self.init(owner: owner, group: group, dacl: .present(try ACL(aces)), control: .daclProtected)
    }
}

/// How POSIX entries become entries of a DACL.
private struct PosixNames {
    let user: (UInt32) -> SID
    let namedGroup: (UInt32) -> SID

    func entries(
        _ acl: PosixACL, _ owner: SID, _ group: SID, isDirectory: Bool, isSticky: Bool, flags: ACEFlags
    ) -> [ACE] {
        var out: [ACE] = []
        var groupDenials: [ACE] = []
        let ordered = acl.entries.filter { $0.subject != .mask }.sorted {
            rank($0.subject) < rank($1.subject)
        }
        for entry in ordered {
            let permissions = acl.effective(entry)
            let isOwner = entry.subject == .owner
            var granted = rights(permissions, isDirectory: isDirectory)
            if isSticky, !isOwner { granted.remove(.deleteChild) }
            if isOwner { granted.formUnion([.writeAttributes, .writeDAC]) }
            // Everybody may ask for the attributes of what they can name.
            if entry.subject == .others { granted.formUnion([.readAttributes, .readControl, .synchronize]) }
            let refused = data.subtracting(granted)
            let sid = sid(of: entry.subject, owner, group)
            if !granted.isEmpty { out.append(.allow(sid, granted, flags: flags)) }
            guard !refused.isEmpty else { continue }
            switch entry.subject {
            case .owner, .user: out.append(.deny(sid, refused, flags: flags))
            // Each group may give what another one does not, so refusals come after all of them.
            case .group, .namedGroup: groupDenials.append(.deny(sid, refused, flags: flags))
            case .mask, .others: break
            }
        }
        let others = out.firstIndex { $0.sid == .everyone } ?? out.endIndex
        out.insert(contentsOf: groupDenials, at: others)
        return out
    }

    private func rank(_ subject: PosixACL.Subject) -> Int {
        switch subject {
        case .owner: 0
        case .user: 1
        case .group, .namedGroup: 2
        case .mask, .others: 3
        }
    }

    private func sid(of subject: PosixACL.Subject, _ owner: SID, _ group: SID) -> SID {
        switch subject {
        case .owner: owner
        case .user(let id): user(id)
        case .group: group
        case .namedGroup(let id): namedGroup(id)
        case .mask, .others: .everyone
        }
    }

    /// The rights that reading, writing and executing are about, and so are refused where they are not given.
    private let data: AccessMask<FileKind> = [.readData, .writeData, .appendData, .execute, .deleteChild]

    private func rights(_ permissions: PosixACL.Permissions, isDirectory: Bool) -> AccessMask<FileKind> {
        var out: AccessMask<FileKind> = []
        if permissions.contains(.read) { out.formUnion(.allRead) }
        if permissions.contains(.execute) { out.formUnion([.execute, .synchronize]) }
        // Changing a directory takes searching it too.
        if permissions.contains(.write), !isDirectory || permissions.contains(.execute) {
            out.formUnion([.writeData, .appendData, .writeEA, .synchronize])
            if isDirectory { out.insert(.deleteChild) }
        }
        return out
    }
}
