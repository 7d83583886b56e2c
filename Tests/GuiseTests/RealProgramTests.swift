import CGuise
import Foundation
import Testing

/// Libraries and programs that know nothing of Guise, in a service while it acts as a client. Each does what it would
/// do in a process of that client's.
@Suite("Real programs, unchanged, under a service", .asRoot)
struct RealProgramTests {
    static let hasSQLite = dlopen("libsqlite3.so.0", RTLD_NOW) != nil
    static let hasGit = access("/usr/bin/git", X_OK) == 0

    /// Where the files are.
    enum Place: CaseIterable { case unix, managed }

    /// Runs a test with a folder of alice's, and one that is closed to her.
    private func onPlace(
        _ place: Place, _ body: (Scene, _ hers: String, _ other: String) throws -> Void
    ) throws {
        try onScene { (scene) throws in
            let other =
                place == .unix
                ? scene.stage.folder("other", of: scene.bob, mode: 0o700)
                : try scene.stage.managedFolder(
                    scene.root + "/other", "O:{bob}G:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;{bob})", for: scene.bob
                )
            let hers = place == .unix ? scene.home : scene.root + "/hers"
            if place == .managed {
                // SQLite looks at each folder on the way.
                try scene.stage.describe(
                    scene.root,
                    Stage.fill(
                        "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{alice})(A;;0xa0;;;{bob})",
                        [scene.alice, scene.bob]))
                try scene.stage.managedFolder(
                    hers, "O:{alice}G:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;{alice})(A;OICI;FRFX;;;{bob})",
                    for: scene.alice,
                    scene.bob)
            }
            try body(scene, hers, other)
        }
    }

