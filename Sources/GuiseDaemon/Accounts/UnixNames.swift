import Glibc

/// The machine's own users and groups, by the name service switch. May block: never called while deciding.
enum UnixNames {
    /// The name service could not be asked: whether there is such a user or group is not known.
    struct Unavailable: Error, Equatable {
        let errno: Int32
    }

    /// A user as the name service has him, by one of his names: others of the same uid have groups of their own.
    struct Login {
        let name: String
        let uid: UInt32
        let gid: UInt32

        fileprivate init(_ entry: passwd) {
            (name, uid, gid) = (String(cString: entry.pw_name), entry.pw_uid, entry.pw_gid)
        }
    }

    static func login(named name: String) throws(Unavailable) -> Login? {
        try lookUp { (entry: inout passwd, buffer, size, found) in
            getpwnam_r(name, &entry, buffer, size, &found)
        } read: {
            Login($0)
        }
    }

    /// The first of that uid.
    static func login(of uid: UInt32) throws(Unavailable) -> Login? {
        try lookUp { (entry: inout passwd, buffer, size, found) in
            getpwuid_r(uid, &entry, buffer, size, &found)
        } read: {
            Login($0)
        }
    }

    /// What a process gets at login: the user, his primary group, and the others.
    static func credentials(of login: Login) throws(Unavailable) -> UnixCredentials {
        // No process has more than the most (NGROUPS_MAX), and hardly any more than the least.
        for most in [256, 65_536] {
            var groups = [gid_t](repeating: 0, count: most)
            var count = Int32(groups.count)
            guard getgrouplist(login.name, login.gid, &groups, &count) >= 0 else { continue }
            return UnixCredentials(
                uid: login.uid, gid: login.gid, groups: groups.prefix(Int(count)).filter { $0 != login.gid })
        }
        throw Unavailable(errno: ERANGE)
    }

    static func user(_ uid: UInt32) -> String? { (try? login(of: uid))?.name }

    static func group(_ gid: UInt32) -> String? {
        try? lookUp { (entry: inout Glibc.group, buffer, size, found) in
            getgrgid_r(gid, &entry, buffer, size, &found)
        } read: {
            String(cString: $0.gr_name)
        }
    }

    static func userID(named name: String) -> UInt32? { (try? login(named: name))?.uid }

    static func groupID(named name: String) -> UInt32? {
        try? lookUp { (entry: inout Glibc.group, buffer, size, found) in
            getgrnam_r(name, &entry, buffer, size, &found)
        } read: {
            $0.gr_gid
        }
    }

    /// Calls one of the reentrant functions with a buffer that grows until the entry fits.
    ///
    /// - Returns: `nil` for what is not there, which getpwnam(3) says in these ways.
    static func lookUp<Entry: BitwiseCopyable, Value>(
        _ call: (inout Entry, UnsafeMutablePointer<CChar>, Int, inout UnsafeMutablePointer<Entry>?) -> Int32,
        read: (Entry) -> Value
    ) throws(Unavailable) -> Value? {
        var size = 1024
        while size <= 1 << 20 {
            let outcome: (error: Int32, value: Value?) = withUnsafeTemporaryAllocation(
                of: CChar.self, capacity: size
            ) { buffer in
                withUnsafeTemporaryAllocation(of: Entry.self, capacity: 1) { entry in
                    guard let start = buffer.baseAddress, let slot = entry.baseAddress else {
                        return (EINVAL, nil)
                    }
                    memset(slot, 0, MemoryLayout<Entry>.size)
                    var found: UnsafeMutablePointer<Entry>?
                    let error = call(&slot.pointee, start, size, &found)
                    return (error, found.map { read($0.pointee) })
                }
            }
            switch outcome.error {
            case 0: return outcome.value
            case ENOENT, ESRCH, EBADF, EPERM: return nil
            case ERANGE: size *= 4
            default: throw Unavailable(errno: outcome.error)
            }
        }
        throw Unavailable(errno: ERANGE)
    }
}
