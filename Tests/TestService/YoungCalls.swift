import CGuise
import CTestSupport
import Foundation
import Synchronization

extension Session {
    /// System calls that take structures of their own.
    func youngCalls(_ words: [String]) -> Outcome? {
        func number(_ index: Int, _ otherwise: Int) -> Int {
            words.count > index ? Int(words[index])! : otherwise
        }
        let here = Int(AT_FDCWD)
        switch words[0] {
        case "getxattrat":
            // getxattrat PATH NAME [FLAGS SIZE DIRECTORY]
            var value = [UInt8](repeating: 0, count: 1000)
            let got = YoungCalls.attribute(
                464, words[1], words[2], &value, number(3, 0), number(4, 16), number(5, here))
            return got < 0 ? Outcome(got) : .value(String(decoding: value[..<got], as: UTF8.self))
        case "setxattrat":
            // setxattrat PATH NAME VALUE [FLAGS SIZE DIRECTORY]
            var value = Array(words[3].utf8)
            return Outcome(
                YoungCalls.attribute(
                    463, words[1], words[2], &value, number(4, 0), number(5, 16), number(6, here)))
        case "handle":
            // handle PATH [FLAGS ROOM DIRECTORY]: its type, the handle, the mount; of one that does not fit, the size.
            return YoungCalls.handle(words[1], number(2, 0), number(3, 128), number(4, here))
        case "file-attributes":
            // file-attributes PATH [FLAGS SIZE DIRECTORY]: flags and project.
            var bytes = [UInt8](repeating: 0xff, count: max(24, number(3, 24)))
            let error = words[1].withCString {
                Files.call(
                    468, number(4, here), Int(bitPattern: $0), bytes.address, number(3, 24), number(2, 0))
            }
            guard error == 0 else { return Outcome(error) }
            return .value(
                bytes.withUnsafeBytes {
                    "\($0.load(as: UInt64.self)) \($0.load(fromByteOffset: 16, as: UInt32.self))"
                        + ($0[24...].allSatisfy { $0 == 0 } ? "" : " and more")
                })
        case "set-file-attributes":
            // set-file-attributes PATH FLAGS PROJECT [FLAGS SIZE REST]
            var bytes = [UInt8](repeating: UInt8(number(6, 0)), count: max(24, number(5, 24)))
            bytes.withUnsafeMutableBytes {
                $0.storeBytes(of: UInt64(words[2])!, as: UInt64.self)
                $0.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
                $0.storeBytes(of: UInt32(words[3])!, toByteOffset: 16, as: UInt32.self)
                $0.storeBytes(of: 0, toByteOffset: 20, as: UInt32.self)
            }
            return Outcome(
                words[1].withCString {
                    Files.call(469, here, Int(bitPattern: $0), bytes.address, number(5, 24), number(4, 0))
                })
        case "fanotify-events":
            // fanotify-events GROUP: of each event the mask, and "opened" if a descriptor came with it.
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(Int32(words[1])!, &bytes, bytes.count)
            guard count >= 0 else { return .errno(errno) }
            var (at, events): (Int, [String]) = (0, [])
            bytes.withUnsafeBytes { bytes in
                while at < count {
                    let mask = bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)
                    let opened = bytes.loadUnaligned(fromByteOffset: at + 16, as: Int32.self) >= 0
                    events.append(String(mask, radix: 16) + (opened ? " opened" : ""))
                    at += Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
                }
            }
            return .value(events.joined(separator: ","))
        case "pidfd-signal":
            // pidfd-signal PID SIGNAL [FLAGS INFO]
            let pidfd = Files.call(434, Int(words[1])!, 0)
            guard pidfd >= 0 else { return Outcome(pidfd) }
            defer { close(Int32(pidfd)) }
            var info = [UInt8](repeating: 0, count: 128)
            return Outcome(
                Files.call(
                    424, pidfd, Int(words[2])!, words.count > 4 ? info.address : 0, number(3, 0)))
        case "pidfd-swapping":
            // pidfd-swapping OWN OTHER TIMES: signals 0 by a number that stands for one and the other in turn.
            return YoungCalls.swapping(Int(words[1])!, Int(words[2])!, times: Int(words[3])!)
        default: return nil
        }
    }
}

extension Array {
    /// For a system call; the array has to outlive it.
    fileprivate var address: Int {
        mutating get { withUnsafeMutableBytes { Int(bitPattern: $0.baseAddress) } }
    }
}

enum YoungCalls {
    static func attribute(
        _ call: Int, _ path: String, _ name: String, _ value: inout [UInt8], _ flags: Int, _ size: Int,
        _ directory: Int
    ) -> Int {
        let count = value.count
        return value.withUnsafeMutableBytes { value in
            var arguments = [UInt64](repeating: 0, count: max(2, size / 8))
            (arguments[0], arguments[1]) = (UInt64(UInt(bitPattern: value.baseAddress!)), UInt64(count))
            return path.withCString { path in
                name.withCString { name in
                    arguments.withUnsafeBytes {
                        Files.call(
                            call, directory, Int(bitPattern: path), flags, Int(bitPattern: name),
                            Int(bitPattern: $0.baseAddress!), size)
                    }
                }
            }
        }
    }

    static func handle(_ path: String, _ flags: Int, _ room: Int, _ directory: Int) -> Outcome {
        var handle = [UInt8](repeating: 0, count: 8 + 256)
        handle.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(truncatingIfNeeded: room), as: UInt32.self) }
        var mount: UInt64 = 0
        let error = path.withCString { path in
            handle.withUnsafeMutableBytes { handle in
                withUnsafeMutablePointer(to: &mount) {
                    Files.call(
                        Int(SYS_name_to_handle_at), directory, Int(bitPattern: path),
                        Int(bitPattern: handle.baseAddress!), Int(bitPattern: $0), flags)
                }
            }
        }
        let (size, type) = handle.withUnsafeBytes {
            ($0.load(as: UInt32.self), $0.load(fromByteOffset: 4, as: Int32.self))
        }
        if error == -Int(EOVERFLOW) { return .value("takes \(size)") }
        guard error == 0 else { return Outcome(error) }
        let text = handle[8..<(8 + Int(size))].map { String($0, radix: 16) }.joined(separator: ".")
        return .value("\(type) \(text) \(mount)")
    }

    static func swapping(_ one: Int, _ other: Int, times: Int) -> Outcome {
        let pidfds = [one, other].map { Int32(Files.call(434, $0, 0)) }
        let contested = dup(pidfds[0])
        let isOver = Atomic(false)
        let thread = onNewThread {
            var round = 0
            while !isOver.load(ordering: .relaxed) {
                round += 1
                dup2(pidfds[round % 2], contested)
            }
        }
        var results: [Int: Int] = [:]
        for _ in 0..<times { results[Files.call(424, Int(contested), 0, 0, 0), default: 0] += 1 }
        isOver.store(true, ordering: .relaxed)
        if let thread { pthread_join(thread, nil) }
        (pidfds + [contested]).forEach { close($0) }
        return .value(results.keys.sorted().map(String.init).joined(separator: " "))
    }
}
