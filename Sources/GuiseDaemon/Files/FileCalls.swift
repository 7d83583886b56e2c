import AccessControl
import CGuise
import Glibc

/// What can be done with files besides opening them, as a caller: under a managed root by the object's
/// descriptor, elsewhere by the kernel with the caller's credentials. Belongs to one thread.
struct FileCalls {
    let opener: FileOpener
    let caller: Caller

    private var files: UnixFiles { opener.files }

    // MARK: Rights

    /// Throws unless the object grants the rights. In a Unix place an object without a descriptor of its own
    /// leaves the matter to the kernel.
    func require(_ rights: AccessMask<FileKind>, on located: Located) throws(FileError) {
        guard rights != [] else { return }
        let stored = opener.known.read(of: located.number, located.status, isPath: true) { bytes -> Bool? in
            try? opener.trail.isAllowed(
                bytes, rights, caller.token, for: caller.intent, object: located.number)
        }
        switch stored {
        case .success(true?): return
        case .failure(let failure)
        where !located.isManaged && StoredDescriptor.isNone(failure, of: located.status):
            return
        case .failure(let failure) where failure.errno == ENODATA:
            throw FileError(EACCES, rule: "the object carries no security descriptor; `sd set` gives it one")
        default: throw FileError(EACCES, rule: "the security descriptor does not grant \(rights)")
        }
    }

    /// Runs a system call as the caller. Its result, or the errno it set.
    private func asCaller(_ call: () -> Int32) throws(FileError) {
        guard let credentials = caller.credentials else {
            throw FileError(EACCES, rule: AuthorityUser.rule)
        }
        let result = UnixFiles.assuming(credentials) { call() == 0 ? 0 : -guise_errno() }
        guard result == 0 else { throw FileError(-result) }
    }

    func asAuthority(_ call: () -> Int32) throws(FileError) {
        guard call() == 0 else { throw FileError(guise_errno()) }
    }

    func run(_ located: Located, _ call: () -> Int32) throws(FileError) {
        if located.isManaged { try asAuthority(call) } else { try asCaller(call) }
    }

    /// The path by which calls that take no descriptor reach an object that is open with O_PATH.
    func path(of located: Located) -> String { "/proc/self/fd/\(located.number)" }

    // MARK: Looking

    /// stat and its family take READ_ATTRIBUTES.
    func checkStatus(of located: Located) throws(FileError) { try require(.readAttributes, on: located) }

    /// access(2), asked as the client.
    func checkAccess(to located: Located, mode: Int32) throws(FileError) {
        guard mode & ~7 == 0 else { throw FileError(EINVAL) }
        var rights: AccessMask<FileKind> = []
        if mode & R_OK != 0 { rights.insert(.readData) }
        if mode & W_OK != 0 { rights.insert(.writeData) }
        if mode & X_OK != 0 { rights.insert(.execute) }
        try require(rights, on: located)
        guard !located.isManaged else { return }
        try asCaller { guise_faccessat2(located.number, "", mode, GUISE_AT_EMPTY_PATH | GUISE_AT_EACCESS) }
    }

    /// chdir(2) and fchdir(2): TRAVERSE. Who backs up or restores passes through without.
    func checkEntry(to located: Located) throws(FileError) {
        guard located.status.isDirectory else { throw FileError(ENOTDIR) }
        if caller.intent.isEmpty { try require(.traverse, on: located) }
        guard !located.isManaged else { return }
        try asCaller { guise_faccessat2(located.number, "", X_OK, GUISE_AT_EMPTY_PATH | GUISE_AT_EACCESS) }
    }

    /// The content of a symbolic link.
    func content(ofLink located: Located) throws(FileError) -> [CChar] {
        guard located.status.isSymbolicLink else { throw FileError(EINVAL) }
        var target = [CChar](repeating: 0, count: 4097)
        let length = readlinkat(located.number, "", &target, target.count)
        guard length >= 0 else { throw FileError(guise_errno()) }
        return Array(target[..<length])
    }

    // MARK: Names

    /// unlink(2) and rmdir(2): DELETE on the object, or DELETE_CHILD on its directory.
    func remove(_ entry: LocatedEntry, isDirectory: Bool) throws(FileError) {
        let flags = isDirectory ? AT_REMOVEDIR : 0
        let maySo = !isDirectory && grantsRemovalByName(entry)
        guard entry.directory.isManaged else {
            if !maySo { try checkOwnDescriptor(of: entry, .delete) }
            return try asCaller { unlinkat(entry.directory.number, entry.name, flags) }
        }
        if !maySo { try requireRemoval(entry, isDirectory) }
        try asAuthority { unlinkat(entry.directory.number, entry.name, flags) }
        opener.roots.noteChange()
    }

