import Registry
import RegistryFiles
import RegistryModel
import ToolSupport

/// Carries changes out, as many in one transaction as the registry allows.
struct Importer {
    /// Below what a registry lets one transaction change, unless it was told otherwise.
    private static let (mostChanges, mostBytes) = (1_500, 4 << 20)

    /// What was done.
    struct Count: Encodable {
        var keys = 0
        var deletedKeys = 0
        var values = 0
        var deletedValues = 0
    }

    private let registry: RegistryOptions
    private var change: KeyChange?
    private var batch: [KeyChange] = []
    private var (weight, bytes) = (0, 0)
    private(set) var count = Count()
    /// Whether a transaction before this one was committed: a failure leaves what was in it.
    private(set) var hasCommitted = false

    init(_ registry: RegistryOptions) { self.registry = registry }

    /// Takes an entry of a registry file.
    mutating func take(_ entry: RegistryFileEntry) throws(RegistryError) {
        switch entry {
        case .key(let path):
            count.keys += 1
            try begin(KeyChange(path))
        case .deletedKey(let path):
            count.deletedKeys += 1
            var change = KeyChange(path)
            change.isDeleted = true
            try begin(change)
        case .value(let name, let value):
            count.values += 1
            try set(name, value)
        case .deletedValue(let name):
            count.deletedValues += 1
            try set(name, nil)
        }
    }

    /// Takes a whole key.
    mutating func take(_ key: KeyChange) throws(RegistryError) {
        count.keys += 1
        count.values += key.values.count
        var first = key
        (first.values, first.bytes) = ([], 0)
        try begin(first)
        for (name, value) in key.values { try set(name, value) }
    }

    /// Carries out what is left.
    mutating func finish() throws(RegistryError) {
        if let change { add(change) }
        change = nil
        try commit()
    }

    private mutating func set(_ name: RegistryValueName, _ value: RegistryValue?) throws(RegistryError) {
        // A key of very many values is spread over several transactions.
        if let change, change.weight + weight >= Self.mostChanges || change.bytes + bytes >= Self.mostBytes {
            var next = KeyChange(change.path)
            next.isLink = change.isLink
            try begin(next)
        }
        change?.set(name, value)
    }

    private mutating func begin(_ next: KeyChange) throws(RegistryError) {
        if let change { add(change) }
        change = next
        if weight + next.weight >= Self.mostChanges || bytes + next.bytes >= Self.mostBytes { try commit() }
    }

    private mutating func add(_ change: KeyChange) {
        batch.append(change)
        weight += change.weight
        bytes += change.bytes
    }

    private mutating func commit() throws(RegistryError) {
        guard !batch.isEmpty else { return }
        let (batch, registry) = (batch, registry)
        do {
            try RegistryTransaction.run(socket: registry.socket) { transaction in
                for change in batch { try change.apply(registry, in: transaction) }
            }
        } catch let error as RegistryError { throw error } catch { throw .invalid("\(error)") }
        (self.batch, weight, bytes, hasCommitted) = ([], 0, 0, true)
    }
}
