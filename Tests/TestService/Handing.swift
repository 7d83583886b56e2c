import CGuise
import CTestSupport
import Foundation
import Synchronization

extension Session {
    /// Sockets that are accepted, looked at, and handed to others.
    func handing(_ words: [String]) -> Outcome? {
        switch words[0] {
        case "accept": return Outcome(Int(guise_unix_accept(Int32(words[1])!, false)))
        case "own-socket": return .value("\(socket)")
        case "peer":
            // peer SOCKET: the uid at its other end, by the kernel's word.
            var peer = guise_peer()
            let error = guise_peer_of(Int32(words[1])!, &peer)
            if peer.pidfd >= 0 { close(peer.pidfd) }
            return error == 0 ? .value("\(peer.uid)") : Outcome(Int(error))
        case "give-descriptor":
            // give-descriptor SOCKET DESCRIPTOR
            return Outcome(guise_packet_send(Int32(words[1])!, "x", 1, Int32(words[2])!, 0))
        case "take-descriptor":
            // take-descriptor SOCKET: the one that comes with the next packet.
            var bytes = [UInt8](repeating: 0, count: 16)
            var packet = guise_packet()
            let got = guise_packet_receive(Int32(words[1])!, &bytes, bytes.count, &packet, 0)
            return got > 0 && packet.count == 1 ? .value("\(packet.descriptors.0)") : .errno(EBADMSG)
        case "rename-rewriting":
            // rename-rewriting ADDRESS OTHER TIMES: binds again and again, while another thread changes the address; the names
            // that came of it.
            return .value(Sockets.bindRewriting(words[1], words[2], times: Int(words[3])!))
        default: return nil
        }
    }
}

extension Sockets {
    fileprivate static func bindRewriting(_ one: String, _ other: String, times: Int) -> String {
        let addresses = [address(one), address(other)]
        let size = addresses[0].count
        nonisolated(unsafe) let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        let isOver = Atomic(false)
        memory.copyMemory(from: addresses[0], byteCount: size)
        let thread = onNewThread {
            var round = 0
            while !isOver.load(ordering: .relaxed) {
                round += 1
                memory.copyMemory(from: addresses[round % 2], byteCount: size)
            }
        }
        var names: Set<String> = []
        for _ in 0..<times {
            let socket = make("stream", isNonBlocking: true)
            defer { close(socket) }
            var name = [CChar](repeating: 0, count: 128)
            guard guise_socket_bind(socket, memory, UInt32(size)) == 0 else { continue }
            let length = Int(guise_unix_own_abstract_name(socket, &name, name.count))
            names.insert(
                String(decoding: name[..<max(0, length)].map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        isOver.store(true, ordering: .relaxed)
        if let thread { pthread_join(thread, nil) }
        memory.deallocate()
        return names.sorted().joined(separator: ",")
    }
}
