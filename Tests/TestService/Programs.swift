import CGuise
import CTestSupport
import Foundation
import Guise

/// What real programs do with files, unchanged, on the thread that asks.
extension Session {
    func programs(_ words: [String]) throws -> Outcome? {
        switch words[0] {
        case "sqlite":
            // sqlite PATH SQL…
            return SQLite.run(words[1], words[2...].joined(separator: " "))
        case "file-manager":
            try manageFiles(words[1])
            return .value("done")
        case "walk": return .value(Walk.of(words[1]))
        case "process":
            // process PROGRAM ARGUMENT…: by Foundation, which hands its environment on.
            let process = Process()
            process.executableURL = URL(fileURLWithPath: words[1])
            process.arguments = Array(words[2...])
            let pipe = Pipe()
            process.standardOutput = pipe
            process.standardError = pipe
            try process.run()
            let output = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return .value(
                String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines)
                    + " (\(process.terminationStatus))")
        default: return nil
        }
    }

}

/// What FileManager does with a tree. Each step throws if it fails, or comes to nothing.
func manageFiles(_ path: String) throws {
    struct Missing: Error { let what: String }
    let manager = FileManager.default
    let top = URL(fileURLWithPath: path, isDirectory: true)
    func expect(_ isSo: Bool, _ what: String) throws { if !isSo { throw Missing(what: what) } }
    let deep = top.appending(path: "a/b/c", directoryHint: .isDirectory)
    try manager.createDirectory(at: deep, withIntermediateDirectories: true)
    try Data("one".utf8).write(to: deep.appending(path: "one"))
    try Data("two".utf8).write(to: deep.appending(path: "two"), options: .atomic)
    // Again, now that it is there.
    try Data("two, longer".utf8).write(to: deep.appending(path: "two"), options: .atomic)
    try expect(
        try String(contentsOf: deep.appending(path: "two"), encoding: .utf8) == "two, longer", "atomic")
    try manager.copyItem(at: top.appending(path: "a"), to: top.appending(path: "copy"))
    let copied = try manager.subpathsOfDirectory(atPath: path + "/copy").sorted()
    try expect(copied == ["b", "b/c", "b/c/one", "b/c/two"], "copy: \(copied)")
    try manager.moveItem(atPath: path + "/copy", toPath: path + "/moved")
    try expect(!manager.fileExists(atPath: path + "/copy"), "moved away")
    try expect(manager.contentsEqual(atPath: path + "/a", andPath: path + "/moved"), "moved")
    // As replaceItemAt would, which on Linux loses the file, whoever calls it.
    try Data("three".utf8).write(to: top.appending(path: "replacement"))
    try expect(rename(path + "/replacement", deep.path + "/one") == 0, "rename")
    try expect(try String(contentsOf: deep.appending(path: "one"), encoding: .utf8) == "three", "replaced")
    try manager.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: 1000)], ofItemAtPath: path + "/a")
    let date = try manager.attributesOfItem(atPath: path + "/a")[.modificationDate] as? Date
    try expect(date == Date(timeIntervalSince1970: 1000), "date: \(date as Any)")
    let handle = try FileHandle(forUpdating: deep.appending(path: "one"))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data(" and four".utf8))
    try handle.truncate(atOffset: 9)
    try handle.close()
    try expect(try String(contentsOf: deep.appending(path: "one"), encoding: .utf8) == "three and", "handle")
    try manager.linkItem(atPath: deep.path + "/one", toPath: path + "/hard")
    try expect(manager.isReadableFile(atPath: path + "/hard"), "readable")
    try expect(manager.isWritableFile(atPath: path + "/hard"), "writable")
    let listed = try manager.contentsOfDirectory(atPath: path).sorted()
    try expect(listed == ["a", "hard", "moved"], "listed: \(listed)")
    for name in listed { try manager.removeItem(atPath: path + "/" + name) }
    try expect(try manager.contentsOfDirectory(atPath: path).isEmpty, "removed")
}

/// A directory tree as two libraries see it.
enum Walk {
    /// How many entries each found, and how many it could not go into.
    static func of(_ path: String) -> String {
        var (found, refused) = (0, 0)
        let enumerator = FileManager.default.enumerator(
            at: URL(fileURLWithPath: path), includingPropertiesForKeys: [.isDirectoryKey],
            errorHandler: { _, _ in
                refused += 1
                return true
            })
        while let _ = enumerator?.nextObject() { found += 1 }
        let top = strdup(path)
        defer { free(top) }
        var (entries, errors, files) = (0, 0, 0)
        guard let tree = test_tree_open(top) else { return "errno \(errno)" }
        while true {
            let kind = test_tree_next(tree)
            if kind < 0 { break }
            entries += 1
            if kind == 1 { files += 1 }
            if kind == 2 { errors += 1 }
        }
        test_tree_close(tree)
        return "enumerator \(found) refused \(refused), fts \(entries) files \(files) errors \(errors)"
    }
}

/// The system's SQLite, loaded when it is asked for.
enum SQLite {
    private typealias Open =
        @convention(c) (
            UnsafePointer<CChar>, UnsafeMutablePointer<OpaquePointer?>, Int32, UnsafePointer<CChar>?
        ) -> Int32
    private typealias Row =
        @convention(c) (
            UnsafeMutableRawPointer?, Int32, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
            UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        ) -> Int32
    private typealias Execute =
        @convention(c) (
            OpaquePointer?, UnsafePointer<CChar>, Row?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?
        ) -> Int32
    private typealias Message = @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>
    private typealias Close = @convention(c) (OpaquePointer?) -> Int32

    private struct Library: @unchecked Sendable {
        // Sendable by hand: functions of a library that stays.
        let open: Open
        let execute: Execute
        let message: Message
        let close: Close

        init?() {
            guard let library = dlopen("libsqlite3.so.0", RTLD_NOW) else { return nil }
            func function<T>(_ name: String, _: T.Type) -> T? {
                dlsym(library, name).map { unsafeBitCast($0, to: T.self) }
            }
            guard let open = function("sqlite3_open_v2", Open.self),
                let execute = function("sqlite3_exec", Execute.self),
                let message = function("sqlite3_errmsg", Message.self),
                let close = function("sqlite3_close", Close.self)
            else { return nil }
            (self.open, self.execute, self.message, self.close) = (open, execute, message, close)
        }
    }
    private static let library = Library()

    /// The rows, columns by bars and rows by semicolons; or what SQLite says is wrong.
    static func run(_ path: String, _ sql: String) -> Outcome {
        guard let library else { return .errno(ENOSYS) }
        // SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        var database: OpaquePointer?
        let error = library.open(path, &database, 0x6, nil)
        defer { _ = library.close(database) }
        guard error == 0 else {
            return .value("error \(error) \(String(cString: library.message(database)))")
        }
        final class Rows { var rows: [String] = [] }
        let rows = Rows()
        let result = library.execute(
            database, sql,
            { context, count, values, _ in
                let rows = Unmanaged<Rows>.fromOpaque(context!).takeUnretainedValue()
                rows.rows.append(
                    (0..<Int(count)).map { values?[$0].map { String(cString: $0) } ?? "-" }.joined(
                        separator: "|"))
                return 0
            }, Unmanaged.passUnretained(rows).toOpaque(), nil)
        guard result == 0 else {
            return .value("error \(result) \(String(cString: library.message(database)))")
        }
        return .value(rows.rows.joined(separator: ";"))
    }
}
