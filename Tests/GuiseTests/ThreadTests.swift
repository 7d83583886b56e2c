import CGuise
import Foundation
import Testing

@Suite("Threads, forks and programs", .asRoot)
struct ThreadTests {
    private func onFile(threads: Int? = nil, _ body: (Scene, _ hers: String) throws -> Void) throws {
        try onScene(threads: threads) { (scene) throws in
            try body(scene, try scene.stage.file("home/hers", "hers", of: scene.alice))
        }
    }

    @Test(
        "a forked child is not impersonating, and its revert is not its parent's",
        arguments: ["fork", "raw-fork"])
    func fork(how: String) throws {
        try onFile { (scene, hers) throws in
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
            #expect(try scene.client.ask("\(how) cat \(hers)").value == "ERRNO \(EACCES)")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
            _ = try scene.client.ask("fork-revert ids")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
            #expect(try scene.client.ask("fork token").value?.hasPrefix("THROWN notAttached") == true)
            #expect(try scene.client.ask("fork impersonate").value?.hasPrefix("THROWN notAttached") == true)
            #expect(try scene.client.ask("token").value == "alice impersonation")
        }
    }

    @Test("a child started by an impersonating thread runs as the service")
    func spawn() throws {
        try onFile { (scene, hers) throws in
            let own = try scene.stage.file("home/files", "the service's", of: scene.service.account)
            let program = product("guise-test-service")
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("spawn \(program) cat \(hers)").value == "ERRNO \(EACCES)")
            #expect(try scene.client.ask("spawn \(program) cat \(own)").value == "OK the service's")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
        }
    }

    @Test("a program that an impersonating thread turns into runs as the service")
    func execute() throws {
        try onFile { (scene, hers) throws in
            let own = try scene.stage.file("home/files", "the service's", of: scene.service.account)
            let program = product("guise-test-service")
            for (path, expected) in [(hers, "ERRNO \(EACCES)"), (own, "OK the service's")] {
                // In a child that attached, captured and impersonated by itself.
                let socket = "\(scene.service.socket).\(UInt32.random(in: 0...UInt32.max))"
                _ = try scene.client.ask("prefork \(socket)")
                try eventually("the child's socket") { access(socket, F_OK) == 0 }
                usleep(50_000)
                let client = try Client(scene.stage, as: scene.alice, to: socket)
                _ = try client.ask("impersonate")
                #expect(try client.ask("exec \(program) cat \(path)").line == expected)
            }
        }
    }

    @Test("a program that replaces the process starts as the service, whatever thread impersonated")
    func replaced() throws {
        try onStage { stage in
            let alice = try stage.user("alice")
            let account = try stage.service("files")
            let own = try stage.file("own", "the service's", of: account)
            for round in 0..<8 {
                let service = try stage.serve(account, name: "service\(round)", options: ["--first-on-main"])
                // The first thread's number stays the process's; it is taken over by the new program.
                let first = try service.client(alice)
                let ids = try #require(try first.ask("ids").value).split(separator: "/")
                #expect(ids[0] == ids[1])
                _ = try first.ask("impersonate")
                let other = try service.client(alice)
                let replaced = try other.ask("exec-elsewhere \(product("guise-test-service")) cat \(own)")
                #expect(
                    replaced.value == "the service's", "\(replaced); \(stage.serviceLog("service\(round)"))")
            }
        }
    }

    @Test("the slot of a thread that ended is free again, however it ended")
    func slots() throws {
        try onFile { (scene, _) throws in
            _ = try scene.client.ask("adopt")
            let before = try #require(try scene.client.ask("slots").number)
            for _ in 0..<20 { _ = try scene.client.ask("thread impersonate") }
            #expect(try scene.client.ask("slots").number == before)
            // Many more threads than slots, one after the other, half of them leaving without a word.
            for round in 0..<40 {
                let answer = try scene.client.ask(round % 2 == 0 ? "raw-thread" : "thread impersonate")
                #expect(answer.value != nil, "\(answer)")
            }
        }
    }

    @Test("with more threads than slots an error says so, and the thread stays itself")
    func tooMany() throws {
        try onFile(threads: 4) { (scene, _) throws in
            let held = try #require(try scene.client.ask("hold-threads 80").value).split(separator: " ")
            #expect(Int(held[0])! >= 4 && Int(held[0])! <= 16)
            #expect(held[1] == "tooManyThreads")
            // They are free again.
            #expect(try scene.client.ask("hold-threads 4").value == "4 ")
        }
    }

    @Test("a child that attaches by itself captures and impersonates its own clients")
    func prefork() throws {
        try onFile { (scene, hers) throws in
            let socket = scene.service.socket + ".child"
            _ = try scene.client.ask("impersonate")
            _ = try scene.client.ask("revert")
            let child = try #require(try scene.client.ask("prefork \(socket)").number)
            try eventually("the child's socket") { access(socket, F_OK) == 0 }
            usleep(50_000)
            let client = try Client(scene.stage, as: scene.alice, to: socket)
            #expect(try client.ask("ids").value?.hasPrefix("\(child)/") == true)
            #expect(try client.acting("cat \(hers)").value == "hers")
            #expect(try client.ask("cat \(hers)").errno == EACCES)
            // Both at once, and neither's revert is the other's.
            _ = try scene.client.ask("impersonate")
            _ = try client.ask("impersonate")
            _ = try client.ask("revert")
            #expect(try scene.client.ask("cat \(hers)").value == "hers")
            #expect(try client.ask("cat \(hers)").errno == EACCES)
        }
    }
}
