import AccessControl
import CGuise
import Glibc

/// A descriptor that is closed with its last reference.
final class OwnedDescriptor: Sendable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { close(number) }
}

/// Who asks, and what the process that asks looks like from within.
struct Caller {
    /// Decides under managed roots.
    let token: Token
    /// Decides elsewhere; nil: nothing is to be had there.
    let credentials: UnixCredentials?
    /// The process and thread that `/proc/self` and `/proc/thread-self` mean.
    var pid: Int32 { ThreadStatus(tid)?.pid ?? 0 }
    let tid: Int32
    let umask: UInt32
    /// What the calls are declared to be for, as far as the token has the privileges that this asks for.
    let intent: AccessIntent
    /// Where its process may be other than where the kernel has it; nil for one that is not mediated.
    let workingDirectories: WorkingDirectories?

    init(
        token: Token, credentials: UnixCredentials?, tid: Int32, umask: UInt32, intent: AccessIntent = [],
        workingDirectories: WorkingDirectories? = nil
    ) {
        (self.token, self.credentials, self.tid, self.umask) = (token, credentials?.assumable, tid, umask)
        self.workingDirectories = workingDirectories
        var held: AccessIntent = []
        if intent.contains(.backup), token.holds(.backup) { held.insert(.backup) }
        if intent.contains(.restore), token.holds(.restore) { held.insert(.restore) }
        self.intent = held
    }

    /// Its directories in /proc.
    var directories: [String] {
        let own = "/proc/\(pid)"
        return [own, own + "/task/\(tid)"]
    }
}

/// Finds an object by its path, one component at a time, as the caller: through Unix places with the caller's
/// credentials, under managed roots with the authority's eyes and the caller's TRAVERSE right. Every step
/// holds on to the object it stands on, so that nobody can swap it meanwhile.
///
/// The kernel's own lookup is faster and used first (``FileOpener``). This is for what it cannot do alone: paths
/// that lead into or out of a managed root, and `/proc/self`, which has to mean the caller.
struct PathWalk {
    /// As in the kernel (MAXSYMLINKS).
    static let largestLinkCount = 40

    struct Place {
        var directory: OwnedDescriptor
        /// nil: a Unix place.
        var root: OpenRoot?
    }

    enum Outcome {
        /// Under a managed root, open with O_PATH.
        case managed(OwnedDescriptor, statx)
        /// Under a managed root, not there; the directory it would be in.
        case missing(OwnedDescriptor, name: [CChar], isDirectory: Bool)
        /// In a Unix place: to be opened by this name, without following a link.
        case unix(directory: OwnedDescriptor, name: [CChar])
        /// In a Unix place, at the end of a magic link: open with O_PATH.
        case reached(OwnedDescriptor)
        /// The list of the caller's own descriptors in /proc, open with O_PATH.
        case ownDescriptors(OwnedDescriptor)
        /// A positive errno.
        case failed(Int32)
    }

    private struct Stop: Error {
        let errno: Int32
        init(_ errno: Int32) { self.errno = errno }
    }

    let files: UnixFiles
    let roots: ManagedRoots
    let caller: Caller
    let trail: DecisionTrail

    /// Where a walk starts, and what is left to walk. Whom the way to a managed root is closed to, as to every place
    /// outside of them, starts in the root that the path names.
    func way(
        _ path: UnsafeBufferPointer<CChar>, from start: Place? = nil, _ request: OpenRequest
    ) -> (path: [CChar], start: Place) {
        if let start { return (Array(path), start) }
        if caller.credentials == nil, request.resolve == 0,
            let (root, rest) = roots.root(spelledBy: path)
        {
            let top = guise_duplicate(root.descriptor)
            if top >= 0 {
                return ([0x2E, 0x2F] + path[rest...], Place(directory: OwnedDescriptor(top), root: root))
            }
        }
        // An absolute path starts at the top whatever the start is.
        return (Array(path), Place(directory: OwnedDescriptor(-1), root: nil))
    }