    /// The usual case at half its cost: what a name stands for grants DELETE without further ado, or is outside managed
    /// roots and carries no descriptor. The object itself is not opened; whoever puts another one in its place now
    /// could as well do so later, when it is removed by its name. false: the object has to be looked at.
    private func grantsRemovalByName(_ entry: LocatedEntry) -> Bool {
        // Only the caller can tell what is in a file system of its own.
        guard !entry.endsInSlash, !isDots(entry.name), opener.known.isOfThisMachine(entry.directory) else {
            return false
        }
        let granted = StoredDescriptor.read(at: entry.directory.number, entry.name) { bytes in
            // What goes on record needs the object.
            !SecurityDescriptorView.hasSACL(bytes)
                && FileOpener.grant(bytes, .delete, caller)?.privilegesUsed.isEmpty == true
        }
        switch granted {
        case .success(let isGranted): return isGranted
        case .failure(let failure): return !entry.directory.isManaged && failure.errno == ENODATA
        }
    }

    private func requireRemoval(_ entry: LocatedEntry, _ isDirectory: Bool) throws(FileError) {
        let object = try present(entry)
        try requireRemoval(of: object, from: entry.directory)
        if entry.endsInSlash, !isDirectory { throw FileError(object.status.isDirectory ? EISDIR : ENOTDIR) }
    }

    private func requireRemoval(of object: Located, from directory: Located) throws(FileError) {
        do throws(FileError) {
            try require(.delete, on: object)
        } catch {
            try require(.deleteChild, on: directory)
            opener.trail.forgive()
        }
    }

    private func present(_ entry: LocatedEntry) throws(FileError) -> Located {
        guard !isDots(entry.name) else { throw FileError(EINVAL) }
        guard let object = try opener.child(entry, as: caller) else { throw FileError(ENOENT) }
        // A managed root is no file of the directory it is in.
        if object.isManaged, !entry.directory.isManaged { throw FileError(EBUSY) }
        return object
    }

    private func isDots(_ name: [CChar]) -> Bool { name == [0x2E, 0] || name == [0x2E, 0x2E, 0] }

    /// In a Unix place an object that carries a descriptor has to grant what the kernel is asked for.
    private func checkOwnDescriptor(of entry: LocatedEntry, _ rights: AccessMask<FileKind>) throws(FileError)
    {
        guard !isDots(entry.name), let object = try opener.child(entry, as: caller) else { return }
        if object.isManaged { throw FileError(EBUSY) }
        try require(rights, on: object)
    }

    /// mkdir(2): ADD_SUBDIRECTORY on the directory.
    func makeDirectory(_ entry: LocatedEntry, mode: UInt32) throws(FileError) {
        guard entry.directory.isManaged else {
            try require(.addSubdirectory, on: entry.directory)
            return try masked { () throws(FileError) in
                try asCaller { mkdirat(entry.directory.number, entry.name, mode_t(mode)) }
            }
        }
        if isDots(entry.name) { throw FileError(EEXIST) }
        try require(.addSubdirectory, on: entry.directory)
        let descriptor = try StoredDescriptor.inherited(
            from: entry.directory.number, isContainer: true, token: caller.token)
        try asAuthority { mkdirat(entry.directory.number, entry.name, 0o700) }
        try describe(entry, descriptor, isDirectory: true)
    }

    /// symlink(2): ADD_FILE on the directory; under a managed root SeCreateSymbolicLinkPrivilege as well.
    func makeLink(_ entry: LocatedEntry, to target: [CChar]) throws(FileError) {
        try require(.addFile, on: entry.directory)
        guard entry.directory.isManaged else {
            return try asCaller { symlinkat(target, entry.directory.number, entry.name) }
        }
        if isDots(entry.name) { throw FileError(EEXIST) }
        try StoredDescriptor.checkSupport(of: GUISE_S_IFLNK)
        // Held will do: CreateSymbolicLink enables it for the call, which symlink(2) has no way to.
        guard caller.token.privileges.present.contains(.createSymbolicLink) else {
            throw FileError(EPERM, rule: "the client does not hold SeCreateSymbolicLinkPrivilege")
        }
        opener.trail.use(.createSymbolicLink)
        let descriptor = try StoredDescriptor.inherited(
            from: entry.directory.number, isContainer: false, token: caller.token)
        try asAuthority { symlinkat(target, entry.directory.number, entry.name) }
        try describe(entry, descriptor, isDirectory: false)
    }

