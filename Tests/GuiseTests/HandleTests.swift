import CGuise
import Foundation
import Testing

@Suite("Handles, and processes that do not keep to the rules", .asRoot)
struct HandleTests {
    private func onFiles(_ body: (Scene, _ hers: String, _ his: String) throws -> Void) throws {
        try onScene { (scene) throws in
            try body(
                scene, try scene.stage.file("home/hers", "hers", of: scene.alice),
                try scene.stage.file("home/his", "his", of: scene.bob))
        }
    }

    @Test("a number that the authority never gave is refused everything")
    func forged() throws {
        try onFiles { (scene, hers, _) throws in
            let own = try scene.stage.file("home/files", "own", of: scene.service.account)
            for number in ["1", "7", "4294967296", "18446744073709551615"] {
                #expect(try scene.client.ask("forge \(number) cat \(hers)").errno == EACCES)
                #expect(try scene.client.ask("forge \(number) cat \(own)").errno == EACCES)
            }
            try scene.stage.waitForAudit("access-denied", "identity that is gone")
            #expect(try scene.client.ask("cat \(own)").value == "own")
        }
    }

    @Test("a number of the process's own picks that token, and none of another process's")
    func ownHandles() throws {
        try onFiles { (scene, hers, his) throws in
            let other = try scene.stage.serve(try scene.stage.service("other"), name: "other")
            let hersThere = try other.client(scene.alice)
            _ = try hersThere.ask("adopt")
            // Bob is this process's first handle, alice the other's.
            _ = try scene.bobs.ask("adopt")
            #expect(try scene.bobs.ask("forge 1 cat \(his)").value == "his")
            #expect(try scene.bobs.ask("forge 1 cat \(hers)").errno == EACCES)
            #expect(try hersThere.ask("forge 1 cat \(hers)").value == "hers")
        }
    }

    @Test("garbage in the whole page gives nobody anything, and the authority goes on")
    func garbage() throws {
        try onFiles { (scene, hers, his) throws in
            _ = try scene.bobs.ask("adopt")
            for seed in 1...10 {
                #expect(try scene.client.ask("scribble \(seed) cat \(hers)").errno == EACCES)
            }
            #expect(scene.stage.authority?.hasEnded == false)
            let other = try scene.service.client(scene.alice)
            #expect(try other.acting("cat \(hers)").value == "hers")
        }
    }

    @Test("a process does not speak for a thread of another of the same service", arguments: [0, 1, 99])
    func siblings(handle: Int) throws {
        try onFiles { (scene, hers, _) throws in
            let own = try scene.stage.file("home/files", "own", of: scene.service.account)
            let socket = scene.service.socket + ".child"
            _ = try scene.client.ask("prefork \(socket)")
            try eventually("the child's socket") { access(socket, F_OK) == 0 }
            usleep(50_000)
            let child = try Client(scene.stage, as: scene.alice, to: socket)
            _ = try child.ask("impersonate")
            let thread = try #require(try child.ask("ids").value).split(separator: "/")[1]
            // The parent claims that the child's thread has another identity, or none.
            #expect(try scene.client.ask("forge-thread \(thread) \(handle)").value != nil)
            #expect(try child.ask("cat \(hers)").value == "hers")
            #expect(try child.ask("cat \(own)").errno == EACCES)
        }
    }

    @Test("a connection that is given up stays in force on the thread that acts under it, until the revert")
    func retained() throws {
        try onFiles { (scene, hers, _) throws in
            _ = try scene.client.ask("impersonate")
            _ = try scene.client.ask("name kept")
            _ = try scene.bobs.ask("impersonate-named kept")
            _ = try scene.client.ask("release")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
            _ = try scene.client.ask("revert")
            #expect(try scene.client.ask("cat \(hers)").errno == EACCES)
            #expect(try scene.bobs.ask("cat \(hers)").value == "hers")
        }
    }

    @Test("a service that loses its connection to the authority while it impersonates is refused, not itself")
    func connectionLost() throws {
        try onFiles { (scene, hers, _) throws in
            let own = try scene.stage.file("home/files", "own", of: scene.service.account)
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
            #expect(try scene.bobs.ask("close-control").value != nil)
            usleep(100_000)
            #expect(try scene.client.ask("cat \(hers)").errno == EACCES)
            #expect(try scene.client.ask("cat \(own)").errno == EACCES)
            #expect(try scene.client.ask("open-legacy \(own) 0").errno == EACCES)
            // Another thread, which does not impersonate, is the service.
            #expect(try scene.bobs.ask("cat \(own)").value == "own")
            let again = try scene.client.ask("impersonate")
            #expect(again.thrown == "authorityLost", "\(again)")
            _ = try scene.client.ask("revert")
            #expect(try scene.client.ask("cat \(own)").value == "own")
        }
    }

    @Test("a control message of a child on the connection that it inherited is refused")
    func inheritedConnection() throws {
        try onFiles { (scene, _, _) throws in
            // Request 2 of version 1: TokenOf.
            let hex = "080110027a00"
            #expect(try scene.client.ask("control \(hex)").value?.contains("answered") == true)
            let child = try scene.client.ask("raw-fork control \(hex)")
            #expect(child.value == "OK accessDenied", "\(child)")
            #expect(try scene.client.ask("token").value == "files primary")
        }
    }

    @Test("only its own user and administrators are shown whose identity a process has")
    func idn() throws {
        try onFiles { (scene, _, _) throws in
            _ = try scene.client.ask("impersonate")
            let ids = try #require(try scene.client.ask("ids").value)
            for command in [
                ["show", "\(scene.service.pid)"], ["show", ids], ["threads", "\(scene.service.pid)"],
            ] {
                for person in [scene.bob, scene.alice] {
                    let refused = try scene.stage.run([product("idn")] + command, as: person)
                    #expect(refused.status == 1 && refused.output.isEmpty, "\(command) as \(person.name)")
                    #expect(refused.errors.contains("administrators"), "\(refused.errors)")
                }
                #expect(try scene.stage.run([product("idn")] + command).status == 0)
                let own = try scene.stage.run([product("idn")] + command, as: scene.service.account)
                #expect(own.status == 0, "\(command): \(own.errors)")
            }
            #expect(try scene.stage.run([product("idn"), "show"], as: scene.bob).output.contains("(bob)"))
            #expect(try scene.stage.run([product("idn"), "show", "\(scene.service.pid)/1"]).status == 1)
            #expect(try scene.stage.run([product("idn"), "show", "4194304"]).status == 1)
        }
    }

    @Test("a process's groups are all shown, however many and however large")
    func manyGroups() throws {
        try onStage { stage in
            let person = stage.stranger()
            let groups = (0..<900).map { 2_000_000_000 + UInt32($0) }
            let process = try stage.start(
                Stage.command(["/bin/sleep", "infinity"], as: person.uid, groups: groups))
            // Until then it is root's, and has root's groups.
            try eventually("the process to be the user's") {
                var status = stat()
                return stat("/proc/\(process.pid)", &status) == 0 && status.st_uid == person.uid
            }
            let answer = try stage.ask(.tokenOf(.with { $0.process = UInt32(process.pid) }))
            guard case .thread(let view) = answer else { throw HarnessError("\(answer)") }
            #expect(view.token.unixGroups == groups)
        }
    }
}
