import CGuise
import CTestSupport
import Foundation
import Synchronization

extension Session {
    /// The working directory, which is every thread's.
    func workingDirectory(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "chdir": return words[1].withCString { Outcome(Files.call(Int(SYS_chdir), Int(bitPattern: $0))) }
        case "fchdir": return Outcome(Files.call(Int(SYS_fchdir), Int(words[1])!))
        case "getcwd": return Self.getcwd()
        case "manager-chdir":
            // manager-chdir PATH: by Foundation; where that says it is then.
            guard FileManager.default.changeCurrentDirectoryPath(words[1]) else { return .errno(errno) }
            return .value(FileManager.default.currentDirectoryPath)
        case "process-in":
            // process-in DIRECTORY PROGRAM ARGUMENT…: a child that Foundation starts there; its output.
            let process = Process()
            process.currentDirectoryURL = URL(fileURLWithPath: words[1])
            process.executableURL = URL(fileURLWithPath: words[2])
            process.arguments = Array(words[3...])
            let pipe = Pipe()
            process.standardOutput = pipe
            try process.run()
            let output = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return .value(String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines))
        case "orphan": return orphan(Array(words[1...]))
        case "left-behind": return leftBehind(words[1], Array(words[2...]))
        case "chdir-rewritten":
            // chdir-rewritten TIMES PATH OTHER: goes where a buffer says that turns from PATH to OTHER and back all
            // the time.
            return chdirRewritten(Int(words[1])!, words[2], words[3])
        case "chdir-often":
            // chdir-often TIMES PATH: goes there again and again; all the places it then was in.
            return chdirOften(Int(words[1])!) {
                words[2].withCString { Files.call(Int(SYS_chdir), Int(bitPattern: $0)) }
            }
        default: return nil
        }
    }

    private static func getcwd() -> Outcome {
        var path = [UInt8](repeating: 0, count: 4096)
        let length = path.withUnsafeMutableBytes {
            Files.call(Int(SYS_getcwd), Int(bitPattern: $0.baseAddress!), $0.count)
        }
        guard length > 0 else { return Outcome(length) }
        return .value(String(decoding: path[..<(length - 1)], as: UTF8.self))
    }

    /// Runs a command in a process whose parent is gone.
    private func orphan(_ command: [String]) -> Outcome {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return .errno(errno) }
        let child = test_fork()
        if child == 0 {
            let parent = getpid()
            guard test_fork() == 0 else { _exit(0) }
            alarm(20)
            while getppid() == parent { usleep(1000) }
            let line = perform(command).line
            _ = write(ends[1], line, line.utf8.count)
            _exit(0)
        }
        close(ends[1])
        defer { close(ends[0]) }
        waitpid(child, nil, 0)
        return .value(Self.everything(from: ends[0]))
    }

    /// Runs a command in a child that was made before this process went somewhere else.
    private func leftBehind(_ path: String, _ command: [String]) -> Outcome {
        var (ends, gate): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard pipe(&ends) == 0, pipe(&gate) == 0 else { return .errno(errno) }
        let child = test_fork()
        if child == 0 {
            alarm(20)
            close(gate[1])
            _ = Self.everything(from: gate[0])
            let line = perform(command).line
            _ = write(ends[1], line, line.utf8.count)
            _exit(0)
        }
        let went = path.withCString { Files.call(Int(SYS_chdir), Int(bitPattern: $0)) }
        for end in [ends[1], gate[0], gate[1]] { close(end) }
        defer { close(ends[0]) }
        let text = Self.everything(from: ends[0])
        waitpid(child, nil, 0)
        return went == 0 ? .value(text) : Outcome(went)
    }

    private func chdirRewritten(_ times: Int, _ path: String, _ other: String) -> Outcome {
        guard path.utf8.count == other.utf8.count else { return .errno(EINVAL) }
        let size = path.utf8.count + 1
        nonisolated(unsafe) let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
        defer { buffer.deallocate() }
        strcpy(buffer, path)
        let isOver = Atomic(false)
        let thread = onNewThread {
            while !isOver.load(ordering: .relaxed) {
                memcpy(buffer, other, size)
                memcpy(buffer, path, size)
            }
        }
        defer {
            isOver.store(true, ordering: .relaxed)
            if let thread { pthread_join(thread, nil) }
        }
        return chdirOften(times) { Files.call(Int(SYS_chdir), Int(bitPattern: buffer)) }
    }

    private func chdirOften(_ times: Int, _ go: () -> Int) -> Outcome {
        var places: Set<String> = []
        var refused = 0
        for _ in 0..<times {
            guard go() == 0 else {
                refused += 1
                continue
            }
            guard case .value(let place) = Self.getcwd() else { return .errno(EIO) }
            places.insert(place)
        }
        return .value((places.sorted() + [refused > 0 ? "refused" : "never refused"]).joined(separator: " "))
    }
}
