import AccessControl
import GRDB

/// What the database looks like, and how the state of an older Guise becomes that of this one.
enum AccountSchema {
    /// "Guis": marks the file as ours (`PRAGMA application_id`).
    static let applicationID: Int = 0x4775_6973
    /// Raised with every migration (`PRAGMA user_version`), so that an older Guise knows to keep off.
    static let version = 5
    /// The first RID of accounts that people make.
    static let firstRID: Int64 = 1000

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("accounts") { database in
            try database.execute(sql: tables)
            try database.execute(
                sql: "INSERT INTO machine (id, sid, next_rid) VALUES (1, ?, ?)",
                arguments: [newMachineSID().description, firstRID])
            for group in builtInGroups {
                try database.execute(
                    sql: "INSERT INTO account (sid, name, folded, kind) VALUES (?, ?, ?, ?)",
                    arguments: [
                        group.sid.description, group.name, AccountName.folded(group.name),
                        Account.Kind.group.rawValue,
                    ])
                for privilege in group.privileges {
                    try database.execute(
                        sql: "INSERT INTO privilege (account, name) VALUES (?, ?)",
                        arguments: [group.sid.description, privilege.name])
                }
            }
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try database.execute(sql: "PRAGMA user_version = 1")
        }
        migrator.registerMigration("integrity") { database in
            try database.execute(
                sql: """
                    ALTER TABLE account ADD COLUMN integrity INTEGER
                        CHECK (integrity IS NULL
                            OR kind <> 2 AND integrity IN (0, 4096, 8192, 12288, 16384))
                    """)
            try database.execute(sql: "PRAGMA user_version = 2")
        }
        migrator.registerMigration("passwords") { database in
            try database.execute(
                sql: """
                    CREATE TABLE password (
                        account TEXT PRIMARY KEY REFERENCES account ON DELETE CASCADE,
                        hash TEXT NOT NULL
                    ) STRICT, WITHOUT ROWID
                    """)
            try database.execute(sql: "PRAGMA user_version = 3")
        }
        migrator.registerMigration("endpoints") { database in
            try database.execute(
                sql: """
                    CREATE TABLE endpoint (
                        name TEXT PRIMARY KEY,
                        sddl TEXT NOT NULL
                    ) STRICT, WITHOUT ROWID
                    """)
            try database.execute(sql: "PRAGMA user_version = 4")
        }
        migrator.registerMigration("mappings") { database in
            try database.execute(sql: MappingTables.schema)
            try database.execute(sql: "PRAGMA user_version = 5")
        }
        return migrator
    }

    private static let tables = """
        CREATE TABLE machine (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            sid TEXT NOT NULL,
            next_rid INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE account (
            sid TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            folded TEXT NOT NULL UNIQUE,
            kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
            unix_id INTEGER CHECK (unix_id BETWEEN 1 AND 4294967294),
            unix_group INTEGER CHECK (unix_group BETWEEN 1 AND 4294967294)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX account_uid ON account (unix_id) WHERE kind <> 2;
        CREATE UNIQUE INDEX account_gid ON account (unix_id) WHERE kind = 2;
        CREATE TABLE privilege (
            account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
            name TEXT NOT NULL,
            PRIMARY KEY (account, name)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE membership (
            member TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
            container TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
            PRIMARY KEY (member, container)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX membership_container ON membership (container);
        CREATE TABLE root (
            path TEXT PRIMARY KEY,
            sddl TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    /// The groups every machine has, with the user rights Windows gives them.
    private static let builtInGroups: [(sid: SID, name: String, privileges: PrivilegeSet)] = [
        (
            .administrators, "Administrators",
            [
                .increaseQuota, .security, .takeOwnership, .loadDriver, .systemProfile, .systemtime,
                .profileSingleProcess, .increaseBasePriority, .createPagefile, .backup, .restore, .shutdown,
                .debug, .systemEnvironment, .changeNotify, .remoteShutdown, .undock, .manageVolume,
                .impersonate, .createGlobal, .increaseWorkingSet, .timeZone, .createSymbolicLink,
                .delegateSessionUserImpersonate,
            ]
        ),
        (.users, "Users", [.changeNotify, .increaseWorkingSet, .timeZone]),
        (.guests, "Guests", []),
        (.backupOperators, "Backup Operators", [.backup, .restore, .shutdown, .changeNotify]),
    ]

    /// S-1-5-21-a-b-c, as Windows makes one when it is installed.
    private static func newMachineSID() throws -> SID {
        var random = SystemRandomNumberGenerator()
        return try SID(authority: 5, [21, random.next(), random.next(), random.next()])
    }
}
