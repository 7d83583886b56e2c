import AccessControl
import Foundation
import RegistryModel
import Testing

@testable import RegistryDaemon

@Suite struct DatabaseTests {
    let folder: Folder
    var path: String { folder.path + "/registry.db" }
    init() throws { folder = try Folder() }

    private func session() throws -> RegistrySession {
        RegistrySession(try RegistryEngine(try DatabaseStorage(path: path)))
    }

    @Test func whatWasAnsweredIsThereTheNextTime() throws {
        do {
            let session = try session()
            let key = try session.make("Machine\\K\\L", "O:SYD:P(A;CI;KA;;;SY)")
            try session.set(key, .default, .string(""))
            try session.set(key, value("none"), .none([]))
            try session.set(key, value("ÿ"), .binary([0, 1, 2]))
            _ = try session.create(start("Machine\\Gone"), .allAccess, options: .volatile, as: system)
            let transaction = try session.beginTransaction()
            _ = try session.create(start("Machine\\Never", in: transaction), .allAccess, as: system)
        }
        let session = try session()
        let key = try session.open(start("machine\\k\\l"), .allAccess, as: system).handle
        let values = try session.values(key, after: nil)
        #expect(values.map(\.name.text) == ["", "none", "ÿ"])
        #expect(values.map(\.bytes) == [[0, 0], [], [0, 1, 2]])
        #expect(try session.descriptor(key, .dacl).sddl() == "D:P(A;CI;KA;;;SY)")
        let top = try session.open(start("Machine"), .allRead, as: system).handle
        #expect(try session.subkeys(top, after: nil).map(\.name.text) == ["K"])
        #expect(try session.engine.complaints() == [])
    }

    @Test func namesAreExchangedInOneTransaction() throws {
        let session = try session()
        for name in ["a", "b"] {
            try session.set(try session.make("Machine\\\(name)"), .default, .string(name))
        }
        let transaction = try session.beginTransaction()
        let keys = try ["a", "b"].map {
            try session.open(start("Machine\\\($0)", in: transaction), .allAccess, as: system).handle
        }
        try session.rename(keys[0], to: name("x"), as: system)
        try session.rename(keys[1], to: name("a"), as: system)
        try session.rename(keys[0], to: name("b"), as: system)
        try session.commit(transaction)
        #expect(try session.text("Machine\\a", "") == "b")
        #expect(try session.text("Machine\\b", "") == "a")
        let again = try self.session()
        #expect(try again.text("Machine\\a", "") == "b")
    }

    @Test func descriptorsThatNoKeyHasAreForgotten() throws {
        let storage = try DatabaseStorage(path: path)
        let session = RegistrySession(try RegistryEngine(storage))
        let key = try session.make("Machine\\K")
        for number in 0..<20 {
            let list = try SecurityDescriptor(sddl: "D:P(A;;KA;;;SY)(A;;KR;;;S-1-5-21-1-2-3-\(number))")
            try session.setDescriptor(key, .dacl, to: list, as: system)
        }
        #expect(try storage.descriptorCount() <= 2)
    }

    @Test func aCopyIsMadeWhileItIsInUse() throws {
        let session = try session()
        try session.set(try session.make("Machine\\K"), .default, .string("x"))
        let copy = folder.path + "/copy.db"
        try session.engine.backup(to: copy)
        let other = RegistrySession(try RegistryEngine(try DatabaseStorage(path: copy)))
        #expect(try other.text("Machine\\K", "") == "x")
    }

    @Test func whatIsNoRegistryIsLeftAsItIs() throws {
        for (bytes, what) in [
            (Data("not a database, but a text of some length".utf8), "text"),
            (Data("SQLite format 3\0".utf8), "stub"),
        ] {
            let path = folder.path + "/" + what
            try bytes.write(to: URL(fileURLWithPath: path))
            #expect(code { _ = try DatabaseStorage(path: path) } == 1015)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
        }
    }

    @Test func damageIsAClearError() throws {
        do {
            let session = try session()
            for number in 0..<200 {
                try session.set(try session.make("Machine\\K\(number)"), .default, .string("x"))
            }
            try session.engine.flush()
        }
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for index in 4096..<min(bytes.count, 40_000) { bytes[index] = 0xAA }
        try bytes.write(to: URL(fileURLWithPath: path))
        let error = code {
            let session = try self.session()
            let top = try session.open(start("Machine"), .allRead, as: system)
            _ = try session.subkeys(top.handle, after: nil)
            _ = try session.text("Machine\\K77", "")
        }
        #expect(error == 1015)
    }
}
