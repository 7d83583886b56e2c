// Sends the control socket whatever the fuzzer makes up: packets of any bytes, with and without a descriptor,
// in any order on one connection. Nothing may crash the authority, and it has to answer somebody else afterwards.
//
// An input is a sequence of packets: one byte of flags (1: a descriptor comes along, 2: the bytes are put behind a
// valid version and id, so that more of them get past the first check), two bytes of length, the bytes.
//
// Run it as an unprivileged user (scripts/fuzz does): as root a made-up request could take over a real folder.

import CGuise
import Glibc
import GuiseDaemon
import GuiseProtocol
import Logging

private let stage = Stage()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func playInput(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    stage.play(UnsafeBufferPointer(start: data, count: size))
    return 0
}

/// libFuzzer's driver. The package manager wants a main function of ours, so libFuzzer's own is not used.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ play: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

@main
private struct ControlFuzz {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(runFuzzer(&count, &arguments) { data, size in playInput(data, size) })
    }
}

/// A real authority in this process, on temporary directories.
private final class Stage: @unchecked Sendable {
    private let path: String
    private let spare: Int32

    init() {
        guard geteuid() != 0 else {
            fail("run this as an unprivileged user: made-up requests of root's would be carried out")
        }
        var template = Array("/tmp/guise-fuzz.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fail("no temporary directory") }
        let directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        path = directory + "/run/" + ControlPacket.socketName
        spare = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
        do {
            let accounts = try AccountStore(directory: directory + "/state")
            let server = try ControlServer(
                runtimeDirectory: directory + "/run", accounts: accounts, audit: Audit(),
                log: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }, servesItself: true)
            guard SystemThread.start("authority", { server.run() }) else { fail("no thread") }
        } catch {
            fail("\(error)")
        }
    }

    func play(_ input: UnsafeBufferPointer<UInt8>) {
        let socket = connect()
        defer { close(socket) }
        var rest = input[...]
        var count: UInt64 = 0
        while rest.count >= 3, count < 32 {
            let flags = rest[rest.startIndex]
            let length = Int(rest[rest.startIndex + 1]) | Int(rest[rest.startIndex + 2]) << 8
            rest = rest.dropFirst(3)
            var bytes = Array(rest.prefix(length))
            rest = rest.dropFirst(length)
            count += 1
            // version = 1 (field 1), id (field 2): what comes later in a message adds to it.
            if flags & 2 != 0 { bytes = [0x08, 0x01, 0x10, UInt8(truncatingIfNeeded: count)] + bytes }
            if guise_packet_send(socket, bytes, bytes.count, flags & 1 != 0 ? spare : -1, 0) < 0 { break }
        }
        guard let first = silence(on: socket) else { return }
        let stranger = connect()
        defer { close(stranger) }
        guard let second = silence(on: stranger) else { return }
        fail("the authority answers nobody any more: \(first); on a new connection: \(second)")
    }

    /// Why a valid request gets no response; nil when it gets one.
    private func silence(on socket: Int32) -> String? {
        var request = WireRequest()
        request.version = ControlPacket.version
        request.id = 0xFFFF_FFFF
        request.rootList = .init()
        do throws(ControlPacket.Failure) {
            try ControlPacket.send(request, on: socket)
            for _ in 0..<64 {
                var one = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                // libFuzzer's alarm, by which it looks for inputs that take too long, interrupts the wait.
                var ready: Int32
                repeat { ready = poll(&one, 1, 5000) } while ready < 0 && guise_errno() == EINTR
                guard ready == 1 else { return ready == 0 ? "timed out" : "poll: errno \(guise_errno())" }
                let received = try ControlPacket.receive(WireResponse.self, from: socket)
                if let descriptor = received.descriptor { close(descriptor) }
                if received.message.id == request.id { return nil }
            }
            return "64 responses to other requests"
        } catch {
            return "\(error)"
        }
    }

    private func connect() -> Int32 {
        let socket = guise_unix_socket(Int32(SOCK_SEQPACKET.rawValue), false)
        for _ in 0..<500 {
            if guise_unix_connect(socket, path, path.utf8.count) == 0 { return socket }
            usleep(1000)
        }
        fail("nobody listens at \(path)")
    }
}

private func fail(_ text: String) -> Never {
    let bytes = Array("fuzz-control: \(text)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
    abort()
}
