import AccessControl
import CGuise
import Glibc

/// Opens in a Unix place that may make a file: where the directory carries a descriptor of its own, that has to grant
/// ADD_FILE, besides what the kernel asks for.
extension FileOpener {
    /// With the kernel's lookup of the directory; nil: walk it.
    func makeInUnixPlace(
        _ start: Int32, _ path: UnsafePointer<CChar>, _ request: OpenRequest, _ caller: Caller,
        _ mayWait: Bool
    ) -> Outcome? {
        guard request.resolve == 0 else { return nil }
        let flag = OpenRequest.Flag.self
        let whole = UnsafeBufferPointer(start: path, count: strlen(path))
        var name: [CChar] = [0x2E]
        var directory = Array(whole)
        if request.has(flag.create) {
            let slash = whole.lastIndex(of: 0x2F)
            name = Array(whole[(slash.map { $0 + 1 } ?? 0)...])
            // The root directory is its own parent.
            directory = slash.map { Array(whole[..<max($0, 1)]) } ?? [0x2E]
        }
        guard !name.isEmpty else { return nil }
        let follows = request.has(flag.create) || request.followsLast
        guard
            let found = self.directory(
                directory + [0], from: start, follows ? 0 : flag.noFollow,
                resolve: GUISE_RESOLVE_NO_MAGICLINKS, caller),
            !found.isManaged, !isInProcessFileSystem(found.number, found.status.device)
        else { return nil }
        var there = request
        if request.has(flag.create) { there.flags |= flag.noFollow }
        let outcome = make(name + [0], in: found, there, caller, mayWait)
        // A link may lead to another directory.
        if case .failed(ELOOP, nil) = outcome { return nil }
        return outcome
    }

    /// By a name that was walked to, which for O_TMPFILE is the directory's own.
    func make(
        _ name: [CChar], in directory: OwnedDescriptor, _ request: OpenRequest, _ caller: Caller,
        _ mayWait: Bool
    ) -> Outcome {
        if request.has(OpenRequest.Flag.create) {
            guard let found = try? located(directory) else { return .failed(EIO) }
            return make(name, in: found, request, caller, mayWait)
        }
        guard
            let found = self.directory(
                name, from: directory.number, OpenRequest.Flag.noFollow, resolve: 0, caller)
        else { return .failed(guise_errno()) }
        return make([0x2E, 0], in: found, request, caller, mayWait)
    }

    /// nil, and errno: it cannot be opened.
    private func directory(
        _ path: [CChar], from start: Int32, _ flags: UInt64, resolve: UInt64, _ caller: Caller
    ) -> Located? {
        guard let credentials = caller.credentials else {
            errno = EACCES
            return nil
        }
        let how = open_how(
            OpenRequest.Flag.path | OpenRequest.Flag.directory | flags, resolve: resolve)
        let found = files.open(as: credentials, start, path, how)
        guard found >= 0 else {
            errno = -found
            return nil
        }
        do throws(FileError) { return try located(OwnedDescriptor(found)) } catch {
            errno = error.errno
            return nil
        }
    }

    private func make(
        _ name: [CChar], in directory: Located, _ request: OpenRequest, _ caller: Caller, _ mayWait: Bool
    ) -> Outcome {
        let calls = FileCalls(opener: self, caller: caller)
        var status = statx()
        do throws(FileError) {
            try calls.require(.addFile, on: directory)
            return openByKernel(directory.number, name, request, caller, mayWait, &status)
        } catch {
            guard !request.has(OpenRequest.Flag.exclusive | OpenRequest.Flag.temporary) else {
                return .failed(error.errno, rule: error.rule)
            }
        }
        // What is there may be opened all the same.
        trail.forgive()
        var there = request
        there.flags &= ~OpenRequest.Flag.create
        there.mode = 0
        let outcome = openByKernel(directory.number, name, there, caller, mayWait, &status)
        switch outcome {
        case .failed(ENOENT, nil):
            do throws(FileError) { try calls.require(.addFile, on: directory) } catch {
                return .failed(error.errno, rule: error.rule)
            }
            // The descriptor was changed just now.
            return .failed(EAGAIN)
        case .descriptor(let found) where status.isDirectory:
            close(found)
            return .failed(EISDIR)
        case .descriptor(let found) where isSuspect(status, in: directory.status, caller):
            close(found)
            return .failed(EACCES)
        default:
            return outcome
        }
    }

    /// What `fs.protected_regular` and `fs.protected_fifos` of the kernel keep from whoever says O_CREAT: somebody else's
    /// in a sticky directory that others may write.
    private func isSuspect(_ file: statx, in directory: statx, _ caller: Caller) -> Bool {
        let mode = directory.stx_mode
        return mode & 0o1000 != 0 && mode & 0o022 != 0 && (file.isRegular || file.isFIFO)
            && file.stx_uid != caller.credentials?.uid && file.stx_uid != directory.stx_uid
    }
}
