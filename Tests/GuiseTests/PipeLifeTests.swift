import CGuise
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Named pipes that come and go", .asRoot)
struct PipeLifeTests {
    private let root = Person(name: "root", uid: 0, sid: "S-1-5-18")

    // MARK: What travels

    @Test("messages keep their boundaries, a byte pipe does not; none is empty or too long")
    func messages() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve messages message \(PipeScene.open)")
            let end = try #require(try scene.hers.ask("pipe-open messages").number)
            _ = try scene.server.ask("pipe-accept messages")
            #expect(try scene.hers.ask("send \(end) one two three").value != nil)
            for text in ["one", "two", "three"] {
                #expect(try scene.server.ask("receive server").value == text)
            }
            #expect(try scene.server.ask("send server four five").value != nil)
            #expect(try scene.hers.ask("receive \(end)").value == "four")
            #expect(try scene.hers.ask("receive \(end)").value == "five")
            #expect(try scene.hers.ask("send-bytes \(end) \(NamedPipe.largestMessage)").value != nil)
            #expect(try scene.server.ask("receive-count").number == NamedPipe.largestMessage)
            for size in [0, NamedPipe.largestMessage + 1] {
                #expect(try scene.hers.ask("send-bytes \(end) \(size)").thrown == "invalid")
            }
            // One that is longer than asked for is lost whole, and the next one is not.
            _ = try scene.hers.ask("send-bytes \(end) 100")
            _ = try scene.hers.ask("send-bytes \(end) 10")
            #expect(try scene.server.ask("receive-slowly 50").thrown == "invalid")
            #expect(try scene.server.ask("receive-slowly 50").number == 10)

