import AccessControl
import CGuise
import Glibc

/// Opens files as a caller: where security descriptors decide, by them; elsewhere by the kernel. Belongs to
/// one thread.
final class FileOpener {
    enum Outcome {
        /// A descriptor, the receiver's to close.
        case descriptor(Int32)
        /// A positive errno, and the rule when it was Guise that refused.
        case failed(Int32, rule: String? = nil)
        /// The open has to wait for somebody (a FIFO's other end): do it again where waiting is allowed.
        case waits
    }

    let files: UnixFiles
    let roots: ManagedRoots
    let trail = DecisionTrail()
    /// Devices known not to be proc file systems, to ask once for each.
    private var ordinaryDevices: Set<UInt64> = []
    private var foreseen = Foreseen()
    var known = KnownDescriptors()

    /// Takes the calling thread for its own.
    init(roots: ManagedRoots) {
        files = UnixFiles()
        self.roots = roots
    }

    /// Where a call's path starts.
    enum Start {
        case top
        /// Open, with O_PATH at least.
        case directory(OwnedDescriptor)
    }

    /// Opens.
    ///
    /// - Parameters:
    ///   - path: without its terminator, which follows in memory.
    ///   - mayWait: whether this thread may block in an open.
    func open(
        _ path: UnsafeBufferPointer<CChar>, from start: Start, _ request: OpenRequest, as caller: Caller,
        mayWait: Bool
    ) -> Outcome {
        let outcome = find(path, from: start, request, as: caller, mayWait: mayWait)
        guard request.has(OpenRequest.Flag.path), case .descriptor(let found) = outcome else {
            return outcome
        }
        return readable(OwnedDescriptor(found), as: caller)
    }

    /// The kernel puts no O_PATH descriptor into another process's table (SECCOMP_IOCTL_NOTIF_ADDFD takes none).
    /// One that is open for reading serves, for a caller who may read.
    private func readable(_ object: OwnedDescriptor, as caller: Caller) -> Outcome {
        let located: Located
        do throws(FileError) { located = try self.located(object) } catch { return .failed(error.errno) }
        guard located.status.isDirectory || located.status.isRegular else { return .failed(EOPNOTSUPP) }
        let request = OpenRequest(directory: AT_FDCWD, flags: 0, mode: 0)
        return located.isManaged
            ? openManaged(object, located.status, request, caller, false)
            : "/proc/self/fd/\(object.number)".withCString {
                var status = statx()
                return openByKernel(AT_FDCWD, $0, request, caller, false, &status)
            }
    }

    private func find(
        _ path: UnsafeBufferPointer<CChar>, from start: Start, _ request: OpenRequest, as caller: Caller,
        mayWait: Bool
    ) -> Outcome {
        guard !path.isEmpty else { return .failed(ENOENT) }
        switch start {
        case .top:
            if let (root, rest) = roots.root(spelledBy: path) {
                if root.isUnavailable {
                    return .failed(EACCES, rule: "the managed root is unavailable; see the log")
                }
                if let outcome = openBelow(root, path, rest, request, caller, mayWait) { return outcome }
            } else if !mayPassModes(caller),
                let outcome = openInUnixPlace(AT_FDCWD, path.baseAddress!, request, caller, mayWait)
            {
                return outcome
            }
            return walk(path, from: nil, request, caller, mayWait)
        case .directory(let directory):
            let root = roots.root(containing: directory.number)
            if root == nil, !mayPassModes(caller),
                let outcome = openInUnixPlace(
                    directory.number, path.baseAddress!, request, caller, mayWait)
            {
                return outcome
            }
            return walk(
                path, from: PathWalk.Place(directory: directory, root: root), request, caller, mayWait)
        }
    }

