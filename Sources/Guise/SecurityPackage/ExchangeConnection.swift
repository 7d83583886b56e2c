import GuiseProtocol
import Synchronization

/// A connection to the authority that one client is judged on, and held by afterwards: while that is judged, nothing else of
/// this process waits for it. To connect takes as long as to be answered, so the next client has the same one.
final class ExchangeConnection: Sendable {
    /// The most that wait for a next client.
    private static let largestSpareCount = 16

    let client: AuthorityClient
    /// Whose spares it is one of.
    private let authority: Authority?
    /// What it holds; nil while a conversation is under way on it, which ends with the connection.
    private let held = Mutex<UInt64?>(nil)

    /// Takes a spare one, or connects.
    init(runtimeDirectory: String?) throws(GuiseError) {
        let current = Authority.current
        let directory = runtimeDirectory ?? current?.runtimeDirectory
        authority = current.flatMap { $0.runtimeDirectory == directory ? $0 : nil }
        if let spare = authority?.spares.withLock({ $0.popLast() }), spare.isUsable {
            client = spare
        } else {
            client = try asProcess { () throws(GuiseError) in
                try AuthorityClient(runtimeDirectory: directory)
            }
        }
    }

    deinit {
        guard let authority, let capture = held.withLock({ $0 }) else { return }
        client.release(capture)
        authority.spares.withLock { if $0.count < Self.largestSpareCount { $0.append(client) } }
    }

    /// Its conversation is over, and the authority holds this client by it.
    func hold(_ capture: UInt64) { held.withLock { $0 = capture } }
}
