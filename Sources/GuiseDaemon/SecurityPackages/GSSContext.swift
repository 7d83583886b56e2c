/// A conversation that a ``GSSProcess`` has under way, for as long as this lives.
final class GSSContext: Sendable {
    let process: GSSProcess
    let number: UInt64

    init(_ process: GSSProcess, _ number: UInt64) {
        (self.process, self.number) = (process, number)
    }

    deinit { process.forget(number) }

    /// Whether it may go on.
    var isCurrent: Bool { process.isCurrent(number) && !process.hasEnded }
}

/// A client's credentials that a ``GSSProcess`` keeps, if it delegated any, for as long as this lives.
final class GSSCredentials: Sendable {
    let process: GSSProcess
    let number: UInt64

    init(_ process: GSSProcess, _ number: UInt64) {
        (self.process, self.number) = (process, number)
    }

    deinit { process.forget(credentials: number) }
}
