import AccessControl
import CGuise
import Glibc

/// Naming Internet sockets by ports that the kernel keeps for CAP_NET_BIND_SERVICE, which no mediated process has.
extension Mediator {
    private static let firstUnprivilegedPort = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

    /// bind(2) to such a port, for a caller who holds SeBindPrivilegedPortPrivilege: done here, on the caller's own socket,
    /// with an address that was read once. The socket stays the service's: with whom it shares a port (SO_REUSEPORT) goes
    /// by the uid that made it.
    ///
    /// - Returns: nil for any other address and socket, which are not the authority's to name.
    func bindPrivilegedPort(_ trap: Trap, _ token: Token) -> Verdict? {
        guard let address = try? addressBytes(trap, at: trap.argument(1), trap.int(2)),
            let (family, port) = Self.port(of: address), Self.isPrivileged(port)
        else { return nil }
        let borrowed = borrow(trap.int(0), of: trap)
        // The kernel says what is wrong with the descriptor.
        guard borrowed >= 0 else { return nil }
        let socket = OwnedDescriptor(borrowed)
        guard guise_socket_domain(borrowed) == family, Self.hasPorts(borrowed),
            guise_socket_is_of_this_network(borrowed)
        else { return nil }
        // What was read and taken so far was this thread's only if it still waits.
        guard trap.isPending else { return .answered }
        guard context.sessions.isAlive(token.logonSession) else {
            return deny(trap, token.user, "the logon session has ended")
        }
        guard token.holds(.bindPrivilegedPort) else {
            return deny(
                trap, token.user, "port \(port) takes SeBindPrivilegedPortPrivilege, enabled in the token")
        }
        let error = guise_socket_bind(socket.number, address, UInt32(address.count))
        if error == 0 {
            opener.trail.use(.bindPrivilegedPort)
            trap.succeed()
        } else {
            trap.fail(-error)
        }
        return .answered
    }

    /// The port in a sockaddr_in or sockaddr_in6; nil for any other address, and for one that leaves the choice to the
    /// kernel.
    private static func port(of address: [UInt8]) -> (family: Int32, port: UInt16)? {
        guard address.count >= 4 else { return nil }
        let family = Int32(address.withUnsafeBytes { $0.loadUnaligned(as: sa_family_t.self) })
        guard family == AF_INET || family == AF_INET6 else { return nil }
        let port = UInt16(address[2]) << 8 | UInt16(address[3])
        return port == 0 ? nil : (family, port)
    }

    /// Whether the kernel keeps a port for CAP_NET_BIND_SERVICE in the network of the calling thread.
    private static func isPrivileged(_ port: UInt16) -> Bool {
        var text = [UInt8](repeating: 0, count: 16)
        let length = guise_file_read(firstUnprivilegedPort, &text, text.count)
        guard length > 0 else { return false }
        let first = Int(String(decoding: text[..<length].prefix { $0 != 0x0A }, as: UTF8.self))
        return first.map { Int(port) < $0 } ?? false
    }

    private static func hasPorts(_ socket: Int32) -> Bool {
        let protocols = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_MPTCP].map { Int32($0) }
        let types = [SOCK_STREAM, SOCK_DGRAM].map { Int32($0.rawValue) }
        return types.contains(guise_socket_type(socket)) && protocols.contains(guise_socket_protocol(socket))
    }
}
