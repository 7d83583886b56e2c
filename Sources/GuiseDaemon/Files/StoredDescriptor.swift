import AccessControl
import CGuise
import Glibc
import Synchronization

/// The security descriptor that an object carries in its extended attribute.
enum StoredDescriptor {
    /// Both names that it has. No client reaches either.
    static let attributes = [rootLiteral.description, rootlessLiteral.description]
    /// Read by the kernel's own enforcement one day; only who has CAP_SYS_ADMIN writes it.
    private static let rootLiteral: StaticString = "security.bpf.sd"
    /// What an authority without root can write: as can every process of its user.
    private static let rootlessLiteral: StaticString = "user.guise.sd"
    private static let literal = AuthorityUser.isRoot ? rootLiteral : rootlessLiteral
    /// The same for C: a `String` would be copied to the heap for each call.
    private static var name: UnsafePointer<CChar> {
        UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    /// The most bytes an extended attribute holds.
    static let largest = 65_536

    /// Keeps changes apart, those of one file system, so that one that does not answer holds up no other's.
    final class Changes: Sendable { let lock = Mutex(()) }
    private static let changes = Mutex<[UInt64: Changes]>([:])

    /// Held by whoever reads an object's descriptor and writes it back changed, so that no two changes meet.
    static func changes(of object: OwnedDescriptor) throws(Refused) -> Changes {
        var status = statx()
        let error = guise_stat(object.number, "", GUISE_AT_EMPTY_PATH, &status)
        guard error == 0 else { throw Refused(.internal, errnoText(-error)) }
        return changes.withLock { changes in
            if let known = changes[status.device] { return known }
            let made = Changes()
            changes[status.device] = made
            return made
        }
    }

    /// Reads the descriptor of what a path stands for, a link itself. Whoever uses the path afterwards may find something
    /// else there.
    ///
    /// - Returns: what `body` returns, or an errno: ENODATA when the object carries none, ERANGE when it carries a long
    ///   one, ENOSYS before Linux 6.13.
    static func read<Result>(
        at directory: Int32, _ path: UnsafePointer<CChar>, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Swift.Result<Result, Failure> {
        withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { bytes in
            let length = guise_xattr_get_at(directory, path, name, bytes.baseAddress, bytes.count)
            guard length >= 0 else { return .failure(Failure(errno: Int32(-length))) }
            return .success(body(UnsafeRawBufferPointer(rebasing: bytes[..<length])))
        }
    }

    /// Reads the descriptor of an open object (O_PATH will do) and hands it to `body`, unchecked.
    ///
    /// - Parameter isPath: whether the object is open with O_PATH, to ask in the right way at once.
    /// - Returns: what `body` returns, or an errno; ENODATA when the object carries none.
    static func read<Result>(
        of descriptor: Int32, isPath: Bool = false, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Swift.Result<Result, Failure> {
        withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { small in
            let length =
                isPath
                ? guise_xattr_get_path(descriptor, name, small.baseAddress, small.count)
                : guise_xattr_get(descriptor, name, small.baseAddress, small.count)
            if length >= 0 {
                return .success(body(UnsafeRawBufferPointer(rebasing: small[..<length])))
            }
            guard length == -Int(ERANGE) else { return .failure(Failure(errno: Int32(-length))) }
            let large = UnsafeMutableRawBufferPointer.allocate(byteCount: largest, alignment: 8)
            defer { large.deallocate() }
            let whole = guise_xattr_get(descriptor, name, large.baseAddress, large.count)
            guard whole >= 0 else { return .failure(Failure(errno: Int32(-whole))) }
            return .success(body(UnsafeRawBufferPointer(rebasing: large[..<whole])))
        }
    }

    struct Failure: Error { let errno: Int32 }

    /// Whether an object outside managed roots carries none, so that the kernel alone decides. Of what others have an
    /// authority without root may be allowed to know nothing; the descriptors that it set are on its own user's.
    static func isNone(_ failure: Failure, of status: statx) -> Bool {
        if [ENODATA, EOPNOTSUPP].contains(failure.errno) { return true }
        return !AuthorityUser.isRoot && failure.errno == EACCES
            && status.stx_uid != AuthorityUser.credentials.uid
    }

    /// Throws where an object of this kind (S_IFMT) cannot carry one: the kernel has `user.` attributes on files and
    /// directories alone.
    static func checkSupport(of kind: UInt32) throws(FileError) {
        guard AuthorityUser.isRoot || kind == GUISE_S_IFREG || kind == GUISE_S_IFDIR else {
            throw FileError(
                EPERM,
                rule:
                    "without root only files and folders carry a security descriptor, so nothing else is made"
            )
        }
    }

    /// What an object carries.
    enum Reading {
        case descriptor(SecurityDescriptor)
        case none
        case damaged(DescriptorError)
        /// An errno value.
        case failed(Int32)
    }

    /// Reads and checks the descriptor of an open object (O_PATH will do).
    ///
    /// Asks for its attributes first: a FUSE file system that its user keeps to himself refuses that at once, but would
    /// be asked for an extended attribute, and could keep the caller waiting for ever.
    static func reading(of descriptor: Int32) -> Reading {
        var status = statx()
        let error = guise_stat(descriptor, "", GUISE_AT_EMPTY_PATH, &status)
        guard error == 0 else { return .failed(-error) }
        let stored = read(of: descriptor) { bytes -> Reading in
            do throws(DescriptorError) {
                return .descriptor(try SecurityDescriptor(bytes: bytes.bytes))
            } catch { return .damaged(error) }
        }
        switch stored {
        case .success(let reading): return reading
        case .failure(let failure): return failure.errno == ENODATA ? .none : .failed(failure.errno)
        }
    }

    /// What a new object in a directory that is open gets, made under a token.
    static func inherited(
        from directory: Int32, isContainer: Bool, token: Token
    ) throws(FileError) -> SecurityDescriptor {
        let parent = read(of: directory) { try? SecurityDescriptor(bytes: $0.bytes) }
        guard case .success(let parent?) = parent,
            let descriptor = try? SecurityDescriptor.inheriting(
                parent: parent, isContainer: isContainer, token: token)
        else { throw FileError(EACCES, rule: "no descriptor can be inherited from the directory") }
        return descriptor
    }

    /// - Parameter isNew: the object must not carry one yet (EEXIST).
    static func write(_ bytes: [UInt8], to descriptor: Int32, isNew: Bool = false) -> Int32 {
        guise_xattr_set(descriptor, name, bytes, bytes.count, isNew)
    }
}
