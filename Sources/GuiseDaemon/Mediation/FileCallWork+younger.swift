import CGuise
import Glibc

/// The file calls that are younger than most, each with arguments of its own kind.
extension FileCallWork {
    // MARK: Extended attributes by directory: (directory, path, flags, …), Linux 6.13

    /// struct xattr_args
    private struct AttributeArguments {
        let value: UInt64
        let size: UInt64
        let flags: Int32
    }

    func performAt(_ call: FileCall) throws(FileError) -> Int64 {
        // A kernel without them says so whoever asks.
        guard guise_has_xattr_at() else { throw FileError(ENOSYS) }
        switch call {
        case .getxattrat:
            let arguments = try attributeArguments()
            guard arguments.flags == 0 else { throw FileError(EINVAL) }
            let value = try calls.attribute(try attributeName(3), of: try objectByFlags(trap.int(2)))
            return try deliver(value, at: arguments.value, arguments.size)
        case .setxattrat:
            let arguments = try attributeArguments()
            guard arguments.size <= StoredDescriptor.largest else { throw FileError(E2BIG) }
            try calls.setAttribute(
                try attributeName(3), try memory(arguments.value, Int(arguments.size)),
                flags: arguments.flags, of: try objectByFlags(trap.int(2)))
        case .listxattrat:
            return try deliver(
                try calls.attributes(of: try objectByFlags(trap.int(2))), at: trap.argument(3),
                trap.argument(4))
        default:
            try calls.removeAttribute(try attributeName(3), of: try objectByFlags(trap.int(2)))
        }
        return 0
    }