    /// Whether modes hold the caller back at all. Where they do not, they would not keep it out of a managed
    /// root that a link leads to, either: only the walk sees that. To an authority without root its managed roots are
    /// open as to any process of its user's.
    func mayPassModes(_ caller: Caller) -> Bool {
        guard let credentials = caller.credentials else { return false }
        return credentials.isRoot || AuthorityUser.isOperator(credentials)
    }

    // MARK: The kernel's lookup

    /// Below a root, by a path that stays there and has no links; nil: walk it.
    private func openBelow(
        _ root: OpenRoot, _ path: UnsafeBufferPointer<CChar>, _ rest: Int, _ request: OpenRequest,
        _ caller: Caller, _ mayWait: Bool
    ) -> Outcome? {
        guard request.resolve == 0, caller.token.holds(.changeNotify) else { return nil }
        var at = rest
        while at < path.count, path[at] == 0x2F { at += 1 }
        if let file = openFile(root, path, from: at, request, caller) { return .descriptor(file) }
        let how = open_how(
            OpenRequest.Flag.path | OpenRequest.Flag.noFollow,
            resolve: Self.staysBelow)
        let found =
            at == path.count
            ? files.openAsAuthority(root.descriptor, ".", how)
            : files.openAsAuthority(root.descriptor, path.baseAddress! + at, how)
        guard found >= 0 else {
            // Only the walk can say what a link, a way out or a name to be created comes to.
            return found == -ENOENT && !request.has(OpenRequest.Flag.create) || found == -ENOTDIR
                ? .failed(-found) : nil
        }
        let object = OwnedDescriptor(found)
        var status = statx()
        guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0, !status.isSymbolicLink else {
            return nil
        }
        return openManaged(object, status, request, caller, mayWait)
    }

    static let staysBelow =
        GUISE_RESOLVE_BENEATH | GUISE_RESOLVE_NO_SYMLINKS | GUISE_RESOLVE_NO_MAGICLINKS

    /// The usual case of ``openBelow(_:_:_:_:_:_:)`` at half its cost: a regular file that is there and may be
    /// opened. nil: whatever else it is, it has to be found out the long way.
    ///
    /// Opening has effects of its own (a lease is broken, a device starts, a FIFO's other end wakes up), so nothing is
    /// opened that is not expected to be a file whose descriptor allows it. Something else may stand there by then:
    /// what was opened decides.
    private func openFile(
        _ root: OpenRoot, _ path: UnsafeBufferPointer<CChar>, from start: Int, _ request: OpenRequest,
        _ caller: Caller
    ) -> Int32? {
        let flag = OpenRequest.Flag.self
        let special = flag.exclusive | flag.truncate | flag.temporary | flag.path | flag.directory
        guard !request.has(special) else { return nil }
        let rights = request.rights(onDirectory: false, for: caller.intent)
        let asked = Foreseen.Question(
            root, UnsafeBufferPointer(rebasing: path[start...]), rights, caller, roots)
        if foreseen.contains(asked) {
            if let file = openFile(root.descriptor, path.baseAddress! + start, request, rights, caller) {
                return file
            }
            foreseen.remove(asked)
        }
        guard let file = openUnforeseen(root, path, from: start, request, rights, caller) else { return nil }
        foreseen.insert(asked)
        return file
    }

    /// Asks what a name stands for before it is opened.
    private func openUnforeseen(
        _ root: OpenRoot, _ path: UnsafeBufferPointer<CChar>, from start: Int, _ request: OpenRequest,
        _ rights: AccessMask<FileKind>, _ caller: Caller
    ) -> Int32? {
        let flag = OpenRequest.Flag.self
        var directory = root.descriptor
        var name = path.baseAddress! + start
        defer { if directory != root.descriptor { close(directory) } }
        if let slash = path[start...].lastIndex(of: 0x2F) {
            // Only openat2 can be kept from following links, so the last name is asked about in its own directory.
            let found = withUnsafeTemporaryAllocation(of: CChar.self, capacity: slash - start + 1) { parent in
                memcpy(parent.baseAddress!, name, slash - start)
                parent[slash - start] = 0
                return files.openAsAuthority(
                    root.descriptor, parent.baseAddress!,
                    open_how(flag.path | flag.directory, resolve: Self.staysBelow))
            }
            guard found >= 0 else { return nil }
            directory = found
            name = path.baseAddress! + slash + 1
        }
        var status = statx()
        guard guise_stat(directory, name, GUISE_AT_SYMLINK_NOFOLLOW | GUISE_AT_NO_AUTOMOUNT, &status) == 0,
            status.isRegular,
            case .success(.some) = StoredDescriptor.read(
                at: directory, name, { Self.grant($0, rights, caller) })
        else { return nil }
        return openFile(directory, name, request, rights, caller)
    }

