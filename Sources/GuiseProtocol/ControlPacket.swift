import CGuise
package import SwiftProtobuf

/// One message of the control protocol: a protobuf message and at most one descriptor, in one packet.
package enum ControlPacket {
    /// The version of the protocol that this code speaks.
    package static let version: UInt32 = 1
    /// The largest message in bytes. A longer one ends the connection.
    package static let largest = 65_536
    /// The authority's socket in the runtime directory.
    package static let socketName = "guise.sock"
    /// Where the authority is found when nobody says otherwise.
    package static let defaultRuntimeDirectory = "/run/guise"

    /// What came in one packet.
    package struct Received<Message: SwiftProtobuf.Message> {
        package let message: Message
        /// The receiver's to close; nil when none came.
        package let descriptor: Int32?
        /// Whether there was one, and this process may have no more of them.
        package let isDescriptorLost: Bool
        /// The process that sent it, as the kernel says; 0 when it was not asked to.
        package let sender: Int32
    }

    /// Why no message was sent or received.
    package enum Failure: Error {
        case closed
        /// The peer sent what is no message: too long, more than one descriptor, not protobuf.
        case malformed
        /// An errno value.
        case system(Int32)
    }

    /// The bytes that a message takes within another one, without what is around it.
    package static func size(of message: some SwiftProtobuf.Message) -> Int {
        (try? message.serializedBytes() as [UInt8])?.count ?? largest
    }

    /// Sends a message.
    package static func send(
        _ message: some SwiftProtobuf.Message, descriptor: Int32? = nil, on socket: Int32,
        waiting: Bool = true
    ) throws(Failure) {
        let bytes: [UInt8]
        do { bytes = try message.serializedBytes() } catch { throw .malformed }
        guard bytes.count <= largest else { throw .malformed }
        let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
        while true {
            let sent = guise_packet_send(socket, bytes, bytes.count, descriptor ?? -1, flags)
            if sent >= 0 { return }
            switch Int32(-sent) {
            case EINTR: continue
            case EPIPE, ECONNRESET: throw .closed
            case let error: throw .system(error)
            }
        }
    }

    /// Receives a message; `system(EAGAIN)` when the socket does not block and nothing is there.
    ///
    /// - Parameters:
    ///   - mayLoseDescriptor: whether a message counts whose descriptor did not fit; else it is malformed.
    ///   - discard: is given the descriptors that came with what is no message. To close one can take as long as
    ///     whoever serves the file behind it likes (FUSE_FLUSH, SO_LINGER).
    package static func receive<Message: SwiftProtobuf.Message>(
        _: Message.Type, from socket: Int32, mayLoseDescriptor: Bool = false,
        discard: (Int32) -> Void = { close($0) }
    ) throws(Failure) -> Received<Message> {
        var packet = guise_packet()
        var got = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: largest) { buffer, count in
            repeat {
                got = guise_packet_receive(socket, buffer.baseAddress!, buffer.count, &packet, 0)
            } while got == -Int(EINTR)
            count = max(0, got)
        }
        guard got >= 0 else {
            if got == -Int(ECONNRESET) { throw .closed }
            throw .system(Int32(-got))
        }
        if got == 0 && packet.count == 0 { throw .closed }
        let descriptors = withUnsafeBytes(of: &packet.descriptors) {
            Array($0.bindMemory(to: Int32.self).prefix(Int(packet.count)))
        }
        do {
            guard !packet.damaged, mayLoseDescriptor || !packet.lost else { throw Failure.malformed }
            let message = try Message(serializedBytes: bytes)
            return Received(
                message: message, descriptor: descriptors.first, isDescriptorLost: packet.lost,
                sender: packet.sender_pid)
        } catch {
            descriptors.forEach(discard)
            throw .malformed
        }
    }
}
