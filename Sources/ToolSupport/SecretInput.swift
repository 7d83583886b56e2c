import CGuise
import Glibc
package import Guise
package import GuiseProtocol

/// A password as the operator says it: from the terminal without echo, or as a line of standard input. Wiped when nobody
/// needs it any more.
package final class SecretInput {
    private let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Int(GUISE_PASSWORD_LARGEST), alignment: 1)
    private var count = 0

    /// Asks on the terminal, twice.
    package static func new(for name: String) throws -> SecretInput {
        let (first, second) = (SecretInput(), SecretInput())
        try first.ask("New password for \(visible(name)): ")
        try second.ask("Once more: ")
        guard first.count == second.count,
            memcmp(first.memory.baseAddress!, second.memory.baseAddress!, first.count) == 0
        else { throw ToolError("these were two different passwords; nothing was changed") }
        return first
    }

    /// Reads one line of standard input, with or without its end.
    package static func line() throws -> SecretInput {
        let input = SecretInput()
        while true {
            var byte: UInt8 = 0
            let got = read(STDIN_FILENO, &byte, 1)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else {
                throw ToolError("reading standard input: \(String(cString: strerror(errno)))")
            }
            if got == 0 || byte == 0x0A { break }
            guard input.count < input.memory.count else { throw tooLong }
            input.memory[input.count] = byte
            input.count += 1
        }
        guard input.count > 0 else { throw ToolError("there is no password on standard input") }
        return input
    }

    /// A sealed copy of a small file in memory, for sending: the caller's to close.
    package static func file(_ path: String) throws -> Int32 {
        let largest = 65_536
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: largest + 1, alignment: 1)
        defer {
            guise_wipe(memory.baseAddress, memory.count)
            memory.deallocate()
        }
        func failure(_ error: Int32) -> ToolError {
            ToolError("\(visible(path)): \(String(cString: strerror(error)))")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        var count = 0
        while count < memory.count {
            let got = read(descriptor, memory.baseAddress! + count, memory.count - count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure(errno) }
            if got == 0 { break }
            count += got
        }
        guard (1...largest).contains(count) else {
            throw ToolError("\(visible(path)) has not 1 to \(largest) bytes")
        }
        let secret = guise_secret_make(memory.baseAddress, count)
        guard secret >= 0 else { throw failure(-secret) }
        return secret
    }

    private static var tooLong: ToolError {
        ToolError("a password has at most \(GUISE_PASSWORD_LARGEST) bytes")
    }

    private init() {}

    deinit {
        guise_wipe(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    private func ask(_ prompt: String) throws {
        let length = guise_terminal_read_secret(
            prompt, memory.baseAddress!.assumingMemoryBound(to: CChar.self), memory.count)
        switch Int32(-min(length, 0)) {
        case 0: break
        case ECANCELED: throw ToolError("cancelled; nothing was changed")
        case EMSGSIZE: throw Self.tooLong
        case ENOTTY: throw ToolError("there is no terminal to ask for a password; say --stdin")
        case let error: throw ToolError("reading the terminal: \(String(cString: strerror(error)))")
        }
        guard length > 0 else { throw ToolError("an empty password is none; nothing was changed") }
        count = length
    }

    /// Sends it along with a request.
    package func send(_ body: WireRequest.OneOf_Body, to authority: AuthorityClient) throws(GuiseError) {
        _ = try authority.call(
            body, secret: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<count]))
    }
}
