import CGuise

/// How the mediator takes each system call that the filter notifies of.
enum CallTable {
    enum Row: Equatable {
        /// open(path, flags, mode)
        case open
        /// creat(path, mode)
        case creat
        /// openat(directory, path, flags, mode)
        case openat
        /// openat2(directory, path, how, size)
        case openat2
        /// Everything else that is done with files.
        case file(FileCall)
        /// connect(socket, address, length): an address of a Unix socket names a place, and who connects there is
        /// seen.
        case connect
        /// bind(socket, address, length)
        case bind
        /// sendto(socket, bytes, length, flags, address, length), the same for one message.
        case send
        /// sendmmsg
        case sendMany
        /// sendmsg: as these, but without an address it goes where the socket was connected to.
        case message
        /// kill(process, signal), tkill(thread, signal), tgkill(process, thread, signal)
        case signal
        /// pidfd_send_signal(pidfd, signal, info, flags)
        case signalByDescriptor
        /// rt_sigqueueinfo, rt_tgsigqueueinfo (process, …)
        case signalWithValue
        /// execve, execveat
        case execute
        /// unshare and clone, where threads of a process part from its working directory or processes share one.
        case separation
        /// Anything else: the kernel's while not impersonating, refused while impersonating.
        case other
    }

    /// By number; what is not here was never notified.
    static let rows: [Row?] = {
        var rows = [Row?](repeating: nil, count: 512)
        for number in rows.indices where guise_call_name(Int32(number)) != nil { rows[number] = .other }
        func set(_ row: Row, _ names: String...) {
            for name in names {
                let number = guise_call_number(name)
                if number >= 0 { rows[Int(number)] = row }
            }
        }
        set(.open, "open")
        set(.creat, "creat")
        set(.openat, "openat")
        set(.openat2, "openat2")
        for call in FileCall.allCases { set(.file(call), call.rawValue) }
        set(.connect, "connect")
        set(.bind, "bind")
        set(.send, "sendto")
        set(.sendMany, "sendmmsg")
        set(.message, "sendmsg")
        set(.signal, "kill", "tkill", "tgkill")
        set(.signalByDescriptor, "pidfd_send_signal")
        set(.signalWithValue, "rt_sigqueueinfo", "rt_tgsigqueueinfo")
        set(.separation, "unshare", "clone")
        set(.execute, "execve", "execveat")
        return rows
    }()

    static func row(_ call: Int32) -> Row? {
        rows.indices.contains(Int(call)) ? rows[Int(call)] : nil
    }

    static func name(_ call: Int32) -> String {
        guise_call_name(call).map { String(cString: $0) } ?? "system call \(call)"
    }
}
