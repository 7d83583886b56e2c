import Foundation
import Testing

/// guise.h against its library, its manual and its tests.
@Suite("The C interface")
struct CInterfaceTests {
    private func run(_ command: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        (process.standardOutput, process.standardError) = (pipe, pipe)
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    @Test(
        "the header stands alone, in C and in C++, without a warning",
        .enabled(if: Foreign.has("cc", "c++"), "needs a C and a C++ compiler"),
        arguments: [["cc", "-std=c99"], ["cc", "-std=c11"], ["c++", "-x", "c++", "-std=c++11"]])
    func header(compiler: [String]) throws {
        let include = (Foreign.header as NSString).deletingLastPathComponent
        let outcome = try run(
            ["/usr/bin/" + compiler[0]] + compiler.dropFirst() + Foreign.strict
                + ["-fsyntax-only", "-I", include, Foreign.programs + "/header.c"])
        #expect(outcome.status == 0 && outcome.output == "", "\(outcome.output)")
    }

    @Test(
        "the library shows the functions of the header and nothing else",
        .enabled(if: Foreign.has("nm", "readelf"), "needs binutils"))
    func exports() throws {
        let outcome = try run(["/usr/bin/nm", "-D", "--defined-only", Foreign.library])
        #expect(outcome.status == 0, "\(outcome.output)")
        // A capital is for what others see; A is the name of the version itself.
        var shown: [String] = []
        for line in outcome.output.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 3, words[1] == words[1].uppercased(), words[1] != "A" { shown.append(words[2]) }
        }
        let declared = try Foreign.functions().map { $0 + "@@GUISE_1" }
        #expect(shown.sorted() == declared.sorted())
        let dynamic = try run(["/usr/bin/readelf", "-d", Foreign.library]).output
        // It cannot go while threads will tell it of their end.
        #expect(dynamic.contains("[libguise.so.1]") && dynamic.contains("NODELETE"))
    }

    @Test("each function has a manual page, which says what it may fail with")
    func manual() throws {
        for function in try Foreign.functions() {
            let path = "\(Foreign.manual)/\(function).3"
            var page = try String(contentsOfFile: path, encoding: .utf8)
            if page.hasPrefix(".so man3/") {
                let other = page.dropFirst(".so man3/".count).prefix { $0 != "\n" }
                page = try String(contentsOfFile: "\(Foreign.manual)/\(other)", encoding: .utf8)
            }
            #expect(page.contains("\n.Nm \(function)"), "\(function)")
            #expect(page.contains("\n.Fn \(function)") || page.contains("\n.Fo \(function)"), "\(function)")
            for section in ["RETURN VALUES", "SEE ALSO"] {
                #expect(page.contains(".Sh \(section)"), "\(path)")
            }
        }
    }

    @Test("the manual pages are well-formed", .enabled(if: Foreign.has("groff"), "needs groff"))
    func markup() throws {
        for page in try FileManager.default.contentsOfDirectory(atPath: Foreign.manual)
        where page.hasSuffix(".3") {
            let path = "\(Foreign.manual)/\(page)"
            guard try !String(contentsOfFile: path, encoding: .utf8).hasPrefix(".so ") else { continue }
            let outcome = try run(["/usr/bin/groff", "-mdoc", "-Tascii", "-ww", "-z", path])
            #expect(outcome.output == "", "\(page)")
        }
    }

    @Test("each function is attacked by a program of the tests")
    func attacked() throws {
        let attacks = try String(contentsOfFile: Foreign.programs + "/attack.c", encoding: .utf8)
        for function in try Foreign.functions() {
            #expect(
                attacks.contains("REFUSED(\(function)(") || Self.neverFails.contains(function), "\(function)")
            #expect(attacks.contains("\(function)("), "\(function)")
        }
    }

    private static let neverFails = ["guise_api_version", "guise_error_message", "guise_revert"]
}

@Suite(
    "Services in other languages", .asRoot,
    .enabled(if: Foreign.has("cc", "python3"), "needs a C compiler and Python"))
struct ForeignLanguageTests {
    /// A service of the attacking program's, and the program.
    private func attack(
        _ stage: Stage, _ account: Person, _ scenario: String, _ arguments: String...
    ) throws -> (process: ChildProcess, program: String) {
        let program = try stage.compile("attack", in: try stage.installLibrary())
        return (try stage.launch([program, scenario] + arguments, as: account), program)
    }

    private func socket(_ stage: Stage) -> String { stage.directory + "/services/socket" }

