import AccessControl
import CGuise
import Glibc

/// An object that was found as a caller: open with O_PATH, so that it stays the same whatever becomes of its name.
struct Located {
    let object: OwnedDescriptor
    let status: statx
    /// nil: a Unix place.
    let root: OpenRoot?

    var number: Int32 { object.number }
    var isManaged: Bool { root != nil }
}

/// The directory that a name is in, and the name.
struct LocatedEntry {
    let directory: Located
    /// With its terminator; `.` and `..` as they are.
    let name: [CChar]
    /// The path ended in a slash: only a directory is meant.
    let endsInSlash: Bool
}

/// A positive errno, and the rule when it was Guise that refused.
struct FileError: Error {
    let errno: Int32
    let rule: String?

    init(_ errno: Int32, rule: String? = nil) {
        self.errno = errno
        self.rule = rule
    }
}

extension FileOpener {
    /// Finds an object without asking for any right on it: the way there is all that is checked.
    func locate(
        _ path: UnsafeBufferPointer<CChar>, from start: Start, followsLast: Bool, as caller: Caller
    ) throws(FileError) -> Located {
        guard !path.isEmpty else { throw FileError(ENOENT) }
        let flags = OpenRequest.Flag.path | (followsLast ? 0 : OpenRequest.Flag.noFollow)
        switch start {
        case .top:
            if let (root, rest) = roots.root(spelledBy: path) {
                if root.isUnavailable {
                    throw FileError(EACCES, rule: "the managed root is unavailable; see the log")
                }
                if let found = locateBelow(root, path, rest, flags, caller) { return found }
            } else if let found = locateByKernel(AT_FDCWD, path.baseAddress!, flags, caller) {
                return found
            }
            return try locateByWalk(path, from: nil, flags, caller)
        case .directory(let directory):
            let root = roots.root(containing: directory.number)
            if root == nil, let found = locateByKernel(directory.number, path.baseAddress!, flags, caller) {
                return found
            }
            return try locateByWalk(
                path, from: PathWalk.Place(directory: directory, root: root), flags, caller)
        }
    }

    /// Finds the directory of the last name of a path.
    func locateEntry(
        _ path: UnsafeBufferPointer<CChar>, from start: Start, as caller: Caller
    ) throws(FileError) -> LocatedEntry {
        guard !path.isEmpty else { throw FileError(ENOENT) }
        var end = path.count
        while end > 1, path[end - 1] == 0x2F { end -= 1 }
        let slash = path[..<end].lastIndex(of: 0x2F)
        let name = Array(path[(slash.map { $0 + 1 } ?? 0)..<end])
        guard name.count <= 255 else { throw FileError(ENAMETOOLONG) }
        // The root directory has no name in any other.
        let parent: [CChar] = if let slash { Array(path[..<max(slash, 1)]) + [0] } else { [0x2E, 0] }
        let directory = try parent.withUnsafeBufferPointer { parent throws(FileError) in
            try locate(
                UnsafeBufferPointer(rebasing: parent.dropLast()), from: start, followsLast: true, as: caller)
        }
        guard directory.status.isDirectory else { throw FileError(ENOTDIR) }
        return LocatedEntry(
            directory: directory, name: (name.isEmpty ? [0x2E] : name) + [0], endsInSlash: end < path.count)
    }

    /// What an open descriptor of the caller stands for.
    func located(_ descriptor: OwnedDescriptor) throws(FileError) -> Located {
        var status = statx()
        let error = guise_stat(descriptor.number, "", GUISE_AT_EMPTY_PATH, &status)
        guard error == 0 else { throw FileError(-error) }
        return Located(object: descriptor, status: status, root: roots.root(containing: descriptor.number))
    }

    /// An object in a directory that was found already, itself even if it is a link; nil when it is not there.
    func child(_ entry: LocatedEntry, as caller: Caller) throws(FileError) -> Located? {
        let flags = open_how(OpenRequest.Flag.path | OpenRequest.Flag.noFollow)
        let found: Int32
        if entry.directory.isManaged {
            found = files.openAsAuthority(entry.directory.number, entry.name, flags)
        } else {
            guard let credentials = caller.credentials else { throw FileError(EACCES) }
            found = files.open(as: credentials, entry.directory.number, entry.name, flags)
        }
        if found == -ENOENT { return nil }
        guard found >= 0 else { throw FileError(-found) }
        let object = OwnedDescriptor(found)
        var status = statx()
        let error = guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status)
        guard error == 0 else { throw FileError(-error) }
        return Located(object: object, status: status, root: entry.directory.root ?? roots.root(status))
    }

    private func locateBelow(
        _ root: OpenRoot, _ path: UnsafeBufferPointer<CChar>, _ rest: Int, _ flags: UInt64, _ caller: Caller
    ) -> Located? {
        guard caller.token.holds(.changeNotify) else { return nil }
        var at = rest
        while at < path.count, path[at] == 0x2F { at += 1 }
        let how = open_how(flags | OpenRequest.Flag.noFollow, resolve: Self.staysBelow)
        let found =
            at == path.count
            ? files.openAsAuthority(root.descriptor, ".", how)
            : files.openAsAuthority(root.descriptor, path.baseAddress! + at, how)
        guard found >= 0 else { return nil }
        let object = OwnedDescriptor(found)
        var status = statx()
        guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0 else { return nil }
        if status.isSymbolicLink, flags & OpenRequest.Flag.noFollow == 0 { return nil }
        return Located(object: object, status: status, root: root)
    }

    private func locateByKernel(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: UInt64, _ caller: Caller
    ) -> Located? {
        guard let credentials = caller.credentials, !mayPassModes(caller) else { return nil }
        let found = files.open(
            as: credentials, directory, path, open_how(flags, resolve: GUISE_RESOLVE_NO_MAGICLINKS))
        guard found >= 0 else { return nil }
        let object = OwnedDescriptor(found)
        var status = statx()
        guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0,
            !isInProcessFileSystem(found, status.device), roots.root(status) == nil
        else { return nil }
        return Located(object: object, status: status, root: nil)
    }

    private func locateByWalk(
        _ path: UnsafeBufferPointer<CChar>, from start: PathWalk.Place?, _ flags: UInt64, _ caller: Caller
    ) throws(FileError) -> Located {
        let walk = PathWalk(files: files, roots: roots, caller: caller, trail: trail)
        let request = OpenRequest(directory: AT_FDCWD, flags: flags, mode: 0)
        let (path, start) = walk.way(path, from: start, request)
        switch walk.find(path, from: start, request: request) {
        case .failed(let error): throw FileError(error)
        case .missing: throw FileError(ENOENT)
        case .managed(let object, let status):
            return Located(object: object, status: status, root: roots.root(containing: object.number))
        case .reached(let object), .ownDescriptors(let object):
            return try located(object)
        case .unix(let directory, let name):
            guard let credentials = caller.credentials else { throw FileError(EACCES) }
            let how = open_how(OpenRequest.Flag.path | OpenRequest.Flag.noFollow)
            let found = files.open(as: credentials, directory.number, name, how)
            guard found >= 0 else { throw FileError(-found) }
            let object = OwnedDescriptor(found)
            var status = statx()
            let error = guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status)
            guard error == 0 else { throw FileError(-error) }
            if path.last == 0x2F, !status.isDirectory { throw FileError(ENOTDIR) }
            return Located(object: object, status: status, root: nil)
        }
    }
}
