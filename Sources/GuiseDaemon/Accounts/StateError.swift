/// Why the state directory was not used. Nothing in it was changed.
package enum StateError: Error, Equatable, CustomStringConvertible {
    /// The path is something else than a directory.
    case notADirectory(path: String)
    /// The path is a symbolic link, which whoever owns it could turn elsewhere.
    case symbolicLink(path: String)
    /// Somebody else owns the path.
    case foreignOwner(path: String, owner: UInt32, expected: UInt32)
    /// Others may write to the path.
    case writableByOthers(path: String, mode: UInt32)
    /// Another authority works on this directory.
    case inUse(path: String)
    /// The database is damaged.
    case corrupt(path: String, detail: String)
    /// The file is not a database of Guise.
    case foreign(path: String, detail: String)
    /// A newer Guise wrote the database.
    case newerSchema(path: String, found: Int, known: Int)
    /// The operating system refused.
    case system(path: String, operation: String, errno: Int32)

    /// One sentence for the operator: what is wrong and what to do about it.
    package var description: String {
        switch self {
        case .notADirectory(let path):
            "\(path) is not a directory: give the authority a directory of its own."
        case .symbolicLink(let path):
            "\(path) is a symbolic link: name the place it points to, so that nobody can turn it elsewhere."
        case .foreignOwner(let path, let owner, let expected):
            "\(path) belongs to uid \(owner), not to uid \(expected) under which the authority runs: "
                + "change its owner, or use another state directory."
        case .writableByOthers(let path, let mode):
            "\(path) can be written by others (mode \(octal(mode))): "
                + "look at who changed it, then take the right away with chmod go-w."
        case .inUse(let path):
            "\(path) is in use by another guised: stop that one first, or use another state directory."
        case .corrupt(let path, let detail):
            "\(path) is damaged (\(detail)): it was left as it is; restore it from a backup."
        case .foreign(let path, let detail):
            "\(path) is not a database of Guise (\(detail)): it was left as it is; "
                + "move it away or use another state directory."
        case .newerSchema(let path, let found, let known):
            "\(path) was written by a newer Guise (schema \(found), this one knows \(known)): "
                + "it was left as it is; run that version, or restore an older backup."
        case .system(let path, let operation, let errno):
            "cannot \(operation) \(path): \(errnoText(errno))."
        }
    }
}

private func octal(_ mode: UInt32) -> String {
    "0" + String(mode & 0o7777, radix: 8)
}