            _ = try scene.server.ask("pipe-serve bytes \(PipeScene.open)")
            let stream = try #require(try scene.hers.ask("pipe-open bytes").number)
            _ = try scene.server.ask("pipe-accept bytes")
            #expect(try scene.hers.ask("send \(stream) one two").value != nil)
            #expect(try scene.server.ask("receive server").value == "onetwo")
            _ = try scene.hers.ask("pipe-shut \(stream)")
            #expect(try scene.server.ask("receive server").value == "(end)")
            #expect(try scene.server.ask("send server late").thrown == "closed")
        }
    }

    @Test("an inbound pipe is written by clients only, an outbound one by the server only")
    func directions() throws {
        try onPipes { (scene) throws in
            for mode in ["", "message"] {
                for (direction, allowed, refused) in [
                    ("inbound", "write", "read"), ("outbound", "read", "write"),
                ] {
                    let name = direction + mode
                    _ = try scene.server.ask("pipe-serve \(name) \(mode) \(direction) \(PipeScene.open)")
                    #expect(try scene.hers.ask("pipe-open \(name) \(refused)").thrown == "accessDenied")
                    #expect(try scene.hers.ask("pipe-open \(name)").thrown == "accessDenied")
                    let end = try #require(try scene.hers.ask("pipe-open \(name) \(allowed)").number)
                    _ = try scene.server.ask("pipe-accept \(name)")
                    let fromHers = try scene.hers.ask("send \(end) up")
                    let fromServer = try scene.server.ask("send server down")
                    if direction == "inbound" {
                        #expect(fromHers.value != nil && fromServer.thrown == "closed")
                        #expect(try scene.server.ask("receive server").value == "up")
                    } else {
                        #expect(fromHers.thrown == "closed" && fromServer.value != nil)
                        #expect(try scene.hers.ask("receive \(end)").value == "down")
                    }
                }
            }
        }
    }

    // MARK: Instances

    @Test("when all instances are taken a client waits, first come, first served, and no longer than it said")
    func busy() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe instances 1 \(PipeScene.open)")
            #expect(try scene.hers.ask("pipe-open pipe").number != nil)
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.his.ask("pipe-open pipe").thrown == "busy")
            #expect(try scene.his.ask("pipe-open pipe timeout 50").thrown == "busy")
            try scene.his.send("pipe-open pipe timeout 20000")
            try eventually("one to wait") { try waiting(scene) == 1 }
            let third = try Client(commandsOn: scene.stage, as: scene.alice)
            try third.send("pipe-open pipe forever")
            try eventually("two to wait") { try waiting(scene) == 2 }
            // Who is asked for is not there any more.
            let gone = try Client(commandsOn: scene.stage, as: scene.bob)
            try gone.send("pipe-open pipe forever")
            try eventually("three to wait") { try waiting(scene) == 3 }
            _ = try scene.server.ask("pipe-disconnect")
            #expect(try scene.his.reply().number != nil)
            gone.process.end()
            try eventually("the third to have left") { try waiting(scene) == 1 }
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("client").value?.contains("bob") == true)
            _ = try scene.server.ask("pipe-hang-up")
            #expect(try third.reply().number != nil)
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("client").value?.contains("alice") == true)
            #expect(try waiting(scene) == 0)
        }
    }

    private func view(_ scene: PipeScene, _ name: String = "pipe") throws -> WirePipeView? {
        guard case .pipes(let pipes) = try scene.stage.ask(.pipeList(.init())) else {
            throw HarnessError("no list")
        }
        return pipes.pipes.first { $0.name == name }
    }

    private func waiting(_ scene: PipeScene) throws -> Int { try view(scene).map { Int($0.waiting) } ?? -1 }

    @Test(
        "disconnecting frees the instance once, and the client's identity stays until the connection is dropped"
    )
    func disconnecting() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe instances 2 \(PipeScene.open)")
            let end = try #require(try scene.hers.ask("pipe-open pipe").number)
            _ = try scene.hers.ask("send \(end) before")
            _ = try scene.server.ask("pipe-accept pipe")
            for _ in 0..<2 { _ = try scene.server.ask("pipe-disconnect") }
            #expect(try scene.hers.ask("receive \(end)").value == "(end)")
            #expect(try scene.server.acting("token").value == "alice impersonation")
            _ = try scene.server.ask("pipe-hang-up")
            #expect(try view(scene)?.instances == 0)
            for _ in 0..<2 { #expect(try scene.hers.ask("pipe-open pipe").number != nil) }
            #expect(try scene.hers.ask("pipe-open pipe").thrown == "busy")
        }
    }

    // MARK: Deaths

    @Test("a client that is gone when it is accepted is still who it was, or nobody")
    func clientDeath() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe message \(PipeScene.open)")
            let end = try #require(try scene.hers.ask("pipe-open pipe").number)
            _ = try scene.hers.ask("send \(end) last-words")
            scene.hers.process.end()
            // Somebody else's connection comes in between.
            _ = try scene.his.ask("pipe-open pipe")
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.ask("receive server").value == "last-words")
            #expect(try scene.server.ask("receive server").value == "(end)")
            #expect(try scene.server.acting("token").value == "alice impersonation")
            #expect(try scene.server.acting("cat \(try scene.secret())").value == "hers")
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.acting("token").value == "bob impersonation")
        }
    }

    @Test("with its server a pipe is gone: clients read the end, who waits is told, the name is free")
    func serverDeath() throws {
        try onPipes { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let server = try second.client(scene.alice)
            _ = try server.ask("pipe-serve pipe instances 1 \(PipeScene.open)")
            let end = try #require(try scene.hers.ask("pipe-open pipe").number)
            try scene.his.send("pipe-open pipe forever")
            try eventually("one to wait") { try waiting(scene) == 1 }
            second.process.end()
            #expect(try scene.his.reply().thrown == "notFound")
            #expect(try scene.hers.ask("receive \(end)").value == "(end)")
            #expect(try scene.hers.ask("pipe-open pipe").thrown == "notFound")
            #expect(try scene.server.ask("pipe-serve pipe message first").value != nil)
        }
    }

    @Test("who waits is not sent to another server of a process that the authority has lost")
    func lostTogether() throws {
        try onPipes { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let server = try second.client(scene.alice)
            for name in ["pipe", "PIPE"] {
                #expect(try server.ask("pipe-serve \(name) instances 2 \(PipeScene.open)").value != nil)
            }
            for _ in 0..<2 { #expect(try scene.hers.ask("pipe-open pipe").number != nil) }
            try scene.his.send("pipe-open pipe forever")
            try eventually("one to wait") { try waiting(scene) == 1 }
            _ = try server.ask("pipe-cut")
            #expect(try scene.his.reply().thrown == "notFound")
            #expect(try scene.server.ask("pipe-serve pipe message first").value != nil)
        }
    }

    @Test("who has no descriptors left is told so, and loses neither the authority nor an instance")
    func starving() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe instances 1 \(PipeScene.open)")
            #expect(try scene.server.ask("pipe-starve pipe-open pipe").line.contains("Too many open files"))
            #expect(try scene.server.ask("pipe-accept pipe").value != nil)
            _ = try scene.server.ask("pipe-hang-up")
            let end = try #require(try scene.hers.ask("pipe-open pipe").number)
            #expect(try scene.server.ask("pipe-starve pipe-accept pipe").line.contains("Too many open files"))
            #expect(try scene.hers.ask("receive \(end)").value == "(end)")
            #expect(try scene.hers.ask("pipe-open pipe timeout 5000").number != nil)
            _ = try scene.server.ask("pipe-accept pipe")
            #expect(try scene.server.acting("token").value == "alice impersonation")
        }
    }

    @Test("a client goes to the server that it names and to no other, and keeps nobody else waiting")
    func namedServer() throws {
        try onPipes { (scene) throws in
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let other = try second.client(scene.alice)
            let (files, seconds) = (scene.service.account.sid, second.account.sid)
            _ = try scene.server.ask("pipe-serve pipe instances 2 \(PipeScene.open)")
            #expect(try scene.hers.ask("pipe-open pipe server \(seconds)").thrown == "accessDenied")
            _ = try other.ask("pipe-serve pipe instances 2")
            for _ in 0..<2 {
                let end = try #require(try scene.hers.ask("pipe-open pipe server \(seconds)").number)
                #expect(try scene.hers.ask("pipe-server \(end)").value == "\(second.pid) \(seconds)")
            }
            // The first in the queue cannot have what the second can.
            _ = try other.ask("pipe-close pipe")
            try scene.hers.send("pipe-open pipe forever server \(seconds)")
            try eventually("one to wait") { try waiting(scene) == 1 }
            try scene.his.send("pipe-open pipe forever server \(files)")
            try eventually("two to wait") { try waiting(scene) == 2 }
            _ = try other.ask("pipe-accept pipe")
            _ = try other.ask("pipe-hang-up")
            #expect(try scene.his.reply().number != nil)
            #expect(try waiting(scene) == 1)
        }
    }

    @Test("a descriptor that would fill the list is no pipe's")
    func largeDescriptor() throws {
        try onPipes { (scene) throws in
            let entries = (0..<400).map { "(A;;FA;;;S-1-5-21-1-2-3-\($0))" }.joined()
            #expect(try scene.server.ask("pipe-serve pipe sddl D:\(entries)").thrown == "limitReached")
            _ = try scene.server.ask("pipe-serve pipe sddl D:(A;;FA;;;BA)")
            #expect(
                try scene.stage.run([product("sd"), "set", #"\\.\pipe\pipe"#, "D:\(entries)"]).status == 1)
            #expect(try view(scene)?.sddl.contains("(A;;FA;;;BA)") == true)
        }
    }

    @Test("a server that can be sent nothing serves no longer")
    func deaf() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe \(PipeScene.open)")
            _ = try scene.server.ask("pipe-deafen pipe")
            try eventually("the pipe to be gone") {
                try scene.hers.ask("pipe-open pipe").thrown == "notFound"
            }
        }
    }

    @Test("a server that closes keeps the clients it has, and the name lasts as long as they do")
    func closing() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe instances 2 \(PipeScene.open)")
            let first = try #require(try scene.hers.ask("pipe-open pipe").number)
            _ = try scene.server.ask("pipe-accept pipe")
            // One that arrives and is not accepted.
            let second = try #require(try scene.his.ask("pipe-open pipe").number)
            _ = try scene.server.ask("pipe-unserve pipe")
            #expect(try scene.his.ask("receive \(second)").value == "(end)")
            try eventually("the name to have one client") { try view(scene)?.instances == 1 }
            #expect(try scene.his.ask("pipe-open pipe").thrown == "busy")
            #expect(try scene.server.ask("pipe-serve pipe instances 2 first").thrown == "alreadyExists")
            _ = try scene.hers.ask("send \(first) still")
            #expect(try scene.server.ask("receive server").value == "still")
            #expect(try scene.server.acting("token").value == "alice impersonation")
            _ = try scene.server.ask("pipe-hang-up")
            try eventually("the name to be free") { try view(scene) == nil }
        }
    }

    @Test("after a restart of the authority nobody is served by a former one's word")
    func restart() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve pipe \(PipeScene.open)")
            let end = try #require(try scene.hers.ask("pipe-open pipe").number)
            _ = try scene.server.ask("pipe-accept pipe")
            scene.stage.killAuthority()
            try scene.stage.startAuthority()
            #expect(try scene.server.ask("impersonate").thrown == "authorityLost")
            #expect(try scene.server.ask("pipe-accept pipe").thrown == "authorityLost")
            #expect(try scene.hers.ask("pipe-open pipe").thrown == "notFound")
            // What is connected stays connected.
            _ = try scene.hers.ask("send \(end) hello")
            #expect(try scene.server.ask("receive server").value == "hello")
        }
    }

    // MARK: Hostile

    @Test("forged requests get what the process may have anyway, or nothing")
    func forged() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve alices sddl D:(A;;FA;;;\(scene.alice.sid))")
            _ = try scene.server.ask("pipe-serve all \(PipeScene.open)")
            // Who is not attached serves nothing.
            #expect(try scene.hers.ask("pipe-forge serve mine").thrown == "invalid")
            // Nobody closes another's server.
            #expect(try scene.his.ask("pipe-forge close 50").value != nil)
            #expect(try scene.his.ask("pipe-open all").number != nil)
            // The handle by which another process acts as alice is no use to bob; nor one that does not exist.
            let acting = try scene.service.client(scene.alice)
            _ = try acting.ask("impersonate")
            for handle in ["1", "2", "3", "0", "18446744073709551615"] {
                #expect(try scene.his.ask("pipe-forge open alices \(handle)").thrown == "accessDenied")
            }
            for wrong in ["open all 0 nothing", "open all 0 no-level"] {
                #expect(try scene.his.ask("pipe-forge \(wrong)").thrown == "invalid")
            }
            let second = try scene.stage.serve(try scene.stage.service("second"), name: "second")
            let other = try second.client(scene.bob)
            for handle in 1...3 {
                #expect(try other.ask("pipe-forge open alices \(handle)").thrown == "accessDenied")
                // Nor are they any to a connection of the same process that did not attach.
                #expect(try scene.server.ask("pipe-forge open alices \(handle)").thrown == "accessDenied")
            }
            // A thread that acts as a client reaches no control socket of its own to ask by.
            _ = try acting.ask("pipe-forge open alices 0").thrown
            #expect(try acting.ask("pipe-open alices").number != nil)
        }
    }

    @Test(
        "a server that does not accept, and clients that wait in crowds, take a limited part of the authority"
    )
    func exhaustion() throws {
        try onPipes { (scene) throws in
            _ = try scene.server.ask("pipe-serve lazy \(PipeScene.open)")
            let crowd = try #require(try scene.hers.ask("pipe-open-many lazy 900").number)
            #expect(crowd > 10 && crowd < 900)
            // Accepting makes room again, also for who waits.
            try scene.his.send("pipe-open lazy timeout 20000")
            try eventually("one to wait") { try view(scene, "lazy")?.waiting == 1 }
            for _ in 0..<crowd {
                #expect(try scene.server.ask("pipe-accept lazy").value == "impersonation")
                _ = try scene.server.ask("pipe-hang-up")
            }
            #expect(try scene.his.reply().number != nil)
            _ = try scene.server.ask("pipe-accept lazy")
            #expect(try scene.server.acting("token").value == "bob impersonation")
            let made = try #require(try scene.server.ask("pipe-serve-many n 1100").number)
            #expect((900...1024).contains(made))
            _ = try scene.server.ask("pipe-unserve n0")
            #expect(try scene.server.ask("pipe-serve-many n 1").number == 1)
        }
    }

    // MARK: Looking

    @Test("guise lists the pipes, and sd shows and changes their descriptors for whom they let")
    func tools() throws {
        try onPipes { (scene) throws in
            func run(_ tool: String, _ arguments: String..., as person: Person? = nil) throws -> Stage.Outcome
            {
                try scene.stage.run([product(tool)] + arguments, as: person)
            }
            _ = try scene.server.ask(
                "pipe-serve shown message inbound instances 5 sddl O:\(scene.service.account.sid)D:(A;;FA;;;BA)(A;;FR;;;\(scene.alice.sid))"
            )
            #expect(try scene.hers.ask("pipe-open shown write").thrown == "accessDenied")
            let listed = try run("guise", "pipe", "list")
            #expect(listed.output.contains("shown") && listed.output.contains("0 of 5"), "\(listed)")
            let json = try run("guise", "pipe", "list", "--json", as: scene.alice).output
            #expect(json.contains("\"message\"") && json.contains("(A;;FR;;;"), "\(json)")
            #expect(try !run("guise", "pipe", "list", "--json", as: scene.bob).output.contains("(A;;FR;;;"))
            let path = #"\\.\pipe\shown"#
            #expect(try run("sd", "show", path, as: scene.alice).output.contains("Owner: "))
            #expect(try run("sd", "show", path, as: scene.bob).status == 1)
            #expect(try run("sd", "grant", "bob", "write", path, as: scene.alice).status == 1)
            let granted = try run("sd", "grant", "bob", "write", path)
            #expect(granted.status == 0, "\(granted)")
            #expect(try scene.his.ask("pipe-open shown write").number != nil)
            #expect(try run("guise", "pipe", "list").output.contains("1 of 5"))
        }
    }
}
