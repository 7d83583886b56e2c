import Foundation
import Testing

@Suite("Identity and Swift concurrency", .asRoot)
struct AsyncTests {
    private func onFiles(_ body: (Scene, _ hers: String, _ his: String) throws -> Void) throws {
        try onScene { scene in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let his = try scene.stage.file("home/his", "his", of: scene.bob)
            try body(scene, hers, his)
        }
    }

    @Test(
        "it follows through suspension, sleep, child tasks, groups, continuations and actors, and ends with the body"
    )
    func follows() throws {
        try onFiles { (scene, hers, his) throws in
            #expect(try scene.client.ask("async follow \(hers) \(his)").value == "nobody hers nobody")
            #expect(try scene.client.ask("token").value == "files primary")
        }
    }

    @Test("it does not follow into a detached task")
    func detached() throws {
        try onFiles { (scene, hers, his) throws in
            #expect(try scene.client.ask("async unstructured \(hers) \(his)").value == "nobody")
        }
    }

    @Test(
        "an inner body has its own, the outer its own again; a revert ends only what impersonate began in the body"
    )
    func nested() throws {
        try onFiles { (scene, hers, his) throws in
            _ = try scene.bobs.ask("adopt")
            _ = try scene.bobs.ask("name bob")
            for _ in 0..<20 {
                let seen = try #require(try scene.client.ask("async nested bob \(hers) \(his)").value)
                #expect(seen == "hers his his hers hers")
            }
        }
    }

    @Test("it ends with a body that throws, and acts at no more than the level asked for")
    func ends() throws {
        try onFiles { (scene, hers, his) throws in
            #expect(try scene.client.ask("async throwing \(hers) \(his)").value == "nobody")
            #expect(try scene.client.ask("async at-most \(hers) \(his)").value == "nobody")
        }
    }

    @Test(
        "two clients' tasks and the service's own never see each other's, in an actor that they share neither"
    )
    func crowd() throws {
        try onCrowd { seen in
            for (who, expected) in [("one", "hers"), ("other", "his"), ("self", "nobody")] {
                #expect(seen[who] == ["actor \(expected)", expected], "\(seen)")
            }
        }
    }

    @Test("a body that outlives its attachment is nobody's, whatever its handle says in the next one")
    func outliving() throws {
        try onFiles { (scene, hers, his) throws in
            let own = try scene.stage.file("home/own", "own", of: scene.service.account)
            // In the attachment to come, the first handle is bob's.
            _ = try scene.client.ask("adopt")
            _ = try scene.bobs.ask("adopt")
            _ = try scene.bobs.ask("name bob")
            let answer = try scene.client.ask("async outliving bob \(hers) \(his) \(own)")
            #expect(answer.line == "OK hers nobody own his")
        }
    }

    @Test("a function that does nothing asynchronous is a body, too")
    func synchronous() throws {
        try onFiles { (scene, hers, his) throws in
            #expect(try scene.client.ask("async function \(hers) \(his)").value == "hers")
        }
    }

    @Test("what leaves for somebody else's executor is the service's, and comes back as the client's")
    func leaving() throws {
        try onFiles { (scene, hers, his) throws in
            #expect(
                try scene.client.ask("async leaving \(hers) \(his)").value
                    == "hers, own executor nobody, preference nobody, unstructured nobody, hers")
        }
    }

    @Test("a thread that leaves word of no task that could be is refused, its own files too")
    func forgedTrail() throws {
        try onFiles { (scene, hers, his) throws in
            let own = try scene.stage.file("home/files", "the service's", of: scene.service.account)
            #expect(try scene.client.ask("cat \(own)").value == "the service's")
            #expect(try scene.client.ask("async follow \(hers) \(his)").value == "nobody hers nobody")
            for word in ["16", "0xffffffffffffffff", "0x7fffffffffffffff", "0xffffffff80000000"] {
                #expect(try scene.client.ask("forge-trail \(word) cat \(own)").errno == EACCES)
                #expect(try scene.client.ask("cat \(own)").value == "the service's")
            }
            // A record that makes sense, and names no executor of the SDK's.
            #expect(try scene.client.ask("forge-trail zeros cat \(own)").value == "the service's")
            #expect(try scene.client.ask("forge-trail kind cat \(hers)").errno == EACCES)
        }
    }

    /// What each kind of task saw, each observation once.
    private func onCrowd(_ body: ([String: [String]]) throws -> Void) throws {
        try onFiles { (scene, hers, his) throws in
            _ = try scene.bobs.ask("adopt")
            _ = try scene.bobs.ask("name bob")
            let line = try #require(
                try scene.client.ask("async crowd bob 200 \(hers) \(his)", seconds: 60).value)
            var seen: [String: [String]] = [:]
            for part in line.split(separator: ";") {
                let sides = part.split(separator: "=")
                seen[String(sides[0])] = sides[1].split(separator: "|").map(String.init)
            }
            try body(seen)
        }
    }
}
