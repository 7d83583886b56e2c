import CGuise
import Glibc

/// The security descriptors of objects that were judged lately. What an object carries cannot change without the time
/// of its last change of status (ctime), which nobody can set: an object found with the same one carries the same.
///
/// Holds only where that is so: for file systems of this machine that keep the time themselves, and for objects that
/// have been left alone for longer than the coarsest of clocks takes to tick.
struct KnownDescriptors {
    private struct Version: Equatable {
        /// Not the device, whose number another file system may get later.
        let mount: UInt64
        let inode: UInt64
        let seconds: Int64
        let nanoseconds: UInt32

        init(_ status: statx) {
            mount = withUnsafePointer(to: status, guise_stat_mount)
            inode = status.stx_ino
            seconds = status.stx_ctime.tv_sec
            nanoseconds = status.stx_ctime.tv_nsec
        }
    }

    private struct Known {
        let version: Version
        /// nil: the object carries none.
        let bytes: [UInt8]?
    }

    private static let count = 256
    /// Objects with longer ones are asked each time.
    private static let longest = 1024
    /// In nanoseconds. File systems take the time at ticks, of 10 ms at most.
    private static let leftAlone: Int64 = 100_000_000

    private var known = [Known?](repeating: nil, count: count)
    /// Whether a mount is of a file system of this machine, as found out.
    private var mounts: [UInt64: Bool] = [:]

    /// As ``StoredDescriptor/read(of:isPath:_:)`` for an open object whose status was just read.
    mutating func read<Result>(
        of object: Int32, _ status: statx, isPath: Bool, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Swift.Result<Result, StoredDescriptor.Failure> {
        let version = Version(status)
        let place = Int(truncatingIfNeeded: version.inode % UInt64(Self.count))
        if let found = known[place], found.version == version {
            guard let bytes = found.bytes else { return .failure(StoredDescriptor.Failure(errno: ENODATA)) }
            return .success(bytes.withUnsafeBytes(body))
        }
        let mayKeep = isLeftAlone(version) && isOfThisMachine(object, version.mount)
        var kept: [UInt8]?
        let result = StoredDescriptor.read(of: object, isPath: isPath) { bytes in
            if mayKeep { kept = Array(bytes) }
            return body(bytes)
        }
        switch result {
        case .success where mayKeep && kept!.count <= Self.longest:
            known[place] = Known(version: version, bytes: kept)
        case .failure(let failure) where mayKeep && failure.errno == ENODATA:
            known[place] = Known(version: version, bytes: nil)
        default:
            break
        }
        return result
    }

    private func isLeftAlone(_ version: Version) -> Bool {
        var now = timespec()
        guard clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 else { return false }
        let age = (Int64(now.tv_sec) - version.seconds, Int64(now.tv_nsec) - Int64(version.nanoseconds))
        // What was changed long ago, or has a time to come, is not counted in nanoseconds.
        guard (0...1_000_000).contains(age.0) else { return age.0 > 0 }
        return age.0 * 1_000_000_000 + age.1 > Self.leftAlone
    }

    /// Whether an open object lies in a file system of this machine that keeps the time itself and answers at once.
    mutating func isOfThisMachine(_ located: Located) -> Bool {
        isOfThisMachine(located.number, withUnsafePointer(to: located.status, guise_stat_mount))
    }

    private mutating func isOfThisMachine(_ object: Int32, _ mount: UInt64) -> Bool {
        guard mount != 0 else { return false }
        if let known = mounts[mount] { return known }
        if mounts.count >= Self.count { mounts = [:] }
        let isOfThisMachine = guise_is_of_this_machine(object)
        mounts[mount] = isOfThisMachine
        return isOfThisMachine
    }
}
