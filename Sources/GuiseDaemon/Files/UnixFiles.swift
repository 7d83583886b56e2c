import CGuise
import Glibc

/// Opens files as somebody: the kernel decides by that user's effective credentials. Belongs to one thread,
/// whose working directory and umask are its own.
///
/// Through a ring a personality is named in each request, which costs next to nothing; where io_uring is not
/// to be had, the thread takes on the credentials and gives them back around each call.
final class UnixFiles {
    /// The most personalities registered at once; past it all are forgotten and made again when needed.
    private static let largestPersonalityCount = 1024

    private let ring: OpaquePointer?
    private var personalities: [UnixCredentials: Int32] = [:]

    /// Takes the calling thread for its own.
    init() {
        _ = guise_unshare_fs()
        umask(0)
        // A personality is another user's.
        ring = AuthorityUser.isRoot ? guise_ring_create() : nil
    }

    deinit { if let ring { guise_ring_destroy(ring) } }

    /// openat2(2) as a user. Returns a descriptor or a negative errno.
    ///
    /// - Parameters:
    ///   - umask: of the process that asked; the kernel applies it as it would have there.
    ///   - mayWait: the open may block, which then is this thread's own system call, so that a signal ends it.
    func open(
        as user: UnixCredentials, _ directory: Int32, _ path: UnsafePointer<CChar>, _ how: open_how,
        umask mask: UInt32 = 0, mayWait: Bool = false
    ) -> Int32 {
        var how = how
        how.flags |= OpenRequest.Flag.closeOnExec
        if mask != 0 { umask(mode_t(mask)) }
        defer { if mask != 0 { umask(0) } }
        if !mayWait, let ring, let personality = personality(user, ring) {
            return guise_ring_open(ring, personality, directory, path, &how)
        }
        return Self.assuming(user) { guise_openat2(directory, path, &how) }
    }

    /// openat2(2) as the authority.
    func openAsAuthority(_ directory: Int32, _ path: UnsafePointer<CChar>, _ how: open_how) -> Int32 {
        var how = how
        how.flags |= OpenRequest.Flag.closeOnExec
        return guise_openat2(directory, path, &how)
    }

    /// Opens what a descriptor stands for once more, as the authority.
    func reopenAsAuthority(_ descriptor: Int32, _ how: open_how) -> Int32 {
        var how = how
        how.flags |= OpenRequest.Flag.closeOnExec
        return guise_reopen(descriptor, &how)
    }

    private func personality(_ user: UnixCredentials, _ ring: OpaquePointer) -> Int32? {
        if let known = personalities[user] { return known }
        if personalities.count >= Self.largestPersonalityCount {
            for number in personalities.values { guise_ring_forget(ring, number) }
            personalities = [:]
        }
        let number = Self.assuming(user) { guise_ring_register(ring) }
        guard number > 0 else { return nil }
        personalities[user] = number
        return number
    }

    /// Runs `body` with a user's credentials on the calling thread.
    static func assuming(_ user: UnixCredentials, _ body: () -> Int32) -> Int32 {
        guard AuthorityUser.isRoot else { return user.assumable == nil ? -EACCES : body() }
        let error = user.groups.withUnsafeBufferPointer {
            guise_credentials_assume(user.uid, user.gid, $0.baseAddress, $0.count)
        }
        guard error == 0 else { return error }
        defer {
            // A thread that stayed somebody else would decide everything after this wrongly.
            if guise_credentials_restore() != 0 { abort() }
        }
        return body()
    }

    /// Runs `body` on the calling thread with what files allow a user, and the authority's credentials otherwise.
    static func assumingFiles(_ user: UnixCredentials, _ body: () -> Int64) -> Int64 {
        guard AuthorityUser.isRoot else { return user.assumable == nil ? -Int64(EACCES) : body() }
        let error = user.groups.withUnsafeBufferPointer {
            guise_credentials_assume_files(user.uid, user.gid, $0.baseAddress, $0.count)
        }
        guard error == 0 else { return Int64(error) }
        defer { if guise_credentials_restore_files() != 0 { abort() } }
        return body()
    }
}
