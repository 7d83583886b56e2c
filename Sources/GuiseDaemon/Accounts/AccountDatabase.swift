import AccessControl
import GRDB
import Glibc

/// The file behind the accounts: made, checked before it is believed, read.
enum AccountDatabase {
    static let fileName = "guise.db"
    /// Where a new database is made before it gets its name, so that a crash leaves all of it or none.
    private static let scratchName = "guise.db.new"

    /// Opens the database of a state directory, making it when there is none.
    static func open(in directory: borrowing StateDirectory) throws(StateError) -> DatabaseQueue {
        let path = directory.path + "/" + fileName
        if try directory.has(file: fileName) {
            for suffix in ["-wal", "-shm"] { _ = try directory.has(file: fileName + suffix) }
            try checkHeader(path)
            try checkContents(path)
        } else {
            guard try !directory.has(file: fileName + "-wal") else {
                throw .corrupt(path: path, detail: "its -wal file is here, the database itself is missing")
            }
            try make(path, in: directory)
        }
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration())
            try AccountSchema.migrator.migrate(queue)
            return queue
        } catch { throw explain(error, path) }
    }

    /// Reads the database of a state directory anew, by connections of its own that cannot write.
    static func checkAgain(in directory: borrowing StateDirectory) throws(StateError) {
        let path = directory.path + "/" + fileName
        for suffix in ["", "-wal", "-shm"] {
            guard try directory.has(file: fileName + suffix) || !suffix.isEmpty else {
                throw .corrupt(path: path, detail: "it is gone, and with it every change from now on")
            }
        }
        try checkHeader(path)
        try checkContents(path)
    }

    /// Reads everything; anything that this Guise could not have written is damage.
    static func read(_ database: Database, generation: UInt64) throws -> AccountDirectory {
        guard let sidText = try String.fetchOne(database, sql: "SELECT sid FROM machine"),
            let machine = SID(sidText), machine.subAuthorityCount == 4
        else { throw Damage(what: "the machine's SID cannot be read") }

        _ = try (MappingTables.issuers(database), MappingTables.rules(database))
        let accounts = try accounts(database, machine, where: "1")
        return AccountDirectory(
            machine: machine, generation: generation, accounts: accounts, roots: try roots(database),
            endpoints: try endpoints(database))
    }

    /// Reads one account; `nil` when there is none.
    static func account(_ sid: SID, _ database: Database, machine: SID) throws -> Account? {
        try accounts(database, machine, where: "account.sid = ?", [sid.description]).first
    }

    /// Reads the hash of an account's password; `nil` when it has none.
    static func passwordHash(_ sid: SID, _ database: Database) throws -> PasswordHash? {
        let text = try String.fetchOne(
            database, sql: "SELECT hash FROM password WHERE account = ?", arguments: [sid.description])
        return try text.map { text in
            guard let hash = PasswordHash(text) else {
                throw Damage(what: "a password's hash is none of ours")
            }
            return hash
        }
    }

    /// Reads every registered abstract name.
    static func endpoints(_ database: Database) throws -> [RegisteredEndpoint] {
        try Row.fetchAll(database, sql: "SELECT name, sddl FROM endpoint").map { row in
            RegisteredEndpoint(name: row[0], sddl: row[1])
        }
    }

    /// Reads every managed root.
    static func roots(_ database: Database) throws -> [ManagedRoot] {
        try Row.fetchAll(database, sql: "SELECT path, sddl FROM root").map { row in
            ManagedRoot(path: row[0], sddl: row[1])
        }
    }

    private static func accounts(
        _ database: Database, _ machine: SID, where condition: String, _ arguments: StatementArguments = []
    ) throws -> [Account] {
        func rows(_ columns: String, _ from: String) throws -> [Row] {
            try Row.fetchAll(
                database, sql: "SELECT account.sid, \(columns) FROM account \(from) WHERE \(condition)",
                arguments: arguments)
        }
        var privileges: [SID: PrivilegeSet] = [:]
        for row in try rows("privilege.name", "JOIN privilege ON privilege.account = account.sid") {
            let name: String = row[1]
            guard let privilege = Privilege(name: name) else {
                throw Damage(what: "unknown privilege \(quoted(name))")
            }
            privileges[try sid(row, 0), default: []].insert(privilege)
        }
        var groups: [SID: [SID]] = [:]
        for row in try rows("container", "JOIN membership ON membership.member = account.sid") {
            groups[try sid(row, 0), default: []].append(try sid(row, 1))
        }
        var withPassword: Set<SID> = []
        for row in try rows("password.hash", "JOIN password ON password.account = account.sid") {
            // What costs more than ours do could take all memory and time of the authority.
            guard PasswordHash(row[1]) != nil else { throw Damage(what: "a password's hash is none of ours") }
            withPassword.insert(try sid(row, 0))
        }
        return try rows("account.name, kind, unix_id, unix_group, integrity", "").map { row in
            let accountSID = try sid(row, 0)
            guard let kind = Account.Kind(rawValue: row[2]) else {
                throw Damage(what: "unknown kind of account")
            }
            let account = Account(
                sid: accountSID, name: row[1], kind: kind,
                unixID: try unixID(row, 3), unixGroup: try unixID(row, 4),
                privileges: privileges[accountSID] ?? [], groups: (groups[accountSID] ?? []).sorted(),
                integrity: try integrity(row, 5), hasPassword: withPassword.contains(accountSID))
            guard isPlausible(account, machine) else {
                throw Damage(what: "\(quoted(account.name)) cannot have the SID \(accountSID)")
            }
            guard !account.hasPassword || account.kind == .user else {
                throw Damage(what: "\(quoted(account.name)) is no user and has a password")
            }
            return account
        }
    }

    /// Turns whatever came out of SQLite into what the operator should know.
    static func explain(_ error: any Error, _ path: String) -> StateError {
        switch error {
        case let error as StateError:
            return error
        case let error as Damage:
            return .corrupt(path: path, detail: error.what)
        case let error as DatabaseError:
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_CONSTRAINT, .SQLITE_ERROR, .SQLITE_MISMATCH:
                return .corrupt(path: path, detail: error.message ?? "\(error.resultCode)")
            case .SQLITE_NOTADB:
                return .foreign(path: path, detail: error.message ?? "not a database")
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                return .inUse(path: path)
            case .SQLITE_FULL:
                return .system(path: path, operation: "write", errno: ENOSPC)
            default:
                return .corrupt(path: path, detail: error.message ?? "\(error.resultCode)")
            }
        default:
            return .corrupt(path: path, detail: "\(error)")
        }
    }

    /// Something in the database that no Guise writes.
    struct Damage: Error {
        let what: String
    }

    /// A row that claims a SID its kind of account never gets (SYSTEM's, say) was not written by us.
    private static func isPlausible(_ account: Account, _ machine: SID) -> Bool {
        switch account.kind {
        case .user: account.sid.isMember(ofDomain: machine)
        case .group: account.sid.isMember(ofDomain: machine) || account.isBuiltIn
        case .service: account.sid == .service(named: account.name)
        }
    }

    private static func sid(_ row: Row, _ column: Int) throws -> SID {
        let text: String = row[column]
        guard let sid = SID(text) else { throw Damage(what: "\(quoted(text)) is not a SID") }
        return sid
    }

    private static func unixID(_ row: Row, _ column: Int) throws -> UInt32? {
        guard let value: Int64 = row[column] else { return nil }
        guard let id = UInt32(exactly: value) else { throw Damage(what: "\(value) is not a Unix id") }
        return id
    }

    private static func integrity(_ row: Row, _ column: Int) throws -> IntegrityLevel? {
        guard let value: Int64 = row[column] else { return nil }
        guard let level = Account.integrityLevels.first(where: { $0.rawValue == value }) else {
            throw Damage(what: "\(value) is not an integrity level")
        }
        return level
    }

    private static func configuration(readOnly: Bool = false) -> Configuration {
        var configuration = Configuration()
        configuration.label = "guise.accounts"
        configuration.readonly = readOnly
        configuration.foreignKeysEnabled = true
        if !readOnly { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            // A change of accounts that was confirmed must outlive a power cut.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            // Damage is to be found, and a crafted schema to have no side effects.
            try database.execute(sql: "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF")
            // What is deleted is overwritten: passwords' hashes are among it.
            try database.execute(sql: "PRAGMA secure_delete = ON")
        }
        return configuration
    }

    /// Looks at the file's first bytes before SQLite may touch it.
    private static func checkHeader(_ path: String) throws(StateError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", errno: errno) }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: 100)
        let count = Glibc.read(descriptor, &header, header.count)
        guard count >= 0 else { throw .system(path: path, operation: "read", errno: errno) }
        guard count > 0 else { throw .corrupt(path: path, detail: "it is empty") }
        guard header.prefix(16).elementsEqual("SQLite format 3\0".utf8) else {
            throw .foreign(path: path, detail: "it is no SQLite database")
        }
        guard count == header.count else { throw .corrupt(path: path, detail: "it ends in its header") }
        let application = header[68..<72].reduce(0) { $0 << 8 | Int($1) }
        guard application == AccountSchema.applicationID else {
            throw .foreign(path: path, detail: "it belongs to another program")
        }
    }

    /// Reads all of it by a connection that cannot write.
    private static func checkContents(_ path: String) throws(StateError) {
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration(readOnly: true))
            defer { try? queue.close() }
            try queue.read { database in
                let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                guard version <= AccountSchema.version else {
                    throw StateError.newerSchema(path: path, found: version, known: AccountSchema.version)
                }
                let complaint = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
                guard complaint == "ok" else { throw Damage(what: complaint ?? "no answer from the check") }
                guard try Row.fetchOne(database, sql: "PRAGMA foreign_key_check") == nil else {
                    throw Damage(what: "a row refers to an account that is not there")
                }
                guard try !AccountSchema.migrator.hasBeenSuperseded(database) else {
                    throw StateError.newerSchema(path: path, found: version, known: AccountSchema.version)
                }
                // An older schema is read after its migration.
                if version == AccountSchema.version { _ = try read(database, generation: 0) }
            }
        } catch { throw explain(error, path) }
    }

    private static func make(_ path: String, in directory: borrowing StateDirectory) throws(StateError) {
        let scratch = directory.path + "/" + scratchName
        // What a crash left of an earlier attempt was never in use.
        for suffix in ["", "-journal"] where try directory.has(file: scratchName + suffix) {
            guard unlink(scratch + suffix) == 0 else {
                throw .system(path: scratch + suffix, operation: "remove", errno: errno)
            }
        }
        // SQLite gives its other files the mode of this one.
        let descriptor = Glibc.open(scratch, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(path: scratch, operation: "make", errno: errno) }
        close(descriptor)
        do {
            var configuration = configuration()
            configuration.journalMode = .default
            let queue = try DatabaseQueue(path: scratch, configuration: configuration)
            try AccountSchema.migrator.migrate(queue)
            try queue.close()
        } catch { throw explain(error, scratch) }
        guard rename(scratch, path) == 0 else {
            throw .system(path: path, operation: "make", errno: errno)
        }
        try directory.synchronize()
    }
}
