import CGuise
import Foundation
import Guise
import Testing

@Suite("Dynamic data exchange", .asRoot)
struct ExchangeTests {
    /// A service with the topic `files`, and alice and bob in conversation with it.
    private func inConversation(_ body: (PipeScene, _ file: String) throws -> Void) throws {
        try onPipes { (scene) throws in
            #expect(try scene.server.ask("dde-serve files files other").value != nil)
            #expect(try scene.hers.ask("dde-initiate a files FILES").value != nil)
            #expect(try scene.his.ask("dde-initiate b files files").value != nil)
            try body(scene, try scene.secret())
        }
    }

    @Test("handlers run as the client of the conversation")
    func acting() throws {
        try inConversation { (scene, file) throws in
            #expect(try scene.hers.ask("dde-request a who").value == "alice")
            #expect(try scene.his.ask("dde-request b who").value == "bob")
            #expect(try scene.hers.ask("dde-request a \(file)").value == "hers")
            #expect(try scene.his.ask("dde-request b \(file)").thrown == "denied")
            let shadow = try scene.stage.file("of-the-service", "x", of: scene.service.account)
            #expect(try scene.hers.ask("dde-request a \(shadow)").thrown == "denied")
            #expect(try scene.hers.ask("dde-poke a \(file) new words").value != nil)
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "new words")
            let refused = try scene.his.ask("dde-poke b \(file) his words")
            #expect(refused.thrown == "notProcessed" && !refused.line.contains("Cocoa"))
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "new words")
            #expect(try scene.hers.ask("dde-execute a touch").value != nil)
            #expect(try scene.hers.ask("dde-execute a format").thrown == "notProcessed")
            // The service's own thread is the service.
            #expect(try scene.server.ask("token").value == "files primary")
        }
    }

    @Test("a client that allows less than Impersonation has nothing opened for it")
    func levels() throws {
        try inConversation { (scene, file) throws in
            for (level, who) in [("identification", "alice"), ("anonymous", nil as String?)] {
                #expect(try scene.hers.ask("dde-initiate less files files \(level)").value != nil)
                let answer = try scene.hers.ask("dde-request less who")
                if let who { #expect(answer.value == who) } else { #expect(answer.value != "alice") }
                #expect(try scene.hers.ask("dde-request less \(file)").thrown == "denied")
                _ = try scene.hers.ask("dde-drop less")
            }
        }
    }

    @Test("a service that may not act as its clients does nothing for them")
    func privilege() throws {
        try onPipes(privileges: []) { (scene) throws in
            _ = try scene.server.ask("dde-serve files files")
            #expect(try scene.hers.ask("dde-initiate a files files").value != nil)
            for deed in [
                "dde-request a who", "dde-poke a /tmp x", "dde-execute a touch", "dde-advise a who l hot",
            ] {
                #expect(try scene.hers.ask(deed).thrown == "denied", "\(deed)")
            }
        }
    }

    @Test("hot links bring the data, warm ones the news, both only to whom may have the item")
    func links() throws {
        try inConversation { (scene, file) throws in
            func updates(_ client: Client, _ link: String) throws -> String {
                try client.ask("dde-updates \(link)").value ?? ""
            }
            #expect(try scene.hers.ask("dde-advise a \(file) hot hot").value != nil)
            #expect(try scene.hers.ask("dde-advise a \(file) warm warm").value != nil)
            #expect(try scene.his.ask("dde-advise b \(file) his hot").thrown == "denied")
            try "second".write(toFile: file, atomically: false, encoding: .utf8)
            _ = try scene.server.ask("dde-post files other \(file)")
            _ = try scene.server.ask("dde-post files FILES \(file)")
            try eventually("the data") { try updates(scene.hers, "hot") == "second" }
            try eventually("the news") { try updates(scene.hers, "warm") == "(changed)" }
            #expect(try scene.hers.ask("dde-request a \(file)").value == "second")
            for round in 0..<200 {
                _ = try scene.server.ask("dde-post files files \(file)\(round % 2 == 0 ? "" : "x")")
            }
            try "last".write(toFile: file, atomically: false, encoding: .utf8)
            _ = try scene.server.ask("dde-post files files \(file)")
            try eventually("the last one") { try updates(scene.hers, "hot").hasSuffix(",last") }
            // Whoever loses the right to an item loses the link, and not the conversation.
            chmod(file, 0)
            chown(file, 0, 0)
            _ = try scene.server.ask("dde-post files files \(file)")
            try eventually("the end of the link") { try updates(scene.hers, "hot").hasSuffix("(over)") }
            #expect(try scene.hers.ask("dde-request a who").value == "alice")
        }
    }

    @Test("conversations end on both sides, and make room for the next one")
    func ending() throws {
        try inConversation { (scene, file) throws in
            #expect(try scene.hers.ask("dde-initiate c files nothing").thrown == "noSuchTopic")
            #expect(try scene.hers.ask("dde-initiate c nobody files").thrown == "transport")
            try eventually("two conversations") { try scene.server.ask("dde-count files").number == 2 }
            #expect(try scene.his.ask("dde-initiate c files files").value != nil)
            let full = try scene.his.ask("dde-initiate d files files")
            #expect(full.thrown == "transport" && full.line.contains("every instance"), "\(full)")
            _ = try scene.his.ask("dde-terminate c")
            #expect(try scene.his.ask("dde-request c who").thrown == "terminated")
            #expect(try scene.his.ask("dde-initiate d files files").value != nil)
            scene.his.process.end()
            try eventually("his to be over") { try scene.server.ask("dde-count files").number == 1 }
            #expect(try scene.hers.ask("dde-advise a \(file) link hot").value != nil)
            #expect(try scene.hers.ask("dde-request a slow").thrown == "timedOut")
            _ = try scene.server.ask("dde-close files")
            try eventually("the end") { try scene.hers.ask("dde-updates link").value == " (over)" }
            #expect(try scene.hers.ask("dde-request a who").thrown == "terminated")
            #expect(try scene.hers.ask("dde-initiate a files files").thrown == "transport")
        }
    }

    @Test("what is too large, out of place or no message at all ends nothing but its own conversation")
    func hostile() throws {
        try inConversation { (scene, _) throws in
            #expect(try scene.hers.ask("dde-request a large").thrown == "notProcessed")
            #expect(
                try scene.hers.ask("dde-request a \(String(repeating: "x", count: 300))").thrown == "invalid")
            #expect(try scene.hers.ask("dde-request a who").value == "alice")
            let raw = try #require(try scene.his.ask("pipe-open files/dde timeout 1000").number)
            #expect(try scene.his.ask("send \(raw) nonsense").value != nil)
            #expect(try scene.his.ask("receive \(raw)").value == "(end)")
            for size in [64, 65] {
                let sent = try scene.his.ask("dde-raw \(size)")
                #expect(sent.value == (size == 64 ? "answered" : "ended"), "\(size): \(sent)")
            }
            // One that says nothing does not hold its place for long.
            let silent = try #require(try scene.his.ask("pipe-open files/dde timeout 5000").number)
            #expect(try scene.his.ask("receive \(silent)").value == "(end)")
            // A conversation has so many links and no more.
            var made = 0
            while try scene.hers.ask("dde-advise a who link\(made) warm").value != nil, made < 100 {
                made += 1
            }
            #expect(made == 64)
            #expect(try scene.hers.ask("dde-advise a who more warm").thrown == "limitReached")
            #expect(try scene.his.ask("dde-request b who").value == "bob")
        }
    }
}
