import Glibc
package import SwiftProtobuf

/// One end of a connection to the registry: messages, each after its length.
///
/// Reading and writing are for one thread at a time each.
package final class RegistryFrames {
    /// The largest message in bytes. A longer one ends the connection.
    package static let largest = 8 << 20
    /// The registry's socket in its directory of the runtime directory.
    package static let socketName = "registry/registry.sock"

    /// Why no message was sent or received.
    package enum Failure: Error {
        /// The other side has left, or reads nothing for too long.
        case closed
        /// What came is no message, or what is to be sent is too long for one.
        case malformed
        /// What came is longer than was wanted, and gone; its number (`id`), where it begins with that.
        case tooLong(UInt32)
    }

    private let socket: Int32
    private var buffer = [UInt8](repeating: 0, count: 16_384)
    private var start = 0
    private var end = 0

    /// - Parameter socket: a connected stream socket, which stays the caller's.
    package init(_ socket: Int32) { self.socket = socket }

    /// Waits for a message.
    ///
    /// - Parameter wanted: the length up to which a message is kept in memory.
    package func receive<Message: SwiftProtobuf.Message>(
        _ type: Message.Type = Message.self, upTo wanted: Int = largest
    ) throws(Failure) -> Message {
        try fill(4)
        let size = (0..<4).reduce(0) { $0 | Int(buffer[start + $1]) << (8 * $1) }
        guard size <= Self.largest else { throw .malformed }
        start += 4
        guard size <= wanted else { throw .tooLong(try passOver(size)) }
        try fill(size)
        defer {
            start += size
            if start == end { (start, end) = (0, 0) }
            // What one large message took is not kept.
            if buffer.count > 1 << 20, end == 0 { buffer = [UInt8](repeating: 0, count: 16_384) }
        }
        do {
            return try Message(serializedBytes: Array(buffer[start..<start + size]))
        } catch { throw .malformed }
    }

    /// Reads a message and keeps none of it.
    ///
    /// - Returns: its number.
    private func passOver(_ size: Int) throws(Failure) -> UInt32 {
        try fill(min(size, 6))
        // Field 1, a varint of at most five bytes.
        var number: UInt32?
        if size >= 6, buffer[start] == 0x08 {
            var value: UInt64 = 0
            for index in 0..<5 {
                let byte = buffer[start + 1 + index]
                value |= UInt64(byte & 0x7F) << (7 * UInt64(index))
                guard byte & 0x80 == 0 else { continue }
                number = UInt32(exactly: value)
                break
            }
        }
        var left = size
        while left > 0 {
            if start == end { try fill(1) }
            let count = min(left, end - start)
            (start, left) = (start + count, left - count)
            if start == end { (start, end) = (0, 0) }
        }
        guard let number else { throw .malformed }
        return number
    }

    /// Reads until so many bytes are there. Room is made as they come, not as their sender promises.
    private func fill(_ count: Int) throws(Failure) {
        while end - start < count {
            if start > 0, buffer.count - start < count {
                buffer.removeSubrange(..<start)
                (start, end) = (0, end - start)
            }
            if end == buffer.count {
                buffer.append(contentsOf: repeatElement(0, count: min(max(buffer.count, 16_384), 1 << 20)))
            }
            end += try take()
        }
    }

    /// The most times that is looked for a message before the thread sleeps: some 50 microseconds.
    private static let mostLooks = 128
    private var looks = mostLooks
    private var sleeps = 0

    /// Reads what is there, waiting for it.
    ///
    /// Where two take turns on two processors, the other one answers sooner than this one would fall asleep and be woken up:
    /// on an idle machine that takes most of the time. As long as looking goes well it is done for longer, else soon no more.
    private func take() throws(Failure) -> Int {
        for look in 0...looks {
            let received = take(Int32(MSG_DONTWAIT))
            if received > 0 {
                if look > 0 { looks = min(2 * looks + 1, Self.mostLooks) }
                return received
            }
            guard received < 0, errno == EAGAIN || errno == EINTR else { throw .closed }
        }
        looks /= 2
        sleeps += 1
        // It may go better by now.
        if sleeps.isMultiple(of: 64) { looks = Self.mostLooks }
        while true {
            let received = take(0)
            if received < 0, errno == EINTR { continue }
            guard received > 0 else { throw .closed }
            return received
        }
    }

    private func take(_ flags: Int32) -> Int {
        let (from, room) = (end, buffer.count - end)
        return buffer.withUnsafeMutableBytes { recv(socket, $0.baseAddress! + from, room, flags) }
    }

    /// A message after its length.
    package static func bytes(of message: some SwiftProtobuf.Message) throws(Failure) -> [UInt8] {
        let body: [UInt8]
        do { body = try message.serializedBytes() } catch { throw .malformed }
        guard body.count <= largest else { throw .malformed }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 + body.count)
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: body.count >> (8 * shift))) }
        return bytes + body
    }

    /// Sends a message.
    package static func send(_ message: some SwiftProtobuf.Message, on socket: Int32) throws(Failure) {
        try send(bytes(of: message), on: socket)
    }

    /// Sends messages.
    package static func send(_ bytes: [UInt8], on socket: Int32) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .closed }
            sent += count
        }
    }
}
