import CTestSupport
import Foundation

/// All that a process can write, as root sees it.
struct ProcessMemory {
    private let regions: [[UInt8]]

    init(of pid: pid_t) throws {
        let maps = try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
        let file = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        guard file >= 0 else { throw HarnessError("no memory of \(pid)") }
        regions = maps.split(separator: "\n").compactMap { line -> [UInt8]? in
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard words[1].hasPrefix("rw"), ends.count == 2, ends[1] - ends[0] < 256 << 20 else { return nil }
            var bytes = [UInt8](repeating: 0, count: Int(ends[1] - ends[0]))
            return pread(file, &bytes, bytes.count, off_t(ends[0])) > 0 ? bytes : nil
        }
    }

    func contains(_ text: String) -> Bool {
        let needle = Array(text.utf8)
        return regions.contains { region in
            region.withUnsafeBytes { test_contains($0.baseAddress!, $0.count, needle, needle.count) }
        }
    }
}
