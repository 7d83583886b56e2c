import Glibc

/// The machine's own users and groups, by the name service switch. May block: never called while deciding.
enum UnixNames {
    /// The name service could not be asked: whether there is such a user or group is not known.
    struct Unavailable: Error, Equatable {
        let errno: Int32
    }

    static func user(_ uid: UInt32) -> String? {
        try? lookUp { (entry: inout passwd, buffer, size, found) in
            getpwuid_r(uid, &entry, buffer, size, &found)
        } read: {
            String(cString: $0.pw_name)
        }
    }

    static func group(_ gid: UInt32) -> String? {
        try? lookUp { (entry: inout Glibc.group, buffer, size, found) in
            getgrgid_r(gid, &entry, buffer, size, &found)
        } read: {
            String(cString: $0.gr_name)
        }
    }

    static func userID(named name: String) -> UInt32? {
        try? lookUp { (entry: inout passwd, buffer, size, found) in
            getpwnam_r(name, &entry, buffer, size, &found)
        } read: {
            $0.pw_uid
        }
    }

    static func groupID(named name: String) -> UInt32? {
        try? lookUp { (entry: inout Glibc.group, buffer, size, found) in
            getgrnam_r(name, &entry, buffer, size, &found)
        } read: {
            $0.gr_gid
        }
    }

    /// The groups that a user gets at login: the primary one first, and then the others. `nil`: there is no such user.
    static func logonGroups(
        ofUser uid: UInt32
    ) throws(Unavailable) -> (primary: UInt32, others: [UInt32])? {
        let entry = try lookUp { (entry: inout passwd, buffer, size, found) in
            getpwuid_r(uid, &entry, buffer, size, &found)
        } read: {
            (name: String(cString: $0.pw_name), group: $0.pw_gid)
        }
        guard let entry else { return nil }
        // No process has more (NGROUPS_MAX).
        var groups = [gid_t](repeating: 0, count: 65_536)
        var count = Int32(groups.count)
        guard getgrouplist(entry.name, entry.group, &groups, &count) >= 0 else {
            throw Unavailable(errno: ERANGE)
        }
        return (entry.group, groups.prefix(Int(count)).filter { $0 != entry.group })
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
