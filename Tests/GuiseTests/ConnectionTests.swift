import CGuise
import CTestSupport
import Foundation
import Guise
import GuiseProtocol
import Testing

@Suite("Connections of impersonating threads", .asRoot)
struct ConnectionTests {
    /// A scene with a second service.
    private func onTwoServices(_ body: (Scene, _ second: Service) throws -> Void) throws {
        try onScene { (scene) throws in
            try body(scene, try scene.stage.serve(try scene.stage.service("second"), name: "second"))
        }
    }

    // MARK: Whom the next service sees

    /// The client's level, what the next service gets, and whom a plain server sees.
    private static let table: [(String, String, String, String)] = [
        ("anonymous", "anonymous", "S-1-5-7", "nobody"),
        ("identification", "impersonation", "files", "files"),
        ("impersonation", "impersonation", "alice", "alice"),
        ("delegation", "delegation", "alice", "alice"),
    ]

    @Test("the next service sees whom the captured level lets it see, and no higher level", arguments: table)
    func levels(_ level: String, _ passedOn: String, _ user: String, _ unixUser: String) throws {
        try onTwoServices { (scene, second) throws in
            let client = try scene.service.client(scene.alice, level: level)
            #expect(try client.ask("impersonate").value != nil)
            let socket = try #require(try client.ask("dial stream \(second.socket)").number)
            #expect(try client.ask("tell \(socket) adopt").value == "OK \(passedOn)")
            #expect(try client.ask("tell \(socket) client").value?.contains(user) == true)
            _ = try client.ask("tell \(socket) impersonate")
            #expect(try client.ask("tell \(socket) token").value?.hasSuffix(" \(passedOn)") == true)
            if user == "alice" {
                let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
                #expect(try client.ask("tell \(socket) cat \(hers)").value == "OK hers")
                let his = try scene.stage.file("home/his", "his", of: scene.bob)
                #expect(try client.ask("tell \(socket) cat \(his)").value == "ERRNO \(EACCES)")
            }
            let plain = try PlainServer(at: scene.stage.directory + "/services/plain")
            #expect(try client.ask("dial stream \(plain.address)").number != nil)
            let uid = ["nobody": 65534, "files": scene.service.account.uid, "alice": scene.alice.uid][
                unixUser]
            let peer = try #require(plain.next())
            #expect(peer.uid == uid && peer.gid == uid && peer.groups.isEmpty)
        }
    }

    @Test("the service passes on less where it acts at less, or says so when it connects")
    func less() throws {
        try onTwoServices { (scene, second) throws in
            func passedOn(_ dial: String) throws -> String? {
                let socket = try #require(try scene.client.ask(dial).number, "\(dial)")
                let level = try scene.client.ask("tell \(socket) adopt").value
                let user = try scene.client.ask("tell \(socket) client").value ?? ""
                let name = ["alice", "files", "S-1-5-7"].first { user.contains($0) } ?? user
                return level.map { "\($0.dropFirst(3)) of \(name)" }
            }
            let dial = "dial stream \(second.socket)"
            _ = try scene.client.ask("impersonate identification")
            #expect(try passedOn(dial) == "impersonation of files")
            #expect(try passedOn("announce identification \(second.socket)") == "identification of files")
            _ = try scene.client.ask("impersonate anonymous")
            #expect(try passedOn(dial) == "anonymous of S-1-5-7")
            #expect(try passedOn("announce delegation \(second.socket)") == "anonymous of S-1-5-7")
            _ = try scene.client.ask("impersonate")
            #expect(try passedOn("announce identification \(second.socket)") == "identification of alice")
            #expect(try passedOn("announce anonymous \(second.socket)") == "anonymous of S-1-5-7")
            // What the service asks for cannot raise what alice allowed.
            #expect(try passedOn("announce delegation \(second.socket)") == "impersonation of alice")
            // Of itself it may allow what it likes.
            _ = try scene.client.ask("impersonate identification")
            #expect(try passedOn("announce delegation \(second.socket)") == "delegation of files")
            _ = try scene.client.ask("revert")
            #expect(try passedOn(dial) == "impersonation of files")
        }
    }