    /// Opens, without waiting; nil unless it is a regular file that may be opened.
    private func openFile(
        _ directory: Int32, _ name: UnsafePointer<CChar>, _ request: OpenRequest,
        _ rights: AccessMask<FileKind>,
        _ caller: Caller
    ) -> Int32? {
        let flag = OpenRequest.Flag.self
        let flags = request.flags & ~flag.create | flag.noFollow | flag.nonBlocking
        let found = files.openAsAuthority(directory, name, open_how(flags, resolve: Self.staysBelow))
        guard found >= 0 else { return nil }
        var status = statx()
        guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0, status.isRegular,
            case .success(true) = known.read(
                of: found, status, isPath: false,
                { descriptor in
                    // What is refused here is decided once more, and then goes on record.
                    guard let grant = Self.grant(descriptor, rights, caller) else { return false }
                    trail.note(grant, by: descriptor, rights, caller.token, for: caller.intent, object: found)
                    return true
                })
        else {
            close(found)
            return nil
        }
        if !request.has(flag.nonBlocking) { _ = guise_clear_nonblocking(found, flags) }
        return found
    }

    /// The decision if it is a grant.
    static func grant(
        _ descriptor: UnsafeRawBufferPointer, _ rights: AccessMask<FileKind>, _ caller: Caller
    ) -> AccessDecision<FileKind>? {
        guard
            let decision = try? DecisionTrail.decide(descriptor, rights, caller.token, for: caller.intent),
            decision.isAllowed
        else { return nil }
        return decision
    }

    /// By the kernel's lookup as the caller; nil: walk it.
    private func openInUnixPlace(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ request: OpenRequest, _ caller: Caller,
        _ mayWait: Bool
    ) -> Outcome? {
        if request.makesFile { return makeInUnixPlace(directory, path, request, caller, mayWait) }
        var request = request
        request.resolve |= GUISE_RESOLVE_NO_MAGICLINKS
        var status = statx()
        let outcome = openByKernel(directory, path, request, caller, mayWait, &status)
        // EACCES may mean a managed root on the way, ELOOP a magic link, and what is missing may be missing
        // below the authority's `/proc/self` only.
        switch outcome {
        case .failed(EACCES, nil), .failed(ELOOP, nil), .failed(ENOENT, nil), .failed(ENOTDIR, nil):
            return nil
        default: break
        }
        guard case .descriptor(let found) = outcome else { return outcome }
        guard !isInProcessFileSystem(found, status.device), roots.root(status) == nil else {
            close(found)
            // It is decided about once more, where the walk leads.
            trail.clear()
            return nil
        }
        return outcome
    }

    func isInProcessFileSystem(_ descriptor: Int32, _ device: UInt64) -> Bool {
        if ordinaryDevices.contains(device) { return false }
        guard !isProcessFileSystem(descriptor) else { return true }
        // A device number can be given to another mount later, so only those with a disk are remembered.
        if device >> 32 != 0 { ordinaryDevices.insert(device) }
        return false
    }

    // MARK: The walk

