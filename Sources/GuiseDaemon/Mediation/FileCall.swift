/// The calls that are about files and are not of the open family, by the kernel's names.
enum FileCall: String, CaseIterable {
    case stat, lstat, newfstatat, statx, statfs
    case access, faccessat, faccessat2
    case readlink, readlinkat
    case unlink, unlinkat, rmdir
    case mkdir, mkdirat, mknod, mknodat, symlink, symlinkat
    case rename, renameat, renameat2, link, linkat
    case chmod, fchmod, fchmodat, fchmodat2
    case chown, lchown, fchown, fchownat
    case utime, utimes, futimesat, utimensat
    case truncate
    case getxattr, lgetxattr, fgetxattr, setxattr, lsetxattr, fsetxattr
    case listxattr, llistxattr, flistxattr, removexattr, lremovexattr, fremovexattr
    case getxattrat, setxattrat, listxattrat, removexattrat
    case inotifyAddWatch = "inotify_add_watch"
    case fanotifyMark = "fanotify_mark"
    case nameToHandle = "name_to_handle_at"
    case fileGetattr = "file_getattr"
    case fileSetattr = "file_setattr"
    case chdir, fchdir, getcwd

    /// The arguments that are paths: the index of each, and of the directory it starts from, if it has one.
    var paths: [(path: Int, directory: Int?)] {
        switch self {
        case .stat, .lstat, .statfs, .access, .readlink, .unlink, .rmdir, .mkdir, .mknod, .chmod, .chown,
            .lchown,
            .utime, .utimes, .truncate, .getxattr, .lgetxattr, .setxattr, .lsetxattr, .listxattr, .llistxattr,
            .removexattr, .lremovexattr, .chdir:
            [(0, nil)]
        case .newfstatat, .statx, .faccessat, .faccessat2, .readlinkat, .unlinkat, .mkdirat, .mknodat,
            .fchmodat,
            .fchmodat2, .fchownat, .futimesat, .utimensat, .getxattrat, .setxattrat, .listxattrat,
            .removexattrat, .nameToHandle, .fileGetattr, .fileSetattr:
            [(1, 0)]
        // The target of a symbolic link is text.
        case .symlink: [(1, nil)]
        case .symlinkat: [(2, 1)]
        case .rename, .link: [(0, nil), (1, nil)]
        case .renameat, .renameat2, .linkat: [(1, 0), (3, 2)]
        case .inotifyAddWatch: [(1, nil)]
        case .fanotifyMark: [(4, 3)]
        case .fchmod, .fchown, .fgetxattr, .fsetxattr, .flistxattr, .fremovexattr, .fchdir, .getcwd: []
        }
    }

    /// Whether the call sets or removes extended attributes.
    var changesAttributes: Bool {
        switch self {
        case .setxattr, .lsetxattr, .fsetxattr, .setxattrat, .removexattr, .lremovexattr, .fremovexattr,
            .removexattrat:
            true
        default: false
        }
    }

    /// Whether the call changes the working directory, or tells it.
    var isAboutWorkingDirectory: Bool {
        switch self {
        case .chdir, .fchdir, .getcwd: true
        default: false
        }
    }

    /// Whether the call makes something, so that the umask matters.
    var creates: Bool {
        switch self {
        case .mkdir, .mkdirat, .mknod, .mknodat: true
        default: false
        }
    }
}
