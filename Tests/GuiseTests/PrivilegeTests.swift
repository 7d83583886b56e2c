import AccessControl
import CGuise
import Foundation
import GuiseProtocol
import Testing

/// What privileges open under managed roots, to services and to clients that hold them. A client that holds them enabled
/// is another service, which connects: users' privileges are not enabled by their logon.
@Suite("Privileges", .asRoot)
struct PrivilegeTests {
    /// A client of the service whose token is that of another service.
    private struct Holder {
        let driver: Client
        let socket: Int

        init(_ account: Person, of service: Service, driver person: Person) throws {
            let other = try service.stage.serve(account, name: account.name)
            driver = try other.client(person)
            socket = try #require(try driver.ask("dial stream \(service.socket)").number)
        }

        func ask(_ command: String) throws -> Reply {
            Reply(line: try driver.ask("tell \(socket) \(command)").value ?? "nothing")
        }

        func acting(_ command: String) throws -> Reply {
            try #require(try ask("impersonate").value != nil)
            defer { _ = try? ask("revert") }
            return try ask(command)
        }
    }

    /// A service with privileges, and a managed root in which the system alone has anything.
    private func onRoot(
        service privileges: [String] = [], _ body: (Stage, Service, Client, _ root: String) throws -> Void
    ) throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let root = try stage.root("managed", "O:SYG:SYD:PAI(A;OICI;FA;;;SY)")
            try stage.managedFile(root + "/file", "text", "O:SYG:SYD:AI(A;ID;FA;;;SY)")
            try stage.managedFolder(root + "/folder", "O:SYG:SYD:AI(A;OICIID;FA;;;SY)")
            try stage.managedFile(root + "/folder/inner", "inner", "O:SYG:SYD:AI(A;ID;FA;;;SY)")
            let service = try stage.serve(
                try stage.service("files", privileges: ["SeImpersonatePrivilege"] + privileges))
            try body(stage, service, try service.client(alice), root)
        }
    }

    private func descriptor(_ stage: Stage, _ path: String) throws -> SecurityDescriptor {
        guard case .descriptor(let found) = try stage.ask(.descriptorGet(.with { $0.path = path })) else {
            throw HarnessError("no descriptor of \(path)")
        }
        return try SecurityDescriptor(bytes: Array(found.binary))
    }

    private static func reads(_ root: String) -> [String] {
        [
            "cat \(root)/file", "open \(root)/folder \(Flags.directory)",
            "open \(root)/folder \(Flags.path | Flags.directory)", "syscall \(SYS_stat) @\(root)/file #144",
            "syscall \(SYS_access) @\(root)/file 4", "syscall \(SYS_listxattr) @\(root)/file #100 100",
        ]
    }

    /// Each can be done once more after it.
    private static func writes(_ root: String, owner: UInt32) -> [String] {
        [
            "open \(root)/file \(Flags.write)", "open \(root)/file \(Flags.write | Flags.append)",
            "syscall \(SYS_truncate) @\(root)/file 2", "open \(root)/new \(Flags.create | Flags.write) 0",
            "syscall \(SYS_mkdir) @\(root)/new-folder 448", "syscall \(SYS_rmdir) @\(root)/new-folder",
            "syscall \(SYS_mknod) @\(root)/fifo \(0o010600) 0", "syscall \(SYS_unlink) @\(root)/fifo",
            "syscall \(SYS_rename) @\(root)/new @\(root)/renamed", "syscall \(SYS_unlink) @\(root)/renamed",
            "syscall \(SYS_link) @\(root)/file @\(root)/linked", "syscall \(SYS_unlink) @\(root)/linked",
            "syscall \(SYS_chmod) @\(root)/file 448", "syscall \(SYS_utimensat) -100 @\(root)/file 0 0",
            "syscall \(SYS_setxattr) @\(root)/file @user.x @abc 3 0",
            "syscall \(SYS_removexattr) @\(root)/file @user.x",
            "syscall \(SYS_chown) @\(root)/file \(owner) \(owner)",
        ]
    }

    @Test("to back up, a service reads whatever the DACL says, while it says so")
    func backup() throws {
        try onRoot(service: ["SeBackupPrivilege"]) { (stage, service, client, root) throws in
            for command in Self.reads(root) {
                #expect(try client.ask(command).errno == EACCES, "\(command)")
                #expect(try client.ask("intent restore \(command)").errno == EACCES, "\(command)")
                let answer = try client.ask("intent backup \(command)")
                #expect(answer.value != nil, "\(command): \(answer)")
                #expect(try client.ask("intent backup intent none \(command)").errno == EACCES, "\(command)")
                #expect(try client.ask(command).errno == EACCES, "\(command)")
            }
            let folder = try #require(
                try client.ask("intent backup open \(root)/folder \(Flags.directory)").number)
            #expect(try client.ask("list \(folder)").value == "inner")
            #expect(try client.ask("intent backup cat inner \(folder)").value == "inner")
            #expect(try client.ask("cat inner \(folder)").errno == EACCES)
            for command in Self.writes(root, owner: 1) {
                #expect(try client.ask("intent both \(command)").errno != nil, "\(command)")
            }
            // What was foreseen for one intent is no answer for another.
            for _ in 0..<4 {
                #expect(try client.ask("intent backup cat \(root)/file").value == "text")
                #expect(try client.ask("cat \(root)/file").errno == EACCES)
            }
            // Another thread of the service has declared nothing, and a child neither.
            #expect(try client.ask("intent backup thread cat \(root)/file").errno == EACCES)
            #expect(try client.ask("intent backup fork cat \(root)/file").value == "ERRNO \(EACCES)")
            // Nothing but the DACL is overruled: the object's label is not.
            try stage.describe(root + "/file", "S:(ML;;NR;;;SI)")
            try stage.ask(
                .accountChange(
                    .with {
                        $0.name = "files"; $0.level = 0x2000
                    }))
            let lower = try stage.serve(service.account, name: "lower")
            let other = try lower.client(stage.stranger())
            #expect(try other.ask("intent backup cat \(root)/folder/inner").value == "inner")
            #expect(try other.ask("intent backup cat \(root)/file").errno == EACCES)
        }
    }

    @Test("to restore, a service writes, makes, deletes and gives owners, and reads nothing")
    func restore() throws {
        try onRoot(service: ["SeRestorePrivilege"]) { (stage, _, client, root) throws in
            let bob = try stage.user("bob")
            for command in Self.writes(root, owner: bob.uid) {
                #expect(try client.ask(command).errno != nil, "\(command)")
                #expect(try client.ask("intent backup \(command)").errno != nil, "\(command)")
                let answer = try client.ask("intent restore \(command)")
                #expect(answer.value != nil, "\(command): \(answer)")
            }
            let given = try descriptor(stage, root + "/file")
            #expect(given.owner?.description == bob.sid && given.group == .unixGroup(bob.uid))
            for command in Self.reads(root) {
                #expect(try client.ask("intent both \(command)").errno == EACCES, "\(command)")
            }
        }
    }

    @Test("without the privilege, an intent changes nothing, whatever the page says")
    func intentAlone() throws {
        try onRoot { (_, _, client, root) throws in
            for command in Self.reads(root) + Self.writes(root, owner: 1) {
                #expect(try client.ask("intent both \(command)").errno != nil, "\(command)")
                #expect(
                    try client.ask("forge-intent \(UInt64.max) \(command)").errno != nil, "\(command)")
                #expect(try client.acting("intent both \(command)").errno != nil, "\(command)")
            }
        }
    }

    @Test("while impersonating the client's privileges count, not the service's")
    func impersonating() throws {
        try onRoot(service: ["SeBackupPrivilege", "SeRestorePrivilege"]) {
            (stage, service, client, root) throws in
            let file = root + "/file"
            #expect(try client.ask("intent backup cat \(file)").value == "text")
            #expect(try client.acting("intent backup cat \(file)").errno == EACCES)
            #expect(try client.acting("intent restore open \(file) \(Flags.write)").errno == EACCES)
            #expect(try client.ask("async intent \(file)").value == "nobody then nobody")
            // At Identification it is nobody who asks.
            let plain = try stage.serve(
                try stage.service("plain"), name: "plain")
            let operators = try stage.service(
                "operator", privileges: ["SeBackupPrivilege", "SeRestorePrivilege"])
            let holder = try Holder(operators, of: plain, driver: stage.stranger())
            #expect(try holder.ask("intent backup cat \(file)").errno == EACCES)
            #expect(try holder.acting("cat \(file)").errno == EACCES)
            #expect(try holder.acting("intent backup cat \(file)").value == "text")
            #expect(try holder.acting("intent restore open \(file) \(Flags.write)").number != nil)
            #expect(
                try holder.acting("intent restore syscall \(SYS_chown) @\(file) 4711 -1").value == "0")
            #expect(try descriptor(stage, file).owner == .unixUser(4711))
            #expect(try holder.ask("async intent \(file)").value == "file then nobody")
            _ = try holder.ask("impersonate identification")
            #expect(try holder.ask("intent backup cat \(file)").errno == EACCES)
            _ = try holder.ask("revert")
            // Outside managed roots there is nothing to overrule the kernel with.
            let elsewhere = try stage.file("elsewhere", "text", mode: 0o600)
            #expect(try holder.acting("intent both cat \(elsewhere)").errno == EACCES)
        }
    }

    @Test("what a program declared ends with it")
    func replaced() throws {
        try onStage { (stage) throws in
            let alice = try stage.user("alice")
            let root = try stage.root("managed", "O:SYG:SYD:PAI(A;OICI;FA;;;SY)")
            try stage.managedFile(root + "/file", "text", "O:SYG:SYD:AI(A;ID;FA;;;SY)")
            let service = try stage.serve(
                try stage.service("files", privileges: ["SeBackupPrivilege"]), options: ["--first-on-main"])
            // The first thread's number is its successor's as well.
            let client = try service.client(alice)
            #expect(try client.ask("intent backup cat \(root)/file").value == "text")
            let program = product("guise-test-service")
            #expect(
                try client.ask("intent backup exec \(program) cat \(root)/file").line == "ERRNO \(EACCES)")
        }
    }

    @Test("the owner's place is taken with SeTakeOwnershipPrivilege, and given to nobody else")
    func takeOwnership() throws {
        try onRoot(service: ["SeTakeOwnershipPrivilege"]) { (stage, service, client, root) throws in
            let file = root + "/file"
            let own = service.account.uid
            #expect(try client.acting("syscall \(SYS_chown) @\(file) \(own) -1").errno == EACCES)
            #expect(try client.ask("syscall \(SYS_chown) @\(file) 4711 -1").errno == EPERM)
            #expect(try client.ask("intent restore syscall \(SYS_chown) @\(file) 4711 -1").errno == EPERM)
            #expect(try descriptor(stage, file).owner == .system)
            #expect(try client.ask("syscall \(SYS_chown) @\(file) \(own) -1").value == "0")
            #expect(try descriptor(stage, file).owner?.description == service.account.sid)
            // An owner may change the DACL, and has nothing else by it.
            #expect(try client.ask("cat \(file)").errno == EACCES)
            #expect(try client.ask("syscall \(SYS_chmod) @\(file) 384").value == "0")

            let plain = try stage.serve(try stage.service("plain"), name: "plain")
            let taker = try stage.service("taker", privileges: ["SeTakeOwnershipPrivilege"])
            let holder = try Holder(taker, of: plain, driver: stage.stranger())
            let inner = root + "/folder/inner"
            #expect(try holder.ask("syscall \(SYS_chown) @\(inner) \(plain.account.uid) -1").errno == EACCES)
            #expect(try holder.acting("syscall \(SYS_chown) @\(inner) \(own) -1").errno == EPERM)
            #expect(
                try holder.acting("syscall \(SYS_chown) @\(inner) \(taker.uid) \(taker.uid)").value == "0")
            let taken = try descriptor(stage, inner)
            #expect(taken.owner?.description == taker.sid && taken.group == .unixGroup(taker.uid))
            // A label that forbids writing up forbids this, too.
            try stage.describe(root + "/folder", "S:(ML;;NW;;;SI)")
            try stage.ask(
                .accountChange(
                    .with {
                        $0.name = "taker"; $0.level = 0x2000
                    }))
            let lower = try stage.serve(taker, name: "lower")
            let lowers = try lower.client(stage.stranger())
            #expect(try lowers.ask("syscall \(SYS_chown) @\(root)/folder \(taker.uid) -1").errno == EACCES)
        }
    }

    @Test("symbolic links are made by whoever holds SeCreateSymbolicLinkPrivilege")
    func symbolicLink() throws {
        try onRoot(service: ["SeRestorePrivilege", "SeCreateSymbolicLinkPrivilege"]) {
            (stage, _, client, root) throws in
            let command = "syscall \(SYS_symlink) @file @\(root)/link"
            // The privilege is no right on the directory.
            #expect(try client.ask(command).errno == EACCES)
            #expect(try client.acting("intent restore \(command)").errno == EACCES)
            #expect(try client.ask("intent restore \(command)").value == "0")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: root + "/link") == "file")

            let open = try stage.root("open", "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;AU)")
            let plain = try stage.serve(try stage.service("plain"), name: "plain")
            for (name, privileges) in [
                ("without", []), ("linker", ["SeCreateSymbolicLinkPrivilege"]),
            ] {
                let holder = try Holder(
                    try stage.service(name, privileges: privileges), of: plain, driver: stage.stranger())
                let made = try holder.acting("syscall \(SYS_symlink) @to @\(open)/\(name)")
                #expect(made.errno == (privileges.isEmpty ? EPERM : nil), "\(name): \(made)")
            }
            // A user's is held and not enabled, which is enough here as it is for CreateSymbolicLink.
            let bob = try stage.user("bob")
            let his = "syscall \(SYS_symlink) @to @\(open)/his"
            #expect(try plain.client(bob).acting(his).errno == EPERM)
            try stage.ask(
                .accountChange(
                    .with {
                        $0.name = "bob"; $0.grant = ["SeCreateSymbolicLinkPrivilege"]
                    }))
            #expect(try plain.client(bob).acting(his).value == "0")
            #expect(
                try plain.client(stage.stranger()).ask("syscall \(SYS_symlink) @to @\(open)/x").errno == EPERM
            )
        }
    }
}
