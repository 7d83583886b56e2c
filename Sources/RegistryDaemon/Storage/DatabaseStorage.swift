import Foundation
import GRDB
package import RegistryModel

/// Keys and values in an SQLite database.
package final class DatabaseStorage: RegistryStorage {
    private let path: String
    private let writer: DatabaseQueue
    private let reader: DatabaseQueue
    /// By their numbers, which mean the same descriptor for ever.
    private let descriptors = Guarded(RecentCache<Int64, [UInt8]>(limit: 8 << 20))

    /// Opens the database, making it when there is none.
    ///
    /// - Throws: ``RegistryError/damaged(_:)`` for what is no database of ours, ``RegistryError/storageFailed(_:)``.
    package init(path: String, durability: DatabaseFile.Durability = .full) throws(RegistryError) {
        self.path = path
        writer = try DatabaseFile.open(path, durability)
        do {
            reader = try DatabaseQueue(
                path: path, configuration: DatabaseFile.configuration(durability, isReader: true))
        } catch { throw DatabaseFile.explain(error, path) }
    }

    private func read<Result>(_ body: (Database) throws -> Result) throws(RegistryError) -> Result {
        do { return try reader.unsafeRead(body) } catch { throw DatabaseFile.explain(error, path) }
    }

    package func largestID() throws(RegistryError) -> KeyID {
        try read { try KeyID.fetchOne($0, sql: "SELECT max(id) FROM key") ?? 0 }
    }

    // MARK: Reading

    private static let columns =
        "SELECT id, parent, name, class, written, flags, security FROM key"
    private static let keyByID = columns + " WHERE id = ?"
    private static let childByName = columns + " WHERE parent = ? AND folded = ?"
    private static let childrenAfter = columns + " WHERE parent = ? AND folded > ? ORDER BY folded LIMIT ?"
    private static let valueByName = "SELECT name, type, data FROM value WHERE key = ? AND folded = ?"
    // The default value has the empty name, so that nothing comes before it.
    private static let valuesFrom =
        "SELECT name, type, data FROM value WHERE key = ? AND folded >= ? ORDER BY folded LIMIT ?"
    private static let valuesAfter =
        "SELECT name, type, data FROM value WHERE key = ? AND folded > ? ORDER BY folded LIMIT ?"

    /// The rows of a statement, until `body` has enough.
    private func rows(
        _ sql: String, _ arguments: StatementArguments, _ body: (Row, Database) throws -> Bool
    ) throws(RegistryError) {
        try read { database in
            let rows = try Row.fetchCursor(try database.cachedStatement(sql: sql), arguments: arguments)
            while let row = try rows.next(), try body(row, database) {}
        }
    }

    private func keys(_ sql: String, _ arguments: StatementArguments) throws(RegistryError) -> [KeyRecord] {
        var out: [KeyRecord] = []
        try rows(sql, arguments) { row, database in
            let flags: Int64 = row[5]
            out.append(
                KeyRecord(
                    id: row[0], parent: row[1], name: try RegistryKeyName(row[2]), className: row[3],
                    lastWrite: UInt64(bitPattern: row[4]), isLink: flags & 1 != 0,
                    descriptor: try descriptor(row[6], database)))
            return true
        }
        return out
    }

    /// A descriptor; what is held of it is held once.
    private func descriptor(_ id: Int64, _ database: Database) throws -> [UInt8] {
        if let known = descriptors.withLock({ $0.value(id) }) { return known }
        let statement = try database.cachedStatement(sql: "SELECT bytes FROM security WHERE id = ?")
        guard let row = try Row.fetchOne(statement, arguments: [id]) else {
            throw DatabaseFile.damaged(path, "descriptor \(id) is missing")
        }
        let bytes = bytes(row, 0)
        descriptors.withLock { $0.insert(bytes, for: id, weight: bytes.count) }
        return bytes
    }

    private func bytes(_ row: Row, _ column: Int) -> [UInt8] {
        // An empty BLOB comes as nil.
        (try? row.withUnsafeData(atIndex: column) { $0.map { Array($0) } ?? [] }) ?? []
    }

    private func value(_ row: Row) throws -> ValueRecord {
        ValueRecord(
            name: try RegistryValueName(row[0]), type: RegistryValueType(rawValue: row[1]),
            bytes: bytes(row, 2))
    }

    package func key(_ id: KeyID) throws(RegistryError) -> KeyRecord? {
        try keys(Self.keyByID, [id]).first
    }

    package func child(of parent: KeyID, named folded: [UInt8]) throws(RegistryError) -> KeyRecord? {
        try keys(Self.childByName, [parent, Blob(folded)]).first
    }

    package func children(
        of parent: KeyID, after folded: [UInt8]?, limit: Int
    ) throws(RegistryError) -> [KeyRecord] {
        try keys(Self.childrenAfter, [parent, Blob(folded ?? []), limit])
    }

    package func value(of key: KeyID, named folded: [UInt8]) throws(RegistryError) -> ValueRecord? {
        var found: ValueRecord?
        try rows(Self.valueByName, [key, Blob(folded)]) { row, _ in
            found = try value(row)
            return false
        }
        return found
    }

    package func values(
        of key: KeyID, after folded: [UInt8]?, limit: Int, bytes: Int
    ) throws(RegistryError) -> [ValueRecord] {
        var (out, size): ([ValueRecord], Int) = ([], 0)
        let sql = folded == nil ? Self.valuesFrom : Self.valuesAfter
        try rows(sql, [key, Blob(folded ?? []), limit]) { row, _ in
            out.append(try value(row))
            size += out[out.count - 1].size
            return size < bytes
        }
        return out
    }

    // MARK: Writing

    package func apply(_ changes: RegistryChanges) throws(RegistryError) {
        do {
            try writer.write { database in
                let replaced = try release(changes, database)
                try put(changes.keys.values.compactMap { $0 }.sorted { $0.id < $1.id }, database)
                try put(changes.values.filter { changes.keys[$0.key] != .some(nil) }, database)
                let forget = try database.cachedStatement(
                    sql:
                        "DELETE FROM security WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM key WHERE security = ?1)"
                )
                for id in replaced { try forget.execute(arguments: [id]) }
            }
        } catch { throw DatabaseFile.explain(error, path) }
    }

    /// Removes keys, or gives names free that they have no more: others may take them in the same commit.
    ///
    /// - Returns: the descriptors that keys had.
    private func release(_ changes: RegistryChanges, _ database: Database) throws -> Set<Int64> {
        // Keys that nobody had before have larger ids, mostly.
        let last = try KeyID.fetchOne(try database.cachedStatement(sql: "SELECT max(id) FROM key")) ?? 0
        let find = try database.cachedStatement(sql: "SELECT security, folded FROM key WHERE id = ?")
        let delete = try database.cachedStatement(sql: "DELETE FROM key WHERE id = ?")
        let rename = try database.cachedStatement(
            sql: "UPDATE key SET folded = CAST(x'00' || CAST(id AS TEXT) AS BLOB) WHERE id = ?")
        var replaced: Set<Int64> = []
        for (id, record) in changes.keys where id <= last {
            guard let old = try Row.fetchOne(find, arguments: [id]) else { continue }
            replaced.insert(old[0])
            guard let record else {
                try delete.execute(arguments: [id])
                continue
            }
            if record.name.folded != bytes(old, 1) { try rename.execute(arguments: [id]) }
        }
        return replaced
    }

    private func put(_ records: [KeyRecord], _ database: Database) throws {
        let add = try database.cachedStatement(
            sql: "INSERT INTO security (bytes) VALUES (?) ON CONFLICT DO NOTHING")
        let find = try database.cachedStatement(sql: "SELECT id FROM security WHERE bytes = ?")
        let put = try database.cachedStatement(
            sql: """
                INSERT INTO key (id, parent, folded, name, class, written, flags, security)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET folded = excluded.folded, name = excluded.name,
                    class = excluded.class, written = excluded.written, flags = excluded.flags,
                    security = excluded.security
                """)
        var numbers: [[UInt8]: Int64] = [:]
        for record in records {
            if numbers[record.descriptor] == nil {
                try add.execute(arguments: [Blob(record.descriptor)])
                numbers[record.descriptor] = try Int64.fetchOne(find, arguments: [Blob(record.descriptor)])
            }
            try put.execute(arguments: [
                record.id, record.parent, Blob(record.name.folded), record.name.text, record.className,
                Int64(bitPattern: record.lastWrite), record.isLink ? 1 : 0, numbers[record.descriptor],
            ])
        }
    }

    private func put(_ values: [KeyID: [[UInt8]: ValueRecord?]], _ database: Database) throws {
        let delete = try database.cachedStatement(sql: "DELETE FROM value WHERE key = ? AND folded = ?")
        let put = try database.cachedStatement(
            sql: """
                INSERT INTO value (key, folded, name, type, data) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (key, folded) DO UPDATE SET name = excluded.name, type = excluded.type,
                    data = excluded.data
                """)
        for (key, values) in values {
            for (folded, value) in values {
                guard let value else {
                    try delete.execute(arguments: [key, Blob(folded)])
                    continue
                }
                try put.execute(arguments: [
                    key, Blob(folded), value.name.text, Int64(value.type.rawValue), Blob(value.bytes),
                ])
            }
        }
    }

    // MARK: Care

    package func backup(to path: String) throws(RegistryError) {
        do {
            // A connection of its own: whoever reads or writes meanwhile does not wait.
            let source = try DatabaseQueue(
                path: self.path, configuration: DatabaseFile.configuration(.full, isReader: true))
            let copy = try DatabaseQueue(path: path)
            try source.backup(to: copy)
            try copy.close()
            try source.close()
        } catch { throw DatabaseFile.explain(error, path) }
    }

    package func complaints() throws(RegistryError) -> [String] {
        do {
            let checker = try DatabaseQueue(
                path: path, configuration: DatabaseFile.configuration(.full, isReader: true))
            return try checker.read { database in
                var found = try String.fetchAll(database, sql: "PRAGMA integrity_check(100)")
                if found == ["ok"] { found = [] }
                for row in try Row.fetchAll(database, sql: "PRAGMA foreign_key_check") {
                    found.append("a row of table \(row[0] as String) refers to one that is not there")
                }
                for id in try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT id FROM key WHERE parent <> 0 AND parent NOT IN (SELECT id FROM key) LIMIT 100
                        """)
                { found.append("key \(id) is below a key that is not there") }
                return found
            }
        } catch { throw DatabaseFile.explain(error, path) }
    }

    /// How many descriptors are stored.
    func descriptorCount() throws(RegistryError) -> Int {
        try read { try Int.fetchOne($0, sql: "SELECT count(*) FROM security") ?? 0 }
    }

    package func flush() throws(RegistryError) {
        do { _ = try writer.writeWithoutTransaction { try $0.checkpoint(.passive) } } catch {
            throw DatabaseFile.explain(error, path)
        }
    }
}

/// Bytes as SQLite stores them. An empty list is an empty BLOB, not NULL.
private struct Blob: DatabaseValueConvertible, StatementBinding {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var databaseValue: DatabaseValue { Data(bytes).databaseValue }

    static func fromDatabaseValue(_ value: DatabaseValue) -> Blob? {
        Data.fromDatabaseValue(value).map { Blob(Array($0)) }
    }

    func bind(to statement: SQLiteStatement, at index: CInt) -> CInt {
        databaseValue.bind(to: statement, at: index)
    }
}