    /// Walks `path` from `start`.
    ///
    /// - Parameter resolve: RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS are honoured, any
    ///   other is ENOSYS.
    func find(_ path: [CChar], from start: Place, request: OpenRequest) -> Outcome {
        do {
            return try walk(path, start, request)
        } catch {
            return .failed(error.errno)
        }
    }

    private func walk(_ path: [CChar], _ start: Place, _ request: OpenRequest) throws(Stop) -> Outcome {
        let known =
            GUISE_RESOLVE_BENEATH | GUISE_RESOLVE_NO_SYMLINKS
            | GUISE_RESOLVE_NO_MAGICLINKS
        guard request.resolve & ~known == 0 else { throw Stop(ENOSYS) }
        let beneath = request.resolve & GUISE_RESOLVE_BENEATH != 0
        var components = Components(path)
        var place = start
        var depth = 0
        var links = 0
        if components.isAbsolute {
            guard !beneath else { throw Stop(EXDEV) }
            place = try topOfTheTree()
        }
        while let name = components.next() {
            let isLast = components.isAtEnd
            if name == [0x2E] {
                if isLast { return try here(place) }
                continue
            }
            if name == [0x2E, 0x2E] {
                depth -= 1
                if beneath, depth < 0 { throw Stop(EXDEV) }
                place = try parent(of: place)
                if isLast { return try here(place) }
                continue
            }
            guard name.count <= 255 else { throw Stop(ENAMETOOLONG) }
            let terminated = name + [0]
            let found = open(terminated, in: place, flags: OpenRequest.Flag.path | OpenRequest.Flag.noFollow)
            if found == -ENOENT, isLast {
                return place.root == nil
                    ? .unix(directory: place.directory, name: terminated)
                    : .missing(
                        place.directory, name: terminated, isDirectory: components.endsInSlash)
            }
            guard found >= 0 else { throw Stop(-found) }
            let object = OwnedDescriptor(found)
            let status = try status(of: object)
            if status.isSymbolicLink {
                if isLast, !components.endsInSlash, !request.followsLast {
                    return place.root == nil
                        ? .unix(directory: place.directory, name: terminated) : .managed(object, status)
                }
                links += 1
                guard links <= Self.largestLinkCount,
                    request.resolve & GUISE_RESOLVE_NO_SYMLINKS == 0
                else { throw Stop(ELOOP) }
                if try isMagic(terminated, in: place) {
                    guard request.resolve & GUISE_RESOLVE_NO_MAGICLINKS == 0, !beneath
                    else { throw Stop(ELOOP) }
                    let target = open(terminated, in: place, flags: OpenRequest.Flag.path)
                    guard target >= 0 else { throw Stop(-target) }
                    let linked = OwnedDescriptor(target)
                    let reached = try ownWorkingDirectory(terminated, in: place) ?? linked
                    let root = roots.root(containing: reached.number)
                    if isLast, !components.endsInSlash {
                        return root == nil
                            ? .reached(reached) : .managed(reached, try self.status(of: reached))
                    }
                    place = Place(directory: reached, root: root)
                    continue
                }
                let target = try content(ofLink: object, status, name, in: place)
                guard !target.isEmpty else { throw Stop(ENOENT) }
                components.prepend(target)
                guard components.count <= 4 * 4096 else { throw Stop(ENAMETOOLONG) }
                if target[0] == 0x2F {
                    guard !beneath else { throw Stop(EXDEV) }
                    place = try topOfTheTree()
                }
                continue
            }
            let entered = place.root ?? roots.root(status)
            if isLast, !components.endsInSlash {
                if entered != nil { return .managed(object, status) }
                return isOwnDescriptors(terminated, in: place)
                    ? .ownDescriptors(object) : .unix(directory: place.directory, name: terminated)
            }
            guard status.isDirectory else { throw Stop(ENOTDIR) }
            depth += 1
            place = Place(directory: object, root: entered)
            if entered != nil { try checkTraverse(object) }
            if isLast { return try here(place) }
        }
        return try here(place)
    }

    private func topOfTheTree() throws(Stop) -> Place {
        let top = files.openAsAuthority(
            AT_FDCWD, "/", open_how(OpenRequest.Flag.path | OpenRequest.Flag.directory))
        guard top >= 0 else { throw Stop(-top) }
        return Place(directory: OwnedDescriptor(top), root: nil)
    }