    @Test("C: what makes no sense is an error with a reason, and harms nothing")
    func arguments() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            let (process, _) = try attack(stage, files, "arguments", socket(stage))
            let client = try Client(stage, as: alice, to: socket(stage))
            _ = try stage.expectations(of: process)
            try client.leave()
        }
    }

    @Test("C: no other thread, no child and no closed handle is the client; a thread may end as it")
    func threads() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            stage.folder("home", of: alice)
            let file = try stage.file("home/hers", "hers", of: alice)
            let (process, _) = try attack(stage, files, "threads", socket(stage), file)
            let clients = try (0..<3).map { _ in try Client(stage, as: alice, to: socket(stage)) }
            _ = try stage.expectations(of: process)
            #expect(clients.count == 3)
        }
    }

    @Test(
        "C: ten thousand impersonations, tokens and errors, and hundreds of connections, leave nothing behind"
    )
    func leaks() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            let (process, _) = try attack(stage, files, "leak", socket(stage))
            let client = try Client(stage, as: alice, to: socket(stage))
            _ = try stage.expectations(of: process, seconds: 120)
            try client.leave()
        }
    }

    @Test("C: a service learns of a client what its level allows, and decides by it")
    func tokens() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            let stranger = stage.stranger()
            let (process, program) = try attack(stage, files, "show", socket(stage))
            for level in ["anonymous", "identification", "impersonation", "delegation"] {
                let client = try Client(stage, as: alice, to: socket(stage), level: level)
                #expect(try client.ask("swift-\(level)").line == "seen")
            }
            for (level, flags) in [(0, 0), (1, 0), (2, 0), (3, 0), (2, 3)] {
                let line = "c-\(level)-\(flags)"
                let outcome = try stage.run(
                    [program, "connect", socket(stage), "\(level)", "\(flags)", line], as: alice)
                #expect(outcome.output == "seen\n", "\(outcome.output)\(outcome.errors)")
            }
            let other = try stage.run(
                [program, "connect", socket(stage), "2", "0", "stranger"], as: stranger)
            #expect(other.output == "seen\n")
            let end = try Client(stage, as: alice, to: socket(stage))
            try end.send("end")
            let log = try stage.expectations(of: process)

            func line(_ whose: String) -> Substring? {
                log.split(separator: "\n").first { $0.hasPrefix("\(whose) user=") }
            }
            let nobody =
                "user=S-1-5-7 name=NT AUTHORITY\\ANONYMOUS LOGON level=0 integrity=0x0 unix=-1"
                + " change-notify=0 impersonate=0"
            func her(_ level: Int) -> String {
                "user=\(alice.sid) name=alice level=\(level) integrity=0x2000 unix=\(alice.uid)"
                    + " change-notify=1 impersonate=0"
            }
            #expect(line("swift-anonymous") == "swift-anonymous \(nobody)")
            #expect(line("c-0-0") == "c-0-0 \(nobody)")
            for (level, word) in [(1, "identification"), (2, "impersonation"), (3, "delegation")] {
                #expect(line("swift-\(word)") == "swift-\(word) \(her(level))")
                #expect(line("c-\(level)-0") == "c-\(level)-0 \(her(level))")
            }
            #expect(line("c-2-3") == "c-2-3 \(her(2))")
            #expect(line("stranger")?.contains("user=\(stranger.sid) ") == true)
            let own = try #require(line("own"))
            #expect(
                own.contains("user=\(files.sid) ") && own.contains("level=4")
                    && own.hasSuffix("impersonate=1"))
            #expect(log.contains("\nc-2-0 group=S-1-1-0 name=Everyone attributes=0x7\n"))
        }
    }

    @Test("C: a named pipe, with instances, a level and a server one asks for")
    func pipes() throws {
        try onStage { (stage) throws in
            let files = try stage.service("files")
            let (process, _) = try attack(stage, files, "pipe", "attack", files.sid)
            _ = try stage.expectations(of: process)
        }
    }

    @Test("C: once the authority has gone nobody can be impersonated, and the service is told why")
    func lost() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            stage.folder("home", of: alice)
            let file = try stage.file("home/hers", "hers", of: alice)
            let (process, _) = try attack(stage, files, "lost", socket(stage), file)
            let client = try Client(stage, as: alice, to: socket(stage))
            #expect(try client.reply().line == "acted")
            let next = try Client(stage, as: alice, to: socket(stage))
            stage.killAuthority()
            try client.send("gone")
            _ = try stage.expectations(of: process)
            try next.leave()
        }
    }

    @Test(
        "the example in C, built by its Makefile: each client gets what its own rights give",
        .enabled(if: Foreign.has("make", "pkg-config"), "needs make and pkg-config"))
    func example() throws {
        try onStage { (stage) throws in
            let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
            let prefix = try stage.installLibrary()
            let made = try stage.run([
                "/usr/bin/env", "PKG_CONFIG_PATH=\(prefix)/lib/pkgconfig", "make", "-s", "-C",
                stage.directory,
                "-f", Foreign.examples + "/C/Makefile", "VPATH=\(Foreign.examples)/C",
                "CFLAGS=-Wall -Wextra -Werror -Wl,-rpath,\(prefix)/lib",
            ])
            #expect(made.status == 0 && made.errors == "", "\(made.errors)")
            stage.folder("home", of: alice)
            let plain = try stage.file("home/plain.txt", "plainly hers", of: alice)
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", for: alice)
            try stage.managedFile(
                root + "/shared.txt", "theirs", "O:{alice}G:SYD:(A;;FA;;;{alice})(A;;FR;;;{bob})", for: alice,
                bob)
            func serve(_ account: Person) throws -> String {
                let socket = stage.directory + "/services/" + account.name
                try stage.launch([stage.directory + "/files", socket], as: account, name: account.name)
                return socket
            }
            let socket = try serve(try stage.service("files"))
            let (hers, his) = (
                try Client(stage, as: alice, to: socket), try Client(stage, as: bob, to: socket)
            )
            #expect(try hers.ask("whoami").line == "OK alice \(alice.sid) at Impersonation")
            #expect(try his.ask("whoami").line == "OK bob \(bob.sid) at Impersonation")
            #expect(try hers.ask("write \(root)/shared.txt news").line == "OK")
            #expect(try his.ask("write \(root)/shared.txt mine").line == "ERROR Permission denied")
            // Both at once, again and again: neither is ever taken for the other.
            for _ in 0..<100 {
                try hers.send("read \(plain)")
                try his.send("read \(plain)")
                #expect(try hers.reply().line == "OK plainly hers")
                #expect(try his.reply().line == "ERROR Permission denied")
            }
            #expect(try his.ask("read \(root)/shared.txt").line == "OK news")
            #expect(try his.ask("read \(root)/none").line == "ERROR No such file or directory")
            #expect(try his.ask("nonsense").line.hasPrefix("ERROR whoami"))

            let powerless = try serve(try stage.service("powerless", privileges: []))
            let refused = try Client(stage, as: alice, to: powerless)
            #expect(try refused.ask("read \(plain)").line == "ERROR Operation not permitted")
            #expect(stage.serviceLog("powerless").contains("SeImpersonatePrivilege"))
        }
    }

    @Test("Python: blocks, threads, children, loops and what goes wrong in them")
    func python() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            stage.folder("home", of: alice)
            let file = try stage.file("home/hers", "hers", of: alice)
            let process = try stage.launch(
                python: [Foreign.programs + "/attack.py", socket(stage), file], as: files,
                in: try stage.installLibrary(), name: "service")
            let clients = try (0..<3).map { _ in try Client(stage, as: alice, to: socket(stage)) }
            _ = try stage.expectations(of: process)
            #expect(clients.count == 3)
        }
    }

    @Test(
        "the example in Python, a web server: each request is served as the client of its Unix socket",
        .enabled(if: Foreign.has("curl"), "needs curl"))
    func web() throws {
        try onStage { (stage) throws in
            let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
            let files = try stage.service("files")
            let root = stage.folder("srv")
            let hers = stage.folder("srv/alice", of: alice)
            try stage.file("srv/alice/plan", "her plan", of: alice)
            let socket = socket(stage)
            try stage.launch(
                python: [Foreign.examples + "/Python/web.py", socket, root], as: files,
                in: try stage.installLibrary(), name: "web")
            func ask(_ person: Person, _ path: String, _ options: String...) throws -> String {
                try stage.run(
                    ["/usr/bin/curl", "-s", "--path-as-is", "--unix-socket", socket, "-w", " %{http_code}"]
                        + options + ["http://localhost/" + path],
                    as: person
                ).output
            }
            #expect(try ask(alice, "whoami") == "alice\n 200")
            #expect(try ask(bob, "whoami") == "bob\n 200")
            #expect(try ask(alice, "alice/plan") == "her plan 200")
            #expect(try ask(bob, "alice/plan") == "not for you\n 403")
            #expect(try ask(bob, "nothing") == "no such file\n 404")
            #expect(try ask(alice, "../../etc/passwd") == "no such file\n 404")
            #expect(try ask(alice, "alice/new", "-X", "PUT", "-d", "made") == " 200")
            #expect(try ask(bob, "alice/other", "-X", "PUT", "-d", "his") == "not for you\n 403")
            var status = stat()
            #expect(stat(hers + "/new", &status) == 0 && status.st_uid == alice.uid)
            #expect(access(hers + "/other", F_OK) != 0)
            // One connection, several requests, one client; and many clients at once.
            let twice = try stage.run(
                [
                    "/usr/bin/curl", "-s", "--parallel", "--unix-socket", socket,
                    "http://localhost/alice/plan?[1-40]",
                ], as: alice)
            #expect(twice.output == String(repeating: "her plan", count: 40))
            // The service itself could not have read it.
            #expect(try stage.run(["/bin/cat", hers + "/plan"], as: files).status != 0)
        }
    }
}