    private func walk(
        _ path: UnsafeBufferPointer<CChar>, from start: PathWalk.Place?, _ request: OpenRequest,
        _ caller: Caller, _ mayWait: Bool
    ) -> Outcome {
        let walk = PathWalk(files: files, roots: roots, caller: caller, trail: trail)
        let (path, start) = walk.way(path, from: start, request)
        for _ in 0..<8 {
            switch walk.find(path, from: start, request: request) {
            case .failed(let error):
                return .failed(error)
            case .managed(let object, let status):
                return openManaged(object, status, request, caller, mayWait)
            case .missing(let directory, let name, let isDirectory):
                guard request.has(OpenRequest.Flag.create) else { return .failed(ENOENT) }
                guard !isDirectory else { return .failed(EISDIR) }
                let outcome = create(name, in: directory, request, caller)
                // Somebody was quicker: what is there now decides.
                if case .failed(EEXIST, nil) = outcome, !request.has(OpenRequest.Flag.exclusive) { continue }
                return outcome
            case .unix(let directory, let name):
                var request = request
                request.resolve = 0
                request.flags |= OpenRequest.Flag.noFollow
                if path.last == 0x2F { request.flags |= OpenRequest.Flag.directory }
                if request.makesFile {
                    if request.has(OpenRequest.Flag.create), path.last == 0x2F { return .failed(EISDIR) }
                    return make(name, in: directory, request, caller, mayWait)
                }
                var status = statx()
                return openByKernel(directory.number, name, request, caller, mayWait, &status)
            case .reached(let object):
                var request = request
                request.resolve = 0
                return "/proc/self/fd/\(object.number)".withCString {
                    var status = statx()
                    return openByKernel(AT_FDCWD, $0, request, caller, mayWait, &status)
                }
            case .ownDescriptors(let object):
                return request.writes ? .failed(EISDIR) : reopen(object.number, request)
            }
        }
        return .failed(EAGAIN)
    }

    // MARK: Unix places

    /// One openat2 as the caller, and the object's descriptor if it carries one. `status` becomes that of
    /// the descriptor returned.
    func openByKernel(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ request: OpenRequest, _ caller: Caller,
        _ mayWait: Bool, _ status: inout statx
    ) -> Outcome {
        guard let credentials = caller.credentials else {
            return .failed(EACCES, rule: AuthorityUser.rule)
        }
        let isPath = request.has(OpenRequest.Flag.path)
        // Truncating is put off until the object's own descriptor agreed.
        let truncates = request.has(OpenRequest.Flag.truncate) && !isPath
        let waits = !request.has(OpenRequest.Flag.nonBlocking) && !isPath
        var flags = request.flags & ~OpenRequest.Flag.truncate
        // The terminal would become the authority's.
        if !isPath { flags |= OpenRequest.Flag.noControllingTerminal }
        if waits, !mayWait { flags |= OpenRequest.Flag.nonBlocking }
        let how = open_how(flags, mode: request.mode, resolve: request.resolve)
        let found = files.open(as: credentials, directory, path, how, umask: caller.umask, mayWait: mayWait)
        guard found >= 0 else {
            // Nobody reads the FIFO yet, or a lease is being broken: worth waiting for.
            if waits, !mayWait, found == -ENXIO || found == -EWOULDBLOCK { return .waits }
            return .failed(-found)
        }
        guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0 else {
            close(found)
            return .failed(EIO)
        }
        if isPath { return .descriptor(found) }
        if status.isOwnTerminal {
            close(found)
            return .failed(ENXIO, rule: "/dev/tty would be the authority's terminal")
        }
        if waits, !mayWait {
            if status.isFIFO, !request.writes, !hasWriter(found) {
                close(found)
                return .waits
            }
            _ = guise_clear_nonblocking(found, flags)
        }
        let rights = request.rights(onDirectory: status.isDirectory, for: caller.intent)
        let decision = known.read(of: found, status, isPath: false) { descriptor in
            (try? trail.isAllowed(
                descriptor, rights, caller.token, for: caller.intent, object: found)) == true
        }
        switch decision {
        case .failure(let failure) where StoredDescriptor.isNone(failure, of: status):
            break
        case .success(true):
            break
        default:
            close(found)
            return .failed(EACCES, rule: "the object's security descriptor")
        }
        if truncates, status.isRegular, status.stx_size > 0 {
            let error = truncate(found, request, credentials)
            guard error == 0 else {
                close(found)
                return .failed(error)
            }
        }
        return .descriptor(found)
    }

