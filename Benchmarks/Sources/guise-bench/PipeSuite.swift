/// A client of a named pipe, from its connect to the close, with the service acting as it meanwhile, beside the same over a
/// bare Unix socket.
func pipeSuite() throws {
    var suite = Suite("named pipes")
    let stage = try Stage()
    defer { stage.end() }
    let service = try stage.service()
    try service.ask("serve-pipe bench")
    let client = try stage.worker("--worker-plain", "\(Stage.alice)", stage.plainSocket)
    let server = try stage.worker("--worker-plain", "\(Stage.service)", stage.plainSocket + "2")
    let bare = "connect + message + close, bare"
    let pipe = "pipe: connect + impersonate + message + close"
    let count = 100
    var turns = Turns()
    turns.add(bare) {
        try server.tell("hear \(count)")
        defer { _ = try? server.answer() }
        return try client.measure("talk \(count) \(stage.plainSocket)2")
    }
    turns.add(pipe) {
        try service.tell("hear \(count)")
        defer { _ = try? service.answer() }
        return try client.measure("talk \(count) bench \(stage.directory)/run")
    }
    try turns.run()
    for (name, baseline) in [(bare, nil), (pipe, bare)] {
        guard let result = turns.results[name] else { continue }
        suite.record(
            name, result, median: turns.medians[name], baseline: baseline, atMost: baseline.map { _ in 3 })
    }
}
