#if Hives
    import CHivex
    import Glibc

    /// A copy of a file in memory, which nobody else changes or cuts short while it is read.
    final class HiveSnapshot {
        /// Windows has no hives of more than 2 GiB, and no machine such ones.
        static let largest = 1 << 30

        let size: Int
        private let descriptor: Int32

        /// The copy by a name that this process alone can use.
        var path: String { "/proc/self/fd/\(descriptor)" }

        init(path: String) throws(HiveError) {
            let source = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
            guard source >= 0 else { throw .system("\(path): \(systemText())") }
            defer { close(source) }
            var status = stat()
            guard fstat(source, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                throw .system("\(path) is no regular file")
            }
            guard status.st_size <= Self.largest else { throw .system("\(path) has more than 1 GiB") }
            let copy = hivex_library_memory_file()
            guard copy >= 0 else { throw .system("memory for \(path): \(systemText())") }
            var total = 0
            while total <= Self.largest {
                let count = sendfile(copy, source, nil, 1 << 20)
                guard count >= 0 || errno == EINTR else {
                    let reason = systemText()
                    close(copy)
                    throw .system("\(path): \(reason)")
                }
                if count == 0 { break }
                total += max(0, count)
            }
            (descriptor, size) = (copy, total)
        }

        deinit { close(descriptor) }

        /// Bytes from there on; nil unless all of them are in the file.
        func bytes(at offset: Int, count: Int) -> [UInt8]? {
            guard offset >= 0, count >= 0, offset <= size, count <= size - offset else { return nil }
            let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                filled = max(0, pread(descriptor, buffer.baseAddress, count, offset))
            }
            return bytes.count == count ? bytes : nil
        }
    }

    /// What the last system call failed with.
    func systemText() -> String { String(cString: strerror(errno)) }
#endif