    /// Whether a FIFO that was opened for reading has a writer, or something to read. Then the open would not have
    /// waited, and must not be done again: the writer has seen its reader, who would be gone.
    private func hasWriter(_ fifo: Int32) -> Bool {
        // Without a writer a read finds the end; with one it finds nothing yet, or nowhere to put what is there.
        read(fifo, nil, 1) != 0
    }

    /// Empties a file that was opened as the caller. Returns 0 or a positive errno.
    private func truncate(_ file: Int32, _ request: OpenRequest, _ credentials: UnixCredentials) -> Int32 {
        if request.writes { return ftruncate(file, 0) == 0 ? 0 : guise_errno() }
        // O_RDONLY | O_TRUNC: the kernel asks for the right to write, too.
        let writable = "/proc/self/fd/\(file)".withCString {
            files.open(as: credentials, AT_FDCWD, $0, open_how(OpenRequest.Flag.writeOnly))
        }
        guard writable >= 0 else { return -writable }
        defer { close(writable) }
        return ftruncate(writable, 0) == 0 ? 0 : guise_errno()
    }

    // MARK: Managed roots

    /// Opens what was found under a managed root, if its descriptor says so.
    private func openManaged(
        _ object: OwnedDescriptor, _ status: statx, _ request: OpenRequest, _ caller: Caller, _ mayWait: Bool
    ) -> Outcome {
        if request.has(OpenRequest.Flag.temporary) {
            return makeTemporary(in: object, status, request, caller)
        }
        if request.has(OpenRequest.Flag.create), request.has(OpenRequest.Flag.exclusive) {
            return .failed(EEXIST)
        }
        if status.isSymbolicLink, !request.has(OpenRequest.Flag.path) { return .failed(ELOOP) }
        if request.has(OpenRequest.Flag.directory), !status.isDirectory { return .failed(ENOTDIR) }
        if status.isDirectory, !request.has(OpenRequest.Flag.path),
            request.writes || request.has(OpenRequest.Flag.create)
        {
            return .failed(EISDIR)
        }
        if status.isDevice, !request.has(OpenRequest.Flag.path) {
            return .failed(EACCES, rule: "a device under a managed root opens for nobody")
        }
        if let refusal = refusal(
            of: request.rights(onDirectory: status.isDirectory, for: caller.intent), on: object.number, caller
        ) {
            return refusal
        }
        if status.isFIFO, !mayWait, !request.has(OpenRequest.Flag.nonBlocking | OpenRequest.Flag.path) {
            return .waits
        }
        return reopen(object.number, request)
    }

    func refusal(
        of rights: AccessMask<FileKind>, on object: Int32, _ caller: Caller
    ) -> Outcome? {
        let decision = StoredDescriptor.read(of: object, isPath: true) {
            bytes -> Result<Bool, AccessCheckError> in
            do throws(AccessCheckError) {
                return .success(
                    try trail.isAllowed(bytes, rights, caller.token, for: caller.intent, object: object))
            } catch { return .failure(error) }
        }
        switch decision {
        case .success(.success(true)): return nil
        case .success(.success(false)):
            return .failed(EACCES, rule: "the security descriptor does not grant \(rights)")
        case .success(.failure(let error)): return .failed(EACCES, rule: error.description)
        case .failure(let failure) where failure.errno == ENODATA:
            return .failed(EACCES, rule: "the object carries no security descriptor; `sd set` gives it one")
        case .failure(let failure):
            return .failed(
                EACCES, rule: "reading the security descriptor failed: \(errnoText(failure.errno))")
        }
    }

