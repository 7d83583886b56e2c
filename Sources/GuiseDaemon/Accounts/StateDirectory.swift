import Glibc

/// The authority's own directory: checked, opened and locked for as long as this value lives.
package struct StateDirectory: ~Copyable, Sendable {
    /// The path it was opened by, without a trailing slash.
    package let path: String
    private let descriptor: Int32

    /// Opens the directory, making it (mode 0700) when its parent exists and it does not.
    ///
    /// - Throws: `StateError` when anyone but the authority's own user could have put something there.
    package init(path: String) throws(StateError) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        let descriptor = try Self.openOrMake(path)
        do throws(StateError) {
            try Self.checkAncestors(of: path)
            try Self.check(descriptor: descriptor, path: path)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                if errno == EWOULDBLOCK { throw StateError.inUse(path: path) }
                throw StateError.system(path: path, operation: "lock", errno: errno)
            }
        } catch {
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        // Closing gives the lock back.
        close(descriptor)
    }

    /// Whether the path still leads to this directory, and nobody else could have put something there.
    func checkAgain() throws(StateError) {
        var there = stat()
        var here = stat()
        guard lstat(path, &there) == 0, fstat(descriptor, &here) == 0 else {
            throw .system(path: path, operation: "look at", errno: errno)
        }
        guard there.st_dev == here.st_dev, there.st_ino == here.st_ino else {
            throw .foreign(path: path, detail: "another directory has taken the place of the authority's")
        }
        try Self.checkAncestors(of: path)
        try Self.check(here, path: path)
    }

    /// Makes what happened to names in this directory durable.
    func synchronize() throws(StateError) {
        guard fsync(descriptor) == 0 else {
            throw .system(path: path, operation: "synchronize", errno: errno)
        }
    }

    /// Whether a file of this name exists; when it does, it must be a plain file that only we can write.
    func has(file name: String) throws(StateError) -> Bool {
        let file = path + "/" + name
        var status = stat()
        guard lstat(file, &status) == 0 else {
            if errno == ENOENT { return false }
            throw .system(path: file, operation: "look at", errno: errno)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFLNK: throw .symbolicLink(path: file)
        default: throw .foreign(path: file, detail: "it is not a plain file")
        }
        try Self.check(status, path: file)
        return true
    }

    private static func openOrMake(_ path: String) throws(StateError) -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var descriptor = open(path, flags)
        if descriptor < 0, errno == ENOENT {
            // Without root it is a user's own, whose home may have none of the folders above it yet.
            if !AuthorityUser.isRoot { makeAncestors(of: path) }
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw .system(path: path, operation: "make", errno: errno)
            }
            descriptor = open(path, flags)
        }
        guard descriptor >= 0 else { throw explainOpenFailure(path, errno) }
        return descriptor
    }

    /// As far as they are missing; what cannot be made shows when the directory itself is.
    private static func makeAncestors(of path: String) {
        for (index, byte) in path.utf8.enumerated() where byte == 0x2F && index > 0 {
            mkdir(String(decoding: path.utf8.prefix(index), as: UTF8.self), 0o700)
        }
    }

    private static func explainOpenFailure(_ path: String, _ error: Int32) -> StateError {
        var status = stat()
        if lstat(path, &status) == 0 {
            if status.st_mode & S_IFMT == S_IFLNK { return .symbolicLink(path: path) }
            if status.st_mode & S_IFMT != S_IFDIR { return .notADirectory(path: path) }
        }
        return .system(path: path, operation: "open", errno: error)
    }

    private static func check(descriptor: Int32, path: String) throws(StateError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .system(path: path, operation: "look at", errno: errno)
        }
        try check(status, path: path)
    }

    private static func check(_ status: stat, path: String) throws(StateError) {
        guard status.st_uid == geteuid() else {
            throw .foreignOwner(path: path, owner: status.st_uid, expected: geteuid())
        }
        // With a POSIX ACL the group bits are its mask, so this covers named users and groups too.
        guard status.st_mode & 0o022 == 0 else {
            throw .writableByOthers(path: path, mode: status.st_mode)
        }
    }

    /// Whoever can rename a directory above ours can put another in its place.
    private static func checkAncestors(of path: String) throws(StateError) {
        guard let real = realpath(path, nil) else {
            throw .system(path: path, operation: "resolve", errno: errno)
        }
        defer { free(real) }
        var root = stat()
        guard stat("/", &root) == 0 else { throw .system(path: "/", operation: "look at", errno: errno) }

        var ancestor = String(cString: real)
        while let slash = ancestor.lastIndex(of: "/"), ancestor != "/" {
            ancestor = slash == ancestor.startIndex ? "/" : String(ancestor[..<slash])
            var status = stat()
            guard stat(ancestor, &status) == 0 else {
                throw .system(path: ancestor, operation: "look at", errno: errno)
            }
            guard [0, geteuid(), root.st_uid].contains(status.st_uid) else {
                throw .foreignOwner(path: ancestor, owner: status.st_uid, expected: geteuid())
            }
            // A sticky directory (/tmp) lets nobody rename what is ours.
            guard status.st_mode & 0o022 == 0 || status.st_mode & S_ISVTX != 0 else {
                throw .writableByOthers(path: ancestor, mode: status.st_mode)
            }
        }
    }
}
