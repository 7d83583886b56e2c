import Foundation
import Testing

/// What is not Swift: the repository's own files, the library for C, and programs made with it.
enum Foreign {
    static let repository = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    static let header = repository + "/Sources/CGuiseInterface/include/guise.h"
    static let programs = repository + "/Tests/ForeignPrograms"
    static let examples = repository + "/Examples"
    static let manual = repository + "/Documentation/man"
    static let library = product("libguise-c.so")
    static let python = "/usr/bin/python3"

    static let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

    static func has(_ tools: String...) -> Bool {
        tools.allSatisfy { access("/usr/bin/" + $0, X_OK) == 0 }
    }

    /// The functions that guise.h declares.
    static func functions() throws -> [String] {
        try String(contentsOfFile: header, encoding: .utf8).split(separator: "\n").compactMap { line in
            guard line.hasPrefix("int guise_") || line.hasPrefix("const char *guise_") else { return nil }
            return line.firstRange(of: "guise_").map { String(line[$0.lowerBound...].prefix { $0 != "(" }) }
        }
    }
}

extension Stage {
    /// Installs the library for programs in C as anybody would; returns where.
    func installLibrary() throws -> String {
        let prefix = directory + "/prefix"
        let outcome = try run([Foreign.repository + "/scripts/install-c", prefix, Foreign.library])
        guard outcome.status == 0 else { throw HarnessError("install-c: \(outcome.errors)") }
        return prefix
    }

    /// Compiles a program of the tests against the installed library; returns its path.
    func compile(_ name: String, in prefix: String) throws -> String {
        let program = directory + "/" + name
        let outcome = try run(
            ["/usr/bin/cc", "-std=gnu11", "-g"] + Foreign.strict + [
                "-o", program, "\(Foreign.programs)/\(name).c", "-I", prefix + "/include", "-L",
                prefix + "/lib",
                "-lguise", "-Wl,-rpath,\(prefix)/lib", "-pthread",
            ])
        guard outcome.status == 0 else { throw HarnessError("cc \(name): \(outcome.errors)") }
        return program
    }

    /// Starts a script of the system's Python under `guise run`, with the installed library.
    @discardableResult
    func launch(python script: [String], as account: Person, in prefix: String, name: String) throws
        -> ChildProcess
    {
        try launch(
            [
                "/usr/bin/env", "GUISE_LIBRARY=\(prefix)/lib/libguise.so.1",
                "PYTHONPATH=\(Foreign.examples)/Python", "PYTHONDONTWRITEBYTECODE=1", Foreign.python,
            ] + script,
            as: account, name: name)
    }

    /// Waits for a program that prints its expectations, and says which were not met.
    func expectations(of process: ChildProcess, name: String = "service", seconds: Double = 60) throws
        -> String
    {
        let status = try process.wait(seconds: seconds)
        let log = serviceLog(name)
        let failed = log.split(separator: "\n").filter { !$0.hasPrefix("ok ") && $0.contains("FAILED") }
        #expect(failed.isEmpty)
        #expect(status == 0, "it said: \(log.suffix(2000))")
        #expect(log.contains("\nok "))
        return log
    }
}
