extension SID {
    /// `S-1-0-0`: no one.
    public static let null = SID(uncheckedAuthority: 0, [0])
    /// `S-1-1-0`: every user, except Anonymous unless the machine says otherwise.
    public static let everyone = SID(uncheckedAuthority: 1, [0])
    /// `S-1-2-0`: users logged on at a terminal of this machine.
    public static let local = SID(uncheckedAuthority: 2, [0])
    /// `S-1-2-1`: users logged on at the physical console.
    public static let consoleLogon = SID(uncheckedAuthority: 2, [1])
    /// `S-1-3-0`: replaced by the owner of the new object when an ACE is inherited.
    public static let creatorOwner = SID(uncheckedAuthority: 3, [0])
    /// `S-1-3-1`: replaced by the primary group of the new object when an ACE is inherited.
    public static let creatorGroup = SID(uncheckedAuthority: 3, [1])
    /// `S-1-3-2`: replaced by the owner of the service that creates the object for a client.
    public static let creatorOwnerServer = SID(uncheckedAuthority: 3, [2])
    /// `S-1-3-3`: replaced by the group of the service that creates the object for a client.
    public static let creatorGroupServer = SID(uncheckedAuthority: 3, [3])
    /// `S-1-3-4`: the current owner; an ACE for it replaces the owner's implicit rights.
    public static let ownerRights = SID(uncheckedAuthority: 3, [4])
    /// `S-1-5-1`: logged on by dial-up.
    public static let dialup = SID(uncheckedAuthority: 5, [1])
    /// `S-1-5-2`: logged on over the network.
    public static let network = SID(uncheckedAuthority: 5, [2])
    /// `S-1-5-3`: logged on as a batch job.
    public static let batch = SID(uncheckedAuthority: 5, [3])
    /// `S-1-5-4`: logged on interactively.
    public static let interactive = SID(uncheckedAuthority: 5, [4])
    /// `S-1-5-6`: logged on as a service.
    public static let service = SID(uncheckedAuthority: 5, [6])
    /// `S-1-5-7`: a client that did not say who it is.
    public static let anonymous = SID(uncheckedAuthority: 5, [7])
    /// `S-1-5-8`: a proxy.
    public static let proxy = SID(uncheckedAuthority: 5, [8])
    /// `S-1-5-9`: the domain controllers of the forest.
    public static let enterpriseDomainControllers = SID(uncheckedAuthority: 5, [9])
    /// `S-1-5-10`: the object itself, where the object is a principal.
    public static let principalSelf = SID(uncheckedAuthority: 5, [10])
    /// `S-1-5-11`: every user whose identity was proved, except guests.
    public static let authenticatedUsers = SID(uncheckedAuthority: 5, [11])
    /// `S-1-5-12`: the SID that restricted code carries in its restricting list.
    public static let restrictedCode = SID(uncheckedAuthority: 5, [12])
    /// `S-1-5-13`: users of a terminal server.
    public static let terminalServerUsers = SID(uncheckedAuthority: 5, [13])
    /// `S-1-5-14`: users logged on by a remote desktop.
    public static let remoteInteractive = SID(uncheckedAuthority: 5, [14])
    /// `S-1-5-15`: users of this organization.
    public static let thisOrganization = SID(uncheckedAuthority: 5, [15])
    /// `S-1-5-18`: the system itself.
    public static let system = SID(uncheckedAuthority: 5, [18])
    /// `S-1-5-19`: the account of services that need little and no network identity.
    public static let localService = SID(uncheckedAuthority: 5, [19])
    /// `S-1-5-20`: the account of services that act as the machine on the network.
    public static let networkService = SID(uncheckedAuthority: 5, [20])
    /// `S-1-5-33`: the SID that write-restricted code carries in its restricting list.
    public static let writeRestrictedCode = SID(uncheckedAuthority: 5, [33])
    /// `S-1-5-32`: the domain of the built-in groups.
    public static let builtin = SID(uncheckedAuthority: 5, [32])
    /// `S-1-5-32-544`: Administrators.
    public static let administrators = builtinGroup(544)
    /// `S-1-5-32-545`: Users.
    public static let users = builtinGroup(545)
    /// `S-1-5-32-546`: Guests.
    public static let guests = builtinGroup(546)
    /// `S-1-5-32-547`: Power Users.
    public static let powerUsers = builtinGroup(547)
    /// `S-1-5-32-551`: Backup Operators.
    public static let backupOperators = builtinGroup(551)
    /// `S-1-5-80-0`: every service started by name.
    public static let allServices = SID(uncheckedAuthority: 5, [80, 0])
    /// `S-1-5-113`: local accounts.
    public static let localAccount = SID(uncheckedAuthority: 5, [113])
    /// `S-1-5-114`: local accounts that are members of Administrators.
    public static let localAdministratorAccount = SID(uncheckedAuthority: 5, [114])
    /// `S-1-15-2-1`: every app container.
    public static let allApplicationPackages = SID(uncheckedAuthority: 15, [2, 1])
    /// `S-1-15-2-2`: every app container, the low-privileged ones included.
    public static let allRestrictedApplicationPackages = SID(uncheckedAuthority: 15, [2, 2])

    /// `S-1-5-32-rid`: a built-in group.
    public static func builtinGroup(_ rid: UInt32) -> SID { SID(uncheckedAuthority: 5, [32, rid]) }

    /// `S-1-22-1-uid`: a Unix user that has no account of its own (as in Samba).
    public static func unixUser(_ uid: UInt32) -> SID { SID(uncheckedAuthority: 22, [1, uid]) }

    /// `S-1-22-2-gid`: a Unix group that has no account of its own (as in Samba).
    public static func unixGroup(_ gid: UInt32) -> SID { SID(uncheckedAuthority: 22, [2, gid]) }

    /// `S-1-5-5-hi-lo`: the logon SID of the session with this number.
    public static func logonSession(_ id: UInt64) -> SID {
        SID(uncheckedAuthority: 5, [5, UInt32(truncatingIfNeeded: id >> 32), UInt32(truncatingIfNeeded: id)])
    }

    /// `S-1-5-80-a-b-c-d-e`: the service called `name`, as `NT SERVICE\name`.
    ///
    /// The five numbers are the little-endian words of the SHA-1 of the upper-cased name in UTF-16LE.
    public static func service(named name: String) -> SID {
        var utf16: [UInt8] = []
        for unit in name.uppercased().utf16 { utf16.appendLittleEndian(unit) }
        let digest = SHA1.digest(utf16)
        let words = stride(from: 0, to: 20, by: 4).map { start in
            digest[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        return SID(uncheckedAuthority: 5, [80] + words)
    }

    /// `S-1-16-level`: the SID by which a label or a token states an integrity level.
    public static func mandatoryLabel(_ level: IntegrityLevel) -> SID {
        SID(uncheckedAuthority: 16, [level.rawValue])
    }
}