    /// mknod(2). Under a managed root only plain files and FIFOs are made.
    func makeNode(_ entry: LocatedEntry, mode: UInt32, device: UInt64) throws(FileError) {
        try require(.addFile, on: entry.directory)
        guard entry.directory.isManaged else {
            return try masked { () throws(FileError) in
                try asCaller { mknodat(entry.directory.number, entry.name, mode_t(mode), dev_t(device)) }
            }
        }
        let kind = mode & GUISE_S_IFMT
        guard kind == 0 || kind == GUISE_S_IFREG || kind == GUISE_S_IFIFO else { throw FileError(EPERM) }
        if kind == GUISE_S_IFIFO { try StoredDescriptor.checkSupport(of: kind) }
        if isDots(entry.name) { throw FileError(EEXIST) }
        let descriptor = try StoredDescriptor.inherited(
            from: entry.directory.number, isContainer: false, token: caller.token)
        try asAuthority { mknodat(entry.directory.number, entry.name, mode_t(kind | 0o600), 0) }
        try describe(entry, descriptor, isDirectory: false)
    }

    /// bind(2) of a Unix socket: ADD_FILE on the directory. The socket's own name becomes the last one of the path:
    /// the kernel keeps what it is told, and a path that others could change meanwhile must not be what it is told.
    func bind(_ socket: Int32, to entry: LocatedEntry) throws(FileError) {
        if isDots(entry.name) { throw FileError(EADDRINUSE) }
        guard !entry.endsInSlash else { throw FileError(ENOENT) }
        try require(.addFile, on: entry.directory)
        // The thread's working directory is its own, and nothing starts from it otherwise.
        guard fchdir(entry.directory.number) == 0 else { throw FileError(guise_errno()) }
        defer { _ = chdir("/") }
        guard entry.directory.isManaged else {
            return try masked { () throws(FileError) in
                try asCaller { bindHere(socket, entry.name) }
            }
        }
        try StoredDescriptor.checkSupport(of: GUISE_S_IFSOCK)
        let descriptor = try StoredDescriptor.inherited(
            from: entry.directory.number, isContainer: false, token: caller.token)
        umask(0o177)
        defer { umask(0) }
        try asAuthority { bindHere(socket, entry.name) }
        try describe(entry, descriptor, isDirectory: false)
    }

    /// As a system call.
    private func bindHere(_ socket: Int32, _ name: [CChar]) -> Int32 {
        let error = guise_unix_bind_here(socket, name)
        if error != 0 { errno = -error }
        return error == 0 ? 0 : -1
    }

    /// Runs `body` with the umask of the caller's process.
    private func masked(_ body: () throws(FileError) -> Void) throws(FileError) {
        umask(mode_t(caller.umask))
        defer { umask(0) }
        try body()
    }

    /// Gives what was just made its descriptor. Until it has one it opens for nobody.
    private func describe(
        _ entry: LocatedEntry, _ descriptor: SecurityDescriptor, isDirectory: Bool
    ) throws(FileError) {
        do throws(FileError) {
            guard let made = try opener.child(entry, as: caller) else { throw FileError(EIO) }
            let written = StoredDescriptor.write(descriptor.bytes, to: made.number, isNew: true)
            guard written == 0 else { throw FileError(-written) }
        } catch {
            // Something else was moved to the name meanwhile. It keeps what it carries, and what was made is gone.
            if error.errno == EEXIST { throw FileError(EIO) }
            _ = unlinkat(entry.directory.number, entry.name, isDirectory ? AT_REMOVEDIR : 0)
            throw error
        }
    }