    @Test(
        "SQLite: every journal mode, VACUUM, what others may read and what nobody may",
        .enabled(if: hasSQLite, "needs libsqlite3"), arguments: Place.allCases)
    func sqlite(_ place: Place) throws {
        try onPlace(place) { (scene, hers, other) throws in
            let path = hers + "/data.db"
            func run(_ sql: String, _ client: Client? = nil, at path: String? = nil) throws -> String? {
                try (client ?? scene.client).acting("sqlite \(path ?? (hers + "/data.db")) \(sql)").value
            }
            #expect(try run("create table t(a); insert into t values(1); select a from t") == "1")
            for mode in ["delete", "truncate", "persist", "memory", "wal"] {
                #expect(try run("pragma journal_mode=\(mode)") == mode)
                #expect(try run("begin; insert into t values(2); insert into t values(3); rollback") == "")
                #expect(
                    try run("insert into t values(4); delete from t where a=4; select count(*) from t") == "1"
                )
                #expect(
                    try run("pragma journal_mode=\(mode); vacuum; pragma integrity_check") == "\(mode);ok")
            }
            // Larger than the cache, so that the journal is written and the temporary files are, too.
            let many =
                "pragma cache_size=10; pragma temp_store=file; with recursive n(i) as (select 1 union all select i+1"
                + " from n where i<20000) insert into t select hex(randomblob(20)) from n;"
                + " create index x on t(a); vacuum; select count(*) from t"
            #expect(try run(many) == "20001")
            #expect(try run("pragma journal_mode=delete; " + many.dropLast(0)) != nil)
            // What is left is the file alone.
            let names = try FileManager.default.contentsOfDirectory(atPath: hers)
            #expect(names.filter { $0.hasPrefix("data.db") } == ["data.db"], "\(names)")
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_uid == (place == .unix ? scene.alice.uid : 0))
            // bob reads, and does not write.
            #expect(try run("select count(*) from t", scene.bobs) == "40001" || place == .unix)
            let refused = try run("insert into t values(5)", scene.bobs)
            #expect(refused?.hasPrefix("error 8 ") == true, "\(refused as Any)")
            #expect(try run("create table t(a)", at: other + "/data.db")?.hasPrefix("error 14 ") == true)
            // The service as itself has nothing of it.
            let asItself = try scene.client.ask("sqlite \(path) insert into t values(6)").value
            #expect(asItself?.hasPrefix("error ") == true, "\(asItself as Any)")
            #expect(try run("select count(*) from t where a=5 or a=6") == "0")
        }
    }

    @Test("FileManager makes, copies, moves, replaces, lists and removes trees", arguments: Place.allCases)
    func fileManager(_ place: Place) throws {
        try onPlace(place) { (scene, hers, other) throws in
            let folder = place == .unix ? scene.stage.folder("home/tree", of: scene.alice) : hers
            let done = try scene.client.acting("file-manager \(folder)")
            #expect(done.value == "done", "\(done)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            #expect(try scene.client.acting("file-manager \(other)").thrown != nil)
            #expect(try scene.client.ask("file-manager \(folder)").thrown != nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: other).isEmpty)
        }
    }

    @Test("a walk through 10,000 files finds what the client may list, and is told what it may not")
    func walk() throws {
        try onScene { scene in
            func tree(_ top: String, _ owner: Person?) throws {
                for folder in 0..<100 {
                    let path = "\(top)/\(folder)"
                    mkdir(path, 0o700)
                    for file in 0..<100 {
                        close(open("\(path)/\(file)", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
                    }
                    guard let owner, ![17, 71].contains(folder) else { continue }
                    chown(path, owner.uid, owner.uid)
                }
            }
            let unix = scene.stage.folder("walked", of: scene.alice)
            try tree(unix, scene.alice)
            let own = try scene.stage.run([product("guise-test-service"), "walk", unix], as: scene.alice)
            let expected = "enumerator 9900 refused 2, fts 10002 files 9800 errors 2"
            #expect(own.output == expected + "\n", "\(own.output) \(own.errors)")
            #expect(try scene.client.acting("walk \(unix)").value == expected)
            // The same under a managed root, where the folder's descriptors refuse.
            let managed = scene.stage.folder("adopted", mode: 0o700)
            try tree(managed, nil)
            try scene.stage.ask(
                .rootAdd(
                    .with {
                        $0.path = managed; $0.adopt = true
                        $0.sddl = Stage.fill(
                            "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FRFX;;;{alice})", [scene.alice])
                    }))
            // She may see that they are there, as in the other place.
            let closed = Stage.fill("D:P(A;OICI;FA;;;SY)(A;;0xa0;;;{alice})", [scene.alice])
            for folder in [17, 71] { try scene.stage.describe("\(managed)/\(folder)", closed) }
            let walked = try scene.client.acting("walk \(managed)")
            #expect(walked.value == expected, "\(walked)")
            let bobs = try scene.bobs.acting("walk \(managed)").value
            #expect(bobs?.contains("files 0") == true, "\(bobs as Any)")
        }
    }

    @Test("a child that Foundation starts while a thread impersonates is the service's, with its environment")
    func child() throws {
        try onScene { scene in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            _ = try scene.client.ask("impersonate")
            let account = scene.service.account
            #expect(try scene.client.ask("process /usr/bin/id -u").value == "\(account.uid) (0)")
            let cat = try scene.client.ask("process /bin/cat \(hers)").value
            #expect(
                cat?.contains("Permission denied") == true && cat?.hasSuffix("(1)") == true, "\(cat as Any)")
            #expect(
                try scene.client.ask("process /usr/bin/printenv GUISE_RUNTIME_DIR").value
                    == scene.stage.runtime + " (0)")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
        }
    }

    @Test(
        "git, started by a thread that impersonates, works as the service, with work trees under a managed root, too",
        .enabled(if: hasGit, "needs git"))
    func git() throws {
        try onScene { (scene) throws in
            let account = scene.service.account
            let source = scene.stage.folder("source", of: account)
            let clone = scene.stage.folder("clones", of: account) + "/clone"
            let managed = try scene.stage.root(
                "repositories", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;{files})", for: account)
            // Under a managed root all is root's, and git wants to be told that it may trust that.
            let settings = try scene.stage.file(
                "gitconfig", "[safe]\ndirectory=*\n[user]\nname=Alice\nemail=alice@example.org\n", mode: 0o644
            )
            func run(_ command: String, as client: Client) throws -> String {
                try client.acting(
                    "process /usr/bin/env -C / HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=\(settings)"
                        + " git \(command)"
                ).value ?? "refused"
            }
            func expect(_ command: String, _ words: String = "") throws {
                let said = try run(command, as: scene.client)
                #expect(
                    said.hasSuffix("(0)") && (words.isEmpty || said.contains(words)),
                    "git \(command): \(said)")
            }
            try expect("init -q \(source)")
            for name in ["one", "two"] {
                try scene.stage.file("source/\(name)", name, of: account)
                try expect("-C \(source) add \(name)")
                try expect("-C \(source) commit -q -m \(name)")
            }
            try expect("clone -q \(source) \(clone)")
            try expect("-C \(clone) status --porcelain=v2 --branch", "branch.head")
            try expect("-C \(clone) gc -q")
            try expect("-C \(clone) fsck")
            let tree = managed + "/clone"
            try expect("clone -q \(source) \(tree)")
            #expect(try String(contentsOfFile: tree + "/two", encoding: .utf8) == "two")
            #expect(try run("-C \(tree) status --porcelain", as: scene.client) == " (0)")
            try scene.stage.managedFile(
                tree + "/three", "three", "O:{files}G:SYD:P(A;;FA;;;SY)(A;;FA;;;{files})", for: account)
            try expect("-C \(tree) status --porcelain", "?? three")
            try expect("-C \(tree) add .")
            try expect("-C \(tree) status --porcelain", "A  three")
            try expect("-C \(tree) commit -q -m three")
            try expect("-C \(tree) checkout -q -b side HEAD~2")
            #expect(try FileManager.default.contentsOfDirectory(atPath: tree).sorted() == [".git", "one"])
            try expect("-C \(tree) mv one first")
            try expect("-C \(tree) commit -q -a -m first")
            try expect("-C \(tree)/.git log --oneline --all", "three")
            try expect("-C \(tree) checkout -q -")
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: tree).sorted()
                    == [".git", "one", "three", "two"])
            try expect("-C \(tree) merge -q -m both side")
            #expect(access(tree + "/first", F_OK) == 0 && access(tree + "/one", F_OK) != 0)
            try expect("-C \(tree) stash list")
            try expect("-C \(tree) gc -q")
            try expect("-C \(tree) fsck")
            try expect("-C \(tree) grep -n three", "three:1:three")
            try expect("clone -q \(tree) \(managed)/again")
            #expect(try String(contentsOfFile: managed + "/again/three", encoding: .utf8) == "three")
            // Where the service has no rights it has no work tree.
            let hers = try scene.stage.managedFolder(
                managed + "/hers", "O:{alice}G:SYD:P(A;OICI;FA;;;{alice})", for: scene.alice)
            let refused = try run("-C \(hers) status", as: scene.client)
            #expect(
                refused.hasSuffix("(128)") && refused.contains("Permission denied"), "\(refused)")
            let bare = "--git-dir=\(managed)/bare"
            try expect("\(bare) init -q --bare")
            try expect("\(bare) fetch -q \(source) HEAD:main")
            try expect("\(bare) repack -a -d -q")
            try expect("\(bare) gc -q --prune=now")
            try expect("\(bare) fsck")
            try expect("\(bare) show main:two", "two")
        }
    }
}
