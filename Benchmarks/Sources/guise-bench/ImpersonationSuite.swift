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
    let pairs = [
        ("impersonate + revert, captured connection", "cycle", 50.0),
        ("setThreadToken + revert, after the first", "cycle-token", 100),
        ("impersonateSelf + revert, after the first", "cycle-self", 100),
    ]
    for (name, command, _) in pairs { turns.add(name) { try service.measure("\(command) 200000") } }
    let ticket = "ticket: issue + redeem + impersonate + revert"
    turns.add(ticket) { try service.measure("redeem 100 bench-files") }
    try turns.run()
    for (name, _, limit) in pairs {
        if let result = turns.results[name] { suite.record(name, result, limit: limit) }
    }
    if let result = turns.results[ticket] { suite.record(ticket, result) }

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