    /// The place itself is what was asked for.
    private func here(_ place: Place) throws(Stop) -> Outcome {
        guard place.root != nil else {
            guard !isAuthoritys(place.directory) else { throw Stop(EACCES) }
            return .unix(directory: place.directory, name: [0x2E, 0])
        }
        return .managed(place.directory, try status(of: place.directory))
    }

    private func parent(of place: Place) throws(Stop) -> Place {
        let dots: [CChar] = [0x2E, 0x2E, 0]
        // Out of a root, too, it is the root that is passed through: its Unix mode keeps everybody else out.
        let found = open(dots, in: place, flags: OpenRequest.Flag.path | OpenRequest.Flag.directory)
        guard found >= 0 else { throw Stop(-found) }
        // By the kernel's name: the directory may have been moved since it was entered.
        return Place(directory: OwnedDescriptor(found), root: roots.root(containing: found))
    }

    private func open(_ name: [CChar], in place: Place, flags: UInt64) -> Int32 {
        if place.root != nil {
            return files.openAsAuthority(place.directory.number, name, open_how(flags))
        }
        guard let credentials = caller.credentials, !isAuthoritys(place.directory) else { return -EACCES }
        let found = files.open(as: credentials, place.directory.number, name, open_how(flags))
        guard found == -EACCES, isOwnDescriptors(name, in: place) else { return found }
        return files.openAsAuthority(place.directory.number, name, open_how(flags))
    }

    /// Whether a directory is, or lies below, one of the authority's own in a proc file system. The kernel shows a
    /// process all of itself, whatever the credentials (`same_thread_group`), and here it is the authority that
    /// opens: a client would see its memory map and its descriptors.
    private func isAuthoritys(_ directory: OwnedDescriptor) -> Bool {
        var directory = directory
        // The deepest is /proc/PID/task/TID/net/… and the like.
        for _ in 0..<16 {
            guard isProcessFileSystem(directory.number) else { return false }
            if let owner = ownerOfProcess(directory.number) { return owner == getpid() }
            let above = files.openAsAuthority(
                directory.number, "..", open_how(OpenRequest.Flag.path | OpenRequest.Flag.directory))
            guard above >= 0 else { return true }
            directory = OwnedDescriptor(above)
        }
        return true
    }

