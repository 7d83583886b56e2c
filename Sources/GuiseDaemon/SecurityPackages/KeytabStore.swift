import AccessControl
import CGuise
import Glibc

/// The keytabs of services, which administrators gave: a file for each in the state directory, that nobody else reads.
///
/// Everything here touches the disk: not for the control thread.
struct KeytabStore: Sendable {
    /// The most bytes of one.
    static let largest = 65_536

    struct Keytab: Sendable {
        let bytes: [UInt8]
        /// Whether the service may ask the KDC, with it, to act as its clients elsewhere.
        let delegates: Bool
    }

    private let directory: String

    /// - Parameter state: the state directory.
    init(state: String) { directory = state + "/keytabs" }

    /// The keytab of an account; nil where there is none.
    func keytab(of account: SID) throws(Refused) -> Keytab? {
        // Of both, which only a crash leaves, the one that lets it do less.
        for delegates in [false, true] {
            let descriptor = open(path(account, delegates), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else {
                if guise_errno() == ENOENT { continue }
                throw failure("read", guise_errno())
            }
            defer { close(descriptor) }
            let bytes = [UInt8](unsafeUninitializedCapacity: Self.largest) { buffer, count in
                count = max(0, read(descriptor, buffer.baseAddress!, buffer.count))
            }
            return Keytab(bytes: bytes, delegates: delegates)
        }
        return nil
    }

    /// Keeps the keytab of an account, in place of the one that it has; nil: takes that one away.
    func set(_ keytab: Keytab?, of account: SID) throws(Refused) {
        guard let keytab else { return try remove(account, except: nil) }
        guard mkdir(directory, 0o700) == 0 || guise_errno() == EEXIST else {
            throw failure("keep", guise_errno())
        }
        let (new, path) = (directory + "/new", path(account, keytab.delegates))
        unlink(new)
        let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("keep", guise_errno()) }
        defer { close(descriptor) }
        guard write(descriptor, keytab.bytes, keytab.bytes.count) == keytab.bytes.count,
            fsync(descriptor) == 0, rename(new, path) == 0
        else {
            let error = guise_errno()
            unlink(new)
            throw failure("keep", error)
        }
        try remove(account, except: keytab.delegates)
    }

    private func remove(_ account: SID, except kept: Bool?) throws(Refused) {
        for delegates in [false, true] where delegates != kept {
            guard unlink(path(account, delegates)) == 0 || guise_errno() == ENOENT else {
                throw failure("remove", guise_errno())
            }
        }
        let opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { return }
        fsync(opened)
        close(opened)
    }

    /// A file of what an account's clients said, to know it again: it outlives whoever writes it.
    ///
    /// - Parameter user: who may write it.
    func replayCache(of account: SID, for user: UInt32?) throws(Refused) -> OwnedDescriptor {
        let descriptor = open(
            directory + "/\(account).replay", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("make a replay cache for", guise_errno()) }
        let cache = OwnedDescriptor(descriptor)
        if let user, fchown(descriptor, user, user) != 0 {
            throw failure("give away a replay cache for", guise_errno())
        }
        return cache
    }

    private func path(_ account: SID, _ delegates: Bool) -> String {
        directory + "/\(account).\(delegates ? "delegating" : "accepting")"
    }

    private func failure(_ deed: String, _ error: Int32) -> Refused {
        Refused(.internal, "the authority cannot \(deed) the keytab: \(errnoText(error))")
    }
}
