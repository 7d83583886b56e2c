import CGuise
import GuiseProtocol

/// Where the threads of a process leave word of whose task they run. All of it is the process's own saying: it can
/// name the handles it was given, and nothing else.
struct TaskTrail {
    private let word: Int64
    private let executor: UInt64
    private let kind: UInt64

    /// nil when it makes no sense.
    init?(_ wire: WireTaskTrail) {
        guard wire.executor <= 64, wire.kind != 0 else { return nil }
        word = wire.word
        executor = UInt64(wire.executor)
        kind = wire.kind
    }

    enum End {
        /// The thread runs no task that acts as a client.
        case nobody
        case mark(TaskMark)
        /// It cannot be told.
        case lost
    }

    /// Follows the trail of a thread that waits.
    func follow(_ tid: Int32) -> End {
        var head: UInt64 = 0
        guard guise_robust_list(tid, &head) == 0 else { return .lost }
        // A thread that no C library made, or a child between vfork and exec.
        guard head != 0 else { return .nobody }
        guard let record = read(tid, head &+ UInt64(bitPattern: word)) else { return .lost }
        guard record != 0 else { return .nobody }
        guard let object = read(tid, record &+ executor) else { return .lost }
        guard object != 0 else { return .nobody }
        var words: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
        let size = MemoryLayout.size(ofValue: words)
        let got = guise_memory_read(tid, object, &words, size)
        guard got >= 8 else { return .lost }
        // Somebody else's executor.
        guard words.0 == kind else { return .nobody }
        guard got == size else { return .lost }
        return .mark(TaskMark(attachment: words.2, handle: words.3, body: words.4))
    }

    private func read(_ tid: Int32, _ address: UInt64) -> UInt64? {
        var word: UInt64 = 0
        return guise_memory_read(tid, address, &word, 8) == 8 ? word : nil
    }
}
