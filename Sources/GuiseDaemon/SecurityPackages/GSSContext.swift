/// A conversation that a ``GSSProcess`` has under way, for as long as this lives.
final class GSSContext: Sendable {
    /// What it is for. No step may have it serve another end.
    enum Purpose: Sendable, Equatable {
        /// Judging a client's tokens, of the package of that name.
        case accepting(String)
        /// Going elsewhere as the client of a logon session.
        case initiating(String, target: String, flags: UInt32, session: UInt64)
    }

    let process: GSSProcess
    let number: UInt64
    let purpose: Purpose

    init(_ process: GSSProcess, _ number: UInt64, for purpose: Purpose) {
        (self.process, self.number, self.purpose) = (process, number, purpose)
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
