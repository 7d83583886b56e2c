import Foundation
import Testing

@Suite("The walkthrough, with the example file service", .asRoot)
struct WalkthroughTests {
    /// Starts the example service and returns its socket.
    private func serve(_ stage: Stage, _ account: Person) throws -> (socket: String, pid: pid_t) {
        let socket = stage.directory + "/services/\(account.name)"
        let process = try stage.start(
            [product("guise"), "run", account.name, "--", product("guise-example-files"), socket])
        try eventually("the example service; guised said \(stage.log)") { access(socket, F_OK) == 0 }
        return (socket, process.pid)
    }

    private func ask(_ stage: Stage, _ socket: String, _ person: Person, _ request: String) throws -> String {
        try connect(stage, socket, person).ask(request).line
    }

    private func connect(_ stage: Stage, _ socket: String, _ person: Person) throws -> Client {
        try Client(stage, as: person, to: socket, level: nil)
    }

    @Test("each client gets what its own rights give, under a managed root and outside")
    func files() throws {
        try onStage { (stage) throws in
            let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
            let files = try stage.service("files")
            let root = try stage.root("managed", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", for: alice)
            try stage.managedFile(
                root + "/alice.txt", "hers", "O:{alice}G:SYD:(A;;FA;;;{alice})", for: alice)
            try stage.managedFile(
                root + "/shared.txt", "theirs", "O:{alice}G:SYD:(A;;FA;;;{alice})(A;;FR;;;{bob})", for: alice,
                bob)
            stage.folder("home", of: alice)
            let plain = try stage.file("home/plain.txt", "plainly hers", of: alice)
            let (socket, _) = try serve(stage, files)

            #expect(try ask(stage, socket, alice, "whoami") == "OK alice \(alice.sid) at Impersonation")
            #expect(try ask(stage, socket, alice, "read \(root)/alice.txt") == "OK hers")
            #expect(try ask(stage, socket, alice, "read \(plain)") == "OK plainly hers")
            #expect(try ask(stage, socket, alice, "write \(root)/shared.txt news") == "OK")
            #expect(try ask(stage, socket, bob, "read \(root)/shared.txt") == "OK news")
            for refused in ["read \(root)/alice.txt", "read \(plain)", "write \(root)/shared.txt mine"] {
                #expect(try ask(stage, socket, bob, refused).hasPrefix("ERROR"), "\(refused)")
            }
            #expect(try ask(stage, socket, bob, "read \(root)/shared.txt") == "OK news")
            // The service's own user could have opened none of them.
            let own = try stage.run(["/bin/cat", plain], as: files)
            #expect(own.status != 0)
        }
    }

    @Test("idn shows the thread as the client while it acts as the client, and no other thread")
    func identity() throws {
        try onStage { (stage) throws in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            stage.folder("home", of: alice)
            let plain = try stage.file("home/plain.txt", "text", of: alice)
            let (socket, pid) = try serve(stage, files)
            let client = try connect(stage, socket, alice)
            let held = try client.ask("hold \(plain)").line.split(separator: " ")
            let thread = String(held[1])

            let shown = try stage.run([product("idn"), "show", "\(pid)/\(thread)"])
            #expect(
                shown.output == """
                    User: \(alice.sid) (alice)
                    Impersonating: yes
                    Impersonation Level: Impersonation

                    """)
            let main = try stage.run([product("idn"), "show", "\(pid)/\(pid)"]).output
            #expect(main.hasPrefix("User: \(files.sid)") && main.contains("Impersonating: no"))
            let threads = try stage.run([product("idn"), "threads", "\(pid)"]).output.split(separator: "\n")
            let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
            #expect(threads.count == tasks.count + 1)
            #expect(
                threads.filter { $0.contains("yes") }.map { $0.prefix { $0 != " " } } == [Substring(thread)])

            #expect(try client.ask("go").line == "OK")
            let after = try stage.run([product("idn"), "show", "\(pid)/\(thread)"]).output
            #expect(after.contains("Impersonating: no"))
        }
    }

    @Test("a service without SeImpersonatePrivilege is told so and stays itself")
    func noPrivilege() throws {
        try onStage { (stage) throws in
            let (alice, plainService) = (
                try stage.user("alice"), try stage.service("powerless", privileges: [])
            )
            stage.folder("home", of: alice)
            let plain = try stage.file("home/plain.txt", "text", of: alice, mode: 0o644)
            let (socket, _) = try serve(stage, plainService)
            let answer = try ask(stage, socket, alice, "read \(plain)")
            #expect(answer.hasPrefix("ERROR") && answer.contains("SeImpersonatePrivilege"))
            try stage.waitForAudit("impersonation-refused", alice.sid)
        }
    }
}
