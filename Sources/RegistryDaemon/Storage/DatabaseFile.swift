import GRDB
import Glibc
import RegistryModel

/// The registry's database file: made, and checked before it is believed.
package enum DatabaseFile {
    /// How much a change outlives once the call has returned.
    package enum Durability: String, Sendable, CaseIterable {
        /// A power cut (`PRAGMA synchronous = FULL`).
        case full
        /// The daemon's end, however it ends; a power cut may take the last changes, and never part of one.
        case process
    }

    static func configuration(_ durability: Durability, isReader: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "guise.registry"
        configuration.foreignKeysEnabled = true
        configuration.readonly = isReader
        configuration.maximumReaderCount = 1
        if !isReader { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            try database.execute(
                sql: "PRAGMA synchronous = \(durability == .full ? "FULL" : "NORMAL")")
            // Damage is to be found, and a crafted schema to have no side effects.
            try database.execute(sql: "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF")
            // Readers look up what is anywhere; a write knows where it goes.
            try database.execute(sql: "PRAGMA cache_size = \(isReader ? -65536 : -16384)")
        }
        return configuration
    }

    /// Opens the database for writing, making it when there is none.
    ///
    /// - Throws: ``RegistryError/damaged(_:)`` for one that is damaged, of another program or of a newer Guise. It is left
    ///   as it is.
    static func open(_ path: String, _ durability: Durability) throws(RegistryError) -> DatabaseQueue {
        let isNew = try !check(path)
        do {
            if isNew {
                // SQLite gives its other files the mode of this one.
                let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
                guard descriptor >= 0 else { throw failure("make", path, errno) }
                close(descriptor)
            }
            let queue = try DatabaseQueue(
                path: path, configuration: configuration(durability, isReader: false))
            try queue.read { database in
                let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                guard version <= DatabaseSchema.version else {
                    throw RegistryError.damaged(
                        "\(path) was written by a newer Guise (schema \(version), this one knows"
                            + " \(DatabaseSchema.version)): it was left as it is; run that version, or restore an"
                            + " older backup")
                }
            }
            try DatabaseSchema.migrator.migrate(queue)
            try synchronizeFolder(of: path)
            return queue
        } catch { throw explain(error, path) }
    }

    /// - Returns: whether there is a database.
    private static func check(_ path: String) throws(RegistryError) -> Bool {
        let descriptor = Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT {
            guard access(path + "-wal", F_OK) != 0 else {
                throw damaged(path, "its -wal file is there, the database itself is missing")
            }
            return false
        }
        guard descriptor >= 0 else { throw failure("open", path, errno) }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: 100)
        let count = Glibc.read(descriptor, &header, header.count)
        guard count >= 0 else { throw failure("read", path, errno) }
        // A crash when it was made.
        if count == 0 { return unlink(path) != 0 }
        guard header.prefix(16).elementsEqual("SQLite format 3\0".utf8) else {
            throw damaged(path, "it is no SQLite database")
        }
        guard count == header.count else { throw damaged(path, "it ends in its header") }
        let application = header[68..<72].reduce(0) { $0 << 8 | Int($1) }
        // 0: a crash after it was made, before its tables were; what is in it is in its -wal file.
        guard application == DatabaseSchema.applicationID || application == 0 else {
            throw RegistryError.damaged(
                "\(path) belongs to another program: it was left as it is; name another file for the registry"
            )
        }
        return true
    }

    private static func synchronizeFolder(of path: String) throws(RegistryError) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", folder, errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("synchronize", folder, errno) }
    }

    static func damaged(_ path: String, _ detail: String) -> RegistryError {
        .damaged(
            "\(path) is damaged (\(detail)): it was left as it is; restore it from a backup, or save what can be read"
                + " with sqlite3's .recover")
    }

    private static func failure(_ operation: String, _ path: String, _ error: Int32) -> RegistryError {
        .storageFailed("cannot \(operation) \(path): \(String(cString: strerror(error)))")
    }

    /// Turns whatever came out of SQLite into what the operator should know.
    static func explain(_ error: any Error, _ path: String) -> RegistryError {
        switch error {
        case let error as RegistryError: return error
        case let error as DatabaseError:
            let detail = error.message ?? "\(error.resultCode)"
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_MISMATCH, .SQLITE_CONSTRAINT:
                return damaged(path, detail)
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                return .storageFailed("\(path) is in use by another registryd: stop that one first")
            case .SQLITE_FULL:
                return .storageFailed("\(path) cannot grow: make room on the disk")
            default:
                return .storageFailed("\(path) cannot be read or written (\(detail)): look at the disk")
            }
        default: return .storageFailed("\(path): \(error)")
        }
    }
}
