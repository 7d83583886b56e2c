import AccessControl
import CGuise
import Glibc

/// Where a server listens, as a place in the file system whose security descriptors say who may listen there and who
/// may connect.
///
/// The kernel has let the client connect by Unix modes, and knows nothing of descriptors. A service that captures its
/// clients hears of it here, before it has served them.
struct Endpoint {
    private let path: String
    private let directory: OwnedDescriptor
    /// nil: it is not there any more.
    private let file: OwnedDescriptor?

    /// The absolute path that a socket was bound by; nil when it has none.
    static func path(of socket: Int32) -> [CChar]? {
        var name = [CChar](repeating: 0, count: 128)
        let length = Int(guise_unix_own_path(socket, &name, name.count))
        return length > 1 && name[0] == 0x2F && name[length - 1] != 0x2F ? Array(name[..<length]) : nil
    }

    /// The place as far as the kernel has it at hand, in a file system of this machine: nobody is asked who may take any
    /// time to answer. nil: it takes asking, or it is not as it was.
    static func known(at name: [CChar], of process: Int32) -> Endpoint? {
        guard let found = try? Endpoint(at: name, of: process, resolve: GUISE_RESOLVE_CACHED),
            let file = found.file, guise_is_of_this_machine(found.directory.number),
            guise_is_of_this_machine(file.number)
        else { return nil }
        return found
    }

    /// Looks from where the server's process looks. Whoever serves the file system there may take any time to answer.
    ///
    /// - Parameters:
    ///   - name: as ``path(of:)`` has it.
    ///   - resolve: RESOLVE_* besides what has to be.
    /// - Returns: nil where the directory is not there: whoever made the socket has seen another tree, or moved it.
    init?(at name: [CChar], of process: Int32, resolve: UInt64 = 0) throws(Refused) {
        guard let slash = name.lastIndex(of: 0x2F) else { return nil }
        var here = open_how(OpenRequest.Flag.path | OpenRequest.Flag.directory | OpenRequest.Flag.closeOnExec)
        let top = guise_openat2(AT_FDCWD, "/proc/\(process)/root", &here)
        guard top >= 0 else {
            throw Refused(.accessDenied, "the server's root directory cannot be opened: \(errnoText(-top))")
        }
        defer { close(top) }
        here.resolve = GUISE_RESOLVE_IN_ROOT | GUISE_RESOLVE_NO_MAGICLINKS | resolve
        let directory = guise_openat2(top, Array(name[..<max(slash, 1)]) + [0], &here)
        guard directory >= 0 else {
            if [-ENOENT, -ENOTDIR].contains(directory) { return nil }
            throw Refused(
                .accessDenied,
                "the directory that the server listens in cannot be opened: \(errnoText(-directory))")
        }
        self.directory = OwnedDescriptor(directory)
        var there = open_how(
            OpenRequest.Flag.path | OpenRequest.Flag.noFollow | OpenRequest.Flag.closeOnExec,
            resolve: GUISE_RESOLVE_BENEATH | resolve)
        let file = guise_openat2(directory, Array(name[(slash + 1)...]) + [0], &there)
        self.file = file >= 0 ? OwnedDescriptor(file) : nil
        path = String(decoding: name.map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard file >= 0 || file == -ENOENT else {
            throw Refused(
                .accessDenied, "\(path), where the server listens, cannot be opened: \(errnoText(-file))")
        }
    }

    /// Throws unless the server may listen here (ADD_FILE on the directory) and the client may connect (WRITE_DATA on
    /// the socket's file; one without a descriptor has what it would have inherited). What carries no descriptor asks
    /// for nothing.
    func check(client: Token, server: Token, _ trail: DecisionTrail) throws(Refused) {
        let parent = try descriptor(of: directory)
        if let parent, !allows(parent, server, .addFile, directory, trail) {
            throw Refused(
                .accessDenied,
                "the descriptor of the directory of \(path) does not let this service listen there (ADD_FILE)"
            )
        }
        let own = try file.flatMap { file throws(Refused) in try descriptor(of: file) }
        let inherited = parent.flatMap {
            try? SecurityDescriptor.inheriting(parent: $0, isContainer: false, token: server)
        }
        guard let deciding = own ?? inherited else {
            guard parent == nil else {
                throw Refused(.accessDenied, "no descriptor can be inherited for \(path)")
            }
            return
        }
        guard allows(deciding, client, .writeData, file ?? directory, trail) else {
            throw Refused(
                .accessDenied, "the descriptor of \(path) does not let this client connect (WRITE_DATA)")
        }
    }

    private func allows(
        _ descriptor: SecurityDescriptor, _ token: Token, _ right: AccessMask<FileKind>,
        _ object: OwnedDescriptor, _ trail: DecisionTrail
    ) -> Bool {
        descriptor.bytes.withUnsafeBytes {
            (try? trail.isAllowed($0, right, token, object: object.number)) == true
        }
    }

    private func descriptor(of object: OwnedDescriptor) throws(Refused) -> SecurityDescriptor? {
        switch StoredDescriptor.reading(of: object.number) {
        case .descriptor(let descriptor): return descriptor
        case .none, .failed(EOPNOTSUPP): return nil
        case .damaged(let error):
            throw Refused(.accessDenied, "a descriptor at \(path) is damaged: \(error)")
        case .failed(let error):
            throw Refused(.accessDenied, "a descriptor at \(path) cannot be read: \(errnoText(error))")
        }
    }
}