    @Test("at the end of a chain of four services stands the first client")
    func chain() throws {
        try onTwoServices { (scene, second) throws in
            let third = try scene.stage.serve(try scene.stage.service("third"), name: "third")
            let fourth = try scene.stage.serve(try scene.stage.service("fourth"), name: "fourth")
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            _ = try scene.client.ask("impersonate")
            var prefix = ""
            for next in [second, third, fourth] {
                let answer = try scene.client.ask(prefix + "dial stream \(next.socket)").value
                let socket = try #require(answer?.split(separator: " ").last.flatMap { Int($0) })
                prefix += "tell \(socket) "
                #expect(try scene.client.ask(prefix + "impersonate").value?.contains("THROWN") == false)
                #expect(
                    try scene.client.ask(prefix + "token").value?.hasSuffix("alice impersonation") == true)
            }
            #expect(try scene.client.ask(prefix + "cat \(hers)").value?.hasSuffix("OK hers") == true)
            // The first one's identity is not everybody's: bob's request comes through as bob's.
            _ = try scene.bobs.ask("impersonate")
            let socket = try #require(try scene.bobs.ask("dial stream \(second.socket)").number)
            _ = try scene.bobs.ask("tell \(socket) impersonate")
            #expect(try scene.bobs.ask("tell \(socket) token").value == "OK bob impersonation")
            #expect(try scene.bobs.ask("tell \(socket) cat \(hers)").value == "ERRNO \(EACCES)")
        }
    }

    @Test("a service in the middle that may not impersonate ends the chain: what it connects is its own")
    func brokenChain() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let middle = try stage.serve(try stage.service("middle", privileges: []), name: "middle")
            let last = try stage.serve(try stage.service("last"), name: "last")
            _ = try scene.client.ask("impersonate")
            let toMiddle = try #require(try scene.client.ask("dial stream \(middle.socket)").number)
            let refused = try scene.client.ask("tell \(toMiddle) impersonate").value
            #expect(refused?.hasPrefix("THROWN privilegeNotHeld") == true)
            let answer = try scene.client.ask("tell \(toMiddle) dial stream \(last.socket)").value
            let toLast = try #require(answer?.split(separator: " ").last.flatMap { Int($0) })
            let seen = try scene.client.ask("tell \(toMiddle) tell \(toLast) client").value
            #expect(seen?.contains("middle") == true && seen?.contains("alice") == false)
            // It may still say whom it serves, and gets nothing by it.
            _ = try scene.client.ask("tell \(toMiddle) impersonate identification")
            let second = try scene.client.ask("tell \(toMiddle) dial stream \(last.socket)").value
            let again = try #require(second?.split(separator: " ").last.flatMap { Int($0) })
            #expect(
                try scene.client.ask("tell \(toMiddle) tell \(again) client").value?.contains("middle")
                    == true)
        }
    }

    @Test(
        "a server that knows nothing of Guise sees the client's uid, gid and groups, whatever the socket's type"
    )
    func unixCredentials() throws {
        try onScene { (scene) throws in
            let extra = FreshUsers.take()
            let client = try Client(
                scene.stage, as: scene.alice, groups: [extra, extra + 1], to: scene.service.socket)
            _ = try client.ask("impersonate")
            for (type, word) in [(SOCK_STREAM, "stream"), (SOCK_SEQPACKET, "seqpacket")] {
                for address in [
                    scene.stage.directory + "/services/\(word)",
                    "@guise-test-\(getpid())-\(scene.alice.uid)-\(word)",
                ] {
                    let server = try PlainServer(at: address, type: type)
                    #expect(try client.ask("dial \(word) \(address)").number != nil)
                    let peer = try #require(server.next())
                    #expect(peer.uid == scene.alice.uid && peer.gid == scene.alice.uid)
                    #expect(peer.groups == [extra, extra + 1])
                    // The pid is the authority's: it made the connection.
                    #expect(peer.pid == scene.stage.authority?.pid)
                }
            }
        }
    }

    // MARK: Where a connection may go

    @Test(
        "what is closed to the client is closed to the thread, and what is open to the client is open to it")
    func reach() throws {
        try onScene { (scene) throws in
            let service = scene.service.account
            let his = scene.stage.folder("his", of: service, mode: 0o700)
            let hers = scene.stage.folder("private", of: scene.alice, mode: 0o700)
            let servers = try [
                PlainServer(at: his + "/in", of: service), PlainServer(at: hers + "/in", of: scene.alice),
                PlainServer(at: scene.home + "/closed", of: service, mode: 0o600),
                PlainServer(at: scene.home + "/hers", of: scene.alice, mode: 0o600),
            ]
            func errors() throws -> [Int32?] {
                try servers.map { try scene.client.ask("dial stream \($0.address)").errno }
            }
            _ = try scene.client.ask("impersonate")
            #expect(try errors() == [EACCES, nil, EACCES, nil])
            _ = try scene.client.ask("revert")
            #expect(try errors() == [nil, EACCES, nil, EACCES])
            #expect(
                servers.map { $0.all().map(\.uid) } == [
                    [service.uid], [scene.alice.uid], [service.uid], [scene.alice.uid],
                ])
            // What the kernel says of what is no server.
            let file = try scene.stage.file("home/file", "", of: scene.alice)
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("dial stream \(file)").errno == ECONNREFUSED)
            #expect(try scene.client.ask("dial stream \(scene.home)/none").errno == ENOENT)
            #expect(try scene.client.ask("dial seqpacket \(hers)/in").errno == EPROTOTYPE)
            #expect(try scene.client.ask("dial stream @guise-nobody-\(getpid())").errno == ECONNREFUSED)
            #expect(try scene.client.ask("redial 0 \(hers)/in").errno == ENOTSOCK)
            #expect(try scene.client.ask("redial 9999 \(hers)/in").errno == EBADF)
            let socket = try #require(try scene.client.ask("socket stream").number)
            #expect(try scene.client.ask("syscall \(SYS_connect) \(socket) 0 110").errno == EFAULT)
            #expect(try scene.client.ask("syscall \(SYS_connect) \(socket) #200 200").errno == EINVAL)
            #expect(try scene.client.ask("syscall \(SYS_connect) \(socket) #110 -1").errno == EINVAL)
            #expect(try scene.client.ask("syscall \(SYS_connect) \(socket) #110 1").errno == EINVAL)
        }
    }

    @Test(
        "a server's descriptor says who may connect: WRITE_DATA, alone under a managed root, besides the mode elsewhere"
    )
    func descriptors() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let managed = try PlainServer(at: scene.root + "/server", mode: 0o600)
            _ = try scene.client.ask("impersonate")
            _ = try scene.bobs.ask("impersonate")
            func errors(_ path: String) throws -> [Int32?] {
                try [scene.client, scene.bobs].map { try $0.ask("dial stream \(path)").errno }
            }
            // It carries none yet.
            #expect(try errors(managed.address) == [EACCES, EACCES])
            try stage.describe(
                managed.address,
                Stage.fill("O:BAG:SYD:(A;;FW;;;{alice})(A;;FR;;;{bob})", [scene.alice, scene.bob]))
            #expect(try errors(managed.address) == [nil, EACCES])
            let peer = try #require(managed.next())
            #expect(peer.uid == scene.alice.uid && peer.gid == scene.alice.uid && managed.next() == nil)
            try stage.waitForAudit("access-denied", "\"call\":\"connect\"", scene.bob.sid)
            // By a link, and by the process's own rights.
            symlink(managed.address, scene.home + "/link")
            #expect(try errors(scene.home + "/link") == [nil, EACCES])
            _ = try scene.client.ask("revert")
            #expect(try scene.client.ask("dial stream \(managed.address)").errno == EACCES)
            try stage.describe(
                managed.address, Stage.fill("O:BAG:SYD:(A;;FA;;;{files})", [scene.service.account]))
            _ = managed.all()
            #expect(try scene.client.ask("dial stream \(managed.address)").number != nil)
            #expect(managed.next()?.uid == scene.service.account.uid)

            let open = try PlainServer(at: scene.home + "/open")
            try stage.describe(open.address, Stage.fill("O:BAG:SYD:(A;;FA;;;{bob})", [scene.bob]))
            _ = try scene.client.ask("impersonate")
            #expect(try errors(open.address) == [EACCES, nil])
        }
    }

    @Test("a place with a descriptor says who may listen there and who may connect, whoever connects")
    func endpoints() throws {
        try onTwoServices { (scene, second) throws in
            let people = [scene.service.account, second.account, scene.alice, scene.bob]
            func describe(_ path: String, _ sddl: String) throws {
                try scene.stage.describe(path, Stage.fill(sddl, people))
            }
            func served(_ service: Service) throws -> [Bool] {
                try [scene.alice, scene.bob].map { person in
                    let answer = try service.client(person).ask("adopt")
                    #expect(answer.value != nil || answer.thrown == "accessDenied", "\(answer)")
                    return answer.value != nil
                }
            }
            for client in [scene.client, scene.bobs] { _ = try client.ask("adopt") }
            let place = scene.stage.directory + "/services"
            #expect(try served(scene.service) == [true, true])
            // What the socket would inherit; who else listens there has no clients.
            try describe(place, "O:BAG:SYD:(A;;0x3;;;{files})(A;OIIO;FW;;;{alice})")
            #expect(try served(scene.service) == [true, false])
            #expect(try served(second) == [false, false])
            // Its own instead.
            try describe(scene.service.socket, "O:BAG:SYD:(A;;FR;;;{alice})(A;;FW;;;{bob})")
            #expect(try served(scene.service) == [false, true])
            // And so for one who comes by way of another service, who is told when he connects.
            let other = scene.stage.folder("others") + "/other"
            let server = try PlainServer(at: other)
            try describe(other, "O:BAG:SYD:(A;;FW;;;{bob})")
            #expect(try scene.client.acting("dial stream \(server.address)").errno == EACCES)
            #expect(try scene.bobs.acting("dial stream \(server.address)").number != nil)
        }
    }

    @Test("a capture that a place refuses is on record once, with the right that was wanting")
    func refusedEndpoint() throws {
        try onScene { (scene) throws in
            let people = [scene.service.account, scene.alice]
            try scene.stage.describe(
                scene.stage.directory + "/services",
                Stage.fill("O:BAG:SYD:(A;;0x3;;;{files})(A;OIIO;FW;;;{alice})", people))
            #expect(try scene.service.client(scene.bob).ask("adopt").thrown == "accessDenied")
            let record = try scene.stage.waitForRecord("access-denied") { $0.call == "Capture" }
            #expect(record.refused?.isEmpty == false && record.rule?.contains("WRITE_DATA") == true)
            // What comes later on record is after whatever else this one came to.
            #expect(try scene.service.client(scene.alice).ask("impersonate").value != nil)
            try scene.stage.waitForRecord("impersonation") { $0.user == scene.alice.sid }
            let refused = scene.stage.audit.filter { $0.event == "access-denied" && $0.call == "Capture" }
            #expect(refused.count == 1)
        }
    }

    @Test("a thread that acts as a client does not reach the authority as that client")
    func authority() throws {
        try onScene { (scene) throws in
            _ = try scene.client.ask("impersonate")
            let socket = try #require(
                try scene.client.ask("dial seqpacket \(scene.stage.runtime)/guise.sock").number)
            #expect(try scene.client.ask("read \(socket)").value == "")
            try scene.stage.waitForLog("control connection refused")
        }
    }

    @Test("sockets swapped while they are connected to never lead to one that is closed to the client")
    func swapped() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let (hers, his) = (scene.root + "/hers", scene.root + "/his")
            let open = try PlainServer(at: hers, mode: 0o600)
            let closed = try PlainServer(at: his, mode: 0o600)
            try stage.describe(hers, Stage.fill("O:BAG:SYD:(A;;FA;;;{alice})", [scene.alice]))
            try stage.describe(his, Stage.fill("O:BAG:SYD:(A;;FA;;;{bob})", [scene.bob]))
            _ = try scene.client.ask("impersonate")
            try scene.client.send("dial-many \(hers) 500")
            var reply: Reply?
            while reply == nil {
                for _ in 0..<20 { #expect(test_exchange(hers, his) == 0) }
                reply = try? scene.client.reply(seconds: 0.002)
            }
            #expect(try #require(reply?.number) > 0)
            #expect(open.all().allSatisfy { $0.uid == scene.alice.uid })
            #expect(closed.all().isEmpty)
        }
    }

    @Test("links swapped while they are followed never lead to a server that is closed to the client")
    func swappedLinks() throws {
        try onScene { (scene) throws in
            let open = try PlainServer(at: scene.home + "/open")
            let closed = try PlainServer(at: scene.home + "/closed", of: scene.service.account, mode: 0o600)
            let links = [scene.home + "/one", scene.home + "/other"]
            symlink(open.address, links[0])
            symlink(closed.address, links[1])
            _ = try scene.client.ask("impersonate")
            try scene.client.send("dial-many \(links[0]) 500")
            var reply: Reply?
            while reply == nil {
                for _ in 0..<20 { #expect(test_exchange(links[0], links[1]) == 0) }
                reply = try? scene.client.reply(seconds: 0.002)
            }
            let peers = open.all()
            #expect(peers.count == reply?.number && peers.allSatisfy { $0.uid == scene.alice.uid })
            #expect(closed.all().isEmpty)
        }
    }

    @Test("an address that another thread changes meanwhile leads where the client may go, or nowhere")
    func rewritten() throws {
        try onScene { (scene) throws in
            let open = try PlainServer(at: scene.home + "/open", mode: 0o666)
            let closed = try PlainServer(at: scene.home + "/shut", of: scene.service.account, mode: 0o600)
            _ = try scene.client.ask("impersonate")
            let count = try #require(
                try scene.client.ask("dial-rewriting \(open.address) \(closed.address) 500").number)
            #expect(count > 0 && count < 500)
            let peers = open.all()
            #expect(peers.count == count && peers.allSatisfy { $0.uid == scene.alice.uid })
            #expect(closed.all().isEmpty)
        }
    }

    @Test("a descriptor that is given to another socket meanwhile is connected as the client, or not at all")
    func reused() throws {
        try onScene { (scene) throws in
            let open = try PlainServer(at: scene.home + "/open", mode: 0o666)
            _ = try scene.client.ask("impersonate")
            let count = try #require(try scene.client.ask("dial-reusing \(open.address) 500").number)
            let peers = open.all()
            #expect(count > 0 && peers.count == count && peers.allSatisfy { $0.uid == scene.alice.uid })
        }
    }

    // MARK: Whom a socket stands for

    @Test("whom a live connection stands for does not change")
    func live() throws {
        try onTwoServices { (scene, second) throws in
            _ = try scene.bobs.ask("adopt")
            _ = try scene.bobs.ask("name bob")
            let shy = try scene.service.client(scene.alice, level: "anonymous")
            _ = try shy.ask("impersonate")
            let socket = try #require(try shy.ask("dial stream \(second.socket)").number)
            _ = try shy.ask("impersonate-named bob")
            #expect(try shy.ask("redial \(socket) \(second.socket)").errno == EISCONN)
            #expect(try shy.ask("tell \(socket) adopt").value == "OK anonymous")
            #expect(try shy.ask("tell \(socket) client").value?.contains("S-1-5-7") == true)
        }
    }

    @Test("a connection that is half closed is captured alike, one that is closed is nobody's")
    func closed() throws {
        try onTwoServices { (scene, second) throws in
            _ = try scene.client.ask("impersonate")
            let half = try #require(try scene.client.ask("dial stream \(second.socket)").number)
            #expect(try scene.client.ask("tell-last \(half) client").value?.contains("alice") == true)
            let gone = try #require(try scene.client.ask("dial stream \(second.socket)").number)
            _ = try scene.client.ask("tell \(gone) park early")
            _ = try scene.client.ask("close \(gone)")
            let other = try second.client(scene.bob)
            #expect(try other.ask("adopt-named early").thrown == "peerGone")
        }
    }

    @Test("many at once, each is its own client's, and nothing piles up in the authority")
    func crowd() throws {
        try onScene { (scene) throws in
            let server = try PlainServer(at: scene.stage.directory + "/services/plain", backlog: 4096)
            let authority = try #require(scene.stage.authority).pid
            func descriptors() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/fd").count
            }
            let clients = try (0..<8).map { try scene.service.client($0 % 2 == 0 ? scene.alice : scene.bob) }
            for client in clients { _ = try client.ask("impersonate") }
            _ = try clients[0].ask("dial-many \(server.address) 10")
            _ = server.all()
            let before = try descriptors()
            for client in clients { try client.send("dial-many \(server.address) 100") }
            for client in clients { #expect(try client.reply().number == 100) }
            let peers = server.all()
            for person in [scene.alice, scene.bob] {
                #expect(peers.count { $0.uid == person.uid && $0.gid == person.uid } == 400)
            }
            #expect(peers.count == 800)
            try eventually("the authority's descriptors to be closed") { try descriptors() <= before + 40 }
        }
    }

    @Test("after an attempt that failed, a socket stands for whoever connects it then")
    func afterFailure() throws {
        try onTwoServices { (scene, second) throws in
            _ = try scene.bobs.ask("adopt")
            _ = try scene.bobs.ask("name bob")
            for (then, user) in [("impersonate-named bob", "bob"), ("revert", "files")] {
                _ = try scene.client.ask("impersonate")
                let socket = try #require(try scene.client.ask("socket stream").number)
                #expect(try scene.client.ask("redial \(socket) \(scene.home)/none").errno == ENOENT)
                #expect(
                    try scene.client.ask("redial \(socket) @guise-none-\(getpid())").errno == ECONNREFUSED)
                _ = try scene.client.ask(then)
                #expect(try scene.client.ask("redial \(socket) \(second.socket)").value == "0")
                #expect(try scene.client.ask("tell \(socket) client").value?.contains(user) == true)
            }
        }
    }

    @Test("a connection made by an authority that is gone stands for nobody")
    func restarted() throws {
        try onScene { (scene) throws in
            let shy = try scene.service.client(scene.alice, level: "anonymous")
            _ = try shy.ask("impersonate")
            let path = scene.stage.directory + "/services/later"
            let listener = guise_unix_listen(path, path.utf8.count, Int32(SOCK_STREAM.rawValue), 8, 0o666)
            defer { close(listener) }
            #expect(try shy.ask("dial stream \(path)").number != nil)
            let accepted = guise_unix_accept(listener, false)
            defer { close(accepted) }
            scene.stage.killAuthority()
            try scene.stage.startAuthority()
            let authority = try AuthorityClient(runtimeDirectory: scene.stage.runtime)
            _ = try authority.call(
                .attach(
                    .with {
                        $0.pid = UInt32(getpid())
                        $0.threads = 16
                        $0.nonce = Data(repeating: 1, count: 16)
                    }))
            let refusal = #expect(throws: GuiseError.self) {
                try authority.call(.capture(.init()), descriptor: accepted)
            }
            #expect(refusal.map { "\($0)" }?.contains("authority that is gone") == true)
        }
    }

    // MARK: Waiting

    @Test(
        "a server that does not accept holds up nobody else, and a connection that waited comes about when it does"
    )
    func fullQueue() throws {
        try onScene { (scene) throws in
            let path = scene.home + "/busy"
            let busy = try PlainServer(at: path, backlog: 0)
            let fillers = try (0..<12).map { _ in try scene.service.client(scene.alice) }
            for client in fillers {
                _ = try client.ask("impersonate")
                try client.send("dial stream \(path)")
            }
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("dial stream \(path) nonblocking").errno == EAGAIN)
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            for _ in 0..<50 { #expect(try scene.client.ask("cat \(hers)").value == "hers") }
            var peers: [PlainServer.Peer] = []
            try eventually("everybody to be connected") {
                while let peer = busy.next() { peers.append(peer) }
                return peers.count == fillers.count
            }
            for client in fillers { #expect(try client.reply().number != nil) }
            #expect(peers.allSatisfy { $0.uid == scene.alice.uid })
        }
    }

    @Test("a connection that waits is given up when its thread is gone")
    func abandoned() throws {
        try onScene { (scene) throws in
            let path = scene.home + "/busy"
            let busy = try PlainServer(at: path, backlog: 0)
            let authority = try #require(scene.stage.authority).pid
            let other = try scene.stage.serve(try scene.stage.service("other"), name: "other")
            let clients = try (0..<3).map { _ in try other.client(scene.alice) }
            for client in clients {
                _ = try client.ask("impersonate")
                try client.send("dial stream \(path)")
            }
            func waiting() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(authority)/task").count { task in
                    (try? String(contentsOfFile: "/proc/\(authority)/task/\(task)/comm", encoding: .utf8))
                        == "guise-wait\n"
                }
            }
            try eventually("the connections to wait") { try waiting() == 2 }
            other.process.end()
            try eventually("the connections to be given up") { try waiting() == 0 }
            // Who had been connected before may be in the queue; nobody comes after.
            _ = busy.all()
            usleep(100_000)
            #expect(busy.next() == nil)
        }
    }

    @Test("a signal that the thread catches ends its wait, in a connection and in a FIFO")
    func interrupted() throws {
        try onScene { (scene) throws in
            let busy = try PlainServer(at: scene.home + "/busy", backlog: 0)
            let fifo = scene.home + "/fifo"
            mkfifo(fifo, 0o666)
            chmod(fifo, 0o666)
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("dial stream \(busy.address)").number != nil)
            #expect(try scene.client.ask("alarmed dial stream \(busy.address)", seconds: 10).errno == EINTR)
            #expect(try scene.client.ask("alarmed open \(fifo) \(Flags.read)", seconds: 10).errno == EINTR)
            #expect(busy.all().count == 1)
        }
    }

    // MARK: Naming

    @Test("a name in the file system takes ADD_FILE on its directory, and the file is the client's")
    func names() throws {
        try onScene { (scene) throws in
            func bind(_ client: Client, _ address: String) throws -> Reply {
                let socket = try #require(try client.ask("socket stream").number)
                let reply = try client.ask("bind \(socket) \(address)")
                return reply.value == nil ? reply : Reply(line: "OK \(socket)")
            }
            _ = try scene.client.ask("impersonate")
            _ = try scene.bobs.ask("impersonate")
            let path = scene.home + "/hers"
            let socket = try #require(try bind(scene.client, path).number)
            var status = stat()
            #expect(lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK)
            #expect(status.st_uid == scene.alice.uid && status.st_gid == scene.alice.uid)
            #expect(try scene.client.ask("own-name \(socket)").value == "hers")
            #expect(try bind(scene.client, path).errno == EADDRINUSE)
            #expect(try bind(scene.bobs, scene.home + "/his").errno == EACCES)
            #expect(try bind(scene.client, scene.home + "/..").errno == EADDRINUSE)
            // It serves, and what it accepts is the service's to accept.
            #expect(try scene.client.ask("listen \(socket)").value != nil)
            #expect(try scene.client.ask("dial stream \(path)").number != nil)
            // Under a managed root it inherits a descriptor like any other file.
            let managed = scene.root + "/hers"
            let served = try #require(try bind(scene.client, managed).number)
            #expect(lstat(managed, &status) == 0 && status.st_uid == 0 && status.st_mode & 0o777 == 0o600)
            #expect(try bind(scene.bobs, scene.root + "/his").errno == EACCES)
            #expect(try scene.client.ask("listen \(served)").value != nil)
            #expect(try scene.client.ask("dial stream \(managed)").number != nil)
            #expect(try scene.bobs.ask("dial stream \(managed)").errno == EACCES)
            // Names that are no files.
            let name = "guise-test-\(getpid())-\(scene.alice.uid)"
            #expect(try bind(scene.client, "@" + name).number != nil)
            #expect(try bind(scene.bobs, "@" + name).errno == EADDRINUSE)
        }
    }

    // MARK: Datagrams

    @Test("a datagram goes where the client may write, and is the client's")
    func datagrams() throws {
        try onScene { (scene) throws in
            let service = scene.service.account
            let hers = try PlainServer(
                at: scene.home + "/hers", type: SOCK_DGRAM, of: scene.alice, mode: 0o600)
            let closed = try PlainServer(
                at: scene.home + "/closed", type: SOCK_DGRAM, of: service, mode: 0o600)
            let managed = try PlainServer(at: scene.root + "/managed", type: SOCK_DGRAM, mode: 0o600)
            try scene.stage.describe(
                managed.address, Stage.fill("O:BAG:SYD:(A;;FW;;;{alice})", [scene.alice]))
            let abstract = try PlainServer(
                at: "@guise-test-\(getpid())-\(scene.alice.uid)-datagram", type: SOCK_DGRAM)
            _ = try scene.client.ask("impersonate")
            _ = try scene.bobs.ask("impersonate")
            let socket = try #require(try scene.client.ask("dial datagram \(hers.address)").number)
            #expect(try scene.client.ask("write \(socket) text").number == 4)
            #expect(hers.datagram()?.text == "text")
            #expect(try scene.client.ask("dial datagram \(closed.address)").errno == EACCES)
            for command in ["send-to", "send-message-to"] {
                for server in [hers, managed, abstract] {
                    #expect(try scene.client.ask("\(command) datagram \(server.address) text").number == 4)
                    let datagram = try #require(server.datagram())
                    #expect(datagram.text == "text" && datagram.uid == scene.alice.uid)
                    #expect(datagram.gid == scene.alice.uid && datagram.pid == scene.service.pid)
                }
                for server in [hers, managed] {
                    #expect(try scene.bobs.ask("\(command) datagram \(server.address) text").errno == EACCES)
                }
                #expect(try scene.client.ask("\(command) datagram \(closed.address) text").errno == EACCES)
                #expect(try scene.client.ask("\(command) stream \(hers.address) text").errno == EOPNOTSUPP)
                #expect(try scene.client.ask("\(command) datagram \(scene.home)/none text").errno == ENOENT)
            }
            _ = try scene.client.ask("impersonate identification")
            #expect(try scene.client.ask("send-to datagram \(closed.address) text").number == 4)
            #expect(closed.datagram()?.uid == service.uid)
            _ = try scene.client.ask("impersonate anonymous")
            #expect(try scene.client.ask("send-to datagram \(abstract.address) text").number == 4)
            #expect(abstract.datagram()?.uid == 65534)
            _ = try scene.client.ask("revert")
            #expect(try scene.client.ask("send-to datagram \(closed.address) text").number == 4)
            #expect(try scene.client.ask("send-to datagram \(hers.address) text").errno == EACCES)
        }
    }

    /// One part of a message's control data, in hexadecimal.
    private func control(_ type: Int32, _ numbers: [Int32], length: Int? = nil) -> String {
        var bytes: [UInt8] = []
        func add(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
        add(UInt64(length ?? 16 + 4 * numbers.count))
        add(SOL_SOCKET)
        add(type)
        for number in numbers { add(number) }
        bytes += [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8)
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test("descriptors and the client's credentials go along with a datagram, and nobody else's do")
    func datagramsWithControl() throws {
        try onScene { (scene) throws in
            let hers = try PlainServer(
                at: scene.home + "/hers", type: SOCK_DGRAM, of: scene.alice, mode: 0o600)
            let managed = try PlainServer(at: scene.root + "/managed", type: SOCK_DGRAM, mode: 0o600)
            try scene.stage.describe(
                managed.address, Stage.fill("O:BAG:SYD:(A;;FW;;;{alice})", [scene.alice]))
            let abstract = try PlainServer(
                at: "@guise-test-\(getpid())-\(scene.alice.uid)-control", type: SOCK_DGRAM)
            let servers = [hers, managed, abstract]
            let file = try scene.stage.file("home/file", "content", of: scene.alice)
            _ = try scene.client.ask("impersonate")
            _ = try scene.bobs.ask("impersonate")
            let descriptor = Int32(try #require(try scene.client.ask("open \(file) \(Flags.read)").number))
            let (rights, credentials): (Int32, Int32) = (1, 2)
            let own = [
                scene.service.pid, Int32(bitPattern: scene.alice.uid), Int32(bitPattern: scene.alice.uid),
            ]
            for server in servers {
                let several = control(rights, [descriptor, descriptor]) + control(rights, [descriptor])
                #expect(try scene.client.ask("send-control \(server.address) text \(several)").number == 4)
                let datagram = try #require(server.datagram())
                // Who carries descriptors is told to be guised.
                #expect(datagram.uid == scene.alice.uid && datagram.gid == scene.alice.uid)
                #expect(datagram.pid == scene.stage.authority?.pid)
                #expect(datagram.text == "text" && datagram.descriptors.count == 3)
                for one in datagram.descriptors {
                    var content = [UInt8](repeating: 0, count: 7)
                    #expect(pread(one, &content, 7, 0) == 7 && content == Array("content".utf8))
                    close(one)
                }
                let told = control(credentials, own)
                #expect(try scene.client.ask("send-control \(server.address) text \(told)").number == 4)
                let second = try #require(server.datagram())
                #expect(second.uid == scene.alice.uid && second.pid == scene.service.pid)
            }
            let service = Int32(bitPattern: scene.service.account.uid)
            let wrong: [(String, Int32)] = [
                (control(rights, [descriptor, 9999]), EBADF), (control(rights, [-1]), EBADF),
                (control(rights, [Int32](repeating: descriptor, count: 254)), EINVAL),
                (control(credentials, [own[0], service, service]), EPERM),
                (control(credentials, [own[0], 0, 0]), EPERM),
                (control(credentials, [1, own[1], own[2]]), EPERM),
                (control(credentials, [own[0]]), EINVAL), (control(77, [1]), EINVAL),
                (control(rights, [descriptor], length: 15), EINVAL),
                (control(rights, [descriptor], length: 25), EINVAL),
                (control(rights, [descriptor], length: -1 & Int.max), EINVAL),
                (control(rights, [descriptor]) + control(rights, [descriptor], length: 0), EINVAL),
            ]
            for (bytes, error) in wrong {
                let answer = try scene.client.ask("send-control \(hers.address) text \(bytes)")
                #expect(answer.errno == error, "\(bytes): \(answer)")
            }
            // What is too short to be a part is none, and what is of another level is somebody else's.
            #expect(try scene.client.ask("send-control \(hers.address) text 1000000000000000").number == 4)
            #expect(hers.datagram()?.descriptors == [])
            for server in [hers, managed] {
                let answer = try scene.bobs.ask(
                    "send-control \(server.address) text \(control(rights, [descriptor]))")
                #expect(answer.errno == EACCES)
            }
            for server in servers { #expect(server.datagram() == nil) }
        }
    }

    @Test("many messages at once go one by one, up to the first that is refused")
    func manyDatagrams() throws {
        try onScene { (scene) throws in
            let hers = try PlainServer(
                at: scene.home + "/hers", type: SOCK_DGRAM, of: scene.alice, mode: 0o600)
            let closed = try PlainServer(
                at: scene.home + "/closed", type: SOCK_DGRAM, of: scene.service.account, mode: 0o600)
            let managed = try PlainServer(at: scene.root + "/managed", type: SOCK_DGRAM, mode: 0o600)
            try scene.stage.describe(
                managed.address, Stage.fill("O:BAG:SYD:(A;;FW;;;{alice})", [scene.alice]))
            let (one, two, three) = (hers.address, managed.address, closed.address)
            _ = try scene.client.ask("impersonate")
            #expect(try scene.client.ask("send-many \(one),\(two),\(one) text").value == "3 4 4 4")
            #expect(hers.datagram()?.uid == scene.alice.uid && hers.datagram()?.uid == scene.alice.uid)
            #expect(managed.datagram()?.pid == scene.service.pid)
            #expect(try scene.client.ask("send-many \(one),\(three),\(one) text").value == "1 4 0 0")
            #expect(try scene.client.ask("send-many \(three),\(one) text").value == "-\(EACCES) 0 0")
            #expect(hers.datagram() != nil && hers.datagram() == nil && closed.datagram() == nil)
            let descriptor = try #require(
                try scene.client.ask("open \(try scene.stage.file("home/f", "x", of: scene.alice)) 0").number)
            let rights = control(1, [Int32(descriptor)])
            #expect(try scene.client.ask("send-many \(one),\(two) text \(rights)").value == "2 4 4")
            for server in [hers, managed] {
                let datagram = try #require(server.datagram())
                #expect(datagram.descriptors.count == 1)
                datagram.descriptors.forEach { close($0) }
            }
            // More than a queue holds, to one who never takes any: those before are told.
            let many = [String](repeating: one, count: 600).joined(separator: ",")
            let sent = try #require(try scene.client.ask("send-many \(many) text").value)
            let count = try #require(Int(sent.split(separator: " ")[0]))
            #expect((1..<600).contains(count))
            for _ in 0..<count { #expect(hers.datagram() != nil) }
            #expect(hers.datagram() == nil)
            _ = try scene.client.ask("revert")
            #expect(try scene.client.ask("send-many \(three),\(one) text").value == "1 4 0")
            #expect(closed.datagram()?.uid == scene.service.account.uid)
        }
    }

    @Test("a datagram that waits for its receiver holds up nobody else")
    func fullReceiver() throws {
        try onScene { (scene) throws in
            let slow = try PlainServer(at: scene.home + "/slow", type: SOCK_DGRAM)
            let other = try scene.service.client(scene.alice)
            for client in [scene.client, other] { _ = try client.ask("impersonate") }
            try scene.client.send("flood \(slow.address) 300")
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            for _ in 0..<50 { #expect(try other.ask("cat \(hers)").value == "hers") }
            var count = 0
            try eventually("all to have come") {
                while let datagram = slow.datagram() {
                    #expect(datagram.uid == scene.alice.uid)
                    count += 1
                }
                return count == 300
            }
            #expect(try scene.client.reply().number == 300)
        }
    }
}
