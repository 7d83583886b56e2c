import AccessControl
import CGuise
import Foundation
import Guise

/// A client: connects, then passes on what comes on its standard input, and back.
enum Relay {
    static func run(level word: String, to path: String) {
        let socket: Int32
        var kept: Connection?
        if word == "plain" {
            socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            let error = guise_unix_connect(socket, path, path.utf8.count)
            guard error == 0 else { TestService.fail("connect: \(error)") }
        } else {
            guard let level = ImpersonationLevel(word: word) else { TestService.fail("no level \(word)") }
            do {
                let connection = try Connection.connect(to: .init(path), level: level)
                kept = connection
                socket = connection.fileDescriptor.rawValue
            } catch { TestService.fail("\(error)") }
        }
        var polled = [
            pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
            pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
        ]
        var buffer = [UInt8](repeating: 0, count: 65536)
        while poll(&polled, 2, -1) >= 0 || errno == EINTR {
            for (index, target) in [(0, socket), (1, Int32(1))] where polled[index].revents != 0 {
                let count = read(polled[index].fd, &buffer, buffer.count)
                guard count > 0, write(target, buffer, count) == count else { return }
            }
        }
        withExtendedLifetime(kept) {}
    }
}
