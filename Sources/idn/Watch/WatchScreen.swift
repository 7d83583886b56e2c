import ToolSupport

/// A terminal on which the same picture is drawn again and again; what was there before comes back at the end.
struct WatchScreen {
    private let title: String

    init(title: String) {
        self.title = title
        // The alternate screen, without a cursor.
        Tool.put("\u{1b}[?1049h\u{1b}[?25l")
    }

    func leave() { Tool.put("\u{1b}[?25h\u{1b}[?1049l") }

    func draw(_ threads: [Identity], at time: Moment = .now) {
        let lines = Self.picture(title: title, threads, at: time, Terminal.size)
        // Drawn over what is there, each line and then the rest cleared, so that nothing flickers.
        Tool.put("\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J")
    }

    /// As many lines as fit, those who act as somebody first.
    static func picture(
        title: String, _ threads: [Identity], at time: Moment, _ size: (rows: Int, columns: Int)
    ) -> [String] {
        let acting = threads.filter(\.impersonating)
        let heading = "\(title)  \(time.time)  \(acting.count) of \(threads.count) threads impersonate"
        // The heading, the table's own, and what tells of the rest.
        let room = max(1, size.rows - 3)
        let shown = (acting + threads.filter { !$0.impersonating }).prefix(room)
        var lines = [String(visible(heading).prefix(size.columns))]
        // Names before SIDs, which leave no room beside them on most terminals.
        var table = Table("THREAD", "COMMAND", "LEVEL", "USER")
        for thread in shown {
            table.add(
                thread.thread.map(String.init) ?? "-", thread.command, thread.level ?? "-",
                thread.user.name ?? thread.user.sid)
        }
        lines += table.lines(width: size.columns)
        if shown.count < threads.count {
            lines.append(String("… and \(threads.count - shown.count) more".prefix(size.columns)))
        }
        return lines
    }
}