    /// rename(2), all flags. What moves keeps its descriptor; between a managed root and anything else, or
    /// another root, it is EXDEV, and who copies instead gets the inherited one.
    func rename(_ old: LocatedEntry, to new: LocatedEntry, flags: UInt32) throws(FileError) {
        guard old.directory.root === new.directory.root else { throw FileError(EXDEV) }
        let exchanges = flags & UInt32(GUISE_RENAME_EXCHANGE) != 0
        guard old.directory.isManaged else {
            try checkOwnDescriptor(of: old, .delete)
            try checkOwnDescriptor(of: new, .delete)
            return try asCaller {
                guise_renameat2(old.directory.number, old.name, new.directory.number, new.name, flags)
            }
        }
        guard flags & ~UInt32(GUISE_RENAME_EXCHANGE | GUISE_RENAME_NOREPLACE) == 0 else {
            throw FileError(EINVAL)
        }
        let object = try present(old)
        try requireRemoval(of: object, from: old.directory)
        try require(object.status.isDirectory ? .addSubdirectory : .addFile, on: new.directory)
        guard !isDots(new.name) else { throw FileError(EBUSY) }
        if let there = try opener.child(new, as: caller) {
            try requireRemoval(of: there, from: new.directory)
            if exchanges {
                try require(there.status.isDirectory ? .addSubdirectory : .addFile, on: old.directory)
            }
        }
        try asAuthority {
            guise_renameat2(old.directory.number, old.name, new.directory.number, new.name, flags)
        }
        opener.roots.noteChange()
    }

    /// link(2): WRITE_ATTRIBUTES on the object, ADD_FILE on the directory. The object keeps its descriptor, so
    /// that another name gives nobody another right. Whoever made a file with O_TMPFILE gives it its first name with
    /// ADD_FILE alone, as if it had been made there.
    func link(_ object: Located, to new: LocatedEntry) throws(FileError) {
        guard object.root === new.directory.root else { throw FileError(EXDEV) }
        if !isOwnNameless(object) { try require(.writeAttributes, on: object) }
        try require(.addFile, on: new.directory)
        try run(object) {
            linkat(AT_FDCWD, path(of: object), new.directory.number, new.name, AT_SYMLINK_FOLLOW)
        }
    }

    /// Whether an object under a managed root has no name and is the caller's. One whose last name is gone gets no new one
    /// from the kernel.
    private func isOwnNameless(_ object: Located) -> Bool {
        guard object.isManaged, object.status.stx_nlink == 0,
            case .descriptor(let descriptor) = StoredDescriptor.reading(of: object.number)
        else { return false }
        return descriptor.owner == caller.token.defaultOwner
    }

    // MARK: Attributes

    /// inotify_add_watch(2): READ_DATA. Returns the watch.
    func watch(_ object: Located, _ instance: Int32, events: UInt32) throws(FileError) -> Int32 {
        try require(.readData, on: object)
        var number: Int32 = -1
        try run(object) {
            number = inotify_add_watch(instance, path(of: object), events & ~GUISE_IN_DONT_FOLLOW)
            return number < 0 ? -1 : 0
        }
        return number
    }

    /// chmod(2): WRITE_DAC. Under a managed root nothing of the mode counts but whether the file is a program.
    func setMode(of object: Located, _ mode: UInt32) throws(FileError) {
        try require(.writeDAC, on: object)
        guard object.isManaged else { return try asCaller { chmod(path(of: object), mode_t(mode)) } }
        guard object.status.isRegular else { return }
        try asAuthority { chmod(path(of: object), mode & 0o111 != 0 ? 0o700 : 0o600) }
    }

