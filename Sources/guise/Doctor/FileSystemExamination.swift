import CGuise
import Glibc

/// Whether file systems keep the security descriptors of objects.
enum FileSystemExamination {
    /// As an authority names it that is root.
    static let attribute = "security.bpf.sd"
    /// And one that is not.
    static let rootlessAttribute = "user.guise.sd"
    private static let purpose = "security descriptors under a managed root"
    private static let remedy = "put the folder on ext4, XFS, Btrfs or tmpfs"

    /// A managed root: its descriptor is where it was put.
    static func root(_ path: String, isUnavailable: Bool, isRootless: Bool = false) -> Finding {
        let name = "root \(path)"
        guard !isUnavailable else {
            return Finding(
                name, .missing, for: purpose, detail: "it is not as Guise left it, and nothing in it opens",
                remedy:
                    "make it \(isRootless ? "yours" : "root's") again, with mode 0700, and start guised anew, or `guise root remove` it"
            )
        }
        let folder = open(path, Int32(GUISE_O_PATH | GUISE_O_DIRECTORY | GUISE_O_CLOEXEC))
        guard folder >= 0 else {
            let error = guise_errno()
            return Finding(
                name, geteuid() == 0 || error != EACCES ? .missing : .limited, for: purpose,
                detail: String(cString: strerror(error)), remedy: "look at the path; run this as root")
        }
        defer { close(folder) }
        let got = guise_xattr_get(folder, isRootless ? rootlessAttribute : attribute, nil, 0)
        guard got != -Int(ENODATA) else {
            return Finding(
                name, .missing, for: purpose, detail: "it carries no descriptor",
                remedy: "`guise root remove` it, and add it anew with --adopt")
        }
        return Finding(name, of: Int32(min(got, 0)), for: purpose, remedy: remedy)
    }

    /// A folder that might become a root: something without a name is made in it, and given a descriptor.
    static func candidate(_ path: String) -> Finding {
        let name = "xattr \(path)"
        guard geteuid() == 0 || access(path, W_OK) == 0 else {
            return Finding(
                name, .limited, for: purpose, detail: "not tried: uid \(geteuid()) may not write there",
                remedy: "run this as root, or for an authority without root name a folder of yours")
        }
        let attribute = geteuid() == 0 ? attribute : rootlessAttribute
        let file = open(
            path, Int32(GUISE_O_TMPFILE_BIT | GUISE_O_DIRECTORY | GUISE_O_RDWR | GUISE_O_CLOEXEC), 0o600)
        guard file >= 0 else {
            return Finding(name, of: -guise_errno(), for: purpose, remedy: remedy)
        }
        defer { close(file) }
        // The least descriptor there is: a revision, and nothing in it.
        let bytes: [UInt8] = [1] + [UInt8](repeating: 0, count: 19)
        var result = guise_xattr_set(file, attribute, bytes, bytes.count, false)
        if result == 0 {
            var copy = [UInt8](repeating: 0xff, count: bytes.count)
            let got = guise_xattr_get(file, attribute, &copy, copy.count)
            result = got < 0 ? Int32(got) : copy == bytes ? 0 : -EIO
        }
        return Finding(name, of: result, for: purpose, remedy: remedy)
    }

    /// Where people put what a service serves, when nobody says where.
    static var usualPlace: String { access("/srv", F_OK) == 0 ? "/srv" : "/" }
}
