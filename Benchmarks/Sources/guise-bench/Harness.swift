import CAllocationCounter
import Glibc

/// One number of a suite: what was measured, how long one operation took, and whether it may be heavier.
struct Measurement {
    let name: String
    let nanoseconds: Double
    let allocations: Int
}

/// A suite measures and prints; its baseline is measured in the same run, so that ratios mean something.
struct Suite {
    let name: String
    private(set) var measurements: [Measurement] = []

    init(_ name: String) {
        self.name = name
        print("\n\(name)")
    }

    /// Measures `body`, the best of several runs of many operations each, and prints it.
    ///
    /// - Parameters:
    ///   - limit: the most nanoseconds one operation may take, if there is such a promise.
    ///   - baseline: the name of an earlier measurement to give the ratio to.
    @discardableResult
    mutating func measure(
        _ name: String, limit: Double? = nil, baseline: String? = nil, body: () throws -> Void
    ) rethrows -> Double {
        var batch = 1
        while true {
            let took = try Self.time(batch, body)
            if took > 5_000_000 || batch > 1 << 26 { break }
            batch *= 2
        }
        var runs: [Double] = []
        let before = guise_bench_allocations()
        for _ in 0..<15 { runs.append(try Self.time(batch, body) / Double(batch)) }
        let allocations = Int(guise_bench_allocations() - before) / (15 * batch)
        let best = runs.min() ?? .infinity
        record(name, best, allocations: allocations, limit: limit, baseline: baseline)
        return best
    }

    /// Takes down and prints a measurement made elsewhere.
    ///
    /// - Parameters:
    ///   - median: of the samples, where the figure is not that.
    ///   - limit: the most nanoseconds one operation may take, if there is such a promise.
    ///   - baseline: the name of an earlier measurement to give the ratio to.
    ///   - ratio: the most that it may be of its baseline, if there is such a promise.
    mutating func record(
        _ name: String, _ nanoseconds: Double, median: Double? = nil, allocations: Int? = nil,
        limit: Double? = nil, baseline: String? = nil, atMost ratio: Double? = nil
    ) {
        measurements.append(Measurement(name: name, nanoseconds: nanoseconds, allocations: allocations ?? 0))
        var line = "  " + name + String(repeating: " ", count: max(1, 52 - name.count))
        line += "\(Self.text(nanoseconds)) ns"
        if let median { line += " (median \(Self.text(median)))" }
        if let allocations { line += "  \(allocations) alloc" }
        if let baseline, let other = measurements.last(where: { $0.name == baseline }) {
            let times = nanoseconds / other.nanoseconds
            let hundredths = Int((times * 100).rounded())
            line += "  ×\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10) of \(baseline)"
            if let ratio { line += times <= ratio ? "  ok (≤ \(ratio))" : "  OVER \(ratio)" }
        }
        if let limit { line += nanoseconds <= limit ? "  ok (≤ \(Int(limit)))" : "  OVER \(Int(limit))" }
        print(line)
        fflush(nil)
    }

    /// Prints a number that was measured elsewhere; a negative one was not.
    mutating func note(_ name: String, _ nanoseconds: Double) {
        measurements.append(Measurement(name: name, nanoseconds: nanoseconds, allocations: 0))
        let value = nanoseconds < 0 ? "not installed" : Self.text(nanoseconds) + " ns"
        print("  " + name + String(repeating: " ", count: max(1, 52 - name.count)) + value)
    }

    /// Prints what is no time of one operation.
    func say(_ name: String, _ text: String) {
        print("  " + name + String(repeating: " ", count: max(1, 52 - name.count)) + text)
        fflush(nil)
    }

    private static func time(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
        var start = timespec()
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &start)
        for _ in 0..<count { try body() }
        clock_gettime(CLOCK_MONOTONIC, &end)
        return Double(end.tv_sec - start.tv_sec) * 1e9 + Double(end.tv_nsec - start.tv_nsec)
    }

    private static func text(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return value < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(tenths / 10)"
    }
}

/// Keeps the optimizer from dropping a result.
@inline(never) func blackHole<T>(_ value: T) {}
