import CGuise
import CTestSupport
import Foundation

/// A server that knows nothing of Guise: it sees of its clients what the kernel says. Held by the test itself.
final class PlainServer {
    let address: String
    private let listener: Int32

    struct Peer {
        let socket: Int32
        let pid: Int32
        let uid: UInt32
        let gid: UInt32
        let groups: [UInt32]
    }

    /// - Parameter address: a path, or an abstract name after an @.
    init(
        at address: String, type: __socket_type = SOCK_STREAM, of owner: Person? = nil, mode: mode_t = 0o666,
        backlog: Int32 = 1024
    ) throws {
        self.address = address
        listener = guise_unix_socket(Int32(type.rawValue), true)
        let error =
            address.hasPrefix("@")
            ? guise_unix_bind_abstract(listener, String(address.dropFirst()), address.utf8.count - 1)
            : PlainServer.bind(listener, address)
        _ = guise_socket_pass_credentials(listener)
        guard error == 0, type == SOCK_DGRAM || listen(listener, backlog) == 0 else {
            throw HarnessError("listening at \(address): \(error)")
        }
        guard !address.hasPrefix("@") else { return }
        chmod(address, mode)
        if let owner { chown(address, owner.uid, owner.uid) }
    }

    deinit { close(listener) }

    private static func bind(_ socket: Int32, _ path: String) -> Int32 {
        let family = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) }
        let bytes = family + Array(path.utf8) + [0]
        return guise_socket_bind(socket, bytes, UInt32(bytes.count))
    }

    /// Who is next in the queue; nil when nobody is.
    func next() -> Peer? {
        let socket = guise_unix_accept(listener, false)
        guard socket >= 0 else { return nil }
        var peer = guise_peer()
        let error = guise_peer_of(socket, &peer)
        if peer.pidfd >= 0 { close(peer.pidfd) }
        guard error == 0 else { return nil }
        let groups = withUnsafeBytes(of: peer.groups) {
            Array($0.bindMemory(to: UInt32.self).prefix(Int(peer.group_count)))
        }
        return Peer(socket: socket, pid: peer.pid, uid: peer.uid, gid: peer.gid, groups: groups)
    }

    /// Takes everybody out of the queue.
    func all() -> [Peer] {
        var peers: [Peer] = []
        while let peer = next() {
            close(peer.socket)
            peers.append(peer)
        }
        return peers
    }

    struct Datagram {
        let text: String
        let pid: Int32
        let uid: UInt32
        let gid: UInt32
        /// The receiver's to close.
        let descriptors: [Int32]
    }

    /// The next datagram, and who sent it.
    func datagram() -> Datagram? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var sender: (pid: Int32, uid: UInt32, gid: UInt32) = (0, .max, .max)
        var descriptors = [Int32](repeating: -1, count: 253)
        var descriptorCount = descriptors.count
        let count = test_receive(
            listener, &buffer, buffer.count, &sender.pid, &sender.uid, &sender.gid, &descriptors,
            &descriptorCount)
        guard count >= 0 else { return nil }
        return Datagram(
            text: String(decoding: buffer[..<count], as: UTF8.self), pid: sender.pid, uid: sender.uid,
            gid: sender.gid, descriptors: Array(descriptors.prefix(descriptorCount)))
    }
}