    private func attributeArguments() throws(FileError) -> AttributeArguments {
        try structure(4, size: trap.argument(5), of: 16).withUnsafeBytes { bytes in
            AttributeArguments(
                value: bytes.loadUnaligned(as: UInt64.self),
                size: UInt64(bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)),
                flags: bytes.loadUnaligned(fromByteOffset: 12, as: Int32.self))
        }
    }

    /// By directory and path, with nothing but these two flags.
    private func objectByFlags(_ flags: Int32) throws(FileError) -> Located {
        guard flags & ~(GUISE_AT_SYMLINK_NOFOLLOW | GUISE_AT_EMPTY_PATH) == 0 else { throw FileError(EINVAL) }
        return try lookedAt(flags, 1, 0)
    }

    private func structure(_ index: Int, size: UInt64, of known: Int) throws(FileError) -> [UInt8] {
        let bytes = try trap.structure(trap.argument(index), size: size, of: known)
        try trap.checkPending()
        return bytes
    }

    // MARK: file_getattr, file_setattr (directory, path, attributes, size, flags), Linux 6.17

    func writeFileAttributes() throws(FileError) {
        guard guise_has_file_attributes() else { throw FileError(ENOSYS) }
        let size = trap.argument(3)
        let known = MemoryLayout<guise_file_attributes>.size
        guard size >= known, size <= 4096 else { throw FileError(size > 4096 ? E2BIG : EINVAL) }
        let attributes = try calls.fileAttributes(of: try objectByFlags(trap.int(4)))
        let bytes = withUnsafeBytes(of: attributes) { Array($0) }
        try write(bytes + [UInt8](repeating: 0, count: Int(size) - known), at: trap.argument(2))
    }

    func setFileAttributes() throws(FileError) {
        guard guise_has_file_attributes() else { throw FileError(ENOSYS) }
        let bytes = try structure(
            2, size: trap.argument(3), of: MemoryLayout<guise_file_attributes>.size)
        let attributes = bytes.withUnsafeBytes { $0.loadUnaligned(as: guise_file_attributes.self) }
        try calls.setFileAttributes(attributes, of: try objectByFlags(trap.int(4)))
    }

    // MARK: name_to_handle_at(directory, path, handle, mount, flags)

    /// Before the handle itself: its size and its type.
    private static let handleHeader = 8

    func writeHandle() throws(FileError) {
        let flags = trap.int(4)
        let kinds = GUISE_AT_HANDLE_FID | GUISE_AT_HANDLE_CONNECTABLE | GUISE_AT_HANDLE_MNT_ID_UNIQUE
        guard flags & ~(kinds | GUISE_AT_SYMLINK_FOLLOW | GUISE_AT_EMPTY_PATH) == 0,
            flags & GUISE_AT_HANDLE_CONNECTABLE == 0
                || flags & (GUISE_AT_HANDLE_FID | GUISE_AT_EMPTY_PATH) == 0
        else { throw FileError(EINVAL) }
        let (located, isOpen) = try objectOrDescriptor(
            1, in: 0, follows: flags & GUISE_AT_SYMLINK_FOLLOW != 0,
            mayBeEmpty: flags & GUISE_AT_EMPTY_PATH != 0)
        if !isOpen { try calls.checkStatus(of: located) }
        let room = try memory(trap.argument(2), Self.handleHeader).withUnsafeBytes {
            $0.loadUnaligned(as: UInt32.self)
        }
        guard room <= UInt32(GUISE_LARGEST_HANDLE) else { throw FileError(EINVAL) }
        let handle = try calls.handle(of: located, room: room, flags & kinds)
        // Of one that does not fit, the size is told.
        try write(
            handle.error == nil ? handle.bytes : Array(handle.bytes[..<Self.handleHeader]),
            at: trap.argument(2))
        if flags & GUISE_AT_HANDLE_MNT_ID_UNIQUE != 0 {
            try put(handle.mount, trap.argument(3))
        } else {
            try put(UInt32(truncatingIfNeeded: handle.mount), trap.argument(3))
        }
        if let error = handle.error { throw FileError(error) }
    }

    // MARK: fanotify_mark(group, flags, mask, directory, path)

    func mark() throws(FileError) {
        let flags = UInt32(truncatingIfNeeded: trap.argument(1))
        let borrowed = mediator.borrow(trap.int(0), of: trap)
        guard borrowed >= 0 else { throw FileError(-borrowed) }
        let group = OwnedDescriptor(borrowed)
        guard flags & (GUISE_FAN_MARK_MOUNT | GUISE_FAN_MARK_FILESYSTEM) == 0 else {
            throw FileError(
                EPERM,
                rule: "a mark on a mount or a file system tells of objects that the client may not read")
        }
        try checkReportsHandles(group)
        let mask = trap.argument(2)
        if flags & GUISE_FAN_MARK_FLUSH != 0 {
            try trap.checkPending()
            return try calls.clearMarks(group.number, flags: flags, mask: mask)
        }
        // Without a path it is the directory's descriptor itself.
        let marked =
            trap.argument(4) == 0
            ? try descriptor(openNumber(3))
            : try object(4, in: 3, follows: flags & GUISE_FAN_MARK_DONT_FOLLOW == 0)
        try calls.mark(marked, group.number, flags: flags & ~GUISE_FAN_MARK_DONT_FOLLOW, mask: mask)
    }

    private func openNumber(_ index: Int) throws(FileError) -> Int32 {
        guard trap.int(index) >= 0 else { throw FileError(EBADF) }
        return trap.int(index)
    }

    /// Throws unless a descriptor is of an fanotify group such as whoever has no capability makes. One that came from
    /// somebody else may open what it tells of, for whoever reads it.
    private func checkReportsHandles(_ group: OwnedDescriptor) throws(FileError) {
        guard
            let digits = descriptorStatus("fanotify flags:", of: group.number)?.prefix(while: { $0 != " " })
        else { throw FileError(EINVAL) }
        guard let flags = UInt32(digits, radix: 16), flags & GUISE_FAN_REPORT_HANDLES != 0,
            flags & ~(GUISE_FAN_REPORT_HANDLES | GUISE_FAN_CLOEXEC | GUISE_FAN_NONBLOCK) == 0
        else {
            throw FileError(
                EPERM, rule: "the fanotify group reports more than file handles (FAN_REPORT_FID)")
        }
    }
}
