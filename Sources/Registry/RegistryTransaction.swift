public import RegistryModel
import RegistryProtocol

/// Changes to several keys that are made together: all of them or none, seen by others when they are committed, and durable
/// then.
///
/// ```swift
/// try RegistryTransaction.run { transaction in
///     let from = try RegistryKey.open("Machine\\A", for: .allAccess, in: transaction)
///     let to = try RegistryKey.create("Machine\\B", in: transaction)
///     try from.copy(to: to)
///     try from.delete(tree: true)
/// }
/// ```
///
/// Corresponds to `CreateTransaction` and the `…Transacted` functions of the registry. One that is let go of is rolled back
/// when its connection ends.
public final class RegistryTransaction: Sendable {
    let connection: RegistryConnection
    let number: UInt64

    /// Begins a transaction, as whom the calling thread acts as. Keys that are opened in it are opened as that user.
    public init(socket: String? = nil) throws(RegistryError) {
        (connection, number) = try RegistryConnections.shared.beginning(socket) {
            connection throws(RegistryError) in (connection, try Self.begin(on: connection))
        }
    }

    init(on connection: RegistryConnection) throws(RegistryError) {
        (self.connection, number) = (connection, try Self.begin(on: connection))
    }

    private static func begin(on connection: RegistryConnection) throws(RegistryError) -> UInt64 {
        guard case .transaction(let number) = try connection.call(0, .begin(true)) else { throw .senseless }
        return number
    }

    /// Makes what was done known and durable. Keys that were opened in the transaction stay open, outside of it.
    ///
    /// - Throws: ``RegistryError/conflict(_:)`` when somebody else changed what was read or changed in it: nothing is done
    ///   then, begin anew. ``RegistryError/transactionEnded(_:)``.
    public func commit() throws(RegistryError) {
        guard case .done = try connection.call(0, .commit(number)) else { throw .senseless }
    }

    /// Forgets what was done.
    public func rollBack() throws(RegistryError) {
        guard case .done = try connection.call(0, .rollBack(number)) else { throw .senseless }
    }

    /// Runs `body` in a transaction and commits it; anew, when somebody else was in the way.
    ///
    /// - Parameter attempts: how often at most.
    /// - Throws: ``RegistryError/conflict(_:)`` from the last attempt; what `body` throws, and then nothing is done.
    public static func run<Result>(
        attempts: Int = 8, socket: String? = nil, _ body: (RegistryTransaction) throws -> Result
    ) throws -> Result {
        var attempt = 1
        while true {
            let transaction = try RegistryTransaction(socket: socket)
            do {
                let result = try body(transaction)
                try transaction.commit()
                return result
            } catch {
                try? transaction.rollBack()
                guard case .conflict = error as? RegistryError, attempt < attempts else { throw error }
                attempt += 1
            }
        }
    }
}
