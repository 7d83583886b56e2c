import AccessControl
import CGuise
import Glibc

/// What younger system calls do with files.
extension FileCalls {
    /// fanotify_mark(2) on an object: READ_DATA, as inotify.
    func mark(_ object: Located, _ group: Int32, flags: UInt32, mask: UInt64) throws(FileError) {
        try require(.readData, on: object)
        try run(object) { guise_fanotify_mark(group, flags, mask, path(of: object)) }
    }

    /// Takes all marks of a group away, which asks for nothing.
    func clearMarks(_ group: Int32, flags: UInt32, mask: UInt64) throws(FileError) {
        try asAuthority { guise_fanotify_mark(group, flags, mask, nil) }
    }

    /// name_to_handle_at(2), which grants nothing: nobody opens by a handle.
    ///
    /// - Parameter room: how many bytes the caller has for it.
    /// - Returns: the handle, and the mount; with EOVERFLOW the size that it takes.
    func handle(
        of object: Located, room: UInt32, _ flags: Int32
    ) throws(FileError) -> (bytes: [UInt8], mount: UInt64, error: Int32?) {
        var bytes = [UInt8](repeating: 0, count: 8 + Int(GUISE_LARGEST_HANDLE))
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: room, as: UInt32.self) }
        var mount: UInt64 = 0
        var error: Int32?
        try run(object) {
            guard guise_file_handle(path(of: object), flags, &bytes, &mount) < 0 else { return 0 }
            error = guise_errno()
            return error == EOVERFLOW ? 0 : -1
        }
        let size = bytes.withUnsafeBytes { $0.load(as: UInt32.self) }
        return (Array(bytes[..<(8 + Int(min(size, room)))]), mount, error)
    }

    /// file_getattr(2): READ_ATTRIBUTES.
    func fileAttributes(of object: Located) throws(FileError) -> guise_file_attributes {
        try require(.readAttributes, on: object)
        var attributes = guise_file_attributes()
        try run(object) { guise_file_attributes_get(path(of: object), &attributes) }
        return attributes
    }

    /// file_setattr(2): WRITE_ATTRIBUTES. Under a managed root nothing changes that keeps others from the file or counts
    /// for somebody's quota.
    func setFileAttributes(_ attributes: guise_file_attributes, of object: Located) throws(FileError) {
        try require(.writeAttributes, on: object)
        if object.isManaged {
            var now = guise_file_attributes()
            try run(object) { guise_file_attributes_get(path(of: object), &now) }
            // What takes a capability the kernel refuses itself.
            let free = GUISE_FILE_FLAGS_OF_OWNERS | GUISE_FILE_FLAGS_OF_ROOT
            guard (now.flags ^ attributes.flags) & ~free == 0,
                now.project == attributes.project, now.extent_size == attributes.extent_size,
                now.cow_extent_size == attributes.cow_extent_size
            else {
                throw FileError(
                    EPERM,
                    rule: "under a managed root a file's project and layout are not the client's to set")
            }
        }
        try run(object) {
            withUnsafePointer(to: attributes) { guise_file_attributes_set(path(of: object), $0) }
        }
    }
}
