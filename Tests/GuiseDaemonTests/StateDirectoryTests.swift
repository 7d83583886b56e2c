import Foundation
import GRDB
import Testing

@testable import GuiseDaemon

@Suite("A state directory")
struct StateDirectoryTests {
    let state: ScratchState

    init() throws { state = try ScratchState() }

    @Test("is made private, and so is what is in it")
    func modes() throws {
        let store = try state.open()
        #expect(try mode(state.path) == 0o700)
        for file in try FileManager.default.contentsOfDirectory(atPath: state.path) {
            #expect(try mode(state.path + "/" + file) == 0o600, "\(file)")
        }
        withExtendedLifetime(store) {}
    }

    @Test("that others can write is refused", arguments: [0o777, 0o770, 0o702, 0o1777])
    func writable(mode: Int) throws {
        try state.make()
        chmod(state.path, mode_t(mode))
        #expect(
            try state.refusal() == .writableByOthers(path: state.path, mode: UInt32(S_IFDIR) | UInt32(mode)))
    }

    @Test("below one that others can write is refused")
    func writableParent() throws {
        try state.make()
        let parent = (state.path as NSString).deletingLastPathComponent
        chmod(parent, 0o777)
        let refusal = try state.refusal()
        guard case .writableByOthers(parent, _) = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
    }

    @Test("of somebody else is refused", .enabled(if: geteuid() == 0, "only root can give a directory away"))
    func foreignOwner() throws {
        try state.make()
        chown(state.path, 61001, 61001)
        #expect(try state.refusal() == .foreignOwner(path: state.path, owner: 61001, expected: 0))
    }

    @Test("behind a symbolic link is refused, and so is a database behind one")
    func symbolicLinks() throws {
        try state.make()
        let link = state.path + "-link"
        symlink(state.path, link)
        for path in [link, link + "/"] {
            #expect(throws: StateError.symbolicLink(path: link)) { try AccountStore(directory: path) }
        }
        try FileManager.default.moveItem(atPath: state.database, toPath: state.database + ".real")
        symlink(state.database + ".real", state.database)
        #expect(throws: StateError.symbolicLink(path: state.database)) { try state.open() }
    }

    @Test("that is a file, or under nothing, is refused")
    func notADirectory() throws {
        try Data("x".utf8).write(to: URL(fileURLWithPath: state.path))
        #expect(throws: StateError.notADirectory(path: state.path)) { try state.open() }
        #expect(throws: StateError.system(path: "/nowhere/at/all", operation: "make", errno: ENOENT)) {
            try AccountStore(directory: "/nowhere/at/all")
        }
    }

    @Test("serves one authority at a time")
    func inUse() throws {
        let store = try state.open()
        #expect(throws: StateError.inUse(path: state.path)) { try state.open() }
        withExtendedLifetime(store) {}
    }

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }
}

@Suite("A database that is not what it should be is refused and left as it is")
struct DatabaseTests {
    let state: ScratchState

    init() throws {
        state = try ScratchState()
        try state.make { store in
            for index in 0..<200 {
                try store.add(.init(.user, named: "user \(index)", unixID: 61000 + UInt32(index)))
            }
        }
    }

    @Test("empty")
    func empty() throws {
        try state.write(Data())
        #expect(try state.refusal() == .corrupt(path: state.database, detail: "it is empty"))
    }

    @Test("truncated", arguments: [1, 50, 99, 100, 512, 4096, 5000, 20000])
    func truncated(size: Int) throws {
        let whole = try state.bytes()
        try #require(whole.count > 20000)
        try state.write(whole.prefix(size))
        #expect(try state.refusal() != nil)
    }

    @Test("with pages of zeros", arguments: 0..<8)
    func zeroedPage(page: Int) throws {
        var bytes = try state.bytes()
        let range = page * 4096..<(page + 1) * 4096
        bytes.replaceSubrange(range, with: Data(count: 4096))
        try state.write(bytes)
        #expect(try state.refusal() != nil)
    }

    @Test("of random bytes")
    func noise() throws {
        try state.write(Data((0..<40960).map { _ in UInt8.random(in: .min ... .max) }))
        guard case .foreign = try state.refusal() else {
            Issue.record("not called foreign")
            return
        }
    }

    @Test("of another program")
    func foreign() throws {
        try change("PRAGMA application_id = 7")
        guard case .foreign = try state.refusal() else {
            Issue.record("not called foreign")
            return
        }
    }

    @Test("of an older Guise: it is taken over, and nobody has a level of its own")
    func older() throws {
        try FileManager.default.removeItem(atPath: state.database)
        let queue = try DatabaseQueue(path: state.database)
        try AccountSchema.migrator.migrate(queue, upTo: "accounts")
        try queue.write {
            try $0.execute(
                sql: """
                    INSERT INTO account (sid, name, folded, kind)
                    SELECT sid || '-1000', 'old', 'old', 1 FROM machine
                    """)
        }
        try queue.close()
        chmod(state.database, 0o600)
        let store = try state.open()
        #expect(store.account(named: "old")?.integrity == nil)
        try store.change(name: "old", integrity: .low)
        #expect(store.account(named: "old")?.integrity == .low)
    }

    @Test("of a newer Guise")
    func newer() throws {
        try change("PRAGMA user_version = 99")
        #expect(try state.refusal() == .newerSchema(path: state.database, found: 99, known: 5))
    }

    @Test("migrated by a newer Guise that forgot to say so")
    func superseded() throws {
        try change("INSERT INTO grdb_migrations VALUES ('of the future')")
        #expect(try state.refusal() == .newerSchema(path: state.database, found: 5, known: 5))
    }

    @Test(
        "with rows no Guise writes",
        arguments: [
            "UPDATE account SET sid = 'S-1-5-18' WHERE name = 'user 7'",
            "UPDATE account SET sid = 'me' WHERE name = 'user 7'",
            "UPDATE machine SET sid = 'S-1-5-18'",
            "DELETE FROM machine",
            "INSERT INTO privilege SELECT sid, 'SeEverythingPrivilege' FROM account WHERE name = 'user 7'",
            "PRAGMA foreign_keys = OFF; INSERT INTO membership VALUES ('S-1-1-0', 'S-1-5-32-544')",
            "DROP TABLE root",
        ])
    func implausible(sql: String) throws {
        try change(sql)
        guard case .corrupt = try state.refusal() else {
            Issue.record("not called damaged")
            return
        }
    }

    @Test("missing beside its log")
    func orphanedLog() throws {
        try Data("x".utf8).write(to: URL(fileURLWithPath: state.database + "-wal"))
        chmod(state.database + "-wal", 0o600)
        try FileManager.default.removeItem(atPath: state.database)
        guard case .corrupt = #expect(throws: StateError.self, performing: { try state.open() }) else {
            Issue.record("not called damaged")
            return
        }
    }

    @Test("half made by a crash is made anew")
    func crashWhileMaking() throws {
        try FileManager.default.moveItem(atPath: state.database, toPath: state.database + ".new")
        #expect(try state.open().account(named: "user 7") == nil)
    }

    private func change(_ sql: String) throws {
        let queue = try DatabaseQueue(path: state.database)
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        // So that the bytes compared are all of it.
        try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
        try queue.close()
    }
}