    /// chown(2): WRITE_OWNER. Under a managed root owner and group are the descriptor's: the caller makes itself the
    /// owner, and its own groups the group; who restores makes anybody either.
    func setOwner(
        of object: Located, uid: UInt32, gid: UInt32, _ directory: AccountDirectory
    ) throws(FileError) {
        try require(.writeOwner, on: object)
        guard object.isManaged else { return try asCaller { chown(path(of: object), uid, gid) } }
        let keeps = UInt32.max
        // Whoever copies a file names the owner that the file shows (FileManager, cp -p, tar): that is none to be set.
        let shown = caller.intent.contains(.restore) ? nil : object.status
        let uid = uid != caller.credentials?.uid && uid == shown?.stx_uid ? keeps : uid
        let gid = gid != caller.credentials?.gid && gid == shown?.stx_gid ? keeps : gid
        guard caller.intent.contains(.restore) || isOwn(uid: uid, gid: gid) else {
            throw FileError(
                EPERM,
                rule: "somebody else is made the owner with SeRestorePrivilege and the intent to restore only"
            )
        }
        let owner =
            uid == keeps
            ? nil : uid == caller.credentials?.uid ? caller.token.user : directory.sid(unixUser: uid)
        let group = gid == keeps ? nil : directory.sid(unixGroup: gid)
        guard owner != nil || group != nil else { return }
        let changes: StoredDescriptor.Changes
        do { changes = try StoredDescriptor.changes(of: object.object) } catch { throw FileError(EACCES) }
        try changes.lock.withLock { _ throws(FileError) in
            guard case .descriptor(var descriptor) = StoredDescriptor.reading(of: object.number) else {
                throw FileError(EACCES, rule: "the security descriptor cannot be read")
            }
            // The one that says who may change it is the one that is changed.
            let mayChange = descriptor.bytes.withUnsafeBytes {
                (try? opener.trail.isAllowed(
                    $0, .writeOwner, caller.token, for: caller.intent, object: object.number)) == true
            }
            guard mayChange else {
                throw FileError(EACCES, rule: "the security descriptor does not grant WRITE_OWNER")
            }
            if !isOwn(uid: uid, gid: gid) { opener.trail.use(.restore) }
            let before = (descriptor.owner, descriptor.group)
            if let owner { descriptor.owner = owner }
            if let group { descriptor.group = group }
            guard before != (descriptor.owner, descriptor.group) else { return }
            let error = StoredDescriptor.write(descriptor.bytes, to: object.number)
            guard error == 0 else { throw FileError(-error) }
        }
    }

    /// Whether a user and a group, each unless it is to be kept, are the caller's.
    private func isOwn(uid: UInt32, gid: UInt32) -> Bool {
        let keeps = UInt32.max
        guard uid != keeps || gid != keeps else { return true }
        guard let own = caller.credentials else { return false }
        return (uid == keeps || uid == own.uid)
            && (gid == keeps || gid == own.gid || own.groups.contains(gid))
    }

    /// utimensat(2): WRITE_ATTRIBUTES.
    func setTimes(of object: Located, _ times: [timespec]?) throws(FileError) {
        try require(.writeAttributes, on: object)
        try run(object) { guise_set_times(path(of: object), times) }
    }

    /// truncate(2): WRITE_DATA.
    func truncate(_ object: Located, length: Int64) throws(FileError) {
        try require(.writeData, on: object)
        guard !object.status.isDirectory else { throw FileError(EISDIR) }
        try run(object) { Glibc.truncate(path(of: object), off_t(length)) }
    }

    // MARK: Extended attributes

    /// The names that no client reaches: the descriptor's, and under a managed root all but its own.
    private func isReachable(_ name: String, of object: Located) -> Bool {
        !StoredDescriptor.attributes.contains(name) && (!object.isManaged || name.hasPrefix("user."))
    }

    /// getxattr(2): READ_EA.
    func attribute(_ name: String, of object: Located) throws(FileError) -> [UInt8] {
        try require(.readEA, on: object)
        guard isReachable(name, of: object) else { throw FileError(ENODATA) }
        var value = [UInt8](repeating: 0, count: StoredDescriptor.largest)
        var length = 0
        try run(object) {
            length = guise_xattr_get(object.number, name, &value, value.count)
            return length < 0 ? -1 : 0
        }
        return Array(value[..<length])
    }

    /// setxattr(2): WRITE_EA.
    func setAttribute(_ name: String, _ value: [UInt8], flags: Int32, of object: Located) throws(FileError) {
        try require(.writeEA, on: object)
        guard isReachable(name, of: object) else { throw FileError(EPERM) }
        try run(object) { setxattr(path(of: object), name, value, value.count, flags) }
    }

    /// removexattr(2): WRITE_EA.
    func removeAttribute(_ name: String, of object: Located) throws(FileError) {
        try require(.writeEA, on: object)
        guard isReachable(name, of: object) else { throw FileError(ENODATA) }
        try run(object) { removexattr(path(of: object), name) }
    }

    /// listxattr(2): READ_EA. The names, each with its terminator.
    func attributes(of object: Located) throws(FileError) -> [UInt8] {
        try require(.readEA, on: object)
        var names = [CChar](repeating: 0, count: 65_536)
        var length = 0
        try run(object) {
            length = listxattr(path(of: object), &names, names.count)
            return length < 0 ? -1 : 0
        }
        let all = names[..<length].split(separator: 0).map {
            String(decoding: $0.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        return all.filter { isReachable($0, of: object) }.flatMap { Array($0.utf8) + [0] }
    }
}
