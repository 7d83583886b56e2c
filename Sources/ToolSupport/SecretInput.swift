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
