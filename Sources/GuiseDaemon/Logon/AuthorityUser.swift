import CGuise
import Glibc

/// The Unix user that the authority runs as, and with it whom it can act as.
///
/// Root takes on anybody's credentials. Without root the kernel lets the authority be nobody but itself.
package enum AuthorityUser {
    /// Asked for before any thread takes on somebody else's.
    static let credentials: UnixCredentials = {
        var groups = [gid_t](repeating: 0, count: 65_536)
        let count = getgroups(Int32(groups.count), &groups)
        return UnixCredentials(uid: geteuid(), gid: getegid(), groups: groups.prefix(max(0, Int(count))))
    }()

    package static let isRoot = credentials.isRoot

    /// Whether these are of the user that an authority without root belongs to: who may do anything to it anyway.
    static func isOperator(_ other: UnixCredentials) -> Bool { !isRoot && other.uid == credentials.uid }

    /// The rule by which nobody else is acted for.
    static let rule =
        isRoot
        ? "the client has no Unix user, so no place outside managed roots is open to it"
        : "the authority runs without root, as uid \(credentials.uid), and acts for nobody else outside managed roots"
}

extension UnixCredentials {
    /// These, if the authority can act with them. Without root that takes its own user, in every group that the
    /// authority is in: it has no way to leave one.
    var assumable: UnixCredentials? {
        if AuthorityUser.isRoot { return self }
        let own = AuthorityUser.credentials
        guard uid == own.uid, Set(own.groups + [own.gid]).isSubset(of: groups + [gid]) else { return nil }
        return self
    }
}