    /// The process whose directory in a proc file system this is; nil when it is no process's.
    private func ownerOfProcess(_ directory: Int32) -> Int32? {
        let file = files.openAsAuthority(directory, "status", open_how(0))
        guard file >= 0 else { return nil }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 4096)
        let length = read(file, &text, text.count)
        guard length > 0 else { return nil }
        // The last line may be cut short.
        let lines = String(decoding: text[..<length], as: UTF8.self).split(separator: "\n").dropLast()
        // In a proc file system of an outer pid namespace the last number is the one known here.
        let field = lines.first { $0.hasPrefix("NStgid:") } ?? lines.first { $0.hasPrefix("Tgid:") }
        return field?.split(separator: "\t").last.flatMap { Int32($0) }
    }

    /// Whether a name is that of the caller's own descriptors in /proc, or of one of them. A process reaches
    /// these whatever its credentials (proc_fd_permission in the kernel); what they lead to is checked there.
    private func isOwnDescriptors(_ name: [CChar], in place: Place) -> Bool {
        guard place.root == nil, isProcessFileSystem(place.directory.number),
            let bytes = kernelPath(of: place.directory.number)
        else { return false }
        let name = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard name == "fd" || Int32(name) != nil else { return false }
        let directories = caller.directories.map { name == "fd" ? $0 : $0 + "/fd" }
        return directories.contains(String(decoding: bytes, as: UTF8.self))
    }

    /// Where the link `cwd` of the caller leads if the kernel has it elsewhere.
    private func ownWorkingDirectory(_ name: [CChar], in place: Place) throws(Stop) -> OwnedDescriptor? {
        guard let noted = caller.workingDirectories, noted.isUsed, name == [0x63, 0x77, 0x64, 0],
            let bytes = kernelPath(of: place.directory.number),
            caller.directories.contains(String(decoding: bytes, as: UTF8.self))
        else { return nil }
        do { return try noted.directory(of: caller.tid) } catch { throw Stop(error.errno) }
    }

    private func status(of object: OwnedDescriptor) throws(Stop) -> statx {
        var status = statx()
        let error = guise_stat(object.number, "", GUISE_AT_EMPTY_PATH, &status)
        guard error == 0 else { throw Stop(-error) }
        return status
    }

    private func isMagic(_ name: [CChar], in place: Place) throws(Stop) -> Bool {
        guard place.root == nil, isProcessFileSystem(place.directory.number) else { return false }
        // Whether a link is magic does not depend on who asks.
        let plain = open_how(OpenRequest.Flag.path, resolve: GUISE_RESOLVE_NO_MAGICLINKS)
        let found = files.openAsAuthority(place.directory.number, name, plain)
        if found >= 0 { close(found) }
        return found == -ELOOP
    }

    /// Where a link points. `self` and `thread-self` of a proc file system are the caller's.
    private func content(
        ofLink link: OwnedDescriptor, _ status: statx, _ name: [CChar], in place: Place
    ) throws(Stop) -> [CChar] {
        if place.root == nil, isProcessFileSystem(place.directory.number) {
            if name.elementsEqual("self".utf8.map(CChar.init(bitPattern:))) {
                return "\(caller.pid)".utf8.map(CChar.init(bitPattern:))
            }
            if name.elementsEqual("thread-self".utf8.map(CChar.init(bitPattern:))) {
                return "\(caller.pid)/task/\(caller.tid)".utf8.map(CChar.init(bitPattern:))
            }
        }
        if place.root == nil { try checkFollowing(status, in: place) }
        var target = [CChar](repeating: 0, count: 4097)
        let length = readlinkat(link.number, "", &target, target.count)
        guard length >= 0 else { throw Stop(EACCES) }
        guard length <= 4096 else { throw Stop(ENAMETOOLONG) }
        return Array(target[..<length])
    }

    /// What the kernel's `fs.protected_symlinks` says: in a sticky directory that everybody may write, a link
    /// is followed only by its owner, or when the directory's owner made it.
    private func checkFollowing(_ link: statx, in place: Place) throws(Stop) {
        let directory = try status(of: place.directory)
        let stickyAndShared = UInt32(directory.stx_mode) & 0o1002 == 0o1002
        guard stickyAndShared, link.stx_uid != caller.credentials?.uid, link.stx_uid != directory.stx_uid
        else { return }
        throw Stop(EACCES)
    }

    private func checkTraverse(_ directory: OwnedDescriptor) throws(Stop) {
        // Who backs up or restores gets at everything, and so passes through.
        guard !caller.token.holds(.changeNotify), caller.intent.isEmpty else { return }
        let decision = StoredDescriptor.read(of: directory.number) {
            try? trail.isAllowed($0, .traverse, caller.token, for: caller.intent, object: directory.number)
        }
        guard case .success(true?) = decision else { throw Stop(EACCES) }
    }
}

/// Whether an open object lies in a proc file system.
func isProcessFileSystem(_ descriptor: Int32) -> Bool { guise_is_procfs(descriptor) }

/// The components of a path that are still to be walked.
private struct Components {
    private var rest: [CChar]
    let isAbsolute: Bool

    init(_ path: [CChar]) {
        rest = path
        isAbsolute = path.first == 0x2F
        skipSlashes()
    }

    var isAtEnd: Bool { rest.allSatisfy { $0 == 0x2F } }
    var endsInSlash: Bool { !rest.isEmpty && isAtEnd }
    var count: Int { rest.count }

    private mutating func skipSlashes() { rest = Array(rest.drop { $0 == 0x2F }) }

    mutating func next() -> [CChar]? {
        skipSlashes()
        guard !rest.isEmpty else { return nil }
        let name = Array(rest.prefix { $0 != 0x2F })
        rest.removeFirst(name.count)
        return name
    }

    /// Walks a link's content before the rest.
    mutating func prepend(_ target: [CChar]) { rest = target + rest }
}
