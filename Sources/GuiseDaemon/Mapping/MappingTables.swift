import AccessControl
import Foundation
import GRDB

/// Issuers and mapping rules in the database.
enum MappingTables {
    static let schema = """
        CREATE TABLE issuer (
            name TEXT PRIMARY KEY,
            kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
            identity TEXT NOT NULL,
            keys BLOB NOT NULL,
            unmapped INTEGER NOT NULL CHECK (unmapped IN (1, 2)),
            any_service INTEGER NOT NULL CHECK (any_service IN (0, 1)),
            UNIQUE (kind, identity)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE issuer_value (
            issuer TEXT NOT NULL REFERENCES issuer ON DELETE CASCADE,
            kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
            value TEXT NOT NULL,
            PRIMARY KEY (issuer, kind, value)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE issuer_service (
            issuer TEXT NOT NULL REFERENCES issuer ON DELETE CASCADE,
            account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
            PRIMARY KEY (issuer, account)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX issuer_service_account ON issuer_service (account);
        CREATE TABLE mapping (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            issuer TEXT NOT NULL REFERENCES issuer ON DELETE CASCADE,
            attribute TEXT NOT NULL,
            match INTEGER NOT NULL CHECK (match IN (1, 2, 3)),
            value TEXT NOT NULL,
            account TEXT REFERENCES account ON DELETE CASCADE,
            CHECK ((account IS NULL) = (match = 3))
        ) STRICT;
        CREATE UNIQUE INDEX mapping_value ON mapping (issuer, attribute, value) WHERE match <> 2;
        CREATE UNIQUE INDEX mapping_name ON mapping (issuer, attribute, value, account) WHERE match = 2;
        CREATE INDEX mapping_account ON mapping (account);
        """

    private enum ListKind: Int { case audience = 1, algorithm = 2 }

    /// Every issuer, by name; anything that this Guise could not have written is damage.
    static func issuers(
        _ database: Database, where condition: String = "1", _ arguments: StatementArguments = []
    )
        throws -> [Issuer]
    {
        try Row.fetchAll(
            database,
            sql: """
                SELECT name, kind, identity, keys, unmapped, any_service FROM issuer
                WHERE \(condition) ORDER BY name
                """, arguments: arguments
        ).map { row in
            let name: String = row[0]
            guard let kind = Issuer.Kind(rawValue: row[1]), let unmapped = Issuer.Unmapped(rawValue: row[4])
            else { throw AccountDatabase.Damage(what: "unknown kind of issuer") }
            let keys: Data = row[3]
            var issuer = Issuer(
                kind, named: name, identity: row[2], keys: Array(keys), unmapped: unmapped,
                isForAnyService: row[5])
            for value in try Row.fetchAll(
                database, sql: "SELECT kind, value FROM issuer_value WHERE issuer = ? ORDER BY value",
                arguments: [name])
            {
                switch ListKind(rawValue: value[0]) {
                case .audience: issuer.audiences.append(value[1])
                case .algorithm: issuer.algorithms.append(value[1])
                case nil: throw AccountDatabase.Damage(what: "unknown setting of an issuer")
                }
            }
            issuer.services = try String.fetchAll(
                database, sql: "SELECT account FROM issuer_service WHERE issuer = ? ORDER BY account",
                arguments: [name]
            ).map(sid)
            guard issuer.algorithms.allSatisfy(Issuer.algorithms.contains) else {
                throw AccountDatabase.Damage(what: "\(quoted(name)) has an algorithm that is not allowed")
            }
            return issuer
        }
    }

    static func insert(_ issuer: Issuer, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO issuer (name, kind, identity, keys, unmapped, any_service) VALUES (?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                issuer.name, issuer.kind.rawValue, issuer.identity, Data(issuer.keys),
                issuer.unmapped.rawValue,
                issuer.isForAnyService,
            ])
        for (kind, values) in [(ListKind.audience, issuer.audiences), (.algorithm, issuer.algorithms)] {
            for value in values {
                try database.execute(
                    sql: "INSERT OR IGNORE INTO issuer_value (issuer, kind, value) VALUES (?, ?, ?)",
                    arguments: [issuer.name, kind.rawValue, value])
            }
        }
        for service in issuer.services {
            try database.execute(
                sql: "INSERT OR IGNORE INTO issuer_service (issuer, account) VALUES (?, ?)",
                arguments: [issuer.name, service.description])
        }
    }

    /// The rules that fulfil a condition, in the order they were made.
    static func rules(
        _ database: Database, where condition: String = "1", _ arguments: StatementArguments = [],
        limit: Int = .max
    ) throws -> [MappingRule] {
        try Row.fetchAll(
            database,
            sql: """
                SELECT id, issuer, attribute, match, value, account FROM mapping
                WHERE \(condition) ORDER BY id LIMIT \(limit)
                """, arguments: arguments
        ).map { row in
            let text: String? = row[5]
            let account = try text.map(sid)
            let match: MappingRule.Match
            switch (row[3] as Int, account) {
            case (1, let account?): match = .value(row[4], account: account)
            case (2, let account?): match = .name(domain: row[4], account: account)
            case (3, nil): match = .refused(row[4])
            default: throw AccountDatabase.Damage(what: "unknown kind of mapping rule")
            }
            return MappingRule(id: row[0], issuer: row[1], attribute: row[2], match: match)
        }
    }

    /// Adds a rule; returns its number.
    static func insert(
        _ issuer: String, _ attribute: String, _ match: MappingRule.Match, _ database: Database
    ) throws -> Int64 {
        let (kind, value, account): (Int, String, SID?) =
            switch match {
            case .value(let value, let account): (1, value, account)
            case .name(let domain, let account): (2, domain, account)
            case .refused(let value): (3, value, nil)
            }
        try database.execute(
            sql: "INSERT INTO mapping (issuer, attribute, match, value, account) VALUES (?, ?, ?, ?, ?)",
            arguments: [issuer, attribute, kind, value, account?.description])
        return database.lastInsertedRowID
    }

    private static func sid(_ text: String) throws -> SID {
        guard let sid = SID(text) else {
            throw AccountDatabase.Damage(what: "\(quoted(text)) is not a SID")
        }
        return sid
    }
}
