/// Opening a file and closing it: as the kernel does it, as the least of mediators would, as Guise does, and as
/// file servers do it today.
func mediationSuite() throws {
    var suite = Suite("mediation: open + close")
    let stage = try Stage()
    defer { stage.end() }
    let plain = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
    let root = try stage.worker("--worker-root")
    let continued = try stage.worker("--worker-continued")
    let floor = try stage.worker("--worker-floor")
    // Two services: one stays itself, one acts as a client throughout.
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
    try turns.run()
    func record(_ name: String, baseline: String? = nil, atMost ratio: Double? = nil) {
        guard let result = turns.results[name] else { return }
        suite.record(name, result, baseline: baseline, atMost: ratio)
    }
    record("bare")
    record("setgroups + setresgid + setresuid and back", baseline: "bare")
    record("floor, continued", baseline: "bare")
    record("not impersonating", baseline: "floor, continued")
    record("floor, opened", baseline: "bare")
    record("impersonating, Unix place", baseline: "floor, opened", atMost: 1.5)
    record("impersonating, managed root", baseline: "floor, opened", atMost: 1.5)
}
