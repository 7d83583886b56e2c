import CFloor
import Glibc

func mediationSuite() throws {
    // Where the scheduler puts a service and its mediator is not what these compare.
    guard bench_stay_on_one_processor(1) == 0 else {
        throw BenchError("sched_setaffinity: \(String(cString: strerror(errno)))")
    }
    do {
        defer { bench_stay_on_one_processor(0) }
        try callSuite()
    }
    try throughputSuite()
}

/// Opening a file and closing it: as the kernel does it, as the least of mediators would, as Guise does, and as
/// file servers do it today.
private func callSuite() throws {
    var suite = Suite("mediation: open + close, all on one processor")
    let stage = try Stage()
    defer { stage.end() }
    let plain = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
    let root = try stage.worker("--worker-root")
    let continued = try stage.worker("--worker-continued")
    let floor = try stage.worker("--worker-floor")
    let floorAsClient = try stage.worker("--worker-floor-as", "\(Stage.alice)")
    let acting = try stage.service()
    try acting.tell("accept")
    let client = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket + "2")
    try client.tell("connect 1 \(stage.serviceSocket)")
    try acting.answer()

    let count = 200
    var turns = Turns()
    turns.add("bare") { try plain.measure("open \(count) \(stage.unixFile)") }
    turns.add("setgroups + setresgid + setresuid and back") {
        try root.measure("open-as \(count) \(stage.unixFile) \(Stage.alice)")
    }
    turns.add("floor, continued") { try continued.measure("open \(count) \(stage.publicFile)") }
    turns.add("not impersonating") { try acting.measure("open \(count) \(stage.publicFile)") }
    turns.add("floor, opened") { try floor.measure("open \(count) \(stage.unixFile)") }
    turns.add("impersonating, Unix place") {
        try acting.ask("impersonate")
        defer { _ = try? acting.ask("revert") }
        return try acting.measure("open \(count) \(stage.unixFile)")
    }
    turns.add("impersonating, managed root") {
        try acting.ask("impersonate")
        defer { _ = try? acting.ask("revert") }
        return try acting.measure("open \(count) \(stage.managedFile)")
    }
    // On record. Past its share a service's records are summed up, which is what a flood of them costs.
    turns.add("floor, refused") { try floor.measure("open-refused \(count) \(stage.unixFile).none") }
    turns.add("impersonating, refused and on record") {
        try acting.ask("impersonate")
        defer { _ = try? acting.ask("revert") }
        return try acting.measure("open-refused \(count) \(stage.closedFile)")
    }
    turns.add("impersonating, managed root, on record by its SACL") {
        try acting.ask("impersonate")
        defer { _ = try? acting.ask("revert") }
        return try acting.measure("open \(count) \(stage.auditedFile)")
    }
    func made(_ count: Int, _ path: String) throws {
        try acting.ask("impersonate")
        defer { _ = try? acting.ask("revert") }
        _ = try acting.measure("create \(count) \(path)")
    }
    turns.add("floor, stat") { try floor.measure("stat \(count) \(stage.unixFile)") }
    // A file with a descriptor takes the file system longer to remove.
    for (place, scratch) in [("Unix place", stage.unixScratch), ("managed root", stage.managedScratch)] {
        turns.add("floor, unlink, \(place)") {
            try made(count, scratch)
            return try floor.measure("unlink \(count) \(scratch)")
        }
    }
    turns.add("floor, unlink, as the client") {
        try made(count, stage.unixScratch)
        return try floorAsClient.measure("unlink \(count) \(stage.unixScratch)")
    }
    for (place, file, scratch) in [
        ("Unix place", stage.unixFile, stage.unixScratch),
        ("managed root", stage.managedFile, stage.managedScratch),
    ] {
        turns.add("impersonating, stat, \(place)") {
            try acting.ask("impersonate")
            defer { _ = try? acting.ask("revert") }
            return try acting.measure("stat \(count) \(file)")
        }
        turns.add("impersonating, unlink, \(place)") {
            try made(count, scratch)
            try acting.ask("impersonate")
            defer { _ = try? acting.ask("revert") }
            return try acting.measure("unlink \(count) \(scratch)")
        }
    }
    try turns.run()
    func record(_ name: String, baseline: String? = nil, atMost ratio: Double? = nil) {
        guard let result = turns.results[name] else { return }
        suite.record(
            name, result, median: turns.medians[name], baseline: baseline, atMost: ratio)
    }
    record("bare")
    record("setgroups + setresgid + setresuid and back", baseline: "bare")
    record("floor, continued", baseline: "bare")
    record("not impersonating", baseline: "floor, continued", atMost: 1.2)
    record("floor, opened", baseline: "bare")
    record("impersonating, Unix place", baseline: "floor, opened", atMost: 1.3)
    record(
        "impersonating, Unix place", baseline: "setgroups + setresgid + setresuid and back")
    record("impersonating, managed root", baseline: "floor, opened", atMost: 1.3)
    record("floor, refused")
    record("impersonating, refused and on record", baseline: "floor, refused")
    record("impersonating, managed root, on record by its SACL", baseline: "impersonating, managed root")
    record("floor, stat")
    for place in ["Unix place", "managed root"] {
        record("impersonating, stat, \(place)", baseline: "floor, stat", atMost: 1.5)
    }
    for place in ["Unix place", "managed root"] {
        record("floor, unlink, \(place)")
        record("impersonating, unlink, \(place)", baseline: "floor, unlink, \(place)", atMost: 1.5)
    }

    record("floor, unlink, as the client", baseline: "floor, unlink, Unix place")
    record("impersonating, unlink, Unix place", baseline: "floor, unlink, as the client")
}

/// The threads of one service opening at once, wherever the scheduler puts them and their mediators.
private func throughputSuite() throws {
    var throughput = Suite("mediation: opens of one service at once, impersonating, Unix place")
    let stage = try Stage()
    defer { stage.end() }
    let floor = try stage.worker("--worker-floor-wide")
    let acting = try stage.service()
    try acting.tell("accept")
    let client = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
    try client.tell("connect 1 \(stage.serviceSocket)")
    try acting.answer()
    var turns = Turns()
    for threads in threadCounts {
        for (name, worker) in [("floor", floor), ("impersonating", acting)] {
            turns.add("\(name), \(threads) threads") {
                try worker.measure("open-at-once 2000 \(stage.unixFile) \(threads)")
            }
        }
    }
    try turns.run()
    for threads in threadCounts {
        for name in ["floor", "impersonating"].map({ "\($0), \(threads) threads" }) {
            guard let took = turns.results[name] else { continue }
            throughput.record(
                name, took, median: turns.medians[name],
                baseline: name.hasPrefix("floor") ? nil : "floor, \(threads) threads")
            print("    \(Int(1e9 / took)) opens per second")
        }
    }
}

private let threadCounts = [1, 2, 8, 64]
