import CGuise
import CTestSupport
import Foundation
import Synchronization

extension Session {
    /// Calls that another thread of the process disturbs while they are under way.
    func interference(_ words: [String]) -> Outcome? {
        switch words[0] {
        case "signalled":
            // signalled COUNT HANDLER COMMAND…: runs the command until so many signals were handled here.
            return signalled(Int(words[1])!, restarting: words[2] == "restarting", Array(words[3...]))
        case "cat-rewritten":
            // cat-rewritten TIMES SECRET PATH OTHER: opens what a buffer names that turns from PATH to OTHER
            // and back all the time; the secret must never come.
            return rewritten(Int(words[1])!, words[2], words[3], words[4])
        case "cat-moved":
            // cat-moved TIMES SECRET NAME DIRECTORY OTHER: as cat-rewritten, with a directory descriptor that
            // is closed and stands for OTHER, and back.
            return moved(Int(words[1])!, words[2], words[3], Int32(words[4])!, Int32(words[5])!)
        case "without-descriptors":
            // without-descriptors COMMAND…: runs the command with the table of descriptors full.
            var taken: [Int32] = []
            while case let descriptor = dup(0), descriptor >= 0 { taken.append(descriptor) }
            let outcome = perform(Array(words[1...]))
            taken.forEach { close($0) }
            return outcome
        default: return nil
        }
    }

    private static let signals = Atomic(0)

    private func signalled(_ count: Int, restarting: Bool, _ command: [String]) -> Outcome {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in Session.signals.add(1, ordering: .relaxed) }
        action.sa_flags = restarting ? SA_RESTART : 0
        sigaction(SIGUSR1, &action, nil)
        let thread = pthread_self()
        let before = Self.signals.load(ordering: .relaxed)
        return whileAnother({ pthread_kill(thread, SIGUSR1) }) {
            while true {
                let outcome = perform(command)
                guard Self.signals.load(ordering: .relaxed) < before + count else { return outcome }
                guard case .value = outcome else { return outcome }
            }
        }
    }

    private func rewritten(_ times: Int, _ secret: String, _ path: String, _ other: String) -> Outcome {
        guard path.utf8.count == other.utf8.count else { return .errno(EINVAL) }
        let size = path.utf8.count + 1
        nonisolated(unsafe) let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
        defer { buffer.deallocate() }
        strcpy(buffer, path)
        return openRepeatedly(times, secret) {
            memcpy(buffer, other, size)
            memcpy(buffer, path, size)
        } open: {
            Files.call(
                Int(SYS_openat), Int(AT_FDCWD), Int(bitPattern: buffer), Int(O_RDONLY | O_CLOEXEC))
        }
    }

    private func moved(_ times: Int, _ secret: String, _ name: String, _ directory: Int32, _ other: Int32)
        -> Outcome
    {
        let contested = dup(directory)
        defer { close(contested) }
        return openRepeatedly(times, secret) {
            dup2(other, contested)
            close(contested)
            dup2(directory, contested)
        } open: {
            Files.open(name, Int(O_RDONLY | O_CLOEXEC), directory: Int(contested))
        }
    }

    private func openRepeatedly(
        _ times: Int, _ secret: String, while disturb: @escaping @Sendable () -> Void, open: () -> Int
    ) -> Outcome {
        whileAnother(disturb) {
            var (opened, refused) = (0, 0)
            for round in 0..<times {
                let descriptor = open()
                if descriptor == -Int(EACCES) { refused += 1 }
                guard descriptor >= 0 else { continue }
                defer { close(Int32(descriptor)) }
                guard case .value(let text) = Files.read(descriptor) else { continue }
                if text.contains(secret) { return .value("leak \(round)") }
                opened += 1
            }
            // Both must have been met, or nothing was put to the test.
            return .value(opened > 0 && refused > 0 ? "none" : "opened \(opened), refused \(refused)")
        }
    }

    /// Runs `body` while another thread does something again and again.
    private func whileAnother(_ again: @escaping @Sendable () -> Void, _ body: () -> Outcome) -> Outcome {
        let isOver = Atomic(false)
        let thread = onNewThread { while !isOver.load(ordering: .relaxed) { again() } }
        guard let thread else { return .errno(EAGAIN) }
        defer {
            isOver.store(true, ordering: .relaxed)
            pthread_join(thread, nil)
        }
        return body()
    }
}
