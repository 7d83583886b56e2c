import CGuise
import Glibc

/// A call of a mediated thread that waits for an answer. It is answered exactly once.
struct Trap {
    let service: MediatedService
    let notification: guise_notification

    var tid: Int32 { Int32(bitPattern: notification.tid) }
    var call: Int32 { notification.call }

    func argument(_ index: Int) -> UInt64 {
        withUnsafeBytes(of: notification.arguments) { $0.load(fromByteOffset: 8 * index, as: UInt64.self) }
    }
    /// An argument that the kernel takes as an int.
    func int(_ index: Int) -> Int32 { Int32(truncatingIfNeeded: argument(index)) }

    /// Whether the thread still waits. What was learnt of it before a true answer was learnt of this thread.
    var isPending: Bool { guise_notification_is_pending(service.listener, notification.id) }

    /// Reads a path into `buffer`, which has room for 4,096 bytes. Returns its length or a negative errno.
    func readPath(_ address: UInt64, _ buffer: UnsafeMutableBufferPointer<CChar>) -> Int {
        guise_memory_read_string(tid, address, buffer.baseAddress, min(buffer.count, 4096))
    }

    /// Throws EINTR unless the thread still waits.
    func checkPending() throws(FileError) {
        guard isPending else { throw FileError(EINTR) }
    }

    /// Reads memory of the thread, all of it or EFAULT. Whose it was is known after ``checkPending()``.
    func memory(_ address: UInt64, _ size: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        guard size == 0 || guise_memory_read(tid, address, &bytes, size) == size else {
            throw FileError(EFAULT)
        }
        return bytes
    }

    /// Reads a structure that may grow (copy_struct_from_user): what is longer than is known must be zero there. E2BIG where
    /// it is not, EINVAL for what is shorter. Whose it was is known as of ``memory(_:_:)``.
    func structure(_ address: UInt64, size: UInt64, of known: Int) throws(FileError) -> [UInt8] {
        guard size >= known, size <= 4096 else { throw FileError(size > 4096 ? E2BIG : EINVAL) }
        let bytes = try memory(address, Int(size))
        guard bytes[known...].allSatisfy({ $0 == 0 }) else { throw FileError(E2BIG) }
        return bytes
    }

    /// Lets the kernel carry the call out with the thread's own rights. Never while it impersonates.
    func proceed() { _ = guise_notification_continue(service.listener, notification.id) }

    /// Fails the call.
    func fail(_ errno: Int32) { _ = guise_notification_answer(service.listener, notification.id, 0, -errno) }

    /// Succeeds with a value.
    func succeed(_ value: Int64 = 0) {
        _ = guise_notification_answer(service.listener, notification.id, value, 0)
    }

    /// Succeeds with a descriptor, which is closed here.
    func succeed(descriptor: Int32, closeOnExec: Bool) {
        let error = guise_notification_answer_descriptor(
            service.listener, notification.id, descriptor, closeOnExec)
        // ENOENT: the thread is gone. Anything else, a full table above all, is the caller's to hear.
        if error < 0, error != -ENOENT { fail(-error) }
    }
}

/// The process of a thread, and what its calls depend on, from /proc.
struct ThreadStatus {
    let pid: Int32
    let umask: UInt32

    /// Reads /proc/TID/status; nil when the thread is gone.
    init?(_ tid: Int32) {
        var text = [UInt8](repeating: 0, count: 512)
        let length = guise_file_read("/proc/\(tid)/status", &text, text.count)
        guard length > 0 else { return nil }
        var pid: Int32?
        var umask: UInt32?
        for line in String(decoding: text[..<length], as: UTF8.self).split(separator: "\n") {
            if line.hasPrefix("Tgid:") { pid = Int32(line.dropFirst(5).drop { $0 == "\t" }) }
            if line.hasPrefix("Umask:") { umask = UInt32(line.dropFirst(6).drop { $0 == "\t" }, radix: 8) }
        }
        guard let pid, let umask else { return nil }
        self.pid = pid
        self.umask = umask
    }
}

/// Whether a thread has a signal that it catches and does not block. In a trap only those end its wait that end the
/// thread, so that it has to be asked.
func hasSignal(_ tid: Int32) -> Bool {
    guard let status = ProcessStatus(of: tid) else { return false }
    func set(_ name: Substring) -> UInt64 { status[name]?.first.flatMap { UInt64($0, radix: 16) } ?? 0 }
    return (set("SigPnd") | set("ShdPnd")) & ~set("SigBlk") & set("SigCgt") != 0
}

/// The rest of the line that starts so in what /proc tells of an open descriptor (proc_pid_fdinfo(5)); nil: there is none.
func descriptorStatus(_ start: String, of number: Int32, in process: String = "self") -> Substring? {
    var text = [UInt8](repeating: 0, count: 512)
    let length = guise_file_read("/proc/\(process)/fdinfo/\(number)", &text, text.count)
    return String(decoding: text[..<max(0, length)], as: UTF8.self).split(separator: "\n")
        .first { $0.hasPrefix(start) }?.dropFirst(start.count)
}
