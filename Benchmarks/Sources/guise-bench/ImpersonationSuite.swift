/// Becoming a client: on a connection captured before, and on a fresh one.
func impersonationSuite() throws {
    var suite = Suite("impersonation")
    let stage = try Stage()
    defer { stage.end() }
    let service = try stage.service()
    let client = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
    let server = try stage.worker("--worker-plain", "\(Stage.service)", stage.plainSocket + "2")

    try service.tell("accept")
    try client.tell("connect 1 \(stage.serviceSocket)")
    try service.answer()
    var turns = Turns()
    turns.add("impersonate + revert, captured connection") { try service.measure("cycle 200000") }
    try turns.run()
    if let result = turns.results["impersonate + revert, captured connection"] {
        suite.record("impersonate + revert, captured connection", result, limit: 50)
    }

    // The client of the first connection waits until it is closed.
    try service.ask("drop")
    try client.answer()
    let bare = "connect + accept, bare"
    let first = "connect + accept + capture + impersonate + revert"
    var connections = Turns()
    let count = 100
    connections.add(bare) {
        try server.tell("serve \(count)")
        defer { _ = try? server.answer() }
        return try client.measure("connect \(count) \(stage.plainSocket)2")
    }
    connections.add(first) {
        try service.tell("serve \(count)")
        defer { _ = try? service.answer() }
        return try client.measure("connect \(count) \(stage.serviceSocket)")
    }
    try connections.run()
    for (name, baseline) in [(bare, nil), (first, bare)] {
        guard let result = connections.results[name] else { continue }
        suite.record(name, result, baseline: baseline)
    }
}
