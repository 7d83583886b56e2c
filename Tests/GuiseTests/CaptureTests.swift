import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Whom a connection stands for", .asRoot)
struct CaptureTests {
    @Test(
        "a client that left before it was captured is gone, not guessed",
        arguments: ["plain", "identification"])
    func peerGone(level: String) throws {
        try onScene { (scene) throws in
            let client = try scene.service.client(scene.alice, level: level == "plain" ? nil : level)
            _ = try client.ask("park early")
            try client.leave()
            #expect(try scene.bobs.ask("adopt-named early").thrown == "peerGone")
            #expect(try scene.bobs.ask("token").value == "files primary")
        }
    }

    @Test("a client that left after it was captured is still acted for")
    func leftLater() throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            _ = try scene.client.ask("adopt")
            _ = try scene.client.ask("name late")
            _ = try scene.client.ask("park elsewhere")
            try scene.client.leave()
            #expect(try scene.bobs.ask("impersonate-named late").value != nil)
            #expect(try scene.bobs.ask("cat \(hers)").value == "hers")
        }
    }

    @Test("what is no accepted socket stands for nobody: who listens did not choose to be acted for")
    func connectingEnd() throws {
        try onScene { (scene) throws in
            let path = scene.stage.directory + "/services/roots"
            let listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_STREAM.rawValue), 8, 0o666)
            try #require(listener >= 0)
            defer { close(listener) }
            for command in ["connect \(path)", "connect \(path) made-up-name"] {
                let socket = try #require(try scene.client.ask(command).number)
                let accepted = guise_unix_accept(listener, false)
                defer { close(accepted) }
                let adopted = try scene.client.ask("adopt-descriptor \(socket)")
                #expect(adopted.thrown == "notAServerConnection", "\(adopted)")
            }
            // A socketpair's, an unconnected one, one that is no socket.
            for command in ["socketpair", "connect-none"] {
                let socket = try #require(try scene.client.ask(command).number)
                #expect(try scene.client.ask("adopt-descriptor \(socket)").thrown != nil)
            }
            #expect(try scene.client.ask("adopt-descriptor 0").thrown == "notAServerConnection")
        }
    }

    @Test("a client whose socket has a name of its own is refused: its end looks like an accepted one")
    func namedClient() throws {
        try onScene { (scene) throws in
            let driver = scene.client
            // The service connects to itself.
            let plain = try #require(try driver.ask("connect \(scene.service.socket)").number)
            #expect(try driver.ask("tell \(plain) adopt").value == "OK impersonation")
            #expect(try driver.ask("tell \(plain) client").value?.contains("files") == true)
            let name = "some-name-\(getpid())-\(scene.alice.uid)"
            let named = try #require(try driver.ask("connect \(scene.service.socket) \(name)").number)
            #expect(
                try driver.ask("tell \(named) adopt").value?.hasPrefix("THROWN notAServerConnection") == true)
        }
    }

    @Test("a socket announced by one process and connected by another stands for neither")
    func passedOn() throws {
        try onScene { (scene) throws in
            // This process announces as root, another user's connects.
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
            _ = try authority.call(.register(.with { $0.level = .impersonation }), descriptor: socket)
            let borrowed = try scene.stage.start(
                Stage.command(
                    [product("guise-test-service"), "connect-descriptor", "0", scene.service.socket],
                    as: scene.bob.uid),
                streams: (socket, -1, 2))
            var name = [CChar](repeating: 0, count: 128)
            try eventually("the other process to connect") { guise_unix_peer_name(socket, &name, 128) > 0 }
            sendCommand("adopt", on: socket)
            let answer = try receiveLine(socket)
            #expect(answer.hasPrefix("THROWN accessDenied"), "\(answer)")
            borrowed.end()
            close(socket)
        }
    }

    @Test("a level is announced once, before connecting, for a socket that can connect")
    func announcing() throws {
        try onScene { (scene) throws in
            let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
            func announce(_ socket: Int32?, _ level: WireLevel = .identification) -> GuiseError? {
                do throws(GuiseError) {
                    _ = try authority.call(.register(.with { $0.level = level }), descriptor: socket)
                    return nil
                } catch { return error }
            }
            func name(_ error: GuiseError?) -> String? {
                error.flatMap { Mirror(reflecting: $0).children.first?.label }
            }
            let unnamed = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(unnamed) }
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(socket) }
            #expect(announce(socket) == nil)
            #expect(name(announce(socket, .delegation)) == "alreadyExists")
            let connected = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(connected) }
            try #require(
                guise_unix_connect(connected, scene.service.socket, scene.service.socket.utf8.count) == 0)
            #expect(name(announce(connected)) == "invalid")
            #expect(name(announce(nil)) == "invalid")
            #expect(name(announce(0)) == "notAServerConnection")
            #expect(name(announce(unnamed, .unspecified)) == "invalid")
        }
    }

    @Test("a level announced to an authority that is gone is not forgotten: the client is refused")
    func announcedBeforeRestart() throws {
        try onStage { (stage) throws in
            let account = try stage.service("files")
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(socket) }
            let authority = try AuthorityClient(runtimeDirectory: stage.runtime)
            _ = try authority.call(.register(.with { $0.level = .anonymous }), descriptor: socket)
            stage.killAuthority()
            try stage.startAuthority()
            let service = try stage.serve(account)
            try #require(guise_unix_connect(socket, service.socket, service.socket.utf8.count) == 0)
            sendCommand("adopt", on: socket)
            let answer = try receiveLine(socket)
            #expect(answer.hasPrefix("THROWN peerGone"), "\(answer)")
        }
    }

    @Test("a connection is captured as it was at connect, whatever became of the client's user since")
    func changedUser() throws {
        try onScene { (scene) throws in
            // A process of root's connects, then becomes bob.
            let socket = guise_unix_socket(Int32(SOCK_STREAM.rawValue), false)
            defer { close(socket) }
            let none: [UInt32] = []
            try #require(guise_credentials_assume(scene.alice.uid, scene.alice.uid, none, 0) == 0)
            let connected = guise_unix_connect(socket, scene.service.socket, scene.service.socket.utf8.count)
            try #require(guise_credentials_restore() == 0)
            try #require(connected == 0)
            sendCommand("client", on: socket)
            #expect(try receiveLine(socket).contains(scene.alice.sid))
        }
    }

    @Test("the same connection adopted twice is captured alike")
    func twice() throws {
        try onScene { (scene) throws in
            _ = try scene.client.ask("adopt")
            _ = try scene.client.ask("name one")
            let (one, other) = (try scene.client.ask("client").value, try scene.client.ask("client").value)
            #expect(one != nil && one == other)
        }
    }
}

/// Talks on a socket that the test itself holds.
func sendCommand(_ text: String, on socket: Int32) {
    let bytes = Array((text + "\n").utf8)
    _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
}

func receiveLine(_ socket: Int32, seconds: Int32 = 20) throws -> String {
    var line: [UInt8] = []
    while true {
        var one = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard poll(&one, 1, seconds * 1000) > 0 else { throw HarnessError("no answer") }
        var byte: UInt8 = 0
        guard read(socket, &byte, 1) == 1 else {
            throw HarnessError("the connection ended without an answer")
        }
        if byte == 0x0A { return String(decoding: line, as: UTF8.self) }
        line.append(byte)
    }
}
