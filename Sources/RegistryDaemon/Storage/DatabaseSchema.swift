import GRDB

/// What the registry's database looks like, and how that of an older Guise becomes that of this one.
enum DatabaseSchema {
    /// "GuiR": marks the file as ours (`PRAGMA application_id`).
    static let applicationID = 0x4775_6952
    /// Raised with every migration (`PRAGMA user_version`), so that an older Guise knows to keep off.
    static let version = 1

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("registry") { database in
            try database.execute(sql: tables)
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try database.execute(sql: "PRAGMA user_version = 1")
        }
        return migrator
    }

    // A descriptor is stored once, however many keys have it, and no other ever gets its number. Names are found and ordered by their foldings, bytes that
    // compare alike on every machine.
    private static let tables = """
        CREATE TABLE security (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            bytes BLOB NOT NULL UNIQUE
        ) STRICT;
        CREATE TABLE key (
            id INTEGER PRIMARY KEY CHECK (id > 0),
            parent INTEGER NOT NULL,
            folded BLOB NOT NULL,
            name TEXT NOT NULL,
            class TEXT NOT NULL,
            written INTEGER NOT NULL,
            flags INTEGER NOT NULL,
            security INTEGER NOT NULL REFERENCES security,
            UNIQUE (parent, folded)
        ) STRICT;
        CREATE INDEX key_security ON key (security);
        CREATE TABLE value (
            key INTEGER NOT NULL REFERENCES key ON DELETE CASCADE,
            folded BLOB NOT NULL,
            name TEXT NOT NULL,
            type INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (key, folded)
        ) STRICT, WITHOUT ROWID;
        """
}
