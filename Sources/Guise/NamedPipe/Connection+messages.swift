import CGuise
import Glibc

/// Messages of a connection whose socket keeps their boundaries: a named pipe in message mode, or any SOCK_SEQPACKET.
extension Connection {
    /// Sends one message.
    ///
    /// - Parameter message: 1 to ``NamedPipe/largestMessage`` bytes. (An empty one could not be told from the end.)
    /// - Throws: ``GuiseError/invalid(_:)`` for a message of another size; ``GuiseError/closed(_:)`` when the other side
    ///   has left; ``GuiseError/system(call:errno:)``.
    public func send(_ message: some Sequence<UInt8>) throws(GuiseError) {
        let bytes = Array(message)
        guard (1...NamedPipe.largestMessage).contains(bytes.count) else {
            throw .invalid("a message has 1 to \(NamedPipe.largestMessage) bytes, not \(bytes.count)")
        }
        while true {
            let sent = Glibc.send(fileDescriptor.rawValue, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            if sent == bytes.count { return }
            // A stream takes a part.
            guard sent < 0 else { throw .invalid("the connection does not keep the boundaries of messages") }
            switch errno {
            case EINTR: continue
            case EPIPE, ECONNRESET: throw .closed("the other side has left")
            case let error: throw .system(call: "send", errno: error)
            }
        }
    }

    /// Waits for a message.
    ///
    /// - Parameter largest: the most bytes to take. A longer one is lost, and an error.
    /// - Returns: the message; nil at the end.
    /// - Throws: ``GuiseError/invalid(_:)`` for one that is longer; ``GuiseError/system(call:errno:)``.
    public func receive(upTo largest: Int = NamedPipe.largestMessage) throws(GuiseError) -> [UInt8]? {
        var length = 0
        let message = [UInt8](unsafeUninitializedCapacity: max(1, largest)) { buffer, count in
            repeat {
                length = recv(
                    fileDescriptor.rawValue, buffer.baseAddress!, buffer.count, Int32(MSG_TRUNC))
            } while length < 0 && errno == EINTR
            count = min(max(0, length), buffer.count)
        }
        guard length >= 0 else {
            guard errno == ECONNRESET else { throw .system(call: "recv", errno: errno) }
            return nil
        }
        guard length <= largest else {
            throw .invalid("a message of \(length) bytes came, and \(largest) may")
        }
        return length == 0 ? nil : message
    }
}