    /// The same object again, with the flags asked for.
    private func reopen(_ object: Int32, _ request: OpenRequest) -> Outcome {
        if request.has(OpenRequest.Flag.path) {
            let again = guise_duplicate(object)
            return again >= 0 ? .descriptor(again) : .failed(-again)
        }
        let dropped =
            OpenRequest.Flag.create | OpenRequest.Flag.exclusive | OpenRequest.Flag.noFollow
            | OpenRequest.Flag.temporary
        var flags = request.flags & ~dropped
        // O_TMPFILE means the directory that the file is made in.
        if request.has(OpenRequest.Flag.temporary) { flags &= ~OpenRequest.Flag.directory }
        let again = files.reopenAsAuthority(object, open_how(flags))
        return again >= 0 ? .descriptor(again) : .failed(-again)
    }

    /// Makes a file under a managed root. It appears with its descriptor or not at all.
    private func create(
        _ name: [CChar], in directory: OwnedDescriptor, _ request: OpenRequest, _ caller: Caller
    ) -> Outcome {
        if request.has(OpenRequest.Flag.directory) { return .failed(EINVAL) }
        return makeNameless(in: directory, isLinkable: true, caller) { file in
            // By its descriptor alone only who may read whatever there is names a file (CAP_DAC_READ_SEARCH).
            let linked =
                AuthorityUser.isRoot
                ? linkat(file.number, "", directory.number, name, GUISE_AT_EMPTY_PATH)
                : linkat(
                    AT_FDCWD, "/proc/self/fd/\(file.number)", directory.number, name, AT_SYMLINK_FOLLOW)
            guard linked == 0 else {
                return .failed(guise_errno())
            }
            // Whoever makes a file may have it open as asked, whatever its descriptor says.
            return reopen(file.number, request)
        }
    }

    /// O_TMPFILE: makes a file that has no name, and gets one by linkat(2) unless O_EXCL was said.
    private func makeTemporary(
        in directory: OwnedDescriptor, _ status: statx, _ request: OpenRequest, _ caller: Caller
    ) -> Outcome {
        // As build_open_flags of the kernel has it.
        guard request.has(OpenRequest.Flag.directory), !request.has(OpenRequest.Flag.create), request.writes
        else { return .failed(EINVAL) }
        guard status.isDirectory else { return .failed(ENOTDIR) }
        return makeNameless(in: directory, isLinkable: !request.has(OpenRequest.Flag.exclusive), caller) {
            reopen($0.number, request)
        }
    }

    /// Makes a file without a name that carries what it inherits from a directory, which has to grant ADD_FILE.
    private func makeNameless(
        in directory: OwnedDescriptor, isLinkable: Bool, _ caller: Caller,
        _ body: (OwnedDescriptor) -> Outcome
    ) -> Outcome {
        if let refusal = refusal(of: .addFile, on: directory.number, caller) { return refusal }
        let descriptor: SecurityDescriptor
        do throws(FileError) {
            descriptor = try StoredDescriptor.inherited(
                from: directory.number, isContainer: false, token: caller.token)
        } catch { return .failed(error.errno, rule: error.rule) }

        var flags = OpenRequest.Flag.temporary | OpenRequest.Flag.directory | OpenRequest.Flag.readWrite
        if !isLinkable { flags |= OpenRequest.Flag.exclusive }
        let made = "/proc/self/fd/\(directory.number)".withCString {
            files.openAsAuthority(AT_FDCWD, $0, open_how(flags, mode: 0o600))
        }
        guard made >= 0 else { return .failed(-made) }
        let file = OwnedDescriptor(made)
        let written = StoredDescriptor.write(descriptor.bytes, to: made)
        guard written == 0 else { return .failed(-written) }
        return body(file)
    }
}
