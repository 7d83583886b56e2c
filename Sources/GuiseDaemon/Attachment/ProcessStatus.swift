import CGuise

/// What /proc tells of a process: the words of each line of its status, by the line's name.
struct ProcessStatus {
    private var fields: [Substring: [Substring]] = [:]

    /// Reads /proc/PID/status; nil when there is no such process.
    init?(of pid: Int32) {
        var text: [UInt8] = []
        var length = 0
        // The line of the groups has up to 65,536 numbers. A list that was cut off would be another list.
        for size in [8192, 1 << 20] where length == text.count {
            text = [UInt8](repeating: 0, count: size)
            length = guise_file_read("/proc/\(pid)/status", &text, text.count)
        }
        guard length > 0, length < text.count else { return nil }
        for line in String(decoding: text[..<length], as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1].split { $0 == "\t" || $0 == " " } }
        }
    }

    /// The words of a line; nil when there is none of that name.
    subscript(_ name: Substring) -> [Substring]? { fields[name] }

    /// The numbers of a line.
    func numbers(_ name: Substring) -> [UInt32]? { fields[name]?.compactMap { UInt32($0) } }
}
