import CGuise
import Foundation
import Testing

@Suite("FIFOs", .asRoot)
struct FIFOTests {
    private func onFIFO(_ body: (Scene, _ fifo: String) throws -> Void) throws {
        try onScene { (scene) throws in
            let fifo = scene.home + "/fifo"
            try #require(mkfifo(fifo, 0o600) == 0)
            chown(fifo, scene.alice.uid, scene.alice.uid)
            try body(scene, fifo)
        }
    }

    @Test("an open that waits for the other end holds up nobody else, and comes back when it is there")
    func waiting() throws {
        try onFIFO { (scene, fifo) throws in
            let clients = try (0..<12).map { _ in try scene.service.client(scene.alice) }
            for client in clients {
                _ = try client.ask("impersonate")
                try client.send("open \(fifo) \(Flags.read)")
            }
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            for _ in 0..<50 { #expect(try scene.client.acting("cat \(hers)").value == "hers") }
            let writer = open(fifo, O_WRONLY | O_CLOEXEC)
            #expect(writer >= 0)
            for client in clients { #expect(try client.reply().number != nil) }
            close(writer)
        }
    }

    @Test("a writer that waited before its reader came does not lose it", arguments: 0..<5)
    func earlyWriter(round: Int) throws {
        try onFIFO { (scene, fifo) throws in
            let writer = try scene.stage.start(["/bin/sh", "-c", "echo text > \(fifo)"])
            usleep(50_000)
            _ = try scene.client.ask("impersonate")
            let reading = try #require(try scene.client.ask("open \(fifo) \(Flags.read)", seconds: 5).number)
            #expect(try scene.client.ask("read \(reading)").value == "text\\n")
            #expect(try writer.wait() == 0)
        }
    }

    @Test("a reader that waited before its writer came does not find the end at once", arguments: 0..<5)
    func earlyReader(round: Int) throws {
        try onFIFO { (scene, fifo) throws in
            let reader = try scene.stage.start([
                "/bin/sh", "-c", "read line < \(fifo); test \"$line\" = text",
            ])
            usleep(50_000)
            _ = try scene.client.ask("impersonate")
            let writing = try #require(try scene.client.ask("open \(fifo) \(Flags.write)", seconds: 5).number)
            #expect(try scene.client.ask("write \(writing) text").number == 4)
            _ = try scene.client.ask("close \(writing)")
            #expect(try reader.wait() == 0)
        }
    }

    @Test("an open is given up when the thread that waits is gone")
    func abandoned() throws {
        try onFIFO { (scene, fifo) throws in
            let authority = try #require(scene.stage.authority).pid
            let other = try scene.stage.serve(try scene.stage.service("other"), name: "other")
            let client = try other.client(scene.alice)
            _ = try client.ask("impersonate")
            try client.send("open \(fifo) \(Flags.read)")
            func waiting() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/task").count { task in
                    (try? String(contentsOfFile: "/proc/\(authority)/task/\(task)/comm", encoding: .utf8))
                        == "guise-wait\n"
                }
            }
            try eventually("the open to wait") { try waiting() == 1 }
            other.process.end()
            try eventually("the open to be given up") { try waiting() == 0 }
            // A writer finds nobody.
            #expect(open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC) == -1 && errno == ENXIO)
        }
    }

    @Test("what a FIFO's mode does not allow does not wait")
    func refused() throws {
        try onFIFO { (scene, fifo) throws in
            #expect(try scene.bobs.acting("open \(fifo) \(Flags.read)").errno == EACCES)
            #expect(try scene.client.acting("open \(fifo) \(Flags.read | Flags.nonBlocking)").number != nil)
            #expect(try scene.client.acting("open \(fifo) \(Flags.write | Flags.nonBlocking)").errno == nil)
            #expect(try scene.client.acting("open \(fifo) \(Flags.readWrite)").number != nil)
        }
    }
}
