import CGuise
import CTestSupport
import Foundation

/// The open family by its bare system calls, and what can be done with a descriptor.
enum Files {
    static func call(_ number: Int, _ arguments: Int...) -> Int {
        test_call(number, arguments + [Int](repeating: 0, count: 6 - arguments.count))
    }

    static func open(_ path: String, _ flags: Int, mode: Int = 0, directory: Int = Int(AT_FDCWD)) -> Int {
        path.withCString { call(Int(SYS_openat), directory, Int(bitPattern: $0), flags, mode) }
    }

    static func read(_ descriptor: Int) -> Outcome {
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = Glibc.read(Int32(descriptor), &buffer, buffer.count)
        return count < 0 ? .errno(errno) : .value(String(decoding: buffer[..<count], as: UTF8.self))
    }

    static func cat(_ path: String, directory: Int = Int(AT_FDCWD)) -> Outcome {
        let descriptor = open(path, Int(O_RDONLY | O_CLOEXEC), directory: directory)
        guard descriptor >= 0 else { return Outcome(descriptor) }
        defer { close(Int32(descriptor)) }
        return read(descriptor)
    }

    static func list(_ descriptor: Int) -> Outcome {
        let again = dup(Int32(descriptor))
        guard again >= 0, let stream = fdopendir(again) else { return .errno(errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return .value(names.filter { $0 != "." && $0 != ".." }.sorted().joined(separator: ","))
    }
}

extension Session {
    func files(_ words: [String]) -> Outcome? {
        func number(_ index: Int, _ otherwise: Int = 0) -> Int {
            words.count > index ? Int(words[index])! : otherwise
        }
        switch words[0] {
        case "cat": return Files.cat(words[1], directory: number(2, Int(AT_FDCWD)))
        case "open": return Outcome(Files.open(words[1], number(2), mode: number(3)))
        case "openat": return Outcome(Files.open(words[2], number(3), mode: number(4), directory: number(1)))
        case "open-legacy":
            return Outcome(words[1].withCString { Files.call(2, Int(bitPattern: $0), number(2), number(3)) })
        case "creat":
            return Outcome(words[1].withCString { Files.call(85, Int(bitPattern: $0), number(2)) })
        case "openat2":
            var how = [UInt64(number(3)), UInt64(number(4)), UInt64(number(5))]
            let size = number(6, 24)
            if size > 24 { how += [UInt64](repeating: UInt64(number(7)), count: (size - 24) / 8) }
            return Outcome(
                words[2].withCString { path in
                    how.withUnsafeBytes {
                        Files.call(
                            Int(SYS_openat2), number(1), Int(bitPattern: path),
                            Int(bitPattern: $0.baseAddress!), size)
                    }
                })
        case "read": return Files.read(number(1))
        case "write":
            let text = words[2...].joined(separator: " ")
            let count = Glibc.write(Int32(number(1)), text, text.utf8.count)
            return count < 0 ? .errno(errno) : .value(String(count))
        case "close": return close(Int32(number(1))) == 0 ? .value("") : .errno(errno)
        case "list": return Files.list(number(1))
        case "status-flags": return Outcome(Files.call(Int(SYS_fcntl), number(1), Int(F_GETFL)))
        case "descriptor-flags": return Outcome(Files.call(Int(SYS_fcntl), number(1), Int(F_GETFD)))
        case "descriptor-count":
            return Outcome(
                (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? -1)
        case "connect":
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            if words.count > 2 { _ = guise_unix_bind_abstract(socket, words[2], words[2].utf8.count) }
            let error = guise_unix_connect(socket, words[1], words[1].utf8.count)
            return Outcome(Int(error == 0 ? socket : error))
        case "connect-none": return Outcome(Int(guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)))
        case "socketpair":
            var ends: [Int32] = [0, 0]
            let error = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
            return error == 0 ? .value(String(ends[0])) : .errno(errno)
        case "tell":
            // Sends a command on a connection of this service to itself.
            sendLine(words[2...].joined(separator: " "), to: Int32(number(1)))
            var lines = Lines(Int32(number(1)))
            return lines.next().map { .value($0) } ?? .errno(EPIPE)
        default: return nil
        }
    }
}
