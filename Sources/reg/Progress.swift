import Glibc

/// How far something is, on a terminal's one line, and only once it takes longer than one waits without a word.
struct Progress {
    private static let patience = Duration.seconds(1)
    private static let pause = Duration.milliseconds(200)

    private let verb: String
    /// nil where nobody knows how much it will be.
    private let total: Int?
    private let isShown = isatty(STDERR_FILENO) == 1
    private let start = ContinuousClock.now
    private var next: ContinuousClock.Instant
    private var hasShown = false

    init(_ verb: String, total: Int? = nil) {
        (self.verb, self.total) = (verb, total)
        next = start + Self.patience
    }

    mutating func show(_ done: Int) {
        guard isShown, total != 0 else { return }
        let now = ContinuousClock.now
        guard now >= next else { return }
        (next, hasShown) = (now + Self.pause, true)
        put("\r\(verb) " + (total.map { "\(min(100, done * 100 / $0)) %" } ?? "\(done)"))
    }

    /// Takes the line away again.
    func end() { if hasShown { put("\r\u{1b}[K") } }

    private func put(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}
