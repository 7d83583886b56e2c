import AccessControl
import CGuise
import Glibc

/// One call of the open family, whichever it was: open, openat, openat2 or creat.
struct OpenRequest {
    /// The directory that a relative path starts from, in the caller's table, or AT_FDCWD.
    var directory: Int32
    /// As openat2 takes them: no unknown bits, nothing beside O_PATH that O_PATH ignores.
    var flags: UInt64
    /// 0 unless something may be created.
    var mode: UInt64
    /// RESOLVE_*; 0 for all but openat2.
    var resolve: UInt64

    /// Takes the arguments of open, openat and creat, which forgive what openat2 does not.
    init(directory: Int32, flags: UInt64, mode: UInt64) {
        self.directory = directory
        var flags = flags & GUISE_O_KNOWN
        if flags & Flag.path != 0 {
            flags &= Flag.path | Flag.directory | Flag.noFollow | Flag.closeOnExec
        }
        self.flags = flags
        self.mode = flags & (Flag.create | Flag.temporary) != 0 ? mode & 0o7777 : 0
        resolve = 0
    }

    /// Takes the arguments of openat2.
    init(directory: Int32, how: open_how) {
        self.directory = directory
        flags = how.flags
        mode = how.mode
        resolve = how.resolve
    }

    enum Flag {
        static let accessMode = GUISE_O_ACCMODE
        static let writeOnly = GUISE_O_WRONLY
        static let readWrite = GUISE_O_RDWR
        static let create = GUISE_O_CREAT
        static let exclusive = GUISE_O_EXCL
        static let truncate = GUISE_O_TRUNC
        static let noControllingTerminal = GUISE_O_NOCTTY
        static let append = GUISE_O_APPEND
        static let nonBlocking = GUISE_O_NONBLOCK
        static let closeOnExec = GUISE_O_CLOEXEC
        static let path = GUISE_O_PATH
        static let directory = GUISE_O_DIRECTORY
        static let noFollow = GUISE_O_NOFOLLOW
        static let noAccessTime = GUISE_O_NOATIME
        static let temporary = GUISE_O_TMPFILE_BIT
    }

    func has(_ flag: UInt64) -> Bool { flags & flag != 0 }

    var reads: Bool { flags & Flag.accessMode != Flag.writeOnly }
    var writes: Bool {
        flags & Flag.accessMode == Flag.writeOnly || flags & Flag.accessMode == Flag.readWrite
    }
    /// Whether there may be a file afterwards that was not there before.
    var makesFile: Bool { has(Flag.create | Flag.temporary) && !has(Flag.path) }
    /// O_CREAT with O_EXCL follows no link, like O_NOFOLLOW.
    var followsLast: Bool {
        !has(Flag.noFollow) && !(has(Flag.create) && has(Flag.exclusive))
    }

    /// The rights that the object itself has to grant: semantics.md, "Files".
    ///
    /// Backup brings the right to pass through what it lists (MS-FSA 2.1.5.1.2.1), and restore that to look at what it
    /// writes: whoever has a descriptor may.
    func rights(onDirectory isDirectory: Bool, for intent: AccessIntent = []) -> AccessMask<FileKind> {
        var rights = rightsUndeclared(onDirectory: isDirectory)
        if isDirectory, intent.contains(.backup) { rights.subtract(.traverse) }
        if !isDirectory, intent.contains(.restore), writes { rights.subtract(.readAttributes) }
        return rights
    }

    private func rightsUndeclared(onDirectory isDirectory: Bool) -> AccessMask<FileKind> {
        if has(Flag.path) {
            return isDirectory ? [.readAttributes, .traverse] : [.readAttributes]
        }
        var rights: AccessMask<FileKind> = [.readAttributes]
        if isDirectory {
            rights.formUnion([.traverse, .listDirectory])
        } else {
            // Access mode 3 is neither reading nor writing, for ioctls on devices: it takes both.
            if reads { rights.insert(.readData) }
            if writes || flags & Flag.accessMode == 3 {
                rights.insert(has(Flag.append) ? .appendData : .writeData)
            }
            if has(Flag.truncate) { rights.insert(.writeData) }
        }
        if has(Flag.noAccessTime) { rights.insert(.writeAttributes) }
        return rights
    }
}

extension open_how {
    init(_ flags: UInt64, mode: UInt64 = 0, resolve: UInt64 = 0) {
        self.init()
        self.flags = flags
        self.mode = mode
        self.resolve = resolve
    }
}
