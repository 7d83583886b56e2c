/// A right of an account that is not tied to one object, with the number Windows gives it (its LUID). Those that Windows
/// does not know are numbered from 62 downwards, where it will not come soon.
public struct Privilege: RawRepresentable, Hashable, Sendable, CaseIterable {
    /// The LUID, 2 to 36 for the privileges of Windows that are known here, 62 for that of Guise's own.
    public let rawValue: UInt32

    /// The privilege with this LUID; `nil` if it is not one of the known ones.
    public init?(rawValue: UInt32) {
        guard (2...36).contains(rawValue) || rawValue == Self.bindPrivilegedPort.rawValue else { return nil }
        self.rawValue = rawValue
    }

    private init(known rawValue: UInt32) { self.rawValue = rawValue }

    /// The privilege with this Windows name, for instance `SeImpersonatePrivilege`; case does not matter.
    public init?(name: String) {
        let wanted = name.lowercased()
        guard let found = Self.allCases.first(where: { $0.name.lowercased() == wanted }) else { return nil }
        self = found
    }

    /// The Windows name, for instance `SeImpersonatePrivilege`.
    public var name: String {
        self == .bindPrivilegedPort
            ? "SeBindPrivilegedPortPrivilege" : "Se\(Self.stems[Int(rawValue) - 2])Privilege"
    }

    /// Every known privilege, in the order of the numbers.
    public static let allCases: [Privilege] = (2...36).map(Privilege.init(known:)) + [bindPrivilegedPort]

    /// `SeCreateTokenPrivilege` (2): make a token from nothing.
    public static let createToken = Privilege(known: 2)
    /// `SeAssignPrimaryTokenPrivilege` (3): give a process another primary token.
    public static let assignPrimaryToken = Privilege(known: 3)
    /// `SeLockMemoryPrivilege` (4): keep pages in memory.
    public static let lockMemory = Privilege(known: 4)
    /// `SeIncreaseQuotaPrivilege` (5): raise a process's limits.
    public static let increaseQuota = Privilege(known: 5)
    /// `SeMachineAccountPrivilege` (6): add machines to the domain.
    public static let machineAccount = Privilege(known: 6)
    /// `SeTcbPrivilege` (7): act as part of the operating system.
    public static let tcb = Privilege(known: 7)
    /// `SeSecurityPrivilege` (8): read and write SACLs, see the audit log.
    public static let security = Privilege(known: 8)
    /// `SeTakeOwnershipPrivilege` (9): become owner of any object.
    public static let takeOwnership = Privilege(known: 9)
    /// `SeLoadDriverPrivilege` (10): load kernel code.
    public static let loadDriver = Privilege(known: 10)
    /// `SeSystemProfilePrivilege` (11): profile the system.
    public static let systemProfile = Privilege(known: 11)
    /// `SeSystemtimePrivilege` (12): set the clock.
    public static let systemtime = Privilege(known: 12)
    /// `SeProfileSingleProcessPrivilege` (13): profile a process.
    public static let profileSingleProcess = Privilege(known: 13)
    /// `SeIncreaseBasePriorityPrivilege` (14): raise priorities.
    public static let increaseBasePriority = Privilege(known: 14)
    /// `SeCreatePagefilePrivilege` (15): make swap files.
    public static let createPagefile = Privilege(known: 15)
    /// `SeCreatePermanentPrivilege` (16): make permanent objects.
    public static let createPermanent = Privilege(known: 16)
    /// `SeBackupPrivilege` (17): read any object, when the intent is declared.
    public static let backup = Privilege(known: 17)
    /// `SeRestorePrivilege` (18): write any object and set any owner, when the intent is declared.
    public static let restore = Privilege(known: 18)
    /// `SeShutdownPrivilege` (19): shut the machine down.
    public static let shutdown = Privilege(known: 19)
    /// `SeDebugPrivilege` (20): open any process.
    public static let debug = Privilege(known: 20)
    /// `SeAuditPrivilege` (21): write audit records.
    public static let audit = Privilege(known: 21)
    /// `SeSystemEnvironmentPrivilege` (22): change firmware variables.
    public static let systemEnvironment = Privilege(known: 22)
    /// `SeChangeNotifyPrivilege` (23): pass through directories without TRAVERSE.
    public static let changeNotify = Privilege(known: 23)
    /// `SeRemoteShutdownPrivilege` (24): shut the machine down from another.
    public static let remoteShutdown = Privilege(known: 24)
    /// `SeUndockPrivilege` (25): undock a laptop.
    public static let undock = Privilege(known: 25)
    /// `SeSyncAgentPrivilege` (26): read all directory objects.
    public static let syncAgent = Privilege(known: 26)
    /// `SeEnableDelegationPrivilege` (27): mark accounts as trusted for delegation.
    public static let enableDelegation = Privilege(known: 27)
    /// `SeManageVolumePrivilege` (28): manage volumes.
    public static let manageVolume = Privilege(known: 28)
    /// `SeImpersonatePrivilege` (29): impersonate a client after authentication.
    public static let impersonate = Privilege(known: 29)
    /// `SeCreateGlobalPrivilege` (30): make objects visible to all sessions.
    public static let createGlobal = Privilege(known: 30)
    /// `SeTrustedCredManAccessPrivilege` (31): use the credential store as a trusted caller.
    public static let trustedCredManAccess = Privilege(known: 31)
    /// `SeRelabelPrivilege` (32): raise the label of an object.
    public static let relabel = Privilege(known: 32)
    /// `SeIncreaseWorkingSetPrivilege` (33): grow a process's working set.
    public static let increaseWorkingSet = Privilege(known: 33)
    /// `SeTimeZonePrivilege` (34): change the time zone.
    public static let timeZone = Privilege(known: 34)
    /// `SeCreateSymbolicLinkPrivilege` (35): make symbolic links.
    public static let createSymbolicLink = Privilege(known: 35)
    /// `SeDelegateSessionUserImpersonatePrivilege` (36): get the token of another user of the session.
    public static let delegateSessionUserImpersonate = Privilege(known: 36)

    /// `SeBindPrivilegedPortPrivilege` (62), Guise's own: bind sockets to ports that the kernel keeps for
    /// CAP_NET_BIND_SERVICE (capabilities(7)).
    public static let bindPrivilegedPort = Privilege(known: 62)

    private static let stems = [
        "CreateToken", "AssignPrimaryToken", "LockMemory", "IncreaseQuota", "MachineAccount", "Tcb",
        "Security", "TakeOwnership", "LoadDriver", "SystemProfile", "Systemtime", "ProfileSingleProcess",
        "IncreaseBasePriority", "CreatePagefile", "CreatePermanent", "Backup", "Restore", "Shutdown",
        "Debug", "Audit", "SystemEnvironment", "ChangeNotify", "RemoteShutdown", "Undock", "SyncAgent",
        "EnableDelegation", "ManageVolume", "Impersonate", "CreateGlobal", "TrustedCredManAccess",
        "Relabel", "IncreaseWorkingSet", "TimeZone", "CreateSymbolicLink", "DelegateSessionUserImpersonate",
    ]
}

extension Privilege: CustomStringConvertible {
    /// The Windows name.
    public var description: String { name }
}
