import AccessControl
import CGuise
import Glibc

/// Abstract names that are registered (``RegisteredNames``).
extension Mediator {
    /// Throws unless the name, if it is registered, grants the right.
    func require(_ right: AccessMask<FileKind>, onName name: [UInt8], _ caller: Caller) throws(FileError) {
        guard let descriptor = context.names.descriptor(of: name) else { return }
        let isAllowed = descriptor.bytes.withUnsafeBytes {
            (try? opener.trail.isAllowed($0, right, caller.token, object: nil)) == true
        }
        guard isAllowed else {
            throw FileError(EACCES, rule: "the security descriptor of the name does not grant \(right)")
        }
    }

    /// Whether the address of a call is a registered name.
    func leadsToRegisteredName(_ trap: Trap) -> Bool {
        guard !context.names.isEmpty,
            let bytes = try? addressBytes(trap, at: trap.argument(1), trap.int(2)),
            case .abstract(let name)? = try? UnixAddress(bytes)
        else { return false }
        return context.names.descriptor(of: name) != nil
    }

    /// bind(2) to a registered name. The authority has the name, so the thread's descriptor comes to stand for the
    /// authority's socket instead of its own. Who listens at it, the kernel asks later: at listen(2).
    func bind(
        _ socket: OwnedDescriptor, toName name: [UInt8], _ trap: Trap, _ caller: Caller
    ) throws(FileError) {
        try require(RegisteredNames.listening, onName: name, caller)
        let type = guise_socket_type(socket.number)
        // Elsewhere the same name is another one.
        guard guise_socket_is_of_this_network(socket.number),
            let held = try context.names.take(name, type, for: trap.service)
        else {
            try trap.checkPending()
            let error = guise_unix_bind_abstract(socket.number, name.map(CChar.init(bitPattern:)), name.count)
            guard error == 0 else { throw FileError(-error) }
            return
        }
        guard !guise_unix_has_name(socket.number), guise_unix_peer_name(socket.number, nil, 0) == -ENOTCONN
        else { throw FileError(EINVAL) }
        let closesOnExec = closesOnExec(trap.int(0), of: trap)
        try trap.checkPending()
        var error = guise_unix_take_after(held.number, socket.number)
        if error == 0 {
            error = guise_notification_replace_descriptor(
                trap.service.listener, trap.notification.id, held.number, trap.int(0), closesOnExec)
        }
        guard error >= 0 else { throw FileError(-error) }
    }

    /// As /proc tells of a descriptor: flags, in octal.
    private func closesOnExec(_ number: Int32, of trap: Trap) -> Bool {
        let flags = descriptorStatus("flags:\t", of: number, in: "\(trap.tid)")
        return flags.flatMap { UInt64($0, radix: 8) }.map { $0 & GUISE_O_CLOEXEC != 0 } ?? true
    }
}
